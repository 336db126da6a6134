//! `paraphed backup`: a copy of the database, also while the daemon serves from it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{CommandError, print_json};
use crate::clock::Clock;
use crate::config::Config;
use crate::open::StartError;
use crate::store::db::copy;

/// Arguments of `paraphed backup`.
#[derive(Args)]
pub struct BackupArguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where the copy goes; nothing may be there.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    copied_to: PathBuf,
    bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// Named errors; nothing is left behind then.
pub fn backup(arguments: &BackupArguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config)?;
    let to = &arguments.to;
    if to.exists() {
        return Err(CommandError::CopyExists(to.clone()));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(CommandError::NoFolder(folder.to_owned()));
    }
    let now = Clock::starting_after(None)
        .and_then(|clock| clock.now())
        .map_err(StartError::from)?;
    copy(&config.store.path, to, now)?;
    let report = Report {
        copied_to: to.clone(),
        bytes: std::fs::metadata(to)?.len(),
    };
    if arguments.json {
        return print_json(&report);
    }
    writeln!(
        anstream::stdout(),
        "Copied to {} ({} bytes).\nKeep it apart from the master key. The security journal is not part of a backup: {} stays where it is.",
        to.display(),
        report.bytes,
        config.store.security_journal.display()
    )?;
    Ok(())
}
