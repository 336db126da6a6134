//! Calls that are measured: tried with patience until they are answered, every setback that was overcome counted.
//!
//! Called by `confirmation` and `answer`. Invariant: what is timed is the try that was answered; the waits between tries show
//! in the time of the whole confirmation.

use std::sync::Arc;
use std::time::Instant;

use super::patience::{Patience, Setback};
use super::tally::{Step, Tally};
use crate::error::Result;

/// Makes the calls of a load.
#[derive(Clone)]
pub struct Calls {
    /// How failures are met.
    pub patience: Patience,
    /// Where times and setbacks go.
    pub tally: Arc<Tally>,
}

/// A reply, and when the call that it answers was sent.
pub struct Answered<T> {
    /// The reply.
    pub reply: T,
    /// When the call was sent.
    pub sent_at: Instant,
}

impl Calls {
    /// Makes a call until it is answered; its time goes to `step` where one is named.
    ///
    /// # Errors
    /// The last setback, when it is final or the deadline is near.
    pub async fn call<T, F>(
        &self,
        step: Option<Step>,
        deadline: Instant,
        mut send: impl FnMut() -> F,
    ) -> Result<Answered<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let mut tries = self.patience.until(deadline);
        loop {
            let sent_at = Instant::now();
            match send().await {
                Ok(reply) => {
                    if let Some(step) = step {
                        self.tally.took(step, sent_at.elapsed());
                    }
                    return Ok(Answered { reply, sent_at });
                }
                Err(error) => {
                    let code = error.code().to_owned();
                    let refused = Setback::of(&error) == Setback::Refused;
                    if refused {
                        self.tally.refused(&code, sent_at.elapsed());
                    }
                    tries.again(error).await?;
                    if !refused {
                        self.tally.ridden_out(&code);
                    }
                }
            }
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

    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::error::Error;

    fn calls(ride_out: bool) -> Calls {
        Calls {
            patience: Patience {
                retry_at_once: false,
                ride_out,
                give_up_after: Duration::from_secs(60),
            },
            tally: Arc::new(Tally::new().unwrap()),
        }
    }

    async fn third_time(calls: &Calls) -> Result<Answered<u32>> {
        let sends = AtomicU32::new(0);
        let send = || {
            let number = sends.fetch_add(1, Ordering::Relaxed) + 1;
            let lost = || Error::Unreachable(String::new());
            std::future::ready(if number < 3 { Err(lost()) } else { Ok(number) })
        };
        let deadline = calls.patience.deadline(Duration::ZERO);
        calls.call(Some(Step::Answer), deadline, send).await
    }

    #[tokio::test]
    async fn a_lost_call_is_made_again_and_counted() {
        let calls = calls(true);
        assert_eq!(third_time(&calls).await.unwrap().reply, 3);
        let counts = calls.tally.counts();
        assert_eq!(
            (counts.errors["daemon.unreachable"], counts.times[3].len()),
            (2, 1)
        );
    }

    #[tokio::test]
    async fn without_riding_out_the_first_loss_is_the_last() {
        let calls = calls(false);
        assert_eq!(third_time(&calls).await.err().unwrap().exit(), 7);
        assert!(calls.tally.counts().errors.is_empty());
    }
}
