//! The proof that comes with every request of a phone. Section 3 of protocol.md.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::B64,
    ids::{ChallengeId, DeviceId},
    jws::{StatementError, unverified_claims},
};

/// Signed by the possession key over one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Proof {
    /// Issuer URL.
    pub iss: String,
    /// Path of the RPC, e.g. `/paraphe.v1.Companion/Unlock`.
    pub method: String,
    /// The phone.
    pub device_id: DeviceId,
    /// PIN epoch of the approval key that the phone holds; 1 after activation.
    pub epoch: u64,
    /// SHA-256 of `SignedRequest.body` exactly as sent.
    pub body_sha256: B64<32>,
    /// What makes the proof good once only.
    pub freshness: Freshness,
    /// Number of the last evaluation statement that the phone saw; 0 for none.
    pub seen_evaluation: u64,
    /// Restore epoch of the last evaluation statement that the phone saw; 0 for none.
    pub seen_restore_epoch: u64,
}

/// The claim `challenge_id` or the claim `nonce`, never both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The challenge that the request answers.
    Challenge(ChallengeId),
    /// A nonce from `Companion.Nonce`.
    Nonce(String),
}

impl Proof {
    /// The phone that a proof claims to come from. Nothing is verified: use it to find the possession key.
    ///
    /// # Errors
    /// [`StatementError`] when the text is not a proof.
    pub fn unverified_device(compact: &str) -> Result<DeviceId, StatementError> {
        unverified_claims::<Self>(compact).map(|proof| proof.device_id)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    iss: String,
    method: String,
    device_id: DeviceId,
    epoch: u64,
    body_sha256: B64<32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    challenge_id: Option<ChallengeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    seen_evaluation: u64,
    seen_restore_epoch: u64,
}

impl TryFrom<Wire> for Proof {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let freshness = match (wire.challenge_id, wire.nonce) {
            (Some(challenge_id), None) => Freshness::Challenge(challenge_id),
            (None, Some(nonce)) => Freshness::Nonce(nonce),
            _ => return Err("a proof names a challenge or a nonce"),
        };
        Ok(Self {
            iss: wire.iss,
            method: wire.method,
            device_id: wire.device_id,
            epoch: wire.epoch,
            body_sha256: wire.body_sha256,
            freshness,
            seen_evaluation: wire.seen_evaluation,
            seen_restore_epoch: wire.seen_restore_epoch,
        })
    }
}

impl From<Proof> for Wire {
    fn from(proof: Proof) -> Self {
        let (challenge_id, nonce) = match proof.freshness {
            Freshness::Challenge(challenge_id) => (Some(challenge_id), None),
            Freshness::Nonce(nonce) => (None, Some(nonce)),
        };
        Self {
            iss: proof.iss,
            method: proof.method,
            device_id: proof.device_id,
            epoch: proof.epoch,
            body_sha256: proof.body_sha256,
            challenge_id,
            nonce,
            seen_evaluation: proof.seen_evaluation,
            seen_restore_epoch: proof.seen_restore_epoch,
        }
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
    use crate::{
        jws,
        testing::{key, samples},
    };

    #[test]
    fn the_phone_is_named_before_the_key_is_known() {
        let proof = jws::sign(&samples::proof(), &key(1)).unwrap();
        assert_eq!(
            Proof::unverified_device(proof.compact()),
            Ok(samples::device_id())
        );
        let refusal = jws::sign(&samples::refusal(), &key(1)).unwrap();
        assert_eq!(
            Proof::unverified_device(refusal.compact()),
            Err(StatementError::Type)
        );
        assert_eq!(Proof::unverified_device(""), Err(StatementError::Malformed));
    }
}
