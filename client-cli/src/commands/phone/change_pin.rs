//! `paraphe phone change-pin`: the old PIN approves, the new one takes its place. Protocol: section 4, rule 5.

use std::path::PathBuf;

use paraphe_companion::{Settled, require_another};
use zeroize::Zeroizing;

use super::Ready;
use super::activate::pin_question;
use super::answer::{is_pin, may_retype};
use super::views::PinChangedView;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::{edge, handset, prompt};

/// Options of `paraphe phone change-pin`.
#[derive(clap::Args)]
pub struct ChangePinArgs {
    /// The old PIN, from a file or - for standard input; asked for without echo otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// The new PIN, from a file or - for standard input; asked for twice without echo otherwise
    #[arg(long, value_name = "FILE")]
    new_pin_file: Option<PathBuf>,
}

/// Asks for the new PIN, and only then for the change, which the daemon counts; shows that, asks for the old PIN, changes.
pub(super) async fn change_pin(context: &Context, ready: &Ready, args: ChangePinArgs) -> Result<()> {
    // The rules for a new PIN may be others than when this phone was activated.
    ready.phone.device(&ready.server).await?;
    let from_file = args.pin_file.as_deref().map(|_| old_pin(&args, "")).transpose()?;
    let new = new_pin(ready, &args)?;
    if let Some(old) = &from_file {
        require_another(old, &new)?;
    }
    let mut change = ready.phone.change_pin(&ready.server).await?;
    change.check_pin(&new)?;
    context.output.say(&handset::screen("Phone", change.shown()))?;
    loop {
        let typed = match &from_file {
            Some(_) => None,
            None => Some(old_pin(&args, &new)?),
        };
        let old = typed.as_ref().or(from_file.as_ref());
        let old = old.map_or("", |old| old.as_str());
        let changed = change.finish(&ready.server, old, &new, &mut edge::random()).await;
        match changed.map_err(Error::from) {
            Ok(()) => return context.output.show(&PinChangedView::new(&ready.phone)),
            Err(error) if may_retype(&error, typed.is_some()) => {
                context.output.note(&error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
}

fn old_pin(args: &ChangePinArgs, new: &str) -> Result<Zeroizing<String>> {
    let check = |old: &str| {
        is_pin(old)?;
        Ok(require_another(old, new)?)
    };
    prompt::checked_secret(args.pin_file.as_deref(), "Old PIN", "--pin-file", check)
}

fn new_pin(ready: &Ready, args: &ChangePinArgs) -> Result<Zeroizing<String>> {
    let question = pin_question(&ready.phone.pin_policy());
    let check = |pin: &str| Ok(ready.phone.check_new_pin(pin)?);
    prompt::new_secret(args.new_pin_file.as_deref(), &question, "--new-pin-file", check)
}

/// Finishes a change that was cut short, and says which PIN counts.
pub(super) async fn settle(context: &Context, ready: &Ready) -> Result<()> {
    match ready.phone.settle_pin_change(&ready.server).await {
        Ok(Settled::Nothing) => {}
        Ok(Settled::NewPin) => {
            let said = "The PIN change that was cut short is done: the new PIN counts.";
            context.output.note(said);
        }
        Ok(Settled::OldPin(refused)) => {
            let said = "The PIN change that was cut short is given up: the old PIN counts.";
            context.output.note(&format!("{said} {refused}"));
        }
        // The state of the phone forbids it; what is asked of it may be allowed.
        Err(refused) if refused.code().starts_with("device.") => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
