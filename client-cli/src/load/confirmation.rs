//! One confirmation, from the backend's request to its verdict, and what is checked on the way.
//!
//! Called by `run`, once per confirmation. Invariants: the phone shows what was asked; the verdict is what its owner meant;
//! there is one. What is otherwise is a discrepancy. Protocol: section 6.

use std::sync::Arc;
use std::time::{Duration, Instant};

use paraphe_companion::Shown;
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::statements::RefusalDecision;
use paraphe_proto::v1::{Outcome, RequestResponse, State};

use super::answer::Hand;
use super::backend::Backend;
use super::calls::{Answered, Calls};
use super::fleet::Slot;
use super::journal::{Entry, Journal};
use super::mix::Intent;
use super::pace::Place;
use super::purchase::Purchase;
use super::tally::Step;
use super::verdicts::{Claim, Reached};
use crate::edge;
use crate::error::{Error, Result};
use crate::words::state_name;

/// Life of an assertion; a verdict that comes later brings none.
const ASSERTION_LIFETIME_S: i64 = 60;

/// The least that a verdict is waited for once its answer was taken: what it takes to come has nothing to do with how long the calls
/// before it were refused.
const VERDICT_WITHIN: Duration = Duration::from_secs(30);

/// Why a confirmation ended without the verdict that was meant.
enum Failure {
    /// Something is not as it should be.
    Discrepancy(String),
    /// It could not be brought to its end.
    GivenUp(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Untrusted { .. } => Failure::Discrepancy(error.to_string()),
            Error::WrongPin { .. } => Failure::Discrepancy("The right PIN does not open the key.".to_owned()),
            other => Failure::GivenUp(other),
        }
    }
}

type Outcomes<T> = std::result::Result<T, Failure>;

/// What every confirmation of a load shares.
pub struct Confirmations {
    /// How calls are made.
    pub calls: Calls,
    /// Where what is learned goes.
    pub journal: Arc<Journal>,
    /// Life of a challenge that is meant to expire, in seconds.
    pub expire_after_s: u32,
}

/// A request that was answered, and its phone has it.
struct Asked {
    requested: RequestResponse,
    shown: Shown,
}

impl Confirmations {
    /// Runs one, counts it, and gives the phone back when it went well.
    pub async fn run(&self, mut slot: Slot, index: usize, backend: &Backend, intent: Intent, place: Place) {
        let intent = self.spared(intent, &mut slot).await;
        let claim = backend.verdicts.claim();
        let number = claim.number;
        let tally = &self.calls.tally;
        match self
            .confirm(&mut slot, index, backend, intent, claim, place)
            .await
        {
            Ok(()) => return slot.free(),
            Err(Failure::Discrepancy(what)) => {
                tally.discrepancy(format!("{} at {}: {what}", slot.phone.name, backend.id));
            }
            Err(Failure::GivenUp(error)) => tally.gave_up(&error),
        }
        backend.verdicts.give_up(number);
    }

    /// Nobody mistypes where that could lock the phone; what is left of earlier loads is asked for once.
    async fn spared(&self, intent: Intent, slot: &mut Slot) -> Intent {
        if intent != Intent::WrongPin {
            return intent;
        }
        if slot.attempts_left.is_none() {
            let deadline = self.calls.patience.deadline(Duration::ZERO);
            let left = self
                .calls
                .call(None, deadline, || slot.phone.attempts_left())
                .await;
            slot.attempts_left = left.ok().map(|left| left.reply);
        }
        if slot.may_mistype() {
            return intent;
        }
        self.calls.tally.counts().spared += 1;
        Intent::Approve
    }

    async fn confirm(
        &self,
        slot: &mut Slot,
        index: usize,
        backend: &Backend,
        intent: Intent,
        claim: Claim,
        place: Place,
    ) -> Outcomes<()> {
        let began = Instant::now();
        let lifetime_s = if intent == Intent::Expire {
            self.expire_after_s
        } else {
            0
        };
        let deadline = self
            .calls
            .patience
            .deadline(Duration::from_secs(lifetime_s.into()));
        let subject = slot.subjects.get(index).cloned().unwrap_or_default();
        let requested = self
            .requested(backend, &claim, &subject, lifetime_s, deadline)
            .await?;
        let asked = self.delivered(slot, requested, deadline).await?;
        is_as_asked(&asked, &claim, backend)?;
        // Nobody is at work on it until it expires.
        let place = (intent != Intent::Expire).then_some(place);
        let answered_at = self.answered(slot, &asked, intent, deadline).await?;
        let reached = self.reached(claim, &asked, intent, deadline).await?;
        self.calls.tally.concluded(state_name(reached.verdict.state()));
        if let Some(answered_at) = answered_at {
            self.timed(began, answered_at, &reached);
        }
        if intent == Intent::Report {
            self.lift(slot, backend, deadline).await?;
        }
        drop(place);
        Ok(())
    }

    async fn requested(
        &self,
        backend: &Backend,
        claim: &Claim,
        subject: &str,
        lifetime_s: u32,
        deadline: Instant,
    ) -> Result<Answered<RequestResponse>> {
        let purchase = Purchase::new(&claim.key, claim.number);
        let send = || backend.request(&claim.key, subject, &purchase, lifetime_s);
        let requested = self.calls.call(Some(Step::Request), deadline, send).await?;
        self.journal.add(&Entry::Requested {
            relying_party: &backend.id,
            idempotency_key: &claim.key,
            challenge_id: &requested.reply.challenge_id,
        });
        Ok(requested)
    }

    /// The phone has the challenge that the request led to.
    async fn delivered(
        &self,
        slot: &mut Slot,
        requested: Answered<RequestResponse>,
        deadline: Instant,
    ) -> Outcomes<Asked> {
        let challenge_id = parsed(&requested.reply.challenge_id)?;
        let (shown, at) = self.brought(slot, challenge_id, deadline).await?;
        let time = at.saturating_duration_since(requested.sent_at);
        self.calls.tally.took(Step::Delivery, time);
        self.journal.add(&Entry::Shown {
            challenge_id: &requested.reply.challenge_id,
            device_id: &slot.phone.device_id,
        });
        Ok(Asked {
            requested: requested.reply,
            shown,
        })
    }

    async fn brought(
        &self,
        slot: &mut Slot,
        challenge_id: ChallengeId,
        deadline: Instant,
    ) -> Result<(Shown, Instant)> {
        if slot.is_watching() {
            return slot.receive(challenge_id, deadline).await;
        }
        let fetched = self
            .calls
            .call(None, deadline, || slot.fetch(challenge_id))
            .await?;
        Ok(fetched.reply)
    }

    /// The owner does what they mean to; when the answer was sent, if there is one.
    async fn answered(
        &self,
        slot: &mut Slot,
        asked: &Asked,
        intent: Intent,
        deadline: Instant,
    ) -> Outcomes<Option<Instant>> {
        let hand = self.hand(slot, &asked.shown, &asked.requested.match_code, deadline);
        let answered = match intent {
            Intent::Expire => return Ok(None),
            Intent::Approve => hand.approve().await?,
            Intent::Deny => hand.refuse(RefusalDecision::Deny).await?,
            Intent::Report => hand.refuse(RefusalDecision::NotMe).await?,
            Intent::WrongPin => {
                hand.mistype().await?;
                hand.approve().await?
            }
        };
        slot.attempts_left = Some(answered.reply.attempts_left);
        expect_outcome(&answered.reply, intent.verdict())?;
        Ok(Some(answered.sent_at))
    }

    fn hand<'a>(
        &'a self,
        slot: &'a Slot,
        shown: &'a Shown,
        match_code: &'a str,
        deadline: Instant,
    ) -> Hand<'a> {
        Hand {
            calls: &self.calls,
            journal: &self.journal,
            phone: &slot.phone,
            shown,
            match_code,
            deadline,
        }
    }

    /// The verdict, which must be the one that was meant.
    async fn reached(
        &self,
        claim: Claim,
        asked: &Asked,
        intent: Intent,
        deadline: Instant,
    ) -> Outcomes<Reached> {
        let id = &asked.requested.challenge_id;
        let none = || Failure::Discrepancy(format!("{id} has no verdict, {intent:?} was meant."));
        let deadline = deadline.max(Instant::now() + VERDICT_WITHIN);
        let reached = tokio::time::timeout_at(deadline.into(), claim.verdict).await;
        let reached = reached.map_err(|_| none())?.map_err(|_| {
            Failure::GivenUp(Error::Unreachable("The stream of verdicts is over.".to_owned()))
        })?;
        match wrong_verdict(&reached, id, intent.verdict()) {
            None => Ok(reached),
            Some(wrong) => Err(Failure::Discrepancy(format!(
                "{id} {wrong}, {intent:?} was meant."
            ))),
        }
    }

    fn timed(&self, began: Instant, answered_at: Instant, reached: &Reached) {
        let tally = &self.calls.tally;
        tally.took(Step::Verdict, reached.at.saturating_duration_since(answered_at));
        tally.took(Step::Whole, reached.at.saturating_duration_since(began));
        tally.answered(reached.at);
    }

    /// Lifts the block that a report set, as its owner would: otherwise this backend could not ask them again.
    async fn lift(&self, slot: &mut Slot, backend: &Backend, deadline: Instant) -> Outcomes<()> {
        let phone = Arc::clone(&slot.phone);
        let lifted = self
            .calls
            .call(None, deadline, || phone.lift(&backend.id))
            .await?;
        let (shown, _) = self.brought(slot, lifted.reply, deadline).await?;
        let approved = self.hand(slot, &shown, "", deadline).approve().await?;
        expect_outcome(&approved.reply, State::Approved)
    }
}

fn is_as_asked(asked: &Asked, claim: &Claim, backend: &Backend) -> Outcomes<()> {
    let purchase = Purchase::new(&claim.key, claim.number);
    let difference = purchase.difference(&asked.shown, &backend.id);
    difference.map_or(Ok(()), |difference| {
        let id = &asked.requested.challenge_id;
        Err(Failure::Discrepancy(format!(
            "{id} shows another purchase: {difference}."
        )))
    })
}

fn parsed(challenge_id: &str) -> Outcomes<ChallengeId> {
    let malformed = |_| Failure::Discrepancy(format!("`{challenge_id}` is no challenge id."));
    challenge_id.parse().map_err(malformed)
}

fn expect_outcome(outcome: &Outcome, meant: State) -> Outcomes<()> {
    if outcome.state == state_name(meant) {
        return Ok(());
    }
    Err(Failure::Discrepancy(format!(
        "{} is {} after the answer, not {}.",
        outcome.challenge_id,
        outcome.state,
        state_name(meant)
    )))
}

/// What is wrong with a verdict, if anything.
fn wrong_verdict(reached: &Reached, challenge_id: &str, meant: State) -> Option<String> {
    let verdict = &reached.verdict;
    let state = verdict.state();
    if verdict.challenge_id != challenge_id {
        return Some(format!("had the verdict of {}", verdict.challenge_id));
    }
    if state != meant {
        return Some(format!("ended as {}", state_name(state)));
    }
    let age_s = edge::now().as_secs() - verdict.decided_at;
    match (state == State::Approved, verdict.assertion.is_empty()) {
        (true, true) if age_s < ASSERTION_LIFETIME_S => Some("was approved without an assertion".to_owned()),
        (false, false) => Some("has an assertion without an approval".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use paraphe_proto::v1::Verdict;

    use super::*;

    fn wrong(change: impl FnOnce(&mut Verdict)) -> Option<String> {
        let mut verdict = Verdict {
            challenge_id: "chl_x".into(),
            state: State::Approved.into(),
            decided_at: edge::now().as_secs(),
            assertion: "a.b.c".into(),
            ..Verdict::default()
        };
        change(&mut verdict);
        let reached = Reached {
            verdict,
            at: Instant::now(),
        };
        wrong_verdict(&reached, "chl_x", State::Approved)
    }

    #[test]
    fn a_verdict_that_was_not_meant_is_wrong() {
        assert_eq!(wrong(|_| {}), None);
        assert!(
            wrong(|verdict| verdict.challenge_id = "chl_y".into())
                .unwrap()
                .contains("chl_y")
        );
        assert_eq!(
            wrong(|verdict| verdict.set_state(State::Denied)).unwrap(),
            "ended as denied"
        );
    }

    #[test]
    fn an_approval_brings_its_assertion_while_it_is_good() {
        assert!(wrong(|verdict| verdict.assertion.clear()).is_some());
        let late = |verdict: &mut Verdict| {
            verdict.assertion.clear();
            verdict.decided_at -= ASSERTION_LIFETIME_S;
        };
        assert_eq!(wrong(late), None);
    }

    #[test]
    fn an_answer_that_is_not_to_be_trusted_is_a_discrepancy_and_a_lost_one_is_not() {
        let untrusted = Error::Untrusted {
            code: "evaluation.rolled_back",
            detail: "x".into(),
        };
        assert!(matches!(Failure::from(untrusted), Failure::Discrepancy(_)));
        let right = Error::WrongPin {
            attempts_left: 4,
            wait_s: 0,
        };
        assert!(matches!(Failure::from(right), Failure::Discrepancy(_)));
        let lost = Error::Unreachable(String::new());
        assert!(matches!(Failure::from(lost), Failure::GivenUp(_)));
    }
}
