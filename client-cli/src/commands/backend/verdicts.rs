//! Verdicts: one, or a stream that survives the daemon's restarts.

use std::time::Duration;

use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::step_up_client::StepUpClient;
use paraphe_proto::v1::{GetRequest, State, Verdict, WatchRequest};
use serde::Serialize;

use super::{Account, client};
use crate::channel::AuthenticatedChannel;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{View, facts, time_text};
use crate::words::state_name;

const POLL_INTERVAL: Duration = Duration::from_millis(500);
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);
/// Tries to reach a daemon that stopped, one per second.
const RECONNECT_TRIES: u32 = 60;
/// Exit code of an error that says: ask again, or elsewhere.
const UNREACHABLE: u8 = 7;

/// Said of an approval without assertion.
const GONE: &str = "older than 60 s: not handed out again; ask anew";

/// Options of `paraphe backend watch`.
#[derive(clap::Args)]
pub struct WatchArgs {
    #[command(flatten)]
    account: Account,
    /// Resume after this cursor; 0 for everything that is kept [default: from now on]
    #[arg(long, default_value = "", hide_default_value = true)]
    cursor: String,
    /// End after so many verdicts
    #[arg(long)]
    count: Option<u64>,
}

/// One verdict.
#[derive(Serialize)]
pub(super) struct VerdictView {
    challenge_id: String,
    state: &'static str,
    decided_at: Timestamp,
    assertion: String,
    cursor: String,
    idempotency_key: String,
}

impl From<Verdict> for VerdictView {
    fn from(verdict: Verdict) -> Self {
        VerdictView {
            state: state_name(verdict.state()),
            challenge_id: verdict.challenge_id,
            decided_at: Timestamp::from_secs(verdict.decided_at),
            assertion: verdict.assertion,
            cursor: verdict.cursor,
            idempotency_key: verdict.idempotency_key,
        }
    }
}

impl View for VerdictView {
    fn text(&self) -> String {
        let gone = self.state == state_name(State::Approved) && self.assertion.is_empty();
        let facts = facts([
            ("challenge", self.challenge_id.clone()),
            ("verdict", self.state.to_owned()),
            ("decided", time_text(self.decided_at)),
            ("your key", self.idempotency_key.clone()),
            ("cursor", self.cursor.clone()),
            ("assertion", if gone { GONE.to_owned() } else { String::new() }),
        ]);
        // On a line of its own, so that it can be copied whole.
        let assertion = if self.assertion.is_empty() {
            String::new()
        } else {
            format!("\n{}\n", self.assertion)
        };
        format!("{facts}{assertion}\n")
    }
}

/// Waits for the final state of a challenge. It ends: a challenge expires by the daemon's clock.
///
/// # Errors
/// What the daemon refuses.
pub(super) async fn decided(
    client: &mut StepUpClient<AuthenticatedChannel>,
    challenge_id: &str,
) -> Result<Verdict> {
    loop {
        let verdict = client
            .get(GetRequest {
                challenge_id: challenge_id.to_owned(),
            })
            .await?
            .into_inner();
        if !matches!(verdict.state(), State::Pending | State::Unspecified) {
            return Ok(verdict);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Nothing for an approval.
///
/// # Errors
/// [`Error::NotApproved`] for every other verdict.
pub(super) fn approved(verdict: &Verdict) -> Result<()> {
    match verdict.state() {
        State::Approved => Ok(()),
        other => Err(Error::NotApproved(state_name(other))),
    }
}

/// Prints verdicts until `--count` is reached; resumes at the last cursor when the daemon stops.
///
/// # Errors
/// What the daemon refuses; [`Error::Unreachable`] when it stays away for a minute.
pub(super) async fn watch(context: &Context, args: WatchArgs) -> Result<()> {
    let mut client = client(context, &args.account).await?;
    let mut progress = Progress {
        cursor: args.cursor,
        left: args.count,
    };
    let mut tries = 0;
    while progress.left != Some(0) {
        let before = progress.cursor.clone();
        let ended = follow(context, &mut client, &mut progress).await;
        tries = if progress.cursor == before { tries + 1 } else { 1 };
        match ended {
            Err(error) if error.exit() == UNREACHABLE && tries <= RECONNECT_TRIES => {}
            ended => return ended,
        }
        if tries == 1 {
            context
                .output
                .note("  The daemon stopped; resuming when it is back.");
        }
        tokio::time::sleep(RECONNECT_INTERVAL).await;
    }
    Ok(())
}

struct Progress {
    cursor: String,
    left: Option<u64>,
}

async fn follow(
    context: &Context,
    client: &mut StepUpClient<AuthenticatedChannel>,
    progress: &mut Progress,
) -> Result<()> {
    let mut stream = client
        .watch(WatchRequest {
            cursor: progress.cursor.clone(),
        })
        .await?
        .into_inner();
    while progress.left != Some(0) {
        let Some(verdict) = stream.message().await? else {
            return Err(Error::Unreachable("The stream ended.".to_owned()));
        };
        progress.cursor.clone_from(&verdict.cursor);
        progress.left = progress.left.map(|left| left.saturating_sub(1));
        context.output.show(&VerdictView::from(verdict))?;
    }
    Ok(())
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

    fn verdict(state: State) -> Verdict {
        Verdict {
            challenge_id: "chl_x".into(),
            state: state.into(),
            assertion: "a.b.c".into(),
            ..Verdict::default()
        }
    }

    #[test]
    fn only_an_approval_is_exit_code_zero() {
        assert!(approved(&verdict(State::Approved)).is_ok());
        for state in [
            State::Denied,
            State::Reported,
            State::Expired,
            State::Cancelled,
            State::Superseded,
            State::Failed,
        ] {
            assert_eq!(approved(&verdict(state)).unwrap_err().exit(), 8, "{state:?}");
        }
    }

    #[test]
    fn a_verdict_names_its_state_and_carries_the_assertion_whole() {
        let view = VerdictView::from(verdict(State::Approved));
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(
            (json["state"].as_str(), json["assertion"].as_str()),
            (Some("approved"), Some("a.b.c"))
        );
        assert!(view.text().lines().any(|line| line == "a.b.c"));
        assert!(!view.text().contains(GONE));
    }

    #[test]
    fn an_approval_whose_assertion_is_gone_says_so_and_no_other_verdict_does() {
        let without = |state: State| {
            let verdict = Verdict {
                assertion: String::new(),
                ..verdict(state)
            };
            let text = VerdictView::from(verdict).text();
            anstream::adapter::strip_str(&text).to_string()
        };
        let approved = without(State::Approved);
        assert!(approved.contains(&format!("  assertion  {GONE}\n")), "{approved}");
        assert!(!without(State::Denied).contains("assertion"));
    }
}
