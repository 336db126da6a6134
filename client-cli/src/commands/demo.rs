//! `paraphe demo`: the whole story against a real daemon. The acts are under `demo/`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::context::Context;
use crate::demo;
use crate::error::Result;

/// Options of `paraphe demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Leave the database, the statements and the keys in this folder; it must be empty or missing
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// The daemon's binary [default: paraphed beside this one]
    #[arg(long, value_name = "PATH")]
    pub paraphed: Option<PathBuf>,
    /// Cheat, to see that the demo notices
    #[arg(long, value_name = "WHAT")]
    pub tamper: Option<Tamper>,
}

/// What to cheat with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tamper {
    /// Exchange the daemon's published keys
    Jwks,
    /// Alter the assertion
    Assertion,
}

/// Runs the demo.
///
/// # Errors
/// The first step that is not as it should be.
pub async fn run(context: &Context, args: Args) -> Result<()> {
    demo::run(context.output, args).await
}
