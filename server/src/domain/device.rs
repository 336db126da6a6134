//! One enrolled phone and its life (protocol.md section 5): `awaiting_confirmation → quarantined → active`; final: `locked`,
//! `revoked`, `expired`.
//!
//! Called by `app::activation`, `app::unlock` and `app::answer`. Invariant: a device in a final state holds no OPRF key.

use paraphe_proto::ids::{ActivationId, DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::attempts::{Attempts, Limits};
use super::fault::{self, Result};
use super::level::Acr;
use super::secret::{Bytes, Secret};

/// Where a device is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The six digits have not been typed yet.
    AwaitingConfirmation,
    /// May only refuse until then.
    Quarantined {
        /// End of the quarantine.
        until: Timestamp,
    },
    /// May approve.
    Active,
    /// Final: too many wrong PINs.
    Locked {
        /// When.
        at: Timestamp,
    },
    /// Final: the confirmation failed or somebody revoked it.
    Revoked {
        /// When.
        at: Timestamp,
    },
    /// Final: the identity document behind it is no longer valid.
    Expired {
        /// When.
        at: Timestamp,
    },
}

impl State {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingConfirmation => "awaiting_confirmation",
            Self::Quarantined { .. } => "quarantined",
            Self::Active => "active",
            Self::Locked { .. } => "locked",
            Self::Revoked { .. } => "revoked",
            Self::Expired { .. } => "expired",
        }
    }
}

/// Where the possession key lives, as far as it was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStorage {
    /// Stated by the phone, not attested: `swk`.
    Unattested,
}

impl KeyStorage {
    /// RFC 8176 value for the `amr` claim.
    pub fn amr(self) -> &'static str {
        match self {
            Self::Unattested => "swk",
        }
    }
}

/// The last evaluation that a phone says it has seen (protocol.md section 4, rule 6).
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Number of the evaluation.
    pub evaluation: u64,
    /// Its restore epoch.
    pub restore_epoch: u64,
}

impl Seen {
    /// Whether the store knows all that the phone has seen.
    ///
    /// # Errors
    /// `device.rollback_noticed`: the store was rolled back undeclared.
    pub fn require_known(&self, latest: u64, restore_epoch: u64) -> Result<()> {
        if self.evaluation > latest || self.restore_epoch > restore_epoch {
            return fault::ROLLBACK_NOTICED.broken();
        }
        Ok(())
    }
}

/// A device as it is stored.
#[derive(Serialize, Deserialize)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Whose it is.
    pub subject_id: SubjectId,
    /// Where it is in its life.
    pub state: State,
    /// PIN epoch, from 1.
    pub epoch: u64,
    /// Level of the enrolment that made it.
    pub acr: Acr,
    /// Where its possession key lives.
    pub key_storage: KeyStorage,
    /// SEC 1 uncompressed.
    pub possession_key: Bytes<65>,
    /// SEC 1 uncompressed.
    pub approval_key: Bytes<65>,
    /// OPRF key of the epoch; gone when locked or revoked.
    pub oprf_key: Option<Secret<32>>,
    /// PIN attempts.
    pub attempts: Attempts,
    /// Wrong match codes so far.
    pub wrong_codes: u32,
    /// The activation statement, compact JWS.
    pub activation: String,
    /// The activation that made it; `None` in rows of before enrolments were signed.
    #[serde(default)]
    pub activation_id: Option<ActivationId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// First moment at which the document of its enrolment is no longer valid; `None` for a staff phone, for a specimen, and in rows of
    /// before this was kept.
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
    /// The phone has seen later evaluations than the store knew: it approves nothing any more.
    #[serde(default)]
    pub rollback_noticed: bool,
    /// When time alone moves it next; kept by [`Device::schedule`].
    pub due_at: Option<Timestamp>,
}

impl Device {
    /// Moves on what time alone moves: the lock after an uncredited last attempt, the end of the document, the end of a quarantine. `true`
    /// if it moved.
    pub fn settle(&mut self, now: Timestamp, limits: &Limits) -> bool {
        let over = |at: Option<Timestamp>| at.is_some_and(|at| now >= at);
        match self.state {
            State::Active if over(self.attempts.locks_at(limits)) => self.end(State::Locked { at: now }),
            State::Quarantined { .. } | State::Active if over(self.valid_until) => {
                self.end(State::Expired { at: now });
            }
            State::Quarantined { until } if now >= until => self.state = State::Active,
            _ => return false,
        }
        true
    }

    /// Notes when `settle` has something to do next; before every write.
    pub fn schedule(&mut self, limits: &Limits) {
        let next = match self.state {
            State::Quarantined { until } => Some(until),
            State::Active => self.attempts.locks_at(limits),
            _ => None,
        };
        let ends = match self.state {
            State::Quarantined { .. } | State::Active => self.valid_until,
            _ => None,
        };
        self.due_at = [next, ends].into_iter().flatten().min();
    }

    /// The six digits were right, or the channel needs none.
    ///
    /// # Errors
    /// `activation.state` unless the device awaits it; `document.expired` where the document ended meanwhile.
    pub fn confirm(&mut self, now: Timestamp, quarantine_s: i64) -> Result<()> {
        if self.state != State::AwaitingConfirmation {
            return fault::ACTIVATION_STATE.broken();
        }
        if self.valid_until.is_some_and(|until| now >= until) {
            return fault::DOCUMENT_EXPIRED.broken();
        }
        self.state = match quarantine_s {
            0 => State::Active,
            seconds => State::Quarantined {
                until: now.plus_s(seconds),
            },
        };
        Ok(())
    }

    /// Ends the device; its OPRF key is destroyed.
    pub fn revoke(&mut self, now: Timestamp) {
        self.end(State::Revoked { at: now });
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.oprf_key = None;
    }

    /// # Errors
    /// `device.locked`, `device.expired`, `device.not_active` or `device.rollback_noticed`.
    pub fn require_active(&self) -> Result<()> {
        match self.state {
            State::Active if self.rollback_noticed => fault::ROLLBACK_NOTICED.broken(),
            State::Active => Ok(()),
            State::Locked { .. } => fault::DEVICE_LOCKED.broken(),
            State::Expired { .. } => fault::DEVICE_EXPIRED.broken(),
            State::AwaitingConfirmation | State::Quarantined { .. } | State::Revoked { .. } => {
                fault::DEVICE_NOT_ACTIVE.broken()
            }
        }
    }

    /// A phone in quarantine or active may refuse.
    ///
    /// # Errors
    /// `device.locked`, `device.expired` or `device.not_active`.
    pub fn require_may_refuse(&self) -> Result<()> {
        match self.state {
            State::Quarantined { .. } => Ok(()),
            _ => self.require_active(),
        }
    }

    /// Whether the phone still counts as the person's phone.
    pub fn is_alive(&self) -> bool {
        matches!(
            self.state,
            State::AwaitingConfirmation | State::Quarantined { .. } | State::Active
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use paraphe_proto::ids::ChallengeId;

    const LIMITS: Limits = Limits {
        wait_after_3_s: 60,
        wait_after_4_s: 900,
        max_failures: 5,
        rolling_failures: 20,
        rolling_window_s: 30 * 86_400,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn device() -> Device {
        Device {
            id: DeviceId::from_bytes([1; 16]),
            subject_id: SubjectId::from_bytes([2; 16]),
            state: State::AwaitingConfirmation,
            epoch: 1,
            acr: Acr::Eidas2,
            key_storage: KeyStorage::Unattested,
            possession_key: Bytes([4; 65]),
            approval_key: Bytes([4; 65]),
            oprf_key: Some(Secret::new([7; 32])),
            attempts: Attempts::default(),
            wrong_codes: 0,
            activation: String::new(),
            activation_id: None,
            created_at: at(0),
            valid_until: None,
            rollback_noticed: false,
            due_at: None,
        }
    }

    #[test]
    fn quarantine_ends_by_itself_and_only_refuses_until_then() {
        let mut device = device();
        assert!(device.require_may_refuse().is_err());
        device.confirm(at(0), 100).unwrap();
        assert!(device.confirm(at(0), 100).is_err());
        assert!(device.require_may_refuse().is_ok());
        assert!(device.require_active().is_err());
        assert!(!device.settle(at(99), &LIMITS));
        assert!(device.settle(at(100), &LIMITS));
        assert!(device.require_active().is_ok());
    }

    #[test]
    fn an_uncredited_last_attempt_locks_and_destroys_the_key() {
        let mut device = device();
        device.confirm(at(0), 0).unwrap();
        let mut now = 0;
        for n in 0..5u8 {
            now += 1_000;
            let charged =
                device
                    .attempts
                    .clone()
                    .charge(at(now), ChallengeId::from_bytes([n; 16]), [n; 32], &LIMITS);
            device.attempts = charged.unwrap().attempts;
        }
        assert!(!device.settle(at(now + 59), &LIMITS));
        assert!(device.settle(at(now + 60), &LIMITS));
        assert_eq!(device.require_active().err().unwrap().code(), "device.locked");
        assert!(device.oprf_key.is_none());
    }

    #[test]
    fn a_phone_ends_with_the_document_also_in_quarantine_and_loses_its_key() {
        for quarantine_s in [0, 5_000] {
            let mut device = device();
            device.valid_until = Some(at(1_000));
            device.confirm(at(0), quarantine_s).unwrap();
            device.schedule(&LIMITS);
            assert_eq!(device.due_at, Some(at(1_000)));
            assert!(!device.settle(at(999), &LIMITS));
            assert!(device.settle(at(1_000), &LIMITS));
            assert_eq!(device.state, State::Expired { at: at(1_000) });
            assert_eq!(device.require_active().err().unwrap().code(), "device.expired");
            assert_eq!(
                device.require_may_refuse().err().unwrap().code(),
                "device.expired"
            );
            assert!(device.oprf_key.is_none() && !device.is_alive());
            device.schedule(&LIMITS);
            assert_eq!(device.due_at, None);
        }
    }

    #[test]
    fn a_phone_is_not_confirmed_for_a_document_that_ended_meanwhile() {
        let mut device = device();
        device.valid_until = Some(at(1_000));
        let refused = device.confirm(at(1_000), 0).err().unwrap();
        assert_eq!(refused.code(), "document.expired");
        assert_eq!(device.state, State::AwaitingConfirmation);
    }
}
