//! One statement of every type, complete and plausible.

use super::{ISS, key};
use crate::{
    encoding::{B64, B64Vec},
    ids::{ActivationId, ChallengeId, DeviceId, OperatorId, PairwiseSubject},
    keys::Signer,
    pin::PinPolicy,
    statements::*,
    time::Timestamp,
};

/// When the samples were signed.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fn iss() -> String {
    ISS.to_owned()
}

pub(crate) fn device_id() -> DeviceId {
    DeviceId::from_bytes([1; 16])
}

pub(crate) fn challenge_id() -> ChallengeId {
    ChallengeId::from_bytes([2; 16])
}

pub(crate) fn activation_id() -> ActivationId {
    ActivationId::from_bytes([3; 16])
}

pub(crate) fn challenge() -> Challenge {
    let row = |label: &str, value: &str| DisplayRow {
        label: label.into(),
        value: value.into(),
    };
    Challenge {
        iss: iss(),
        challenge_id: challenge_id(),
        device_handle: B64(crate::challenge::device_handle(&device_id(), &challenge_id())),
        relying_party: RelyingParty {
            id: "course-market".parse().unwrap(),
            name: "Course Market".into(),
        },
        action: "course.buy".into(),
        display: Display {
            locale: "fr".into(),
            title: "Acheter une formation".into(),
            rows: vec![
                row("Formation", "Soudure « niveau 2 »"),
                row("Prix", "1 499,00 EUR"),
            ],
        },
        match_rule: MatchRule {
            mode: MatchMode::EnterCode,
            digits: 6,
        },
        enrolment: None,
        new_pin_policy: None,
        replacement: None,
        nonce: B64([4; 32]),
        iat: NOW,
        exp: NOW.plus_s(300),
    }
}

pub(crate) fn enrolled() -> Enrolled {
    Enrolled {
        operator_id: OperatorId::from_bytes([14; 16]),
        activation_id: activation_id(),
        person_sha256: B64([12; 32]),
        evidence_sha256: B64([13; 32]),
        channel: "counter".into(),
        acr: "eidas2".into(),
    }
}

pub(crate) fn enrolment_challenge() -> Challenge {
    Challenge {
        enrolment: Some(enrolled()),
        ..challenge()
    }
}

pub(crate) fn pin_change_challenge() -> Challenge {
    Challenge {
        new_pin_policy: Some(PinPolicy::default()),
        ..challenge()
    }
}

pub(crate) fn replacement_challenge() -> Challenge {
    Challenge {
        replacement: Some(Replacement {
            activation_id: activation_id(),
            device_id: device_id(),
            activation_sha256: B64([15; 32]),
        }),
        ..challenge()
    }
}

pub(crate) fn pin_change() -> PinChange {
    PinChange {
        iss: iss(),
        challenge_sha256: B64([6; 32]),
        device_id: device_id(),
        epoch: 2,
        element_sha256: B64([7; 32]),
    }
}

pub(crate) fn enrolment() -> Enrolment {
    Enrolment {
        iss: iss(),
        challenge_sha256: B64([6; 32]),
        device_id: device_id(),
        epoch: 1,
        evaluation: 8,
        enrolled: enrolled(),
    }
}

pub(crate) fn proof() -> Proof {
    Proof {
        iss: iss(),
        method: "/paraphe.v1.Companion/Unlock".into(),
        device_id: device_id(),
        epoch: 1,
        body_sha256: B64([5; 32]),
        freshness: Freshness::Challenge(challenge_id()),
        seen_evaluation: 7,
        seen_restore_epoch: 0,
    }
}

pub(crate) fn nonce_proof() -> Proof {
    Proof {
        freshness: Freshness::Nonce("n0nce".into()),
        ..proof()
    }
}

pub(crate) fn approval() -> Approval {
    Approval {
        iss: iss(),
        challenge_sha256: B64([6; 32]),
        decision: ApprovalDecision::Approve,
        match_code: "482913".into(),
        device_id: device_id(),
        epoch: 1,
        evaluation: 8,
        element_sha256: B64([7; 32]),
    }
}

pub(crate) fn refusal() -> Refusal {
    Refusal {
        iss: iss(),
        challenge_sha256: B64([6; 32]),
        decision: RefusalDecision::NotMe,
        device_id: device_id(),
        epoch: 1,
    }
}

pub(crate) fn offer() -> Offer {
    Offer {
        iss: iss(),
        activation_id: activation_id(),
        device_id: device_id(),
        nonce: B64([8; 32]),
        pin_policy: PinPolicy::default(),
        sas_commitment: B64([9; 32]),
        keyset_version: 1,
        iat: NOW,
        exp: NOW.plus_s(600),
    }
}

/// Around [`activation_key`].
pub(crate) fn activation() -> Activation {
    let inner = crate::jws::sign(&activation_key(), &key(11)).unwrap();
    Activation {
        iss: iss(),
        inner: inner.into_compact(),
    }
}

/// Names the possession key 10 and the approval key 11.
pub(crate) fn activation_key() -> ActivationKey {
    ActivationKey {
        iss: iss(),
        activation_id: activation_id(),
        device_id: device_id(),
        nonce: B64([8; 32]),
        offer_sha256: B64([10; 32]),
        platform: "software/1".into(),
        keystore: Keystore::Software,
        possession_key: key(10).public_key().clone(),
        approval_key: key(11).public_key().clone(),
        attestation: None,
    }
}

pub(crate) fn attested_activation_key() -> ActivationKey {
    ActivationKey {
        keystore: Keystore::Hardware,
        attestation: Some(B64Vec(vec![0x30, 0x82])),
        ..activation_key()
    }
}

pub(crate) fn evaluation() -> Evaluation {
    Evaluation {
        iss: iss(),
        context: EvaluationContext::Challenge(challenge_id()),
        device_id: device_id(),
        epoch: 1,
        evaluation: 8,
        element_sha256: B64([7; 32]),
        evaluated: B64([2; 33]),
        attempts_left: 4,
        wait_s: 0,
        restore_epoch: 0,
        iat: NOW,
    }
}

/// The entry of one key.
pub(crate) fn key_set_entry(seed: u64, key_use: KeyUse, state: KeyState) -> KeySetEntry {
    let jwk = key(seed).public_key().clone();
    KeySetEntry {
        kid: jwk.thumbprint().to_owned(),
        jwk,
        key_use,
        state,
    }
}

/// Challenge keys 20 (active), 21 (next), 22 (retired), assertion key 23 (active).
pub(crate) fn key_set() -> KeySet {
    KeySet {
        iss: iss(),
        version: 1,
        keys: vec![
            key_set_entry(20, KeyUse::Challenge, KeyState::Active),
            key_set_entry(21, KeyUse::Challenge, KeyState::Next),
            key_set_entry(22, KeyUse::Challenge, KeyState::Retired),
            key_set_entry(23, KeyUse::Assertion, KeyState::Active),
        ],
        iat: NOW,
    }
}

pub(crate) fn assertion() -> Assertion {
    let parameters = [
        ("title".to_owned(), Parameter::Text("Soudure".into())),
        (
            "price".to_owned(),
            Parameter::Money {
                minor_units: 149_900,
                currency: "EUR".into(),
            },
        ),
        ("seats".to_owned(), Parameter::Integer(1)),
    ];
    Assertion {
        iss: iss(),
        aud: "course-market".parse().unwrap(),
        sub: PairwiseSubject::from_bytes([12; 32]),
        jti: "ast_1".into(),
        txn: challenge_id(),
        acr: "eidas2".into(),
        amr: vec!["pin".into(), "swk".into()],
        auth_time: NOW,
        iat: NOW.plus_s(1),
        exp: NOW.plus_s(61),
        authorization_details: vec![AuthorizationDetail {
            action: "course.buy".into(),
            locale: "fr".into(),
            title: "Acheter une formation".into(),
            display_sha256: B64(challenge().display.sha256()),
            parameters: Parameters(parameters.into()),
        }],
        challenge_sha256: B64([13; 32]),
        approval_sha256: B64([14; 32]),
    }
}
