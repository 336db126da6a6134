//! What passes between the evaluation of a PIN and the phone's answer. Sections 3 and 4 of protocol.md.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    encoding::B64,
    ids::{ActivationId, ChallengeId, DeviceId},
    time::Timestamp,
};

/// The reply to `Unlock` and `EvaluateActivation`; signed by a `challenge` key of the issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Issuer URL.
    pub iss: String,
    /// What the PIN was typed for.
    pub context: EvaluationContext,
    /// The phone.
    pub device_id: DeviceId,
    /// PIN epoch of the OPRF key.
    pub epoch: u64,
    /// Number of the evaluation, rising over the device's life; 0 at activation.
    pub evaluation: u64,
    /// SHA-256 of the blinded element.
    pub element_sha256: B64<32>,
    /// The evaluated element, SEC 1 compressed.
    pub evaluated: B64<33>,
    /// Attempts left before the device locks, this one counted as a failure.
    pub attempts_left: u32,
    /// Seconds until the next attempt may be made.
    pub wait_s: u32,
    /// How often the database was restored from a backup.
    pub restore_epoch: u64,
    /// When it was signed.
    pub iat: Timestamp,
}

/// What a PIN was typed for; the id as text in JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum EvaluationContext {
    /// A challenge, `chl_…`.
    Challenge(ChallengeId),
    /// An activation, `act_…`.
    Activation(ActivationId),
}

impl fmt::Display for EvaluationContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Challenge(id) => id.fmt(f),
            Self::Activation(id) => id.fmt(f),
        }
    }
}

impl fmt::Debug for EvaluationContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EvaluationContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EvaluationContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self::Challenge)
            .or_else(|_| text.parse().map(Self::Activation))
            .map_err(D::Error::custom)
    }
}

/// A yes, with the right PIN; signed by the approval key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Issuer URL.
    pub iss: String,
    /// SHA-256 of the challenge's compact JWS.
    pub challenge_sha256: B64<32>,
    /// Always `approve`.
    pub decision: ApprovalDecision,
    /// The code that the person entered; empty where the challenge asks for none.
    pub match_code: String,
    /// The phone.
    pub device_id: DeviceId,
    /// PIN epoch.
    pub epoch: u64,
    /// Number of the evaluation that unlocked the approval key.
    pub evaluation: u64,
    /// SHA-256 of the blinded element of that evaluation.
    pub element_sha256: B64<32>,
}

/// See [`Approval`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalDecision {
    /// Yes.
    Approve,
}

/// A no, which needs no PIN; signed by the possession key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Issuer URL.
    pub iss: String,
    /// SHA-256 of the challenge's compact JWS.
    pub challenge_sha256: B64<32>,
    /// Which no.
    pub decision: RefusalDecision,
    /// The phone.
    pub device_id: DeviceId,
    /// PIN epoch.
    pub epoch: u64,
}

/// See [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalDecision {
    /// The person does not want this.
    Deny,
    /// The person did not ask for this: somebody else did.
    NotMe,
}
