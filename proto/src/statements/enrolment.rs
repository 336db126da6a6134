//! What a clerk signs on their own phone before an activation counts. Sections 3 and 5 of protocol.md.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::B64,
    ids::{ActivationId, DeviceId, OperatorId},
    transcript::Transcript,
};

/// Action of the challenge that asks for an [`Enrolment`]; no other may carry the claim `enrolment`.
pub const ENROL_ACTION: &str = "paraphe.enrol";

/// The relying party that asks for it: the daemon at its own desk.
pub const ENROL_RELYING_PARTY: &str = "paraphe-desk";

/// A clerk stands for one enrolment: this person, this evidence, this activation. Signed by the approval key of the clerk's
/// own phone, in the same breath as the approval of the challenge that asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Issuer URL.
    pub iss: String,
    /// SHA-256 of the compact JWS of the challenge that asked for it.
    pub challenge_sha256: B64<32>,
    /// The clerk's phone.
    pub device_id: DeviceId,
    /// Its PIN epoch.
    pub epoch: u64,
    /// Number of the evaluation that unlocked the approval key.
    pub evaluation: u64,
    /// What the clerk stands for, exactly as the challenge had it.
    pub enrolled: Enrolled,
}

/// What an enrolment binds together. A claim of the challenge that asks for the signature, and of the statement that gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// The clerk's account.
    pub operator_id: OperatorId,
    /// The activation that is good once this is signed.
    pub activation_id: ActivationId,
    /// Digest of the person, see [`person_sha256`].
    pub person_sha256: B64<32>,
    /// Digest of the evidence, see [`evidence_sha256`].
    pub evidence_sha256: B64<32>,
    /// Enrolment channel, e.g. `counter`.
    pub channel: String,
    /// Level that the phone will have, e.g. `eidas2`.
    pub acr: String,
}

/// SHA-256 of the transcript `paraphe/v1/person` over `salt` and the pivot identity's fields. The salt of 32 random bytes keeps
/// the digest from being searched for a name. The daemon keeps it sealed; who is to compare must be given it.
pub fn person_sha256(salt: &[u8; 32], fields: &[&str]) -> [u8; 32] {
    digest("paraphe/v1/person", salt, fields)
}

/// SHA-256 of the transcript `paraphe/v1/evidence` over `salt`, the fields of the document and the names of the checks that
/// passed; salted like [`person_sha256`].
pub fn evidence_sha256(salt: &[u8; 32], fields: &[&str]) -> [u8; 32] {
    digest("paraphe/v1/evidence", salt, fields)
}

fn digest(label: &'static str, salt: &[u8; 32], fields: &[&str]) -> [u8; 32] {
    let head = Transcript::new(label).field(salt);
    fields
        .iter()
        .fold(head, |transcript, field| transcript.field(field.as_bytes()))
        .sha256()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::encoding::hex;

    #[test]
    fn the_digests_are_pinned() {
        // Computed with Python's hashlib.
        let person = person_sha256(&[7; 32], &["ERIKSSON", "ANNA MARIA", "1974-08-12", ""]);
        assert_eq!(
            hex(&person),
            "38eb696c8cab3419835525fb14e88dabb02f45fea3a1c9c2697a2804781777e6"
        );
    }

    #[test]
    fn salt_label_and_every_boundary_count() {
        let base = person_sha256(&[7; 32], &["AB", "C"]);
        for other in [
            person_sha256(&[8; 32], &["AB", "C"]),
            person_sha256(&[7; 32], &["A", "BC"]),
            person_sha256(&[7; 32], &["AB", "C", ""]),
            evidence_sha256(&[7; 32], &["AB", "C"]),
        ] {
            assert_ne!(base, other);
        }
    }
}
