//! How many wrong suspension codes may be told for one person in a day (protocol.md section 5).
//!
//! Called by `app::suspension`. Invariant: who is named counts, whether they are known or not, so that the limit tells nothing of anybody.

use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::{self, Result};

/// Wrong codes in a day (UTC) after which none is looked at.
pub const WRONG_CODES_A_DAY: u32 = 5;
const DAY_S: i64 = 86_400;

/// The wrong codes that were told for the people of one bucket.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongCodes {
    /// Which bucket.
    pub bucket: u16,
    day: i64,
    count: u32,
}

impl WrongCodes {
    /// None yet.
    pub fn none(bucket: u16) -> Self {
        Self {
            bucket,
            day: 0,
            count: 0,
        }
    }

    /// The bucket of a person, from the keyed hash of their name and birth date.
    pub fn bucket_of(lookup: &[u8; 32]) -> u16 {
        let [high, low, ..] = *lookup;
        u16::from_be_bytes([high, low])
    }

    /// Another code may be looked at today.
    ///
    /// # Errors
    /// `suspension.too_many` with the time until the day is over.
    pub fn require_left(&self, now: Timestamp) -> Result<()> {
        if self.day != day(now) || self.count < WRONG_CODES_A_DAY {
            return Ok(());
        }
        let over_in = DAY_S.saturating_sub(now.as_secs().rem_euclid(DAY_S));
        Err(fault::SUSPENSION_EXHAUSTED.fault().retry_after(over_in))
    }

    /// One more.
    pub fn count(&mut self, now: Timestamp) {
        if self.day != day(now) {
            (self.day, self.count) = (day(now), 0);
        }
        self.count = self.count.saturating_add(1);
    }
}

fn day(at: Timestamp) -> i64 {
    at.as_secs().div_euclid(DAY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_a_day_and_then_the_day_has_to_end() {
        let at = |day: i64, second: i64| Timestamp::from_secs(20_000 * DAY_S + day * DAY_S + second);
        let mut codes = WrongCodes::none(7);
        for second in 0..5 {
            assert!(codes.require_left(at(0, second)).is_ok(), "{second}");
            codes.count(at(0, second));
        }
        let refused = codes.require_left(at(0, DAY_S - 10)).err();
        let refused = refused.map(|fault| (fault.code(), fault.retry_after_s));
        assert_eq!(refused, Some(("suspension.too_many", Some(10))));
        assert!(codes.require_left(at(1, 0)).is_ok());
        codes.count(at(1, 0));
        assert!(codes.require_left(at(1, 1)).is_ok(), "a new day counts from none");
    }

    #[test]
    fn a_bucket_is_the_beginning_of_the_hash() {
        let mut hash = [9; 32];
        (hash[0], hash[1]) = (1, 2);
        assert_eq!(WrongCodes::bucket_of(&hash), 0x0102);
    }
}
