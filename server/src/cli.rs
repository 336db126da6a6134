//! The command line of `paraphed`: arguments → configuration → runtime → run → exit code.

mod administrator;
mod backup;
mod init;
mod keys;
mod master_key;
mod restore;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::domain::fault::Fault;
use crate::keys::{look_for_token, read_attestation_rules};
use crate::open::{self, StartError};
use crate::start;
use crate::store::db::DbError;
use crate::store::journal::JournalError;
use crate::telemetry;

/// Strong authentication confirmed on the person's own phone.
#[derive(Parser)]
#[command(name = "paraphed", version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration or catalogue, 4 database, 5 keys, 6 address in use, 7 token away.";

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve(ConfigFile),
    /// Make keys and database of a new deployment, and the two first administrators' activations.
    Init(init::InitArguments),
    /// Copy the database, also while the daemon serves from it.
    Backup(backup::BackupArguments),
    /// Make a database that was put back from a backup fit to be served from.
    #[command(long_about = restore::LONG_ABOUT)]
    Restore(restore::RestoreArguments),
    /// Issue one new administrator, when nobody who is to be trusted can sign in any more.
    #[command(long_about = administrator::LONG_ABOUT)]
    IssueAdministrator(administrator::AdministratorArguments),
    /// Rotate the keys that sign challenges and assertions.
    Keys(keys::KeysArguments),
    /// Make a new master key and seal the issuer keys with it; the daemon then seals every row again.
    RotateMasterKey(master_key::MasterKeyArguments),
    /// Check the configuration and the action catalogue, and say which files are missing.
    CheckConfig(ConfigFile),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Starting or running.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] telemetry::TelemetryError),
    /// The runtime or the terminal.
    #[error("the operating system refused: {0}")]
    Io(#[from] std::io::Error),
    /// A restore without the security journal that was not asked for.
    #[error(
        "{0}. Without it nobody knows what was revoked since the backup: if it cannot be had, `--without-journal` suspends every phone, \
         disables every service account, and who cannot resume their phone with its PIN enrols anew"
    )]
    NoJournal(JournalError),
    /// `--without-journal` where the journal is good.
    #[error("the security journal is there and verifies: leave `--without-journal` out")]
    JournalIsThere,
    /// A restore without a backup.
    #[error("there is no database at {0}: put the backup there first, under that name, and run this again")]
    NoBackup(PathBuf),
    /// A restore of the database that ran last.
    #[error(
        "nothing shows that this database was put back: it is the one that this journal was kept beside, and the daemon starts on it. \
         A restore would leave every phone one PIN attempt, and end every session, pending challenge and unused activation. If you know \
         that database and journal were put back together (a snapshot of the machine), say `--rolled-back`"
    )]
    NotPutBack,
    /// Nobody said yes.
    #[error("nothing was changed: type `yes`, or give `--yes`")]
    NotConfirmed,
    /// Where the copy should go, something is.
    #[error("{0} exists already: nothing is overwritten; choose another path")]
    CopyExists(PathBuf),
    /// Where the copy should go, there is no folder.
    #[error("{0} is not there, or no folder: make it first, or choose another path for the copy")]
    NoFolder(PathBuf),
    /// Development certificates.
    #[error("the development certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl From<DbError> for CommandError {
    fn from(error: DbError) -> Self {
        Self::Start(error.into())
    }
}

impl CommandError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Start(error) => error.code(),
            Self::Telemetry(_) => "logging.setup",
            Self::NoJournal(error) => error.code(),
            Self::JournalIsThere => "restore.journal_is_there",
            Self::NoBackup(_) => "store.missing",
            Self::NoFolder(_) => "backup.no_folder",
            Self::NotPutBack => "restore.not_put_back",
            Self::NotConfirmed => "command.not_confirmed",
            Self::CopyExists(_) => "backup.exists",
            Self::Io(_) => "system",
            Self::Certificate(_) => "tls.certificate",
        }
    }

    fn exit_code(&self) -> u8 {
        let code = self.code();
        match code.split('.').next().unwrap_or_default() {
            _ if code == "store.wrong_master_key" => 5,
            _ if code == "listen.in_use" => 6,
            _ if code == "keys.token_away" => 7,
            "config" | "catalogue" => 3,
            "store" | "journal" | "clock" => 4,
            "keys" | "tls" => 5,
            _ => 1,
        }
    }
}

/// Runs the command line; what fails is one line on standard error with its code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Serve(file) => serve(&file.config),
        Command::Init(arguments) => init::init(&arguments),
        Command::Backup(arguments) => backup::backup(&arguments),
        Command::Restore(arguments) => restore::restore(&arguments),
        Command::IssueAdministrator(arguments) => administrator::issue(&arguments),
        Command::Keys(arguments) => keys::keys(&arguments),
        Command::RotateMasterKey(arguments) => master_key::rotate(&arguments),
        Command::CheckConfig(file) => check_config(&file.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(anstream::stderr(), "paraphed: {}: {error}", error.code());
            ExitCode::from(error.exit_code())
        }
    }
}

/// What a command reports, for scripts.
fn print_json(report: &impl serde::Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(report).map_err(|e| StartError::from(Fault::internal(e)))?;
    writeln!(anstream::stdout(), "{text}")?;
    Ok(())
}

fn serve(path: &Path) -> Result<(), CommandError> {
    let config = Config::load(path)?;
    telemetry::init(&config.logging)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(start::run(config, |address| {
        let mut out = std::io::stdout();
        let _closed = writeln!(out, "paraphed: listening on {address}").and_then(|()| out.flush());
    }))?;
    Ok(())
}

/// Asks at the terminal whether to do what was just shown.
fn confirm(what: &str) -> Result<(), CommandError> {
    let mut out = anstream::stderr();
    write!(out, "\nType `yes` {what}: ")?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match line.trim() {
        "yes" => Ok(()),
        _ => Err(CommandError::NotConfirmed),
    }
}

fn check_config(path: &Path) -> Result<(), CommandError> {
    let config = Config::load(path)?;
    let catalogue = open::load_catalogue(&config)?;
    match read_attestation_rules(&config.attestation) {
        Err(error) if !error.is_missing() => return Err(StartError::from(error).into()),
        _ => {}
    }
    let mut out = anstream::stdout();
    for (key, missing) in config.missing_files() {
        writeln!(out, "not there yet: {key} = {}", missing.display())?;
    }
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if let Some(Err(unusable)) = config.keys.pkcs11.as_ref().map(look_for_token) {
        writeln!(out, "not usable yet: {unusable}")?;
    }
    writeln!(
        out,
        "{} is good: {} actions.",
        path.display(),
        catalogue.actions().count()
    )?;
    Ok(())
}
