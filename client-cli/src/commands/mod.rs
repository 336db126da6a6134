//! One file per command group. Each declares its options and runs them; nothing here knows another group.

pub mod admin;
pub mod backend;
pub mod clerk;
pub mod demo;
pub mod load;
pub mod phone;
pub mod session;
pub mod shell;
pub mod support;
pub mod terminal;
pub mod verify;

use crate::cli::Command;
use crate::context::Context;
use crate::error::{Error, Result};

/// The daemon's answer to a caller that it does not know; it looks the same for every reason.
const UNAUTHENTICATED: &str = "caller.unauthenticated";

/// Runs one command.
///
/// # Errors
/// Whatever stopped it; `main` prints it and exits with its code.
pub async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(context, args).await,
        Command::Terminal(args) => terminal::run(context, &args),
        Command::Login(args) => session::login(context, &args).await.map_err(of_login),
        Command::Logout => session::logout(context).await,
        Command::Whoami => session::whoami(context).await,
        Command::Clerk(command) => clerk::run(context, command).await.map_err(again),
        Command::Support(command) => support::run(context, command).await,
        Command::Phone(args) => phone::run(context, args).await,
        Command::Backend(command) => backend::run(context, command).await.map_err(of_backend),
        Command::Admin(command) => admin::run(context, command).await,
        Command::Load(load::Command::Prepare(args)) => load::prepare(context, args).await,
        Command::Load(load::Command::Run(args)) => load::measure(context, *args).await.map_err(of_backend),
        Command::Verify(args) => verify::run(context, args).await,
        Command::Completions(args) => shell::completions(context, &args),
        Command::Man(args) => shell::man(context, &args),
    }
}

fn of_login(error: Error) -> Error {
    let advice = "Is the name right, is that operator's phone active, and is this terminal registered (paraphe terminal)?";
    again(error.advised(UNAUTHENTICATED, advice))
}

fn of_backend(error: Error) -> Error {
    let advice =
        "Is the backend registered with the public half of this key, and is --issuer the daemon's issuer?";
    error.advised(UNAUTHENTICATED, advice)
}

/// For commands that wait for the operator's own phone and may simply be run again.
fn again(error: Error) -> Error {
    let advice = match &error {
        Error::NotApproved("reported") => {
            "The phone said “this is not me”, which ended all sessions of this operator. If you did not begin this, tell an administrator."
        }
        _ => "Run the command again.",
    };
    error.advised("verdict.not_approved", advice)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use tonic::Code;

    use super::*;
    use crate::error::Refusal;

    fn refused(code: &str) -> Error {
        Error::Daemon(Refusal {
            grpc: Code::Unauthenticated,
            code: code.to_owned(),
            message: "No.".to_owned(),
            fields: Vec::new(),
            wait_s: None,
        })
    }

    #[test]
    fn an_unknown_caller_is_told_what_to_look_at_and_a_script_is_not() {
        let plain = refused(UNAUTHENTICATED);
        for (error, hint) in [
            (of_login(refused(UNAUTHENTICATED)), "paraphe terminal"),
            (of_backend(refused(UNAUTHENTICATED)), "--issuer"),
        ] {
            let text = error.to_string();
            assert!(
                text.starts_with("No.\n  Is the ") && text.contains(hint),
                "{text}"
            );
            assert_eq!((error.code(), error.exit()), (plain.code(), plain.exit()));
            assert_eq!(error.json(), plain.json());
        }
        assert_eq!(of_backend(refused("proof.nonce")).to_string(), "No.");
    }

    #[test]
    fn an_operator_whose_phone_said_no_may_run_the_command_again() {
        let error = of_login(Error::NotApproved("expired"));
        assert_eq!(
            error.to_string(),
            "The verdict is `expired`.\n  Run the command again."
        );
        assert_eq!(error.exit(), 8);
        let reported = of_login(Error::NotApproved("reported")).to_string();
        assert!(
            reported.contains("tell an administrator") && !reported.contains("again"),
            "{reported}"
        );
        let backend = of_backend(Error::NotApproved("denied"));
        assert_eq!(backend.to_string(), "The verdict is `denied`.");
    }
}
