//! What each confirmation of one backend waits for, and what came: at most one verdict each, ever.
//!
//! Called by `backend` (what comes) and `confirmation` (what is waited for). Invariant: the memory of it is as large as what
//! is under way, not as what was: a number below `settled` has had its verdict or was given up.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use paraphe_proto::v1::Verdict;
use tokio::sync::oneshot;

/// A verdict and when it came.
#[derive(Debug)]
pub struct Reached {
    /// As it came.
    pub verdict: Verdict,
    /// When it came.
    pub at: Instant,
}

/// What a verdict on the stream is to this load.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The first for one of its confirmations.
    First,
    /// Another one for a confirmation that has had one.
    Second,
    /// For nothing that this load asked.
    Foreign,
}

/// The verdicts of one backend.
pub struct Verdicts {
    prefix: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Reached>>,
    /// Given up: no verdict yet, and nobody waits for one.
    left: BTreeSet<u64>,
    /// Settled out of order, above `settled`.
    ahead: BTreeSet<u64>,
    settled: u64,
    closed: bool,
}

/// One confirmation's claim to its verdict.
pub struct Claim {
    /// The idempotency key to ask with.
    pub key: String,
    /// Its number, from 0.
    pub number: u64,
    /// Where the verdict comes.
    pub verdict: oneshot::Receiver<Reached>,
}

impl Verdicts {
    /// None yet. `prefix` begins every idempotency key, and no other load's.
    pub fn new(prefix: String) -> Self {
        Verdicts {
            prefix,
            state: Mutex::default(),
        }
    }

    /// A fresh idempotency key, and its verdict once it comes.
    pub fn claim(&self) -> Claim {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let (sender, verdict) = oneshot::channel();
        if !state.closed {
            state.waiting.insert(number, sender);
        }
        Claim {
            key: format!("{}{number}", self.prefix),
            number,
            verdict,
        }
    }

    /// No verdict comes any more: everybody who waits, or will, is told at once.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
    }

    /// Nobody waits for this verdict any more.
    pub fn give_up(&self, number: u64) {
        let mut state = self.state();
        if state.waiting.remove(&number).is_some() {
            state.left.insert(number);
            state.settle(number);
        }
    }

    /// Whether a verdict is for something that this load asked.
    pub fn are_for(&self, verdict: &Verdict) -> bool {
        self.number(verdict).is_some()
    }

    /// Hands a verdict to who waits for it.
    pub fn deliver(&self, verdict: Verdict, at: Instant) -> Delivery {
        let Some(number) = self.number(&verdict) else {
            return Delivery::Foreign;
        };
        let mut state = self.state();
        if state.left.remove(&number) {
            return Delivery::First;
        }
        let Some(waiting) = state.waiting.remove(&number) else {
            return Delivery::Second;
        };
        state.settle(number);
        let _gone = waiting.send(Reached { verdict, at });
        Delivery::First
    }

    fn number(&self, verdict: &Verdict) -> Option<u64> {
        let number = verdict.idempotency_key.strip_prefix(&self.prefix)?;
        let number = number.parse().ok()?;
        (number < self.state().next).then_some(number)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, number: u64) {
        self.ahead.insert(number);
        while self.ahead.remove(&self.settled) {
            self.settled += 1;
        }
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

    use super::*;

    fn verdict(key: &str) -> Verdict {
        Verdict {
            idempotency_key: key.to_owned(),
            ..Verdict::default()
        }
    }

    #[test]
    fn a_verdict_reaches_who_waits_and_a_second_one_is_noticed() {
        let verdicts = Verdicts::new("load-a-".to_owned());
        let (first, mut second) = (verdicts.claim(), verdicts.claim());
        assert_ne!(first.key, second.key);
        let deliver = |key: &str| verdicts.deliver(verdict(key), Instant::now());
        assert_eq!(deliver(&second.key), Delivery::First);
        assert_eq!(
            second.verdict.try_recv().unwrap().verdict.idempotency_key,
            second.key
        );
        assert_eq!(deliver(&second.key), Delivery::Second);
        assert_eq!(deliver(&first.key), Delivery::First);
        assert_eq!(deliver(&first.key), Delivery::Second);
    }

    #[test]
    fn what_others_asked_is_foreign() {
        let verdicts = Verdicts::new("load-a-".to_owned());
        verdicts.claim();
        for key in ["load-b-0", "load-a-1", "load-a-x", "order-7", ""] {
            assert!(!verdicts.are_for(&verdict(key)));
            assert_eq!(
                verdicts.deliver(verdict(key), Instant::now()),
                Delivery::Foreign,
                "{key}"
            );
        }
    }

    #[test]
    fn a_late_verdict_is_the_first_all_the_same() {
        let verdicts = Verdicts::new("load-a-".to_owned());
        let claim = verdicts.claim();
        verdicts.give_up(claim.number);
        let deliver = || verdicts.deliver(verdict(&claim.key), Instant::now());
        assert_eq!(deliver(), Delivery::First);
        assert_eq!(deliver(), Delivery::Second);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_stream_that_is_over() {
        let verdicts = Verdicts::new("load-a-".to_owned());
        let before = verdicts.claim();
        verdicts.close();
        assert!(before.verdict.await.is_err() && verdicts.claim().verdict.await.is_err());
    }

    #[test]
    fn the_memory_of_it_does_not_grow_with_what_was() {
        let verdicts = Verdicts::new("load-a-".to_owned());
        let mut claims: Vec<Claim> = (0..1000).map(|_| verdicts.claim()).collect();
        claims.reverse();
        for claim in &claims {
            verdicts.deliver(verdict(&claim.key), Instant::now());
        }
        let state = verdicts.state();
        assert_eq!(
            (state.settled, state.ahead.len(), state.waiting.len()),
            (1000, 0, 0)
        );
    }
}
