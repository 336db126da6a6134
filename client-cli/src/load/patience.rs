//! What to do when a call is not answered with yes: wait as the daemon asks, ride out a lost connection, or give up.
//!
//! Called around every call of a load. Invariants: a call that is made again is the same call (key, element, approval), so
//! making it again changes nothing; a refusal without a wait is final; nobody waits longer than their deadline.

use std::time::{Duration, Instant};

use rand_core::RngCore;
use tonic::Code;

use crate::edge;
use crate::error::{Error, Result};

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// Longest wait of what is not measured: more than the ten minutes of a quota.
const PREPARATION: Duration = Duration::from_secs(900);
/// Where the daemon refused without saying for how long.
const UNHINTED: Duration = Duration::from_secs(1);

/// How failures are met.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Do not wait as the daemon asks.
    pub retry_at_once: bool,
    /// Connect again when the connection is lost.
    pub ride_out: bool,
    /// Longest time for one confirmation.
    pub give_up_after: Duration,
}

impl Patience {
    /// That of what is not measured: it waits as it is asked to.
    pub fn of_preparation() -> Self {
        Patience {
            retry_at_once: false,
            ride_out: false,
            give_up_after: PREPARATION,
        }
    }

    /// Until when a confirmation that begins now, and may take `beyond` anyway, is waited for.
    pub fn deadline(&self, beyond: Duration) -> Instant {
        Instant::now() + self.give_up_after + beyond
    }

    /// The first try of a call.
    pub fn until(self, deadline: Instant) -> Tries {
        Tries {
            patience: self,
            deadline,
            lost: 0,
        }
    }
}

/// Makes a call of the preparation until it is answered, waiting as the daemon asks.
///
/// # Errors
/// The last setback, when it is final or there is no time left.
pub async fn patiently<T, F>(mut send: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let patience = Patience::of_preparation();
    let mut tries = patience.until(patience.deadline(Duration::ZERO));
    loop {
        match send().await {
            Ok(reply) => return Ok(reply),
            Err(error) => tries.again(error).await?,
        }
    }
}

/// Why a call was not answered with yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setback {
    /// Not now: `RESOURCE_EXHAUSTED`, or another refusal that says when to come again.
    Refused,
    /// No answer: the connection broke, or the daemon stops.
    Lost,
    /// Anything else. The same call would end the same way.
    Final,
}

impl Setback {
    /// The kind of an error.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Unreachable(_) => Setback::Lost,
            Error::Daemon(refusal) => match refusal.grpc {
                Code::ResourceExhausted => Setback::Refused,
                Code::Unavailable => Setback::Lost,
                _ if refusal.wait_s.is_some() => Setback::Refused,
                _ => Setback::Final,
            },
            _ => Setback::Final,
        }
    }
}

/// The tries of one call.
pub struct Tries {
    patience: Patience,
    deadline: Instant,
    lost: u32,
}

impl Tries {
    /// Waits before the call is made again.
    ///
    /// # Errors
    /// The error itself, when it is final or there is no time left.
    pub async fn again(&mut self, error: Error) -> Result<()> {
        let Some(wait) = self.wait(&error) else {
            return Err(error);
        };
        if Instant::now() + wait >= self.deadline {
            return Err(error);
        }
        if wait.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn wait(&mut self, error: &Error) -> Option<Duration> {
        match Setback::of(error) {
            Setback::Refused if self.patience.retry_at_once && is_exhausted(error) => Some(Duration::ZERO),
            Setback::Refused => Some(hint(error)),
            Setback::Lost if self.patience.ride_out => {
                self.lost += 1;
                Some(backoff(self.lost, &mut edge::random()))
            }
            Setback::Lost | Setback::Final => None,
        }
    }
}

fn is_exhausted(error: &Error) -> bool {
    matches!(error, Error::Daemon(refusal) if refusal.grpc == Code::ResourceExhausted)
}

fn hint(error: &Error) -> Duration {
    match error {
        Error::Daemon(refusal) => refusal.wait_s.map_or(UNHINTED, Duration::from_secs),
        _ => UNHINTED,
    }
}

/// 100 ms, 200 ms … 2 s after `failures` in a row, of which the upper half is drawn: so many phones do not come back in the
/// same instant.
pub fn backoff(failures: u32, rng: &mut impl RngCore) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(8));
    let longest = doubled.min(LONGEST_BACKOFF);
    longest - longest.mul_f64(f64::from(rng.next_u32()) / f64::from(u32::MAX) / 2.0)
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
    use crate::error::Refusal;

    fn refused(grpc: Code, wait_s: Option<u64>) -> Error {
        Error::Daemon(Refusal {
            grpc,
            code: "a.code".to_owned(),
            message: String::new(),
            fields: Vec::new(),
            wait_s,
        })
    }

    fn tries(retry_at_once: bool, ride_out: bool) -> Tries {
        let patience = Patience {
            retry_at_once,
            ride_out,
            give_up_after: Duration::from_secs(60),
        };
        patience.until(patience.deadline(Duration::ZERO))
    }

    #[test]
    fn a_refusal_is_waited_out_as_the_daemon_asks_unless_told_otherwise() {
        let error = refused(Code::ResourceExhausted, Some(7));
        assert_eq!(tries(false, false).wait(&error), Some(Duration::from_secs(7)));
        assert_eq!(tries(true, false).wait(&error), Some(Duration::ZERO));
        let unhinted = refused(Code::ResourceExhausted, None);
        assert_eq!(tries(false, false).wait(&unhinted), Some(UNHINTED));
    }

    #[test]
    fn a_lost_connection_is_ridden_out_only_where_asked_and_a_refusal_for_good_never() {
        let stopped = refused(Code::Unavailable, None);
        let broken = Error::Unreachable(String::new());
        for lost in [&stopped, &broken] {
            assert!(tries(false, true).wait(lost).is_some());
            assert_eq!(tries(true, false).wait(lost), None);
        }
        let charged = refused(Code::FailedPrecondition, Some(9));
        assert_eq!(tries(true, true).wait(&charged), Some(Duration::from_secs(9)));
        let expired = refused(Code::FailedPrecondition, None);
        assert_eq!(tries(true, true).wait(&expired), None);
    }

    #[tokio::test]
    async fn nobody_waits_beyond_the_deadline() {
        let error = refused(Code::ResourceExhausted, Some(600));
        assert!(tries(false, false).again(error).await.is_err());
    }

    #[test]
    fn the_backoff_grows_to_a_limit_and_is_spread() {
        for (failures, longest) in [(1, 100), (2, 200), (4, 800), (6, 2000), (4_000_000_000, 2000)] {
            for _ in 0..50 {
                let wait = backoff(failures, &mut edge::random()).as_millis();
                assert!((longest / 2..=longest).contains(&wait), "{failures}: {wait}");
            }
        }
    }
}
