//! One sample of each type of statement. The tags are those of `statements::run`.

use std::path::Path;

use paraphe_fuzz::ISS;
use paraphe_fuzz::statements::key;
use paraphe_proto::encoding::{B64, B64Vec};
use paraphe_proto::ids::{ActivationId, CaseId, ChallengeId, DeviceId, OperatorId, PairwiseSubject};
use paraphe_proto::jws::{self, Statement};
use paraphe_proto::keys::Signer;
use paraphe_proto::statements as s;
use paraphe_proto::time::Timestamp;

const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
const CHALLENGE: ChallengeId = ChallengeId::from_bytes([2; 16]);
const ACTIVATION: ActivationId = ActivationId::from_bytes([3; 16]);
const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

/// Writes all of them.
pub fn write(folder: &Path) {
    statement(folder, 0, &challenge());
    statement(folder, 1, &proof());
    statement(folder, 2, &approval());
    statement(folder, 3, &refusal());
    statement(folder, 4, &enrolment());
    statement(folder, 5, &offer());
    statement(folder, 6, &activation());
    statement(folder, 7, &activation_key());
    statement(folder, 8, &evaluation());
    statement(folder, 9, &key_set());
    statement(folder, 10, &assertion());
    statement(folder, 11, &pin_change());
    statement(folder, 12, &proofing());
}

fn challenge() -> s::Challenge {
    s::Challenge {
        iss: ISS.into(),
        challenge_id: CHALLENGE,
        device_handle: B64([10; 32]),
        relying_party: s::RelyingParty {
            id: "course-market".parse().expect("an id"),
            name: "Course Market".into(),
        },
        action: "course.buy".into(),
        display: s::Display {
            locale: "fr".into(),
            title: "Acheter une formation".into(),
            rows: vec![s::DisplayRow {
                label: "Prix".into(),
                value: "1 499,00 EUR".into(),
            }],
        },
        match_rule: s::MatchRule {
            mode: s::MatchMode::EnterCode,
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

fn proof() -> s::Proof {
    s::Proof {
        iss: ISS.into(),
        method: "/paraphe.v1.Companion/Unlock".into(),
        device_id: DEVICE,
        epoch: 1,
        body_sha256: B64([5; 32]),
        freshness: s::Freshness::Challenge(CHALLENGE),
        seen_evaluation: 7,
        seen_restore_epoch: 0,
    }
}

fn approval() -> s::Approval {
    s::Approval {
        iss: ISS.into(),
        challenge_sha256: B64([6; 32]),
        decision: s::ApprovalDecision::Approve,
        match_code: "482913".into(),
        device_id: DEVICE,
        epoch: 1,
        evaluation: 8,
        element_sha256: B64([7; 32]),
    }
}

fn refusal() -> s::Refusal {
    s::Refusal {
        iss: ISS.into(),
        challenge_sha256: B64([6; 32]),
        decision: s::RefusalDecision::NotMe,
        device_id: DEVICE,
        epoch: 1,
    }
}

fn enrolled() -> s::Enrolled {
    s::Enrolled {
        operator_id: OperatorId::from_bytes([11; 16]),
        activation_id: ACTIVATION,
        person_sha256: B64([12; 32]),
        evidence_sha256: B64([13; 32]),
        channel: "counter".into(),
        acr: "eidas2".into(),
    }
}

fn enrolment() -> s::Enrolment {
    s::Enrolment {
        iss: ISS.into(),
        challenge_sha256: B64([6; 32]),
        device_id: DEVICE,
        epoch: 1,
        evaluation: 8,
        enrolled: enrolled(),
    }
}

fn offer() -> s::Offer {
    s::Offer {
        iss: ISS.into(),
        activation_id: ACTIVATION,
        device_id: DEVICE,
        nonce: B64([8; 32]),
        pin_policy: paraphe_proto::pin::PinPolicy::default(),
        sas_commitment: B64([9; 32]),
        keyset_version: 1,
        iat: NOW,
        exp: NOW.plus_s(600),
    }
}

fn activation_key() -> s::ActivationKey {
    s::ActivationKey {
        iss: ISS.into(),
        activation_id: ACTIVATION,
        device_id: DEVICE,
        nonce: B64([8; 32]),
        offer_sha256: B64([14; 32]),
        platform: "android/14".into(),
        keystore: s::Keystore::Hardware,
        possession_key: key().public_key().clone(),
        approval_key: key().public_key().clone(),
        attestation: Some(B64Vec(vec![0x30, 0x82, 0x01, 0x00])),
    }
}

fn activation() -> s::Activation {
    let inner = jws::sign(&activation_key(), key()).expect("it is signed");
    s::Activation {
        iss: ISS.into(),
        inner: inner.into_compact(),
    }
}

fn evaluation() -> s::Evaluation {
    s::Evaluation {
        iss: ISS.into(),
        context: s::EvaluationContext::Challenge(CHALLENGE),
        device_id: DEVICE,
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

fn key_set() -> s::KeySet {
    let entry = |key_use, state| s::KeySetEntry {
        jwk: key().public_key().clone(),
        kid: key().public_key().thumbprint().to_string(),
        key_use,
        state,
    };
    s::KeySet {
        iss: ISS.into(),
        version: 2,
        keys: vec![
            entry(s::KeyUse::Challenge, s::KeyState::Active),
            entry(s::KeyUse::Assertion, s::KeyState::Next),
        ],
        iat: NOW,
    }
}

fn assertion() -> s::Assertion {
    let money = s::Parameter::Money {
        minor_units: 149_900,
        currency: "EUR".into(),
    };
    s::Assertion {
        iss: ISS.into(),
        aud: "course-market".parse().expect("an id"),
        sub: PairwiseSubject::from_bytes([15; 32]),
        jti: "asr_1".into(),
        txn: CHALLENGE,
        acr: "eidas2".into(),
        amr: vec!["pin".into(), "swk".into()],
        auth_time: NOW,
        iat: NOW,
        exp: NOW.plus_s(60),
        authorization_details: vec![s::AuthorizationDetail {
            action: "course.buy".into(),
            locale: "fr".into(),
            title: "Acheter une formation".into(),
            display_sha256: B64([16; 32]),
            parameters: s::Parameters([("price".to_owned(), money)].into()),
        }],
        challenge_sha256: B64([6; 32]),
        approval_sha256: B64([17; 32]),
    }
}

fn pin_change() -> s::PinChange {
    s::PinChange {
        iss: ISS.into(),
        challenge_sha256: B64([6; 32]),
        device_id: DEVICE,
        epoch: 2,
        element_sha256: B64([7; 32]),
    }
}

fn proofing() -> s::Proofing {
    s::Proofing {
        iss: ISS.into(),
        provider: "video-ident".into(),
        case_id: CaseId::from_bytes([18; 16]),
        outcome: s::ProofingOutcome::Passed,
        mrz: super::ZONES[0].into(),
        birthplace: "99100".into(),
        checks: vec!["holder_likeness".into()],
        iat: NOW,
        exp: NOW.plus_s(86_400),
    }
}

/// The signed text, and its payload alone.
fn statement<S: Statement>(folder: &Path, tag: u8, claims: &S) {
    let signed = jws::sign(claims, key()).expect("it is signed");
    let text = [&[tag, 0], signed.compact().as_bytes()].concat();
    super::write(folder, &format!("{tag:02}-text"), &text);
    let payload = serde_json::to_vec(claims).expect("claims are JSON");
    super::write(
        folder,
        &format!("{tag:02}-payload"),
        &[&[tag, 1], payload.as_slice()].concat(),
    );
}
