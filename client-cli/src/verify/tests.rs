//! A whole story is signed, then one thing is changed at a time: the check that guards it must name itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::keys::Signer as _;
use paraphe_proto::statements::KeyState;

use super::story::{Story, at, compact, hash, jwks, key};
use super::*;

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
        "enrolment.clerk",
        "enrolment.challenge",
        "enrolment.signature",
        "enrolment.binding",
        "enrolment.activation",
        "enrolment.level",
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

#[test]
fn keys_of_somebody_else_name_the_option_that_brought_them() {
    let why = |change: fn(&mut Inputs)| {
        let mut inputs = Story::new().inputs();
        change(&mut inputs);
        verify(&inputs).failure.unwrap().why
    };
    let jwks = why(|inputs| inputs.jwks = jwks(&key(90)));
    assert!(
        jwks.ends_with("; the keys that may are those of --jwks."),
        "{jwks}"
    );
    let root = why(|inputs| inputs.evidence.as_mut().unwrap().root = key(90).public_key().clone());
    assert!(root.ends_with("signed by the key of --root."), "{root}");
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

#[test]
fn an_enrolment_that_the_clerk_did_not_sign_as_it_was_is_refused() {
    type Change<'a> = &'a dyn Fn(&mut Story);
    let cases: [(&str, Change<'_>); 8] = [
        ("enrolment.challenge", &|story| {
            story.enrolment_challenge.action = "course.buy".into();
        }),
        ("enrolment.challenge", &|story| {
            story.enrolment_challenge.relying_party = story.challenge.relying_party.clone();
        }),
        ("enrolment.clerk", &|story| {
            story.clerk.device_id = DeviceId::from_bytes([99; 16]);
        }),
        ("enrolment.clerk", &|story| {
            story.clerk.device_id = story.activation.device_id;
        }),
        ("enrolment.binding", &|story| {
            story.enrolment.enrolled.person_sha256.0[0] ^= 1;
        }),
        ("enrolment.binding", &|story| {
            story.enrolment_challenge.enrolment = None
        }),
        ("enrolment.activation", &|story| {
            story.activation.activation_id = paraphe_proto::ids::ActivationId::from_bytes([98; 16]);
        }),
        ("enrolment.level", &|story| story.assertion.acr = "eidas3".into()),
    ];
    for (number, (check, change)) in cases.into_iter().enumerate() {
        assert_eq!(failing(|story| change(story)), check, "case {number}");
    }
    for part in 0..3 {
        let alter = |change: &dyn Fn(&mut SignedEnrolment)| {
            failing_inputs(|_, evidence| change(evidence.enrolment.as_mut().unwrap()))
        };
        let signed = alter(&|signed| signed.enrolment = altered(&signed.enrolment, part));
        let asked = alter(&|signed| signed.challenge = altered(&signed.challenge, part));
        let clerk = alter(&|signed| signed.activation = altered(&signed.activation, part));
        assert_eq!(
            (signed, asked, clerk),
            ("enrolment.signature", "enrolment.challenge", "enrolment.clerk")
        );
    }
    let staff = failing_inputs(|_, evidence| evidence.enrolment = None);
    assert_eq!(staff, "held");
}
