//! `paraphed issue-administrator`: the way back for whoever owns the machine, when no administrator can sign in any more, or the only one
//! is a thief. Also what `paraphed restore` shows of the one that it issues.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{CommandError, confirm, print_json};
use crate::app::activation::Issued;
use crate::app::administrator;
use crate::config::Config;
use crate::domain::operator::Operator;
use crate::open::{self, StartError};

pub(super) const LONG_ABOUT: &str = "Issue one new administrator, whose phone is activated with the code that is shown once.

For whoever owns the machine and the master key, when no administrator can sign in any more, or when the one who can is not to be trusted: \
the new one disables the old. Nothing else changes, and the audit trail names it.

Run it with the daemon stopped.";

/// Arguments of `paraphed issue-administrator`.
#[derive(Args)]
pub struct AdministratorArguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A new administrator, and how their phone is activated.
#[derive(Serialize)]
pub(super) struct Administrator {
    operator: String,
    code: String,
    uri: String,
    expires_at: i64,
}

impl Administrator {
    pub(super) fn of((operator, issued): (Operator, Issued)) -> Self {
        Self {
            operator: operator.name,
            code: issued.code,
            uri: issued.uri,
            expires_at: issued.expires_at.as_secs(),
        }
    }

    pub(super) fn text(&self) -> String {
        format!(
            "Activation of the administrator {} (shown once, single use):\n\n  typed code  {}\n  QR content  {}",
            self.operator, self.code, self.uri
        )
    }
}

/// Runs the command.
///
/// # Errors
/// Named errors; nobody is issued then.
pub fn issue(arguments: &AdministratorArguments) -> Result<(), CommandError> {
    let (daemon, clock) = open::serving(Config::load(&arguments.config)?)?;
    if !arguments.yes {
        writeln!(
            anstream::stderr(),
            "Whoever activates the new administrator's phone may do everything that administrators may."
        )?;
        confirm("to issue one")?;
    }
    let now = clock.now().map_err(StartError::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let issued = runtime.block_on(async {
        let verb = |s: &mut crate::app::Scope<'_, '_>| administrator::issue(s, "paraphed", "issued");
        let issued = daemon.write("issue_administrator", now, verb).await;
        daemon.close().await?;
        issued.map_err(StartError::from)
    })?;
    let issued = Administrator::of(issued);
    if arguments.json {
        return print_json(&issued);
    }
    writeln!(
        anstream::stdout(),
        "{}\n\nNext: start the daemon (`systemctl start paraphed`), activate that phone, sign in as {}, and disable who is not to administer any more.",
        issued.text(),
        issued.operator
    )?;
    Ok(())
}
