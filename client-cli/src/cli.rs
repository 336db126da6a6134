//! The command line: global options and the tree of commands. One file per command group under `commands/`.

use std::path::PathBuf;

use clap::{ColorChoice, Parser, Subcommand};

use crate::commands::{admin, backend, clerk, demo, load, phone, session, shell, support, terminal, verify};
use crate::error::EXIT_CODES;

/// Strong authentication confirmed on the person's own phone: the terminal of clerks, administrators and backends, and a
/// software phone.
#[derive(Parser)]
#[command(name = "paraphe", version, about, after_help = EXIT_CODES, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The daemon, e.g. https://127.0.0.1:8443
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PARAPHE_SERVER",
        hide_env_values = true
    )]
    pub server: Option<String>,
    /// Certificate authority of the daemon's TLS certificate (PEM)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PARAPHE_CA",
        hide_env_values = true
    )]
    pub ca: Option<PathBuf>,
    /// The daemon's issuer URL, where it is not the server's
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PARAPHE_ISSUER",
        hide_env_values = true
    )]
    pub issuer: Option<String>,
    /// Folder of this terminal's key, the session and the phone [default: $XDG_CONFIG_HOME/paraphe]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PARAPHE_HOME",
        hide_env_values = true
    )]
    pub home: Option<PathBuf>,
    /// Act as this service account (opr_…) instead of the person who is logged in
    #[arg(
        long,
        global = true,
        value_name = "OPR",
        env = "PARAPHE_SERVICE_ID",
        hide_env_values = true,
        requires = "service_key"
    )]
    pub service_id: Option<String>,
    /// Private key of the service account (PKCS#8 PEM)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PARAPHE_SERVICE_KEY",
        hide_env_values = true,
        requires = "service_id"
    )]
    pub service_key: Option<PathBuf>,
    /// One JSON object per result and line
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// The whole story on this machine: a real daemon, a clerk, a phone, a backend, four purchases
    Demo(demo::Args),
    /// Make or import the key of this terminal and print its thumbprint
    Terminal(terminal::Args),
    /// Log in on this terminal by confirming on your own phone
    Login(session::LoginArgs),
    /// End the session
    Logout,
    /// Who is logged in
    Whoami,
    /// Enrol people: cases, evidence, activations
    #[command(subcommand)]
    Clerk(clerk::Command),
    /// A person calls whose phone is lost: suspend it, or end it for good
    #[command(subcommand)]
    Support(support::Command),
    /// A phone in software: activate, watch, approve, refuse
    Phone(phone::Args),
    /// Ask people to confirm, as a backend
    #[command(subcommand)]
    Backend(backend::Command),
    /// Operators, terminals, backends, the audit trail
    #[command(subcommand)]
    Admin(admin::Command),
    /// Many phones and backends at once: size a deployment, look for what breaks
    #[command(subcommand)]
    Load(load::Command),
    /// Check an assertion, and the approval behind it, offline
    Verify(verify::Args),
    /// Print a completion script for a shell
    Completions(shell::CompletionsArgs),
    /// Write the man pages into a folder
    Man(shell::ManArgs),
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_documents_every_exit_code_and_fits_eighty_columns() {
        let help = Cli::command().term_width(80).render_help().to_string();
        for code in 0..=10 {
            assert!(help.contains(&format!("\n  {code}  ")), "{code}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn evidence_needs_no_machine_readable_zone_where_the_case_is_rejected() {
        let parsed = |line: &str| Cli::try_parse_from(line.split_whitespace());
        assert!(parsed("paraphe clerk evidence cas_x --reject").is_ok());
        assert!(parsed("paraphe clerk evidence cas_x --mrz-file -").is_ok());
        let as_refused =
            "paraphe clerk evidence cas_x --mrz-file - --check holder_likeness --check document_genuine";
        assert!(parsed(as_refused).is_ok(), "as the daemon names a check");
        let missing = parsed("paraphe clerk evidence cas_x").err().unwrap().to_string();
        assert!(missing.contains("--mrz-file"), "{missing}");
    }

    #[test]
    fn a_typed_code_without_a_root_names_the_root_alone_as_missing() {
        let line = "paraphe phone activate --code-file code";
        let missing = Cli::try_parse_from(line.split_whitespace())
            .err()
            .unwrap()
            .to_string();
        assert!(missing.contains("--root <FILE>\n"), "{missing}");
        let (missing, _usage) = missing.split_once("Usage").unwrap();
        assert!(!missing.contains("--uri-file"), "{missing}");
    }

    #[test]
    fn a_service_account_needs_both_halves() {
        assert!(Cli::try_parse_from(["paraphe", "--service-id", "opr_x", "whoami"]).is_err());
        assert!(
            Cli::try_parse_from(["paraphe", "whoami", "--service-id", "opr_x", "--service-key", "k"]).is_ok()
        );
    }
}
