//! Looking at the phone: what waits, how the device is doing, what was answered.

use std::time::Duration;

use paraphe_companion::{Blocked, Event, Shown, backoff_s};
use paraphe_proto::ids::{ChallengeId, RelyingPartyId};

use super::Ready;
use super::status::{StatusView, blocked_names};
use super::views::{EndedView, LiftedView, ShownView};
use crate::context::Context;
use crate::edge;
use crate::error::{Error, Result};

/// Failures in a row after which a watch gives up: about ten minutes.
const FAILURES: u32 = 12;

pub(super) async fn status(context: &Context, ready: &Ready) -> Result<()> {
    let device = ready.phone.device(&ready.server).await?;
    context
        .output
        .show(&StatusView::new(&ready.phone, device, &ready.commands))
}

pub(super) async fn pending(context: &Context, ready: &Ready) -> Result<()> {
    let waiting = ready.phone.fetch(&ready.server).await?;
    if waiting.is_empty() {
        return context.output.say("Nothing waits.");
    }
    for pending in waiting {
        let shown = ShownView::new(&pending.challenge?);
        context.output.show(&shown)?;
        context.output.say(&shown.next_command(&ready.commands))?;
    }
    Ok(())
}

pub(super) async fn show(context: &Context, ready: &Ready, challenge: ChallengeId) -> Result<()> {
    context
        .output
        .show(&ShownView::new(&find(ready, challenge).await?))
}

/// One challenge that waits on this phone, verified. One that does not verify does not hide the others.
///
/// # Errors
/// [`Error::NotFound`] when it does not wait there; [`Error::Untrusted`] when one does not verify, which may be it.
pub(super) async fn find(ready: &Ready, id: ChallengeId) -> Result<Shown> {
    let mut untrusted = None;
    for waiting in ready.phone.fetch(&ready.server).await? {
        match waiting.challenge {
            Ok(shown) if shown.challenge_id() == id => return Ok(shown),
            Ok(_) => {}
            Err(error) => untrusted = Some(error),
        }
    }
    Err(untrusted.map_or_else(
        || {
            Error::NotFound(format!(
                "{id} does not wait on this phone: `{}` shows what does.",
                ready.commands.line("pending")
            ))
        },
        Error::from,
    ))
}

/// Shows what waits and what comes; opens the stream again when it breaks.
pub(super) async fn watch(context: &Context, ready: &Ready, once: bool) -> Result<()> {
    let mut failures = 0;
    loop {
        let why = match follow(context, ready, once, &mut failures).await {
            Err(Error::Unreachable(why)) if failures < FAILURES => why,
            ended => return ended,
        };
        let wait_s = backoff_s(failures, &mut edge::random());
        failures += 1;
        context.output.note(&format!("{why} Trying again in {wait_s} s."));
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
    }
}

/// One stream, until its first challenge with `once`, else until it breaks.
async fn follow(context: &Context, ready: &Ready, once: bool, failures: &mut u32) -> Result<()> {
    let mut watch = ready.phone.watch(&ready.server).await?;
    while let Some(event) = watch.next().await? {
        *failures = 0;
        match event {
            Event::Pending(pending) => {
                context.output.show(&ShownView::new(&pending.challenge?))?;
                if once {
                    return Ok(());
                }
            }
            Event::Ended { challenge_id, state } => context.output.show(&EndedView {
                challenge_id: challenge_id.to_string(),
                state: state.to_string(),
            })?,
            Event::CaughtUp => context.output.note("Waiting for challenges. Ctrl-C ends."),
        }
    }
    Err(Error::Unreachable("The daemon closed the stream.".to_owned()))
}

pub(super) async fn lift(context: &Context, ready: &Ready, named: Option<&str>) -> Result<()> {
    let backend = match named {
        Some(named) => Some(backend(&ready.phone.device(&ready.server).await?.blocked, named)?),
        None => None,
    };
    let challenge = ready.phone.lift(&ready.server, backend.as_ref()).await?;
    context.output.show(&LiftedView::new(challenge, &ready.commands))
}

/// The relying party of that id, or of that name among those that are blocked. An id that is not among them is the daemon's to refuse.
///
/// # Errors
/// [`Error::NotFound`] for a name that none or several of them have.
fn backend(blocked: &[Blocked], named: &str) -> Result<RelyingPartyId> {
    let mut of_name = blocked
        .iter()
        .filter(|blocked| blocked.name.eq_ignore_ascii_case(named));
    match (of_name.next(), of_name.next(), named.parse::<RelyingPartyId>()) {
        (_, _, Ok(id)) if blocked.iter().any(|blocked| blocked.relying_party_id == id) => Ok(id),
        (Some(one), None, _) => Ok(one.relying_party_id.clone()),
        (None, _, Ok(id)) => Ok(id),
        (Some(_), Some(_), _) => Err(Error::NotFound(format!(
            "Several relying parties are called `{named}`: name one by its id. Blocked: {}.",
            listed(blocked)
        ))),
        (None, _, Err(_)) => Err(Error::NotFound(format!(
            "`{named}` is not blocked. Blocked: {}.",
            listed(blocked)
        ))),
    }
}

fn listed(blocked: &[Blocked]) -> String {
    match blocked {
        [] => "nothing".to_owned(),
        _ => blocked_names(blocked).join(", "),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use paraphe_proto::time::Timestamp;

    use super::*;

    #[test]
    fn a_block_is_named_by_its_id_or_by_its_name() {
        let blocked = [("market", "Course marketplace"), ("one", "Twin"), ("two", "Twin")];
        let blocked = blocked.map(|(id, name)| Blocked {
            relying_party_id: id.parse().unwrap(),
            name: name.to_owned(),
            since: Timestamp::from_secs(1),
        });
        for named in ["market", "Course marketplace", "course marketplace"] {
            assert_eq!(backend(&blocked, named).unwrap().as_str(), "market", "{named}");
        }
        assert_eq!(backend(&blocked, "two").unwrap().as_str(), "two");
        let several = backend(&blocked, "Twin").unwrap_err().to_string();
        assert!(several.contains("Twin (two)"), "{several}");
        let unknown = backend(&blocked, "Another shop").unwrap_err();
        assert_eq!(unknown.exit(), 4);
        assert!(unknown.to_string().contains("Course marketplace (market)"));
        assert_eq!(
            backend(&[], "shop").unwrap().as_str(),
            "shop",
            "the daemon says no"
        );
    }
}
