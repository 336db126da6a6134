//! What a load counts and measures.
//!
//! Called by everything that happens in a load; read by `progress` and `report`. Invariant: its size does not depend on how
//! long the load runs: times go into histograms of three significant digits, and of discrepancies the first are kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::patience::Setback;
use crate::error::{Error, Result};

/// Discrepancies that are kept with their text.
const TOLD: usize = 100;
/// Longest time that a histogram tells apart, in microseconds: ten minutes.
const LONGEST_US: u64 = 600_000_000;

/// The steps that are timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Request, from sending to the reply.
    Request,
    /// From sending the request to the challenge at the phone.
    Delivery,
    /// Unlock, from sending to the reply.
    Unlock,
    /// Answer or Refuse, from sending to the reply.
    Answer,
    /// From sending the answer to the verdict at the backend.
    Verdict,
    /// From the first sending of the request to the verdict at the backend.
    Whole,
}

impl Step {
    /// All of them, in the order in which they happen.
    pub const ALL: [Step; 6] = [
        Step::Request,
        Step::Delivery,
        Step::Unlock,
        Step::Answer,
        Step::Verdict,
        Step::Whole,
    ];

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Step::Request => "request",
            Step::Delivery => "delivery",
            Step::Unlock => "unlock",
            Step::Answer => "answer",
            Step::Verdict => "verdict",
            Step::Whole => "whole",
        }
    }
}

/// What is counted, as it stands.
pub struct Counts {
    /// Confirmations that have begun and not ended; one that waits for its expiry is not among them.
    pub in_flight: u64,
    /// Confirmations that have had their verdict.
    pub confirmations: u64,
    /// Confirmations that ended without one.
    pub given_up: u64,
    /// Why, by the code of the last setback.
    pub given_up_for: BTreeMap<String, u64>,
    /// Verdicts by state.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// `RESOURCE_EXHAUSTED`, by the daemon's code.
    pub refused: BTreeMap<String, u64>,
    /// Every other failure, by its code; those that were ridden out are among them.
    pub errors: BTreeMap<String, u64>,
    /// What was not as it should be: the first hundred.
    pub told: Vec<String>,
    /// How many there were.
    pub discrepancies: u64,
    /// Wrong PINs that were meant and not typed, because the phone had too few attempts left.
    pub spared: u64,
    /// How far the open loop has fallen behind its rate at most.
    pub behind: Duration,
    /// When the last confirmation that a person answered ended.
    pub last_answered: Option<Instant>,
    /// Times in microseconds, in the order of [`Step::ALL`].
    pub times: [Histogram<u64>; 6],
    /// Times that refusals took, in microseconds.
    pub refusal_times: Histogram<u64>,
}

/// The tally.
pub struct Tally(Mutex<Counts>);

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never, with the bounds that are fixed here.
    pub fn new() -> Result<Self> {
        let times = [
            histogram()?,
            histogram()?,
            histogram()?,
            histogram()?,
            histogram()?,
            histogram()?,
        ];
        Ok(Tally(Mutex::new(Counts {
            in_flight: 0,
            confirmations: 0,
            given_up: 0,
            given_up_for: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            refused: BTreeMap::new(),
            errors: BTreeMap::new(),
            told: Vec::new(),
            discrepancies: 0,
            spared: 0,
            behind: Duration::ZERO,
            last_answered: None,
            times,
            refusal_times: histogram()?,
        })))
    }

    /// The counts, while the guard is held.
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step took so long.
    pub fn took(&self, step: Step, time: Duration) {
        let mut counts = self.counts();
        let index = Step::ALL.iter().position(|known| *known == step);
        if let Some(times) = index.and_then(|index| counts.times.get_mut(index)) {
            times.saturating_record(microseconds(time));
        }
    }

    /// A call was refused with `RESOURCE_EXHAUSTED`, after so long.
    pub fn refused(&self, code: &str, time: Duration) {
        let mut counts = self.counts();
        counts.refusal_times.saturating_record(microseconds(time));
        *counts.refused.entry(code.to_owned()).or_default() += 1;
    }

    /// A call was not answered, and is made again.
    pub fn ridden_out(&self, code: &str) {
        *self.counts().errors.entry(code.to_owned()).or_default() += 1;
    }

    /// Something is not as it should be.
    pub fn discrepancy(&self, what: String) {
        let mut counts = self.counts();
        counts.discrepancies += 1;
        if counts.told.len() < TOLD {
            counts.told.push(what);
        }
    }

    /// A confirmation could not be brought to its end.
    pub fn gave_up(&self, error: &Error) {
        let mut counts = self.counts();
        counts.given_up += 1;
        *counts.given_up_for.entry(error.code().to_owned()).or_default() += 1;
        if Setback::of(error) != Setback::Refused {
            *counts.errors.entry(error.code().to_owned()).or_default() += 1;
        }
    }

    /// A confirmation has its verdict.
    pub fn concluded(&self, state: &'static str) {
        let mut counts = self.counts();
        counts.confirmations += 1;
        *counts.verdicts.entry(state).or_default() += 1;
    }

    /// A person has answered, and the backend knows.
    pub fn answered(&self, at: Instant) {
        let mut counts = self.counts();
        counts.last_answered = counts.last_answered.max(Some(at));
    }
}

fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_US, 3)
        .map_err(|error| Error::other("load.histogram", error.to_string()))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
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

    #[test]
    fn each_step_has_its_own_times_and_a_huge_one_is_no_failure() {
        let tally = Tally::new().unwrap();
        tally.took(Step::Unlock, Duration::from_millis(5));
        tally.took(Step::Unlock, Duration::from_secs(100_000));
        let counts = tally.counts();
        let lengths: Vec<u64> = counts.times.iter().map(Histogram::len).collect();
        assert_eq!(lengths, [0, 0, 2, 0, 0, 0]);
        assert!(counts.times[2].max() >= LONGEST_US);
    }

    #[test]
    fn a_refusal_is_no_error_and_what_gave_up_is_counted_once() {
        let tally = Tally::new().unwrap();
        let error = |grpc, code: &str| {
            Error::Daemon(Refusal {
                grpc,
                code: code.to_owned(),
                message: String::new(),
                fields: Vec::new(),
                wait_s: None,
            })
        };
        tally.refused("daemon.busy", Duration::from_millis(1));
        tally.gave_up(&error(Code::ResourceExhausted, "daemon.busy"));
        tally.gave_up(&error(Code::NotFound, "subject.not_found"));
        let counts = tally.counts();
        assert_eq!(
            (counts.refused["daemon.busy"], counts.refusal_times.len()),
            (1, 1)
        );
        assert_eq!(
            (
                counts.errors.len(),
                counts.errors["subject.not_found"],
                counts.given_up
            ),
            (1, 1, 2)
        );
    }

    #[test]
    fn of_many_discrepancies_the_first_are_told_and_all_are_counted() {
        let tally = Tally::new().unwrap();
        for number in 0..250 {
            tally.discrepancy(number.to_string());
        }
        let counts = tally.counts();
        assert_eq!((counts.told.len(), counts.discrepancies), (TOLD, 250));
        assert_eq!(counts.told[0], "0");
    }
}
