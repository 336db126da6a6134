//! `paraphe phone activate`: from the clerk's code to six digits. Protocol: section 5.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use paraphe_companion::{Activated, Activation, Argon2Cost, DeviceState, Invitation, Phone, Server};
use paraphe_proto::pin::{LONGEST, PinPolicy, SHORTEST};

use super::command::Commands;
use super::views::ActivatedView;
use crate::commands::verify::root_key;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::{edge, files, handset, prompt};

/// Options of `paraphe phone activate`.
#[derive(clap::Args)]
pub struct ActivateArgs {
    /// The QR code's content, from a file or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["code_file", "root"], required_unless_present_any = ["root", "code_file"])]
    uri_file: Option<PathBuf>,
    /// The typed code, from a file or - for standard input; asked for without echo otherwise; needs --root
    #[arg(long, value_name = "FILE", requires = "root")]
    code_file: Option<PathBuf>,
    /// The issuer's public root key, a JWK in JSON: a typed code names nobody
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The new PIN, from a file or - for standard input; asked for twice without echo otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Argon2id cost of the wrapped key: default, or lowest for load generators
    #[arg(long, value_enum, default_value = "default")]
    cost: Cost,
    /// Although the phone in this folder still counts: its keys are lost
    #[arg(long)]
    again: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cost {
    #[value(help = None)]
    Default,
    #[value(help = None)]
    Lowest,
}

impl From<Cost> for Argon2Cost {
    fn from(cost: Cost) -> Self {
        match cost {
            Cost::Default => Argon2Cost::DEFAULT,
            Cost::Lowest => Argon2Cost::LOWEST,
        }
    }
}

pub(super) async fn activate(
    context: &Context,
    directory: &Path,
    commands: &Commands,
    args: ActivateArgs,
) -> Result<()> {
    let server = context.server()?;
    let invitation = invitation(context, &args, &server.issuer)?;
    files::create_private_directory(directory)?;
    let keystore = handset::keystore(directory)?;
    let server = handset::connect(&server).await?;
    if !args.again {
        require_free(directory, commands, &server).await?;
    }
    let mut rng = edge::random();
    let begun = Activation::begin(directory, keystore, invitation, &server, &mut rng).await;
    let activation = begun.map_err(|error| of_root(error.into(), &args))?;
    let activated = finish(activation, &server, &args).await?;
    let digits = activated.sas.to_string();
    context.output.show(&ActivatedView {
        device_id: activated.phone.device_id().to_string(),
        six_digits: activated.confirmation_required.then_some(digits),
    })
}

/// A root key that did not come with the code was chosen by whoever typed the command: it may be another issuer's.
fn of_root(error: Error, args: &ActivateArgs) -> Error {
    match args.root {
        Some(_) => error.advised(
            "statement.key",
            "Is the key of --root the root key of this daemon?",
        ),
        None => error,
    }
}

/// A phone that counts is not lost to a forgotten --phone. One that has ended, or that this daemon does not know, makes room.
async fn require_free(directory: &Path, commands: &Commands, server: &Server) -> Result<()> {
    let Some(phone) = Phone::open(directory, handset::keystore(directory)?)? else {
        return Ok(());
    };
    let state = match phone.device(server).await {
        Ok(device) => device.state,
        Err(_) => return Ok(()),
    };
    match state {
        DeviceState::Quarantined | DeviceState::Active | DeviceState::Suspended => Err(Error::invalid(
            "phone.in_use",
            format!(
                "{} holds {}, which is {state}: choose another folder with --phone, or give that phone up first (`{}`); --again throws \
                 its keys away as it is.",
                directory.display(),
                phone.device_id(),
                commands.line("revoke --for-good")
            ),
        )),
        _ => Ok(()),
    }
}

fn invitation(context: &Context, args: &ActivateArgs, issuer: &str) -> Result<Invitation> {
    match (&args.uri_file, &args.root) {
        (Some(file), _) => {
            if prompt::is_typed(file) {
                context
                    .output
                    .note("Paste the content of the QR code, then Enter:");
            }
            let uri = files::read_value(file).map_err(|error| error.of_option("--uri-file"))?;
            Ok(Invitation::from_uri(&uri)?)
        }
        (None, Some(root)) => {
            let root = root_key(root)?;
            let code = prompt::secret(args.code_file.as_deref(), "Activation code", "--code-file")?;
            Ok(Invitation::from_code(&code, issuer.to_owned(), root)?)
        }
        (None, None) => Err(Error::Usage(
            "Give --uri-file, or --code-file with --root.".to_owned(),
        )),
    }
}

/// Chooses the PIN, unless one was chosen before this phone was interrupted.
async fn finish(mut activation: Activation, server: &Server, args: &ActivateArgs) -> Result<Activated> {
    if activation.pin_is_chosen() {
        return Ok(activation.complete(server).await?);
    }
    let question = pin_question(activation.pin_policy());
    let pin = prompt::new_secret(args.pin_file.as_deref(), &question, "--pin-file", |pin| {
        Ok(activation.check_pin(pin)?)
    })?;
    Ok(activation
        .finish(server, &pin, args.cost.into(), &mut edge::random())
        .await?)
}

/// The rules before the question, as the daemon's offer has them.
pub(super) fn pin_question(rules: &PinPolicy) -> String {
    let shortest = rules.min_length.clamp(SHORTEST, LONGEST);
    let longest = rules.max_length.clamp(shortest, LONGEST);
    let refused: Vec<&str> = [
        (rules.refuse_runs, "runs"),
        (rules.refuse_repeats, "repeats"),
        (rules.refuse_dates, "dates"),
    ]
    .into_iter()
    .filter_map(|(refused, what)| refused.then_some(what))
    .collect();
    let refused = match refused.as_slice() {
        [] => String::new(),
        [only] => format!(" (no {only})"),
        [first @ .., last] => format!(" (no {} or {last})", first.join(", ")),
    };
    format!("New PIN, {shortest} to {longest} digits{refused}")
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
    fn the_question_for_a_pin_states_its_rules() {
        let strict = PinPolicy::default();
        assert_eq!(
            pin_question(&strict),
            "New PIN, 6 to 12 digits (no runs, repeats or dates)"
        );
        let dates = PinPolicy {
            min_length: 4,
            max_length: 8,
            refuse_runs: false,
            refuse_repeats: false,
            ..strict
        };
        assert_eq!(pin_question(&dates), "New PIN, 5 to 8 digits (no dates)");
        let lax = PinPolicy {
            refuse_dates: false,
            ..dates
        };
        assert_eq!(pin_question(&lax), "New PIN, 5 to 8 digits");
    }
}
