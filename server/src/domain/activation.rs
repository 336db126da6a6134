//! One activation: from the single-use secret to a confirmed phone (protocol.md section 5).
//!
//! Called by `app::activation`. Invariant: a secret activates at most one possession key; the OPRF key is drawn anew for every
//! other element; three wrong confirmations end it.

use paraphe_proto::ids::{ActivationId, CaseId, ChallengeId, DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::{self, Fault, Result};
use super::level::Acr;
use super::secret::{Bytes, Secret};

/// Wrong confirmations that end an activation.
pub const CONFIRMATION_TRIES: u32 = 3;

/// What the offer fixed.
#[derive(Serialize, Deserialize)]
pub struct Offered {
    /// The device that comes into being.
    pub device_id: DeviceId,
    /// SEC 1 uncompressed.
    pub possession_key: Bytes<65>,
    /// Nonce of the offer.
    pub nonce: Bytes<32>,
    /// Committed to in the offer, opened at the end.
    pub sas_nonce: Secret<32>,
    /// The signed offer, compact JWS.
    pub offer: String,
}

/// The one evaluation of the PIN.
#[derive(Serialize, Deserialize)]
pub struct Evaluated {
    /// Key of the device's first epoch.
    pub oprf_key: Secret<32>,
    /// SHA-256 of the blinded element it evaluated.
    pub element: Bytes<32>,
}

/// The clerk's signature under the enrolment of a person.
#[derive(Serialize, Deserialize)]
pub struct Signature {
    /// The challenge on the clerk's phone that asks for it.
    pub challenge_id: ChallengeId,
    /// Salt of the digests of person and evidence.
    pub salt: Bytes<32>,
    /// `paraphe-enrolment+jwt`, once it was given.
    pub statement: Option<String>,
}

/// Where an activation is.
#[derive(Serialize, Deserialize)]
pub enum State {
    /// The secret was drawn; the clerk has not signed the enrolment yet.
    AwaitingSignature,
    /// The secret was handed out.
    Issued,
    /// A phone proved the secret.
    Begun {
        /// What the offer fixed.
        offered: Offered,
        /// The evaluation, once the PIN was chosen.
        evaluated: Option<Evaluated>,
    },
    /// The phone shows the six digits.
    AwaitingConfirmation {
        /// The device.
        device_id: DeviceId,
        /// For the same phone asking again.
        possession_key: Bytes<65>,
        /// For the same phone asking again.
        sas_nonce: Secret<32>,
        /// SHA-256 over the keys that were stated.
        finished: Bytes<32>,
        /// The digits.
        sas: String,
    },
    /// The device counts.
    Confirmed {
        /// The device.
        device_id: DeviceId,
        /// For the same phone asking again.
        possession_key: Bytes<65>,
        /// For the same phone asking again.
        sas_nonce: Secret<32>,
        /// SHA-256 over the keys that were stated.
        finished: Bytes<32>,
    },
    /// Ended by wrong digits or by an operator.
    Revoked,
    /// Its time is over.
    Expired,
}

impl State {
    /// The name in the database and on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AwaitingSignature => "awaiting_signature",
            Self::Issued => "issued",
            Self::Begun { .. } => "begun",
            Self::AwaitingConfirmation { .. } => "awaiting_confirmation",
            Self::Confirmed { .. } => "confirmed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// An activation as it is stored.
#[derive(Serialize, Deserialize)]
pub struct Activation {
    /// Derived from the secret.
    pub id: ActivationId,
    /// Who is enrolled.
    pub subject_id: SubjectId,
    /// The case behind it; `None` for an operator's phone.
    pub case_id: Option<CaseId>,
    /// Its channel's profile decides confirmation, level and quarantine.
    pub channel: String,
    /// Level that its phone will have, as it was when the activation was issued; `None` in rows of before that was kept.
    #[serde(default)]
    pub acr: Option<Acr>,
    /// Actor that issued it.
    pub issued_by: String,
    /// How often that operator had been given another phone by then; 0 where no operator issued it.
    #[serde(default)]
    pub issuer_phones: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Proves the secret.
    pub mac_key: Secret<32>,
    /// Wrong confirmations so far.
    pub wrong_digits: u32,
    /// The clerk's signature; `None` for an operator's phone, and for what was issued before signatures were asked for.
    #[serde(default)]
    pub signature: Option<Signature>,
    /// Whether its phone takes the place of the one that the person has.
    #[serde(default)]
    pub replaces: bool,
    /// Which phone, where it was named: a person may have several.
    #[serde(default)]
    pub replaced: Option<DeviceId>,
    /// The phone that handed it out, to be replaced by its phone; `None` where an operator did.
    #[serde(default)]
    pub vouched_by: Option<DeviceId>,
    /// Keyed hash of the code with which the person suspends its phone from afar.
    #[serde(default)]
    pub suspension: Option<Bytes<32>>,
    /// Where it is.
    pub state: State,
}

impl Activation {
    /// # Errors
    /// `activation.revoked`, `activation.expired`.
    pub fn require_alive(&self, now: Timestamp) -> Result<()> {
        match self.state {
            State::Revoked => fault::ACTIVATION_REVOKED.broken(),
            State::Expired => fault::ACTIVATION_EXPIRED.broken(),
            State::Confirmed { .. } => Ok(()),
            _ if now >= self.expires_at => fault::ACTIVATION_EXPIRED.broken(),
            _ => Ok(()),
        }
    }

    /// What another step allows; it names the one that this is at.
    pub fn at_another_step(&self) -> Fault {
        let detail = format!("It is `{}`.", self.state.as_str());
        fault::ACTIVATION_STATE.fault().because(detail)
    }

    /// Whether time alone has ended it.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        now >= self.expires_at && self.is_open()
    }

    /// Whether it has not ended and was not used to its end.
    pub fn is_open(&self) -> bool {
        !matches!(
            self.state,
            State::Confirmed { .. } | State::Revoked | State::Expired
        )
    }

    /// The device it made, if any.
    pub fn device_id(&self) -> Option<DeviceId> {
        match &self.state {
            State::AwaitingConfirmation { device_id, .. } | State::Confirmed { device_id, .. } => {
                Some(*device_id)
            }
            State::Begun { offered, .. } => Some(offered.device_id),
            State::AwaitingSignature | State::Issued | State::Revoked | State::Expired => None,
        }
    }

    /// The possession key that took the offer, if any.
    pub fn possession_key(&self) -> Option<&[u8; 65]> {
        match &self.state {
            State::Begun { offered, .. } => Some(&offered.possession_key.0),
            State::AwaitingConfirmation { possession_key, .. } | State::Confirmed { possession_key, .. } => {
                Some(&possession_key.0)
            }
            State::AwaitingSignature | State::Issued | State::Revoked | State::Expired => None,
        }
    }

    /// The clerk has signed for this person: the secret may be used.
    ///
    /// # Errors
    /// `activation.state`.
    pub fn sign(mut self, subject_id: SubjectId, statement: String) -> Result<Self> {
        match (&self.state, &mut self.signature) {
            (State::AwaitingSignature, Some(signature)) => signature.statement = Some(statement),
            _ => return Err(self.at_another_step()),
        }
        self.subject_id = subject_id;
        self.state = State::Issued;
        Ok(self)
    }

    /// The digits were right: its device counts.
    ///
    /// # Errors
    /// `activation.state` unless it waits for them.
    pub fn confirm(&mut self) -> Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Revoked) {
            State::AwaitingConfirmation {
                device_id,
                possession_key,
                sas_nonce,
                finished,
                ..
            } => State::Confirmed {
                device_id,
                possession_key,
                sas_nonce,
                finished,
            },
            other => {
                self.state = other;
                return Err(self.at_another_step());
            }
        };
        Ok(())
    }

    /// Notes wrong digits; the third time the activation is revoked.
    pub fn wrong_digits(&mut self) {
        self.wrong_digits = self.wrong_digits.saturating_add(1);
        if self.wrong_digits >= CONFIRMATION_TRIES {
            self.state = State::Revoked;
        }
    }

    /// Tries left for the six digits.
    pub fn tries_left(&self) -> u32 {
        CONFIRMATION_TRIES.saturating_sub(self.wrong_digits)
    }
}
