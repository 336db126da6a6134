//! `paraphe phone`: a phone in software. Its keystore lies in files, and its statements say so. Protocol: sections 4 to 6.

mod activate;
mod answer;
mod change_pin;
mod command;
mod look;
mod past;
mod replace;
mod status;
mod views;

use std::path::PathBuf;

use clap::Subcommand;
use paraphe_companion::{Phone, Server};
use paraphe_proto::ids::{ChallengeId, DeviceId};

use self::command::Commands;
use self::views::{MovedView, ResumingView, VetoedView};
use crate::channel;
use crate::context::Context;
use crate::error::Result;
use crate::handset;

/// `paraphe phone`.
#[derive(clap::Args)]
pub struct Args {
    /// The phone's folder [default: HOME/phone]
    #[arg(long, value_name = "DIR", global = true)]
    phone: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Activate with the content of the QR code, or with the typed code and the root key
    Activate(activate::ActivateArgs),
    /// The phone as the daemon sees it
    Status,
    /// Show challenges as they arrive
    Watch {
        /// Stop after the first
        #[arg(long)]
        once: bool,
    },
    /// Show the challenges that wait
    Pending,
    /// Show one challenge
    Show {
        /// chl_…
        challenge: ChallengeId,
    },
    /// Approve with the code of the page and the PIN
    Approve(answer::ApproveArgs),
    /// Say no; needs no PIN
    Refuse(answer::AnswerArgs),
    /// Say "this is not me"; the backend may not ask again
    Report(answer::AnswerArgs),
    /// Who asked, for what, and what was answered; and what happened to your phones, who did it and why
    History,
    /// Lift the block of one backend, or of all and the freeze; approve the challenge that follows
    Lift {
        /// Relying party, by its id or its name as `status` shows them; nothing for everything
        relying_party: Option<String>,
    },
    /// Stop this phone; nothing but the PIN lets it go on
    Suspend,
    /// Ask that this suspended phone may go on; approve the challenge that follows
    Resume,
    /// Give this phone up for good
    Revoke {
        /// Say that you mean it
        #[arg(long, required = true)]
        for_good: bool,
    },
    /// Stop a newer phone that is about to take the place of this one, or to count beside it
    Veto {
        /// Which newer phone, dev_… of `status`; may be left out where there is one
        #[arg(long, value_name = "ID")]
        device: Option<DeviceId>,
    },
    /// Hand out the code for a new phone that takes the place of this one; `confirm` follows
    Replace,
    /// Let that new phone take the place of this one: type the six digits that it shows, then the PIN of this one
    Confirm(replace::ConfirmArgs),
    /// Change the PIN; the old one opens nothing afterwards
    ChangePin(change_pin::ChangePinArgs),
    /// Write what this phone signed for a challenge, and the challenge, into files
    Statements(answer::StatementsArgs),
}

/// An activated phone with its way to the daemon.
struct Ready {
    phone: Phone,
    server: Server,
    directory: PathBuf,
    commands: Commands,
}

impl Ready {
    /// The phone in its folder, connected to the daemon of the options, else to the one it was activated at.
    async fn connect(context: &Context, directory: PathBuf, commands: Commands) -> Result<Self> {
        let phone = handset::open(&directory)?;
        let url = context
            .named_server()
            .map_or_else(|| phone.endpoint(), str::to_owned);
        let server = channel::Server::from_options(Some(&url), context.ca_file(), Some(&phone.issuer()))?;
        let ready = Ready {
            server: handset::connect(&server).await?,
            phone,
            directory,
            commands,
        };
        change_pin::settle(context, &ready).await?;
        Ok(ready)
    }
}

/// Runs a phone's command.
///
/// # Errors
/// What the daemon refuses, a wrong PIN, statements that do not hold.
pub async fn run(context: &Context, args: Args) -> Result<()> {
    let commands = Commands::of(args.phone.as_deref());
    let directory = args.phone.unwrap_or_else(|| context.home.phone_directory());
    match args.command {
        Command::Activate(args) => activate::activate(context, &directory, &commands, args).await,
        Command::Statements(args) => answer::statements(context, &directory, &args),
        command => {
            let ready = Ready::connect(context, directory, commands).await?;
            online(&ready, context, command).await
        }
    }
}

async fn online(ready: &Ready, context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Activate(_) | Command::Statements(_) => Ok(()),
        Command::Status => look::status(context, ready).await,
        Command::Watch { once } => look::watch(context, ready, once).await,
        Command::Pending => look::pending(context, ready).await,
        Command::Show { challenge } => look::show(context, ready, challenge).await,
        Command::Approve(args) => answer::approve(context, ready, args).await,
        Command::Refuse(args) => answer::refuse(context, ready, args).await,
        Command::Report(args) => answer::report(context, ready, args).await,
        Command::History => past::history(context, ready).await,
        Command::ChangePin(args) => change_pin::change_pin(context, ready, args).await,
        Command::Replace => replace::replace(context, ready).await,
        Command::Confirm(args) => replace::confirm(context, ready, args).await,
        Command::Lift { relying_party } => look::lift(context, ready, relying_party.as_deref()).await,
        Command::Suspend => {
            let state = ready.phone.suspend(&ready.server).await?;
            context.output.show(&MovedView::new(state, &ready.commands))
        }
        Command::Resume => {
            let challenge_id = ready.phone.resume(&ready.server).await?;
            context
                .output
                .show(&ResumingView::new(challenge_id, &ready.commands))
        }
        Command::Revoke { .. } => {
            let state = ready.phone.revoke(&ready.server).await?;
            context.output.show(&MovedView::new(state, &ready.commands))
        }
        Command::Veto { device } => {
            let state = ready.phone.veto(&ready.server, device).await?;
            context.output.show(&VetoedView { state })
        }
    }
}
