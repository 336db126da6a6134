//! Request rates by caller, with memory that has a bound. Used by [`super::admission`] only.
//!
//! Invariant: at most `most_keys` + 4,096 callers are remembered. Beyond that, callers not seen lately share 4,096 buckets:
//! somebody with very many addresses slows others down, but neither exhausts memory nor gets past the rate by it.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

/// Names one caller; uniform in length so that shared buckets fit the same map.
pub(super) type Key = [u8; 32];

/// Callers remembered at most: some 10 MB.
const MOST_KEYS: usize = 65_536;
const SHARED_BUCKETS: u64 = 4_096;
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A token bucket per caller.
pub(super) struct KeyedRate<C: Clock = DefaultClock> {
    limiter: RateLimiter<Key, DashMapStateStore<Key>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    most_keys: usize,
    hasher: RandomState,
    swept_at: Mutex<C::Instant>,
}

impl KeyedRate {
    /// Allows `per_second` requests and `burst` at once; both are taken as at least 1.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self::with_clock(per_second, burst, MOST_KEYS, DefaultClock::default())
    }
}

impl<C: Clock + Clone> KeyedRate<C> {
    fn with_clock(per_second: u32, burst: u32, most_keys: usize, clock: C) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst));
        Self {
            limiter: RateLimiter::new(quota, DashMapStateStore::default(), clock.clone()),
            swept_at: Mutex::new(clock.now()),
            clock,
            most_keys,
            hasher: RandomState::new(),
        }
    }

    /// Counts one request of `caller`.
    ///
    /// # Errors
    /// How long the caller has to wait.
    pub(super) fn check(&self, caller: Key) -> Result<(), Duration> {
        let key = if self.has_room() {
            caller
        } else {
            self.shared_bucket(caller)
        };
        self.limiter
            .check_key(&key)
            .map_err(|refused| refused.wait_time_from(self.clock.now()))
    }

    fn has_room(&self) -> bool {
        if self.limiter.len() >= self.most_keys {
            self.forget_idle();
        }
        self.limiter.len() < self.most_keys
    }

    /// Forgets callers whose bucket is full again; at most once a second, since it walks over all of them.
    fn forget_idle(&self) {
        let Ok(mut swept_at) = self.swept_at.try_lock() else {
            return;
        };
        let now = self.clock.now();
        if Duration::from(now.duration_since(*swept_at)) >= SWEEP_EVERY {
            *swept_at = now;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }

    fn shared_bucket(&self, caller: Key) -> Key {
        let bucket = self.hasher.hash_one(caller) % SHARED_BUCKETS;
        let mut key = [0xff; 32];
        for (to, from) in key.iter_mut().zip(bucket.to_be_bytes()) {
            *to = from;
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rate(most_keys: usize) -> (KeyedRate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (KeyedRate::with_clock(10, 3, most_keys, clock.clone()), clock)
    }

    fn caller(number: u16) -> Key {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn a_caller_has_its_burst_then_its_rate() {
        let (rate, clock) = rate(100);
        for _ in 0..3 {
            assert_eq!(rate.check(caller(1)), Ok(()));
        }
        assert_eq!(rate.check(caller(1)), Err(Duration::from_millis(100)));
        assert_eq!(rate.check(caller(2)), Ok(()), "another caller is not held back");
        clock.advance(Duration::from_millis(100));
        assert_eq!(rate.check(caller(1)), Ok(()));
        assert!(rate.check(caller(1)).is_err());
    }

    #[test]
    fn very_many_callers_neither_exhaust_memory_nor_get_past_the_rate() {
        let (rate, _clock) = rate(100);
        let admitted = (0..60_000).filter(|n| rate.check(caller(*n)).is_ok()).count();
        assert!(rate.limiter.len() <= 100 + 4_096, "{}", rate.limiter.len());
        assert!(admitted <= 100 + 3 * 4_096, "{admitted}");
    }

    #[test]
    fn idle_callers_are_forgotten_when_room_is_needed() {
        let (rate, clock) = rate(100);
        for n in 0..100 {
            assert_eq!(rate.check(caller(n)), Ok(()));
        }
        clock.advance(Duration::from_secs(2));
        assert_eq!(rate.check(caller(1_000)), Ok(()));
        assert_eq!(rate.limiter.len(), 1);
    }
}
