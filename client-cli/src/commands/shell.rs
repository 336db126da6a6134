//! `paraphe completions` and `paraphe man`: what packages install beside the binary.

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::files;

/// Options of `paraphe completions`.
#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Options of `paraphe man`.
#[derive(clap::Args)]
pub struct ManArgs {
    /// Folder for the pages; it is made where it is missing
    directory: PathBuf,
}

/// Prints the completion script.
///
/// # Errors
/// When standard output is closed.
pub fn completions(context: &Context, args: &CompletionsArgs) -> Result<()> {
    // Into memory first: the generator panics when a pipe breaks.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "paraphe", &mut script);
    context.output.write(&String::from_utf8_lossy(&script))
}

/// Writes one page per command.
///
/// # Errors
/// [`Error::File`].
pub fn man(context: &Context, args: &ManArgs) -> Result<()> {
    files::create_directory(&args.directory)?;
    clap_mangen::generate_to(Cli::command(), &args.directory)
        .map_err(Error::file("write man pages in", &args.directory))?;
    context
        .output
        .say(&format!("  man pages in {}", args.directory.display()))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    #[test]
    fn each_command_has_a_man_page() {
        let directory = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Cli::command(), directory.path()).unwrap();
        for page in [
            "paraphe.1",
            "paraphe-demo.1",
            "paraphe-clerk-evidence.1",
            "paraphe-admin-operator-add.1",
        ] {
            assert!(directory.path().join(page).exists(), "{page}");
        }
    }

    #[test]
    fn completions_know_the_commands() {
        let mut script = Vec::new();
        clap_complete::generate(Shell::Bash, &mut Cli::command(), "paraphe", &mut script);
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("countersign") && script.contains("--mrz-file"));
    }
}
