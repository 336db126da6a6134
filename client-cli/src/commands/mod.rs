//! One file per command group. Each declares its options and runs them; nothing here knows another group.

pub mod admin;
pub mod backend;
pub mod clerk;
pub mod demo;
pub mod load;
pub mod phone;
pub mod session;
pub mod shell;
pub mod terminal;
pub mod verify;

use crate::cli::Command;
use crate::context::Context;
use crate::error::Result;

/// Runs one command.
///
/// # Errors
/// Whatever stopped it; `main` prints it and exits with its code.
pub async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(context, args).await,
        Command::Terminal(args) => terminal::run(context, &args),
        Command::Login(args) => session::login(context, &args).await,
        Command::Logout => session::logout(context).await,
        Command::Whoami => session::whoami(context).await,
        Command::Clerk(command) => clerk::run(context, command).await,
        Command::Phone(args) => phone::run(context, args).await,
        Command::Backend(command) => backend::run(context, command).await,
        Command::Admin(command) => admin::run(context, command).await,
        Command::Load(command) => load::run(context, command).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Completions(args) => shell::completions(context, &args),
        Command::Man(args) => shell::man(context, &args),
    }
}
