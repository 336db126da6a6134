//! A whole story is signed here, then one thing is changed at a time: the check that guards it must name itself.
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

use super::*;

const ISSUER: &str = "https://paraphe.example";
const NOW: i64 = 1_795_509_123;

/// The keys and claims of one purchase; a test changes what it likes before [`Story::inputs`] signs.
struct Story {
    root: SoftwareKey,
    challenge_key: SoftwareKey,
    assertion_key: SoftwareKey,
    possession_key: SoftwareKey,
    approval_key: SoftwareKey,
    challenge: Challenge,
    key_set: KeySet,
    activation: ActivationKey,
    approval: Approval,
    assertion: Assertion,
    /// Whether the hashes that tie the statements together are computed anew before signing.
    bind: bool,
}

fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_scalar(&[seed; 32]).unwrap()
}

fn at(offset_s: i64) -> Timestamp {
    Timestamp::from_secs(NOW + offset_s)
}

fn hash(text: &str) -> B64<32> {
    B64(digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap())
}

fn compact<S: Statement>(statement: &S, key: &SoftwareKey) -> String {
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
    fn new() -> Self {
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

    fn inputs(mut self) -> Inputs {
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

fn jwks(key: &SoftwareKey) -> String {
    serde_json::json!({ "keys": [key.public_key().to_jwk()] }).to_string()
}

/// Verifies a story after `change`; the name of the check that failed, or `held`.
fn failing(change: impl FnOnce(&mut Story)) -> &'static str {
    let mut story = Story::new();
    change(&mut story);
    verify(&story.inputs())
        .failure
        .map_or("held", |failure| failure.name)
}

/// The same, after `change` to what was signed.
fn failing_inputs(change: impl FnOnce(&mut Inputs, &mut Evidence)) -> &'static str {
    let mut inputs = Story::new().inputs();
    let mut evidence = inputs.evidence.take().unwrap();
    change(&mut inputs, &mut evidence);
    inputs.evidence = Some(evidence);
    verify(&inputs).failure.map_or("held", |failure| failure.name)
}

/// Replaces one character in the middle of a part of a compact JWS, from 0.
fn altered(compact: &str, part: usize) -> String {
    let mut parts: Vec<String> = compact.split('.').map(str::to_owned).collect();
    let middle = parts[part].len() / 2;
    let other = if &parts[part][middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    parts[part].replace_range(middle..=middle, other);
    parts.join(".")
}

#[test]
fn an_untouched_story_holds_and_lists_every_check() {
    let report = verify(&Story::new().inputs());
    assert_eq!(report.failure, None);
    assert_eq!(report.assertion.as_ref().unwrap().acr, "eidas2");
    let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
    let expected = [
        "jwks",
        "assertion.signature",
        "assertion.issuer",
        "assertion.audience",
        "assertion.expiry",
        "assertion.times",
        "assertion.methods",
        "key_sets",
        "assertion.key_set",
        "challenge.signature",
        "challenge.binding",
        "challenge.relying_party",
        "challenge.display",
        "challenge.time",
        "activation.signature",
        "device",
        "device.keystore",
        "approval.signature",
        "approval.binding",
        "approval.match_code",
        "assertion.approval",
    ];
    assert_eq!(names, expected);
    assert!(report.result().is_ok());
}

#[test]
fn an_assertion_alone_can_be_verified() {
    let mut inputs = Story::new().inputs();
    inputs.evidence = None;
    inputs.issuer = None;
    let report = verify(&inputs);
    assert_eq!((report.failure.as_ref(), report.checks.len()), (None, 7));
}

#[test]
fn altered_bytes_fail_the_signature_they_stand_in() {
    // Header, payload, signature.
    for part in 0..3 {
        assert_eq!(
            failing_inputs(|inputs, _| inputs.assertion = altered(&inputs.assertion, part)),
            "assertion.signature"
        );
        assert_eq!(
            failing_inputs(|_, e| e.challenge = altered(&e.challenge, part)),
            "challenge.signature"
        );
        assert_eq!(
            failing_inputs(|_, e| e.approval = altered(&e.approval, part)),
            "approval.signature"
        );
        assert_eq!(
            failing_inputs(|_, e| e.activation = altered(&e.activation, part)),
            "activation.signature"
        );
        assert_eq!(
            failing_inputs(|_, e| e.key_sets[0] = altered(&e.key_sets[0], part)),
            "key_sets"
        );
    }
}

#[test]
fn keys_of_somebody_else_are_refused() {
    assert_eq!(
        failing_inputs(|inputs, _| inputs.jwks = jwks(&key(90))),
        "assertion.signature"
    );
    assert_eq!(failing_inputs(|inputs, _| inputs.jwks = "{}".into()), "jwks");
    assert_eq!(
        failing_inputs(|_, e| e.root = key(90).public_key().clone()),
        "key_sets"
    );
    assert_eq!(
        failing(|story| story.challenge_key = key(90)),
        "challenge.signature"
    );
    assert_eq!(
        failing(|story| story.possession_key = key(90)),
        "activation.signature"
    );
    assert_eq!(
        failing(|story| story.key_set.keys[0].state = KeyState::Retired),
        "challenge.signature"
    );
    assert_eq!(
        failing(|story| story.key_set.keys[1].state = KeyState::Next),
        "assertion.key_set"
    );
    assert_eq!(
        failing(|story| drop(story.key_set.keys.pop())),
        "assertion.key_set"
    );
    assert_eq!(failing_inputs(|_, e| e.key_sets.clear()), "key_sets");
    assert_eq!(
        failing_inputs(|_, e| e.key_sets.push(e.key_sets[0].clone())),
        "key_sets"
    );
}

/// The inner statement is signed by another approval key than the one that signs the approval.
#[test]
fn an_approval_by_another_phone_is_refused() {
    let other = Story::new();
    let mut approval = other.approval.clone();
    let inputs = Story::new().inputs();
    approval.challenge_sha256 = hash(&inputs.evidence.as_ref().unwrap().challenge);
    let forged = compact(&approval, &key(90));
    assert_eq!(failing_inputs(|_, e| e.approval = forged), "approval.signature");
}

#[test]
fn the_wrong_issuer_audience_or_time_is_refused() {
    assert_eq!(
        failing_inputs(|inputs, _| inputs.issuer = Some("https://other.example".into())),
        "assertion.signature"
    );
    assert_eq!(
        failing_inputs(|inputs, _| inputs.audience = "others".into()),
        "assertion.audience"
    );
    assert_eq!(failing_inputs(|inputs, _| inputs.at = at(55)), "assertion.expiry");
    assert_eq!(failing_inputs(|inputs, _| inputs.at = at(54)), "held");
    assert_eq!(failing_inputs(|inputs, _| inputs.at = at(-36)), "assertion.times");
    assert_eq!(
        failing(|story| story.assertion.auth_time = at(0)),
        "assertion.times"
    );
    assert_eq!(
        failing(|story| story.assertion.auth_time = at(-61)),
        "challenge.time"
    );
    assert_eq!(failing(|story| story.challenge.exp = at(-10)), "challenge.time");
}

#[test]
fn methods_must_say_a_pin_and_one_kind_of_key() {
    let amr = |methods: &[&str]| {
        let methods = methods.iter().map(|&method| method.to_owned()).collect();
        failing(|story| story.assertion.amr = methods)
    };
    assert_eq!(amr(&["swk", "pop", "mfa"]), "assertion.methods");
    assert_eq!(amr(&["pin", "swk", "hwk", "pop", "mfa"]), "assertion.methods");
    assert_eq!(amr(&["pin", "pop", "mfa"]), "assertion.methods");
    assert_eq!(amr(&["pin", "swk", "pop"]), "assertion.methods");
    assert_eq!(amr(&["pin", "hwk", "pop", "mfa"]), "device.keystore");
    assert_eq!(
        failing(|story| story.assertion.acr = "eidas9".into()),
        "assertion.methods"
    );
}

#[test]
fn statements_of_other_purchases_do_not_fit() {
    assert_eq!(failing(|story| story.bind = false), "challenge.binding");
    assert_eq!(
        failing(|story| story.assertion.txn = ChallengeId::from_bytes([99; 16])),
        "challenge.binding"
    );
    assert_eq!(
        failing(|story| story.challenge.relying_party.id = "others".parse().unwrap()),
        "challenge.relying_party"
    );
    assert_eq!(
        failing(|story| story.challenge.display.rows[0].value = "€1.00".into()),
        "challenge.display"
    );
    assert_eq!(
        failing(|story| story.assertion.authorization_details[0].title = "Buy a house".into()),
        "challenge.display"
    );
    assert_eq!(
        failing(|story| story.assertion.authorization_details[0].action = "house.buy".into()),
        "challenge.display"
    );
    assert_eq!(
        failing(|story| story.assertion.authorization_details.clear()),
        "challenge.display"
    );
    assert_eq!(
        failing(|story| story.activation.device_id = DeviceId::from_bytes([99; 16])),
        "device"
    );
    assert_eq!(
        failing(|story| story.approval.device_id = DeviceId::from_bytes([99; 16])),
        "approval.binding"
    );
    assert_eq!(
        failing(|story| story.approval.match_code = String::new()),
        "approval.match_code"
    );
}

/// An approval that verifies by itself, exchanged for the one that the assertion names.
#[test]
fn another_approval_of_the_same_challenge_is_noticed() {
    let story = Story::new();
    let mut approval = story.approval.clone();
    let mut inputs = Story::new().inputs();
    let evidence = inputs.evidence.as_mut().unwrap();
    approval.challenge_sha256 = hash(&evidence.challenge);
    approval.evaluation = 4;
    evidence.approval = compact(&approval, &story.approval_key);
    assert_eq!(verify(&inputs).failure.unwrap().name, "assertion.approval");
}

#[test]
fn a_failure_is_exit_code_nine_and_names_the_check() {
    let mut inputs = Story::new().inputs();
    inputs.audience = "others".into();
    let error = verify(&inputs).result().unwrap_err();
    assert_eq!(error.exit(), 9);
    assert!(error.to_string().contains("assertion.audience"), "{error}");
}
