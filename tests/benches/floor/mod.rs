//! The crypto floor of one confirmation: 3 ES256 signatures (challenge, evaluation, assertion), 3 verifications (two proofs, the
//! approval) and 1 OPRF evaluation, each by the fastest library measured here, in a bare loop on one thread.

mod oprf;
mod signing;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Result;
use crate::process::thread_cpu;

const SIGNATURES: f64 = 3.0;
const VERIFICATIONS: f64 = 3.0;
const EVALUATIONS: f64 = 1.0;

/// Rounds of one loop; the fastest of several loops counts, so that a busy machine does not raise the floor.
const ROUNDS: u32 = 500;
const LOOPS: u32 = 5;

/// One operation by one library.
struct Candidate {
    library: &'static str,
    run: Box<dyn FnMut()>,
}

/// Processor time of one operation, µs, by library.
pub type Timings = BTreeMap<&'static str, f64>;

/// The floor and what it is made of.
pub struct Floor {
    /// ES256 signatures.
    pub sign: Timings,
    /// ES256 verifications, from the key's 65 bytes.
    pub verify: Timings,
    /// OPRF evaluations, from the key's 32 bytes and the element's 33, to 33 bytes.
    pub evaluate: Timings,
}

impl Floor {
    /// Measures every candidate.
    ///
    /// # Errors
    /// When a library refuses its keys, or two libraries disagree.
    pub fn measure() -> Result<Self> {
        Ok(Self {
            sign: timings(signing::signers()?),
            verify: timings(signing::verifiers()?),
            evaluate: timings(oprf::evaluators()?),
        })
    }

    /// Processor time of one confirmation's cryptography, ms.
    pub fn ms(&self) -> f64 {
        let sum = SIGNATURES * fastest(&self.sign)
            + VERIFICATIONS * fastest(&self.verify)
            + EVALUATIONS * fastest(&self.evaluate);
        sum / 1_000.0
    }
}

fn fastest(timings: &Timings) -> f64 {
    timings.values().copied().fold(f64::INFINITY, f64::min)
}

fn timings(candidates: Vec<Candidate>) -> Timings {
    let time = |mut candidate: Candidate| (candidate.library, time(&mut candidate.run));
    candidates.into_iter().map(time).collect()
}

fn time(run: &mut dyn FnMut()) -> f64 {
    let mut fastest = Duration::MAX;
    for _ in 0..LOOPS {
        let begun = thread_cpu();
        for _ in 0..ROUNDS {
            run();
        }
        fastest = fastest.min(thread_cpu() - begun);
    }
    fastest.as_secs_f64() * 1e6 / f64::from(ROUNDS)
}
