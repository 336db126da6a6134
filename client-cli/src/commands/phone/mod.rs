//! `paraphe phone`: a phone in software. Its keystore lies in files, and its statements say so. Protocol: sections 4 to 6.

mod views;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use paraphe_companion::{Activation, Argon2Cost, Event, Invitation, Phone, Receipt, Server, Shown};
use paraphe_proto::ids::{ChallengeId, RelyingPartyId};
use paraphe_proto::jwk::PublicKey;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::{edge, files, handset, prompt};
use views::{ActivatedView, AnsweredView, EndedView, HistoryView, LiftedView, ShownView, StatusView};

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
    Activate(ActivateArgs),
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
    Approve(ApproveArgs),
    /// Say no; needs no PIN
    Refuse(AnswerArgs),
    /// Say "this is not me"; the backend may not ask again
    Report(AnswerArgs),
    /// Who asked, for what, and what was answered
    History,
    /// Lift the block of one backend, or of all and the freeze; approve the challenge that follows
    Lift {
        /// Relying party id; nothing for everything
        relying_party: Option<RelyingPartyId>,
    },
}

#[derive(clap::Args)]
struct ActivateArgs {
    /// The QR code's content, from a file or - for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "code_file")]
    uri_file: Option<PathBuf>,
    /// The typed code, from a file or - for standard input; needs --root
    #[arg(long, value_name = "FILE", requires = "root", conflicts_with = "uri_file")]
    code_file: Option<PathBuf>,
    /// The issuer's public root key, a JWK in JSON
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The new PIN, from a file or - for standard input; asked for twice without echo otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Argon2id cost of the wrapped key: default, or lowest for load generators
    #[arg(long, value_parser = ["default", "lowest"], default_value = "default")]
    cost: String,
}

#[derive(clap::Args)]
struct ApproveArgs {
    /// chl_…
    challenge: ChallengeId,
    /// The code of the page, from a file or - for standard input; asked for otherwise
    #[arg(long, value_name = "FILE")]
    match_code_file: Option<PathBuf>,
    /// The PIN, from a file or - for standard input; asked for without echo otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Write challenge.jws and approval.jws into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
struct AnswerArgs {
    /// chl_…
    challenge: ChallengeId,
    /// Write challenge.jws and refusal.jws into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs a phone's command.
///
/// # Errors
/// What the daemon refuses, a wrong PIN, statements that do not hold.
pub async fn run(context: &Context, args: Args) -> Result<()> {
    let directory = args.phone.unwrap_or_else(|| context.home.phone_directory());
    if let Command::Activate(args) = args.command {
        return activate(context, &directory, args).await;
    }
    let phone = handset::open(&directory)?;
    let server = handset::connect(&context.server()?).await?;
    let output = context.output;
    match args.command {
        Command::Activate(_) => Ok(()),
        Command::Status => output.show(&StatusView::new(&phone, phone.device(&server).await?)),
        Command::Watch { once } => watch(context, &phone, &server, once).await,
        Command::Pending => pending(context, &phone, &server).await,
        Command::Show { challenge } => output.show(&ShownView::new(&find(&phone, &server, challenge).await?)),
        Command::Approve(args) => approve(context, &phone, &server, args).await,
        Command::Refuse(args) => {
            let shown = find(&phone, &server, args.challenge).await?;
            answered(
                context,
                phone.refuse(&server, &shown).await?,
                args.out.as_deref(),
                "refusal.jws",
            )
        }
        Command::Report(args) => {
            let shown = find(&phone, &server, args.challenge).await?;
            answered(
                context,
                phone.report(&server, &shown).await?,
                args.out.as_deref(),
                "refusal.jws",
            )
        }
        Command::History => history(context, &phone, &server).await,
        Command::Lift { relying_party } => {
            let challenge = phone.lift(&server, relying_party.as_ref()).await?;
            output.show(&LiftedView {
                challenge_id: challenge.to_string(),
            })
        }
    }
}

async fn activate(context: &Context, directory: &Path, args: ActivateArgs) -> Result<()> {
    let server = context.server()?;
    let invitation = match (&args.uri_file, &args.code_file, &args.root) {
        (Some(file), _, _) => Invitation::from_uri(&files::read_value(file)?)?,
        (None, Some(file), Some(root)) => {
            let root = PublicKey::from_jwk_json(&files::read(root)?)
                .map_err(|error| Error::invalid("root.malformed", format!("{}: {error}.", root.display())))?;
            Invitation::from_code(&files::read_value(file)?, server.issuer.clone(), root)?
        }
        _ => {
            return Err(Error::Usage(
                "Give --uri-file, or --code-file with --root.".to_owned(),
            ));
        }
    };
    files::create_private_directory(directory)?;
    let (keystore, server) = (handset::keystore(directory)?, handset::connect(&server).await?);
    let mut activation =
        Activation::begin(directory, keystore, invitation, &server, &mut edge::random()).await?;
    let activated = if activation.pin_is_chosen() {
        activation.complete(&server).await?
    } else {
        let pin = prompt::new_secret(args.pin_file.as_deref(), "New PIN", "--pin-file")?;
        activation.check_pin(&pin)?;
        let cost = if args.cost == "lowest" {
            Argon2Cost::LOWEST
        } else {
            Argon2Cost::DEFAULT
        };
        activation
            .finish(&server, &pin, cost, &mut edge::random())
            .await?
    };
    context.output.show(&ActivatedView {
        device_id: activated.phone.device_id().to_string(),
        six_digits: activated.confirmation_required.then(|| activated.sas.to_string()),
    })
}

async fn approve(context: &Context, phone: &Phone, server: &Server, args: ApproveArgs) -> Result<()> {
    let shown = find(phone, server, args.challenge).await?;
    context.output.say(&handset::screen("Phone", &shown))?;
    let code = match shown.match_digits() {
        Some(_) => Some(prompt::secret(
            args.match_code_file.as_deref(),
            "Code of the page",
            "--match-code-file",
        )?),
        None => None,
    };
    let pin = prompt::secret(args.pin_file.as_deref(), "PIN", "--pin-file")?;
    let code = code.as_ref().map(|code| code.as_str());
    let receipt = phone
        .approve(server, &shown, code, &pin, &mut edge::random())
        .await?;
    answered(context, receipt, args.out.as_deref(), "approval.jws")
}

fn answered(context: &Context, receipt: Receipt, out: Option<&Path>, name: &str) -> Result<()> {
    if let Some(directory) = out {
        files::create_directory(directory)?;
        files::write_public(&directory.join("challenge.jws"), &receipt.challenge)?;
        files::write_public(&directory.join(name), &receipt.answer)?;
    }
    context.output.show(&AnsweredView { receipt })
}

async fn find(phone: &Phone, server: &Server, id: ChallengeId) -> Result<Shown> {
    for waiting in phone.fetch(server).await? {
        match waiting.challenge {
            Ok(shown) if shown.challenge_id() == id => return Ok(shown),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::NotFound(format!(
        "{id} does not wait on this phone: `paraphe phone pending` shows what does."
    )))
}

async fn pending(context: &Context, phone: &Phone, server: &Server) -> Result<()> {
    let waiting = phone.fetch(server).await?;
    if waiting.is_empty() {
        return context.output.say("Nothing waits.");
    }
    for pending in waiting {
        context.output.show(&ShownView::new(&pending.challenge?))?;
    }
    Ok(())
}

async fn watch(context: &Context, phone: &Phone, server: &Server, once: bool) -> Result<()> {
    let mut failures = 0;
    loop {
        let mut events = match phone.watch(server).await {
            Ok(events) => events,
            Err(error) if error.is_lost_reply() && failures < 10 => {
                failures += 1;
                let wait = paraphe_companion::backoff_s(failures, &mut edge::random());
                context.output.note(&format!("{error} Trying again in {wait} s."));
                tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        loop {
            match events.next().await {
                Ok(Some(Event::Pending(pending))) => {
                    failures = 0;
                    context.output.show(&ShownView::new(&pending.challenge?))?;
                    if once {
                        return Ok(());
                    }
                }
                Ok(Some(Event::Ended { challenge_id, state })) => {
                    context.output.show(&EndedView {
                        challenge_id: challenge_id.to_string(),
                        state: state.to_string(),
                    })?;
                }
                Ok(Some(Event::CaughtUp)) => context.output.note("Waiting for challenges. Ctrl-C ends."),
                Ok(None) => break,
                Err(error) if error.is_lost_reply() => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

async fn history(context: &Context, phone: &Phone, server: &Server) -> Result<()> {
    let mut entries = Vec::new();
    let mut page = phone.history(server, None, 100).await?;
    loop {
        entries.append(&mut page.entries);
        match page.next.take() {
            Some(next) => page = phone.history(server, Some(&next), 100).await?,
            None => break,
        }
    }
    context.output.show(&HistoryView::new(entries))
}
