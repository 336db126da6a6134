//! One enrolled phone and its life (protocol.md section 5): `awaiting_confirmation → quarantined → active`, `suspended` from the last
//! two and back to the same; final: `locked`, `revoked`, `replaced`, `expired`.
//!
//! Called by `app::activation`, `app::life`, `app::unlock` and `app::answer`. Invariant: a device in a final state holds no OPRF key.

use paraphe_proto::ids::{ActivationId, DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::attempts::{Attempts, Limits};
use super::attestation::VerifiedAttestation;
use super::fault::{self, Result};
use super::level::Acr;
use super::pin_change::PinChange;
use super::secret::{Bytes, Secret};

mod ended;
mod event;
mod seen;
mod word;

pub use event::{Cause, DeviceEvent, Mark, What, Who, told};
pub use seen::{ProvenPhone, Seen};
pub use word::Word;

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
    /// Answers nothing but the question whether it may go on.
    Suspended {
        /// When.
        at: Timestamp,
        /// What it goes back to.
        before: Before,
    },
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
    /// Final: another phone took its place.
    Replaced {
        /// When.
        at: Timestamp,
    },
    /// Final: the identity document behind it is no longer valid.
    Expired {
        /// When.
        at: Timestamp,
    },
}

/// What a suspended phone was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    /// See [`State::Quarantined`].
    Quarantined {
        /// End of the quarantine.
        until: Timestamp,
    },
    /// See [`State::Active`].
    Active,
}

impl State {
    /// The name in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingConfirmation => "awaiting_confirmation",
            Self::Quarantined { .. } => "quarantined",
            Self::Active => "active",
            Self::Suspended { .. } => "suspended",
            Self::Locked { .. } => "locked",
            Self::Revoked { .. } => "revoked",
            Self::Replaced { .. } => "replaced",
            Self::Expired { .. } => "expired",
        }
    }
}

/// Where the possession key lives, as far as it was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStorage {
    /// Stated by the phone, not attested: `swk`.
    Unattested,
    /// In hardware, as a verified attestation says: `hwk`.
    Attested(VerifiedAttestation),
}

impl KeyStorage {
    /// RFC 8176 value for the `amr` claim.
    pub fn amr(&self) -> &'static str {
        match self {
            Self::Unattested => "swk",
            Self::Attested(_) => "hwk",
        }
    }

    /// What was verified, if anything was.
    pub fn attestation(&self) -> Option<&VerifiedAttestation> {
        match self {
            Self::Unattested => None,
            Self::Attested(verified) => Some(verified),
        }
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
    /// Keyed hash of the code with which its owner suspends it from afar; `None` for a staff phone and in rows of before there was one.
    #[serde(default)]
    pub suspension: Option<Bytes<32>>,
    /// The phone whose place it takes when its quarantine is over.
    #[serde(default)]
    pub replaces: Option<DeviceId>,
    /// The phone whose holder vouched for this one with their PIN; `None` where an operator did.
    #[serde(default)]
    pub vouched_by: Option<DeviceId>,
    /// The activation that the code of `suspension` came with; `None` where that is its own.
    #[serde(default)]
    pub suspension_of: Option<ActivationId>,
    /// When the PIN was right on it last; `None` before the first time, and in rows of before this was kept.
    #[serde(default)]
    pub approved_at: Option<Timestamp>,
    /// The phone has seen later evaluations than the store knew: it approves nothing any more.
    #[serde(default)]
    pub rollback_noticed: bool,
    /// The PIN change that is open, or that began this epoch.
    #[serde(default)]
    pub pin_change: Option<PinChange>,
    /// Number of its newest event among those of its person: none of them can be taken away unseen. 0 in rows of before this was kept.
    #[serde(default)]
    pub newest_event: u64,
    /// When time alone moves it next; kept by [`Device::schedule`].
    pub due_at: Option<Timestamp>,
}

impl Device {
    /// Moves on what time alone moves: the lock after an uncredited last attempt, the end of the document, the end of a quarantine. `true`
    /// if it moved. A phone that takes another's place waits for [`Device::take_over`] instead.
    pub fn settle(&mut self, now: Timestamp, limits: &Limits) -> bool {
        if !self.is_confirmed() {
            return false;
        }
        let over = |at: Option<Timestamp>| at.is_some_and(|at| now >= at);
        if over(self.attempts.locks_at(limits)) {
            self.end(State::Locked { at: now });
        } else if over(self.valid_until) {
            self.end(State::Expired { at: now });
        } else if self.replaces.is_none() && over(self.quarantine()) {
            self.state = match self.state {
                State::Suspended { at, .. } => State::Suspended {
                    at,
                    before: Before::Active,
                },
                _ => State::Active,
            };
        } else if self.replaces.is_some() && self.rollback_noticed {
            self.revoke(now);
        } else {
            return false;
        }
        true
    }

    /// Notes when `settle` has something to do next; before every write. The quarantine of a suspended phone that would take another's place
    /// moves nothing: it waits until it is resumed.
    pub fn schedule(&mut self, limits: &Limits) {
        let waits = matches!(self.state, State::Suspended { .. }) && self.replaces.is_some();
        let next = [
            self.quarantine().filter(|_| !waits),
            self.attempts.locks_at(limits),
            self.valid_until,
        ];
        self.due_at = match self.is_confirmed() {
            true => next.into_iter().flatten().min(),
            false => None,
        };
    }

    fn quarantine(&self) -> Option<Timestamp> {
        match self.state {
            State::Quarantined { until }
            | State::Suspended {
                before: Before::Quarantined { until },
                ..
            } => Some(until),
            _ => None,
        }
    }

    /// The quarantine of a phone that takes another's place is over: it counts from here. The other one, which must end now.
    pub fn take_over(&mut self, now: Timestamp) -> Option<DeviceId> {
        let waited = self.has_waited(now);
        let replaced = self.replaces.take_if(|_| waited)?;
        self.state = State::Active;
        Some(replaced)
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

    /// Another phone took its place.
    pub fn replace(&mut self, now: Timestamp) {
        self.end(State::Replaced { at: now });
    }

    /// From here on it answers nothing; attempts and quarantine go on.
    ///
    /// # Errors
    /// As [`Device::require_active`], also where it is suspended already.
    pub fn suspend(&mut self, now: Timestamp) -> Result<()> {
        let before = match self.state {
            State::Quarantined { until } => Before::Quarantined { until },
            State::Active => Before::Active,
            _ => return self.require_may_refuse(),
        };
        self.state = State::Suspended { at: now, before };
        Ok(())
    }

    /// Its owner says, with PIN, that it may go on.
    ///
    /// # Errors
    /// `device.not_suspended`.
    pub fn resume(&mut self) -> Result<()> {
        let State::Suspended { before, .. } = self.state else {
            return fault::DEVICE_NOT_SUSPENDED.broken();
        };
        self.state = match before {
            Before::Quarantined { until } => State::Quarantined { until },
            Before::Active => State::Active,
        };
        Ok(())
    }

    /// The phone may ask to go on.
    ///
    /// # Errors
    /// `device.not_suspended`, `device.rollback_noticed`.
    pub fn require_suspended(&self) -> Result<()> {
        match self.state {
            State::Suspended { .. } if self.rollback_noticed => fault::ROLLBACK_NOTICED.broken(),
            State::Suspended { .. } => Ok(()),
            State::AwaitingConfirmation | State::Quarantined { .. } | State::Active => {
                fault::DEVICE_NOT_SUSPENDED.broken()
            }
            _ => self.require_active(),
        }
    }

    /// A suspended phone may still see the question whether it may go on.
    ///
    /// # Errors
    /// `device.*`.
    pub fn require_may_wait(&self) -> Result<()> {
        match self.state {
            State::Suspended { .. } => self.require_suspended(),
            _ => self.require_may_refuse(),
        }
    }

    /// Whether it was confirmed and has not ended.
    pub fn is_confirmed(&self) -> bool {
        matches!(
            self.state,
            State::Quarantined { .. } | State::Active | State::Suspended { .. }
        )
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.oprf_key = None;
        self.pin_change = None;
    }

    /// The next PIN epoch: `key` takes the place of the old one, which is gone. Failures stay failures.
    pub fn begin_epoch(&mut self, key: Secret<32>, done: PinChange) {
        self.epoch = self.epoch.saturating_add(1);
        self.oprf_key = Some(key);
        self.attempts.begin_epoch();
        self.pin_change = Some(done);
    }

    /// # Errors
    /// `device.locked`, `.expired`, `.suspended`, `.replaced`, `.revoked`, `.not_active` or `.rollback_noticed`.
    pub fn require_active(&self) -> Result<()> {
        match self.state {
            State::Active if self.rollback_noticed => fault::ROLLBACK_NOTICED.broken(),
            State::Active => Ok(()),
            State::Locked { .. } => fault::DEVICE_LOCKED.broken(),
            State::Expired { .. } => fault::DEVICE_EXPIRED.broken(),
            State::Suspended { .. } => fault::DEVICE_SUSPENDED.broken(),
            State::Replaced { .. } => fault::DEVICE_REPLACED.broken(),
            State::Revoked { .. } => fault::DEVICE_REVOKED.broken(),
            State::AwaitingConfirmation | State::Quarantined { .. } => fault::DEVICE_NOT_ACTIVE.broken(),
        }
    }

    /// A phone in quarantine or active may refuse.
    ///
    /// # Errors
    /// As [`Device::require_active`].
    pub fn require_may_refuse(&self) -> Result<()> {
        match self.state {
            State::Quarantined { .. } => Ok(()),
            _ => self.require_active(),
        }
    }

    /// Whether the phone still counts as the person's phone, or soon will.
    pub fn is_alive(&self) -> bool {
        self.state == State::AwaitingConfirmation || self.is_confirmed()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
