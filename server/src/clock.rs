//! The daemon's clock: the only place that reads the machine's wall clock.
//!
//! `rpc/` asks it once per request for the `now` that the whole request uses; `lib.rs` makes it when the database has told
//! the latest time it has seen. Invariant: times handed out never decrease. A wall clock that was set back would revive what
//! has expired, so the daemon refuses to answer, or to start, until the clock has caught up (protocol.md section 6,
//! "Freshness").

use std::sync::atomic::{AtomicI64, Ordering};

use paraphe_proto::time::Timestamp;
use thiserror::Error;

/// How far the wall clock may fall behind, in seconds: time daemons make steps of this size.
const TOLERATED_S: i64 = 5;

/// Why there is no `now`.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ClockError {
    /// The wall clock was set back while the daemon ran.
    #[error(
        "the clock went back by {behind_s} s; nothing is answered until it has caught up: set the machine's clock right"
    )]
    WentBack {
        /// Seconds behind the latest time handed out.
        behind_s: i64,
    },
    /// At start the wall clock is behind the latest time in the database.
    #[error(
        "the machine's clock is {behind_s} s behind the latest time in the database: set the clock right and start again; \
         if the clock is right, the database was written while it was ahead, and the daemon can start in {behind_s} s"
    )]
    BehindDatabase {
        /// Seconds behind the database.
        behind_s: i64,
    },
}

impl ClockError {
    /// The stable name of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WentBack { .. } => "clock.went_back",
            Self::BehindDatabase { .. } => "clock.behind_database",
        }
    }
}

/// Hands out times that never decrease.
#[derive(Debug)]
pub struct Clock {
    wall_s: fn() -> i64,
    latest_s: AtomicI64,
}

impl Clock {
    /// A clock for a database whose latest time is `last_seen`; `None` for a new one.
    ///
    /// # Errors
    /// `clock.behind_database` when the machine's clock is more than 5 s before it.
    pub fn starting_after(last_seen: Option<Timestamp>) -> Result<Self, ClockError> {
        Self::reading(wall_s, last_seen)
    }

    fn reading(wall_s: fn() -> i64, last_seen: Option<Timestamp>) -> Result<Self, ClockError> {
        let wall = wall_s();
        let latest = last_seen.map_or(wall, Timestamp::as_secs);
        let behind_s = latest.saturating_sub(wall);
        if behind_s > TOLERATED_S {
            return Err(ClockError::BehindDatabase { behind_s });
        }
        Ok(Self {
            wall_s,
            latest_s: AtomicI64::new(latest.max(wall)),
        })
    }

    /// The time in whole seconds, never less than any time handed out before.
    ///
    /// # Errors
    /// `clock.went_back` while the machine's clock is more than 5 s behind the latest time handed out.
    pub fn now(&self) -> Result<Timestamp, ClockError> {
        let wall = (self.wall_s)();
        let latest = self.latest_s.fetch_max(wall, Ordering::AcqRel).max(wall);
        let behind_s = latest.saturating_sub(wall);
        if behind_s > TOLERATED_S {
            return Err(ClockError::WentBack { behind_s });
        }
        Ok(Timestamp::from_secs(latest))
    }
}

/// Seconds since 1970 by the machine's clock; 0 for a clock before that, which the database's latest time then refuses.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the daemon reads the wall clock"
)]
fn wall_s() -> i64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = since_1970.map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX));
    seconds.saturating_add(test_offset_s())
}

#[cfg(not(feature = "test-hooks"))]
fn test_offset_s() -> i64 {
    0
}

/// Seconds to add, from the file that `PARAPHE_TEST_CLOCK_FILE` names; 0 without the variable, the file or a number in it.
#[cfg(feature = "test-hooks")]
fn test_offset_s() -> i64 {
    std::env::var_os("PARAPHE_TEST_CLOCK_FILE")
        .and_then(|path| std::fs::read_to_string(path).ok())
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local!(static WALL: Cell<i64> = const { Cell::new(0) });

    fn set(wall_s: i64) -> fn() -> i64 {
        WALL.set(wall_s);
        || WALL.get()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn it_follows_the_wall_clock() {
        let clock = Clock::reading(set(1_000), None).unwrap();
        assert_eq!(clock.now(), Ok(at(1_000)));
        set(1_007);
        assert_eq!(clock.now(), Ok(at(1_007)));
    }

    #[test]
    fn a_small_step_back_stands_still() {
        let clock = Clock::reading(set(1_000), None).unwrap();
        set(995);
        assert_eq!(clock.now(), Ok(at(1_000)));
    }

    #[test]
    fn a_larger_step_back_is_refused_until_the_clock_has_caught_up() {
        let clock = Clock::reading(set(1_000), None).unwrap();
        set(2_000);
        assert_eq!(clock.now(), Ok(at(2_000)));
        set(1_994);
        let error = clock.now().unwrap_err();
        assert_eq!(error, ClockError::WentBack { behind_s: 6 });
        assert_eq!(error.code(), "clock.went_back");
        set(1_995);
        assert_eq!(clock.now(), Ok(at(2_000)), "caught up to within the tolerance");
    }

    #[test]
    fn it_does_not_start_behind_the_database() {
        let error = Clock::reading(set(994), Some(at(1_000))).unwrap_err();
        assert_eq!(error, ClockError::BehindDatabase { behind_s: 6 });
        assert_eq!(error.code(), "clock.behind_database");
        assert!(error.to_string().contains("set the clock right"));
        let clock = Clock::reading(set(995), Some(at(1_000))).unwrap();
        assert_eq!(
            clock.now(),
            Ok(at(1_000)),
            "the database's latest time counts as handed out"
        );
    }

    #[test]
    fn the_machine_s_clock_is_later_than_this_file() {
        let now = Clock::starting_after(None).unwrap().now().unwrap();
        assert!(now > at(1_700_000_000), "{now:?}");
    }
}
