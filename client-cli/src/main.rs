//! `paraphe`: the terminal of clerks, administrators and backends, and a software phone.
//!
//! Arguments → surroundings → command → exit code. The exit codes are documented in `error.rs` and in `--help`.

mod channel;
mod cli;
mod commands;
mod context;
mod countdown;
mod credentials;
mod demo;
mod edge;
mod error;
mod files;
mod handset;
mod home;
mod jwks;
mod load;
mod login;
mod output;
mod parameter;
mod prompt;
mod qr;
mod signature;
mod verify;
mod views;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::context::Context;
use crate::error::Result;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    color_choice(cli.global.color).write_global();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::show_error(&error, json);
            ExitCode::from(error.exit())
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let context = Context::new(cli.global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error::Error::other("cli.runtime", format!("The runtime cannot start: {error}.")))?;
    runtime.block_on(commands::run(&context, cli.command))
}

fn color_choice(choice: clap::ColorChoice) -> anstream::ColorChoice {
    match choice {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    }
}
