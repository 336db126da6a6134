//! A PIN change, from the approval under the old epoch to the new one (protocol.md section 4, rule 5).
//!
//! Called by `app::pin_change`; kept with the device. Invariants: the seed leaves this file only as the key of one element, which
//! tells nothing of the keys of others; it is gone once the epoch has moved or the change is over.

use paraphe_proto::ids::ChallengeId;
use paraphe_proto::oprf::OprfKey;
use paraphe_proto::time::Timestamp;
use paraphe_proto::transcript::Transcript;
use serde::{Deserialize, Serialize};

use super::fault::{self, Fault, Result};
use super::secret::{Bytes, Secret};

/// Seconds after the approval in which the epoch may move.
pub const WINDOW_S: i64 = 600;

/// The PIN change of a device, as far as it is.
#[derive(Serialize, Deserialize)]
pub enum PinChange {
    /// Approved; the key of the next epoch is not chosen yet.
    Open(Open),
    /// The epoch has moved; the phone may ask again.
    Done {
        /// The challenge that was approved.
        challenge_id: ChallengeId,
        /// `paraphe-pin-change+jwt` that moved it.
        statement: String,
    },
}

/// See [`PinChange::Open`].
#[derive(Serialize, Deserialize)]
pub struct Open {
    /// The challenge that was approved.
    pub challenge_id: ChallengeId,
    /// SHA-256 of its statement.
    pub challenge: Bytes<32>,
    /// When.
    pub approved_at: Timestamp,
    /// The keys of all elements follow from it.
    pub seed: Secret<32>,
}

impl Open {
    /// # Errors
    /// `pin_change.expired`.
    pub fn require_in_time(&self, now: Timestamp) -> Result<()> {
        if now.since_s(self.approved_at) >= WINDOW_S {
            return fault::PIN_CHANGE_EXPIRED.broken();
        }
        Ok(())
    }

    /// The key of the element with this SHA-256. Each element has a key of its own, so that many evaluations tell nothing about the
    /// key of the one that the phone names at last, and nobody who evaluates others takes it away.
    ///
    /// # Errors
    /// `internal`, with negligible probability.
    pub fn key_of(&self, element: &[u8; 32]) -> Result<OprfKey> {
        let info = Transcript::new("paraphe/v1/pin-change").field(element);
        OprfKey::derive(self.seed.expose(), info.bytes()).map_err(Fault::internal)
    }
}

impl PinChange {
    /// The change that the approval of this challenge opened.
    ///
    /// # Errors
    /// `pin_change.not_open`.
    pub fn open_for(change: Option<&Self>, challenge_id: ChallengeId) -> Result<&Open> {
        match change {
            Some(Self::Open(open)) if open.challenge_id == challenge_id => Ok(open),
            _ => fault::PIN_CHANGE_NOT_OPEN.broken(),
        }
    }

    /// Whether exactly this statement has moved the epoch.
    pub fn is_done(&self, id: ChallengeId, stated: &str) -> bool {
        matches!(self, Self::Done { challenge_id, statement } if *challenge_id == id && statement == stated)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn open() -> Open {
        Open {
            challenge_id: ChallengeId::from_bytes([1; 16]),
            challenge: Bytes([2; 32]),
            approved_at: Timestamp::from_secs(1_000),
            seed: Secret::new([3; 32]),
        }
    }

    #[test]
    fn each_element_has_a_key_of_its_own_and_always_the_same() {
        let key = |open: &Open, element| *open.key_of(&[element; 32]).unwrap().to_bytes();
        let (first, second) = (open(), open());
        assert_eq!(key(&first, 1), key(&second, 1));
        assert_ne!(key(&first, 1), key(&first, 2));
        let another = Open {
            seed: Secret::new([4; 32]),
            ..open()
        };
        assert_ne!(key(&first, 1), key(&another, 1));
    }

    #[test]
    fn it_is_over_ten_minutes_after_the_approval() {
        let refused = |now| {
            open()
                .require_in_time(Timestamp::from_secs(now))
                .err()
                .map(|fault| fault.code())
        };
        assert_eq!(refused(1_599), None);
        assert_eq!(refused(1_600), Some("pin_change.expired"));
    }

    #[test]
    fn only_the_challenge_that_was_approved_opens_it() {
        let (own, other) = (ChallengeId::from_bytes([1; 16]), ChallengeId::from_bytes([9; 16]));
        let change = PinChange::Open(open());
        assert!(PinChange::open_for(Some(&change), own).is_ok());
        let done = PinChange::Done {
            challenge_id: own,
            statement: "a.b.c".into(),
        };
        for (change, id) in [(None, own), (Some(&change), other), (Some(&done), own)] {
            let refused = PinChange::open_for(change, id).err().unwrap();
            assert_eq!(refused.code(), "pin_change.not_open");
        }
        assert!(done.is_done(own, "a.b.c") && !done.is_done(own, "a.b.d") && !done.is_done(other, "a.b.c"));
        assert!(!change.is_done(own, "a.b.c"));
    }
}
