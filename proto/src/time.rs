//! The one notion of time: whole seconds since the Unix epoch by the daemon's clock. Used everywhere.
//!
//! Arithmetic saturates, so no claim that an attacker chose can overflow it.

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z; a JSON number in statements (RFC 7519 `NumericDate` without fraction).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time `secs` seconds after the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Seconds since the Unix epoch.
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// The time `seconds` later (earlier when negative).
    pub const fn plus_s(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this time; negative when `earlier` is later.
    pub const fn since_s(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_secs(i64::MAX);
        assert_eq!(end.plus_s(1), end);
        assert_eq!(Timestamp::from_secs(i64::MIN).since_s(end), i64::MIN);
        assert_eq!(
            Timestamp::from_secs(100)
                .plus_s(-40)
                .since_s(Timestamp::from_secs(90)),
            -30
        );
    }

    #[test]
    fn json_is_a_whole_number() {
        assert_eq!(serde_json::to_string(&Timestamp::from_secs(-5)).unwrap(), "-5");
        assert!(serde_json::from_str::<Timestamp>("5.0").is_err());
        assert!(serde_json::from_str::<Timestamp>("\"5\"").is_err());
    }
}
