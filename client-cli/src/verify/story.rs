//! One purchase, signed for the tests of verification.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;

use paraphe_proto::challenge::device_handle;
use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId, OperatorId, PairwiseSubject};
use paraphe_proto::jws::{Statement, sign};
use paraphe_proto::keys::{Signer as _, SoftwareKey};
use paraphe_proto::statements::{
    Activation, ActivationKey, Approval, ApprovalDecision, Assertion, AuthorizationDetail, Challenge,
    Display, DisplayRow, Enrolled, Enrolment, KeySet, KeySetEntry, KeyState, KeyUse, Keystore, MatchMode,
    MatchRule, Parameter, Parameters, RelyingParty,
};
use paraphe_proto::time::Timestamp;
use ring::digest::{SHA256, digest};

use super::{Evidence, Inputs, SignedEnrolment};

pub(super) const ISSUER: &str = "https://paraphe.example";
const NOW: i64 = 1_795_509_123;

/// The keys and claims of one purchase; a test changes what it likes before [`Story::inputs`] signs.
pub(super) struct Story {
    pub(super) root: SoftwareKey,
    pub(super) challenge_key: SoftwareKey,
    pub(super) assertion_key: SoftwareKey,
    pub(super) possession_key: SoftwareKey,
    pub(super) approval_key: SoftwareKey,
    pub(super) challenge: Challenge,
    pub(super) key_set: KeySet,
    pub(super) activation: ActivationKey,
    pub(super) approval: Approval,
    pub(super) assertion: Assertion,
    pub(super) clerk_possession_key: SoftwareKey,
    pub(super) clerk_approval_key: SoftwareKey,
    pub(super) clerk: ActivationKey,
    pub(super) enrolment_challenge: Challenge,
    pub(super) enrolment: Enrolment,
    /// Whether the hashes that tie the statements together are computed anew before signing.
    pub(super) bind: bool,
}

pub(super) fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_scalar(&[seed; 32]).unwrap()
}

pub(super) fn at(offset_s: i64) -> Timestamp {
    Timestamp::from_secs(NOW + offset_s)
}

pub(super) fn hash(text: &str) -> B64<32> {
    B64(digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap())
}

pub(super) fn compact<S: Statement>(statement: &S, key: &SoftwareKey) -> String {
    sign(statement, key).unwrap().into_compact()
}

fn entry(key: &SoftwareKey, key_use: KeyUse) -> KeySetEntry {
    let jwk = key.public_key().clone();
    KeySetEntry {
        kid: jwk.thumbprint().to_owned(),
        jwk,
        key_use,
        state: KeyState::Active,
    }
}

fn challenge(device_id: DeviceId, challenge_id: ChallengeId) -> Challenge {
    Challenge {
        iss: ISSUER.into(),
        challenge_id,
        device_handle: B64(device_handle(&device_id, &challenge_id)),
        relying_party: RelyingParty {
            id: "courses".parse().unwrap(),
            name: "Course marketplace".into(),
        },
        action: "course.buy".into(),
        display: Display {
            locale: "en".into(),
            title: "Buy a course".into(),
            rows: vec![DisplayRow {
                label: "Price".into(),
                value: "€1,499.00".into(),
            }],
        },
        match_rule: MatchRule {
            mode: MatchMode::EnterCode,
            digits: 6,
        },
        enrolment: None,
        new_pin_policy: None,
        replacement: None,
        nonce: B64([7; 32]),
        iat: at(-60),
        exp: at(240),
    }
}

fn assertion(challenge: &Challenge) -> Assertion {
    let price = Parameter::Money {
        minor_units: 149_900,
        currency: "EUR".into(),
    };
    Assertion {
        iss: ISSUER.into(),
        aud: challenge.relying_party.id.clone(),
        sub: PairwiseSubject::from_bytes([9; 32]),
        jti: "jti".into(),
        txn: challenge.challenge_id,
        acr: "eidas2".into(),
        amr: ["pin", "swk", "pop", "mfa"].map(str::to_owned).to_vec(),
        auth_time: at(-10),
        iat: at(-5),
        exp: at(55),
        authorization_details: vec![AuthorizationDetail {
            action: challenge.action.clone(),
            locale: challenge.display.locale.clone(),
            title: challenge.display.title.clone(),
            display_sha256: B64(challenge.display.sha256()),
            parameters: Parameters(BTreeMap::from([("price".to_owned(), price)])),
        }],
        challenge_sha256: B64([0; 32]),
        approval_sha256: B64([0; 32]),
    }
}

fn phone(
    device_id: DeviceId,
    activation: u8,
    possession: &SoftwareKey,
    approval: &SoftwareKey,
) -> ActivationKey {
    ActivationKey {
        iss: ISSUER.into(),
        activation_id: ActivationId::from_bytes([activation; 16]),
        device_id,
        nonce: B64([1; 32]),
        offer_sha256: B64([2; 32]),
        platform: "software/1".into(),
        keystore: Keystore::Software,
        possession_key: possession.public_key().clone(),
        approval_key: approval.public_key().clone(),
        attestation: None,
    }
}

fn enrolled() -> Enrolled {
    Enrolled {
        operator_id: OperatorId::from_bytes([17; 16]),
        activation_id: ActivationId::from_bytes([8; 16]),
        person_sha256: B64([14; 32]),
        evidence_sha256: B64([15; 32]),
        channel: "counter".into(),
        acr: "eidas2".into(),
    }
}

fn enrolment_challenge(clerk_id: DeviceId) -> Challenge {
    Challenge {
        action: "paraphe.enrol".into(),
        relying_party: RelyingParty {
            id: "paraphe-desk".parse().unwrap(),
            name: "Paraphe".into(),
        },
        enrolment: Some(enrolled()),
        ..challenge(clerk_id, ChallengeId::from_bytes([16; 16]))
    }
}

impl Story {
    pub(super) fn new() -> Self {
        let [root, challenge_key, assertion_key, possession_key, approval_key] = [1, 2, 3, 4, 5].map(key);
        let [clerk_possession_key, clerk_approval_key] = [10, 11].map(key);
        let (device_id, challenge_id) = (DeviceId::from_bytes([6; 16]), ChallengeId::from_bytes([7; 16]));
        let challenge = challenge(device_id, challenge_id);
        let clerk_id = DeviceId::from_bytes([12; 16]);
        let keys = vec![
            entry(&challenge_key, KeyUse::Challenge),
            entry(&assertion_key, KeyUse::Assertion),
        ];
        Story {
            key_set: KeySet {
                iss: ISSUER.into(),
                version: 1,
                keys,
                iat: at(-9999),
            },
            activation: phone(device_id, 8, &possession_key, &approval_key),
            clerk: phone(clerk_id, 13, &clerk_possession_key, &clerk_approval_key),
            enrolment_challenge: enrolment_challenge(clerk_id),
            enrolment: Enrolment {
                iss: ISSUER.into(),
                challenge_sha256: B64([0; 32]),
                device_id: clerk_id,
                epoch: 1,
                evaluation: 9,
                enrolled: enrolled(),
            },
            clerk_possession_key,
            clerk_approval_key,
            approval: Approval {
                iss: ISSUER.into(),
                challenge_sha256: B64([0; 32]),
                decision: ApprovalDecision::Approve,
                match_code: "482913".into(),
                device_id,
                epoch: 1,
                evaluation: 3,
                element_sha256: B64([4; 32]),
            },
            assertion: assertion(&challenge),
            challenge,
            root,
            challenge_key,
            assertion_key,
            possession_key,
            approval_key,
            bind: true,
        }
    }

    pub(super) fn inputs(mut self) -> Inputs {
        let challenge = compact(&self.challenge, &self.challenge_key);
        if self.bind {
            self.approval.challenge_sha256 = hash(&challenge);
        }
        let approval = compact(&self.approval, &self.approval_key);
        if self.bind {
            self.assertion.challenge_sha256 = hash(&challenge);
            self.assertion.approval_sha256 = hash(&approval);
        }
        let enrolment_challenge = compact(&self.enrolment_challenge, &self.challenge_key);
        if self.bind {
            self.enrolment.challenge_sha256 = hash(&enrolment_challenge);
        }
        let activation = nested(&self.activation, &self.approval_key, &self.possession_key);
        Inputs {
            assertion: compact(&self.assertion, &self.assertion_key),
            jwks: jwks(&self.assertion_key),
            audience: "courses".into(),
            issuer: Some(ISSUER.into()),
            at: at(0),
            evidence: Some(Evidence {
                challenge,
                approval,
                activation,
                root: self.root.public_key().clone(),
                key_sets: vec![compact(&self.key_set, &self.root)],
                enrolment: Some(SignedEnrolment {
                    challenge: enrolment_challenge,
                    enrolment: compact(&self.enrolment, &self.clerk_approval_key),
                    activation: nested(&self.clerk, &self.clerk_approval_key, &self.clerk_possession_key),
                }),
            }),
        }
    }
}

fn nested(phone: &ActivationKey, approval_key: &SoftwareKey, possession_key: &SoftwareKey) -> String {
    let outer = Activation {
        iss: ISSUER.into(),
        inner: compact(phone, approval_key),
    };
    compact(&outer, possession_key)
}

pub(super) fn jwks(key: &SoftwareKey) -> String {
    serde_json::json!({ "keys": [key.public_key().to_jwk()] }).to_string()
}
