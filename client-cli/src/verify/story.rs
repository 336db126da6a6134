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
use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId, PairwiseSubject};
use paraphe_proto::jws::{Statement, sign};
use paraphe_proto::keys::{Signer as _, SoftwareKey};
use paraphe_proto::statements::{
    Activation, ActivationKey, Approval, ApprovalDecision, Assertion, AuthorizationDetail, Challenge,
    Display, DisplayRow, KeySet, KeySetEntry, KeyState, KeyUse, Keystore, MatchMode, MatchRule, Parameter,
    Parameters, RelyingParty,
};
use paraphe_proto::time::Timestamp;
use ring::digest::{SHA256, digest};

use super::{Evidence, Inputs};

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
        kid: jwk.thumbprint(),
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

impl Story {
    pub(super) fn new() -> Self {
        let [root, challenge_key, assertion_key, possession_key, approval_key] = [1, 2, 3, 4, 5].map(key);
        let (device_id, challenge_id) = (DeviceId::from_bytes([6; 16]), ChallengeId::from_bytes([7; 16]));
        let challenge = challenge(device_id, challenge_id);
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
            activation: ActivationKey {
                iss: ISSUER.into(),
                activation_id: ActivationId::from_bytes([8; 16]),
                device_id,
                nonce: B64([1; 32]),
                offer_sha256: B64([2; 32]),
                platform: "software/1".into(),
                keystore: Keystore::Software,
                possession_key: possession_key.public_key().clone(),
                approval_key: approval_key.public_key().clone(),
                attestation: None,
            },
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
        let inner = compact(&self.activation, &self.approval_key);
        let activation = compact(
            &Activation {
                iss: ISSUER.into(),
                inner,
            },
            &self.possession_key,
        );
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
            }),
        }
    }
}

pub(super) fn jwks(key: &SoftwareKey) -> String {
    serde_json::json!({ "keys": [key.public_key().to_jwk()] }).to_string()
}
