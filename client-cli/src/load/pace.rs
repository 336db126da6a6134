//! How many confirmations begin, and when: a closed loop keeps so many in flight, an open loop begins so many a second.
//!
//! Called by `run`. Invariants: an open loop never waits for an answer, only for a free phone, and how far it has fallen
//! behind is in the report; nothing new begins once the count, the time or the operator's patience (Ctrl-C) is over.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fleet::{Fleet, Slot};
use super::tally::Tally;

/// When confirmations begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as fewer than so many are under way.
    InFlight(usize),
    /// So many a second, whatever becomes of them.
    PerSecond(f64),
}

/// When no more begin; the first of the two.
#[derive(Clone, Copy, Debug, Default)]
pub struct Until {
    /// After so many.
    pub count: Option<u64>,
    /// After so long.
    pub duration: Option<Duration>,
}

/// A confirmation that counts as in flight until this is dropped.
pub struct Place {
    tally: Arc<Tally>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    fn new(tally: &Arc<Tally>, permit: Option<OwnedSemaphorePermit>) -> Self {
        tally.counts().in_flight += 1;
        Place {
            tally: Arc::clone(tally),
            _permit: permit,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.tally.counts();
        counts.in_flight = counts.in_flight.saturating_sub(1);
    }
}

/// Begins confirmations until it is time to stop, or no phone is left.
pub async fn drive(
    pace: Pace,
    until: Until,
    fleet: &mut Fleet,
    tally: &Arc<Tally>,
    mut begin: impl FnMut(Slot, Place),
) {
    let mut gate = Gate::new(pace);
    let mut stop = pin!(stop(until.duration));
    for _ in 0..until.count.unwrap_or(u64::MAX) {
        let next = async {
            let permit = gate.pass(tally).await;
            fleet.next().await.map(|slot| (slot, permit))
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            next = next => match next {
                Some((slot, permit)) => begin(slot, Place::new(tally, permit)),
                None => break,
            },
        }
    }
}

async fn stop(duration: Option<Duration>) {
    let over = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = over => {}
        () = interrupted() => {}
    }
}

/// Until the operator presses Ctrl-C.
pub async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the signal ends the process, as it always does.
        std::future::pending().await
    }
}

enum Gate {
    Closed(Arc<Semaphore>),
    Open { next: Instant, interval: Duration },
}

impl Gate {
    fn new(pace: Pace) -> Self {
        match pace {
            Pace::InFlight(most) => Gate::Closed(Arc::new(Semaphore::new(most))),
            Pace::PerSecond(rate) => Gate::Open {
                next: Instant::now(),
                interval: Duration::from_secs_f64(1.0 / rate),
            },
        }
    }

    async fn pass(&mut self, tally: &Tally) -> Option<OwnedSemaphorePermit> {
        match self {
            Gate::Closed(places) => Arc::clone(places).acquire_owned().await.ok(),
            Gate::Open { next, interval } => {
                tokio::time::sleep_until((*next).into()).await;
                let behind = next.elapsed();
                *next += *interval;
                let mut counts = tally.counts();
                counts.behind = counts.behind.max(behind);
                None
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

    use super::*;

    #[tokio::test]
    async fn a_closed_loop_waits_for_a_place_and_an_open_one_does_not() {
        let tally = Arc::new(Tally::new().unwrap());
        let mut closed = Gate::new(Pace::InFlight(1));
        let first = Place::new(&tally, closed.pass(&tally).await);
        assert_eq!(tally.counts().in_flight, 1);
        {
            let mut second = pin!(closed.pass(&tally));
            tokio::select! {
                biased;
                _ = &mut second => panic!("two places where there is one"),
                () = tokio::task::yield_now() => {}
            }
            drop(first);
            assert!(second.await.is_some());
        }
        assert_eq!(tally.counts().in_flight, 0);
        let mut open = Gate::new(Pace::PerSecond(1000.0));
        for _ in 0..5 {
            assert!(open.pass(&tally).await.is_none());
        }
    }
}
