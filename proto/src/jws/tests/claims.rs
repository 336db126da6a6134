//! For every type of statement: nothing can be added, left out, repeated or written otherwise.

use super::*;
use crate::{
    ids::PairwiseSubject,
    statements::{
        Activation, ActivationKey, Approval, Assertion, AuthorizationDetail, Enrolment, Evaluation,
        Freshness, KeySet, Offer, Parameter, Parameters, PinChange, Proof, Refusal,
    },
};

/// Claims that may be absent, and objects whose member names are free.
const OPTIONAL: [&str; 4] = ["attestation", "enrolment", "new_pin_policy", "replacement"];
const FREE: [&str; 1] = ["parameters"];

fn json(statement: &impl Statement) -> Value {
    serde_json::to_value(statement).unwrap()
}

fn accepted<S: Statement>(payload: &str) -> bool {
    let key = key(1);
    let kid = key.public_key().thumbprint();
    let header = format!(r#"{{"alg":"ES256","typ":"{}","kid":"{kid}"}}"#, S::TYP);
    match verify::<S>(&forge(&header, payload, &key), key.public_key(), ISS) {
        Ok(_) => true,
        Err(StatementError::Claims | StatementError::Issuer) => false,
        Err(other) => panic!("{payload}: {other:?}"),
    }
}

/// Every place in a JSON value that is an object, as JSON pointer.
fn objects(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                objects(member, format!("{path}/{name}"), found);
            }
            found.push(path);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn accepts_only_its_own_form<S: Statement + PartialEq + std::fmt::Debug>(sample: &S) {
    let compact = sign(sample, &key(1)).unwrap().into_compact();
    assert_eq!(
        verify::<S>(&compact, key(1).public_key(), ISS).unwrap().claims(),
        sample
    );

    let text = serde_json::to_string(sample).unwrap();
    assert!(accepted::<S>(&text));
    for altered in [
        format!("{text}{{}}"),
        format!("{text},"),
        format!("[{text}]"),
        format!(" {text}"),
    ] {
        assert!(!accepted::<S>(&altered), "{altered}");
    }

    let value: Value = serde_json::from_str(&text).unwrap();
    let mut paths = Vec::new();
    objects(&value, String::new(), &mut paths);
    for path in paths {
        refuses_changes_of_one_object::<S>(&value, &path);
    }
}

fn refuses_changes_of_one_object<S: Statement>(value: &Value, path: &str) {
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut changed = value.clone();
        edit(changed.pointer_mut(path).unwrap());
        changed.to_string()
    };
    if FREE.iter().any(|name| path.ends_with(&format!("/{name}"))) {
        return;
    }
    let added = change(&|object| object["unknown"] = Value::Null);
    assert!(!accepted::<S>(&added), "{added}");
    let sequence = change(&|object| *object = object.as_object().unwrap().values().cloned().collect());
    assert!(!accepted::<S>(&sequence), "{sequence}");

    let members = value.pointer(path).unwrap().as_object().unwrap();
    for (name, member) in members {
        let removed = change(&|object| drop(object.as_object_mut().unwrap().remove(name)));
        let optional = OPTIONAL.contains(&name.as_str());
        assert_eq!(accepted::<S>(&removed), optional, "{removed}");
        let others = [
            Value::Null,
            Value::Bool(true),
            serde_json::json!(1.5),
            serde_json::json!({}),
        ];
        let free = FREE.contains(&name.as_str());
        for other in others
            .iter()
            .filter(|other| *other != member && !(free && other.is_object()))
        {
            let replaced = change(&|object| object[name] = other.clone());
            assert!(!accepted::<S>(&replaced), "{replaced}");
        }
        // A JSON value cannot hold a name twice, its text can.
        let marked = change(&|object| object["unknown"] = Value::Null);
        let repeated = marked.replacen("\"unknown\":null", &format!("\"{name}\":{member}"), 1);
        assert!(!accepted::<S>(&repeated), "{repeated}");
    }
}

#[test]
fn every_type_accepts_only_its_own_form() {
    accepts_only_its_own_form(&samples::challenge());
    accepts_only_its_own_form(&samples::proof());
    accepts_only_its_own_form(&samples::nonce_proof());
    accepts_only_its_own_form(&samples::approval());
    accepts_only_its_own_form(&samples::refusal());
    accepts_only_its_own_form(&samples::enrolment_challenge());
    accepts_only_its_own_form(&samples::enrolment());
    accepts_only_its_own_form(&samples::pin_change_challenge());
    accepts_only_its_own_form(&samples::replacement_challenge());
    accepts_only_its_own_form(&samples::pin_change());
    accepts_only_its_own_form(&samples::offer());
    accepts_only_its_own_form(&samples::activation());
    accepts_only_its_own_form(&samples::activation_key());
    accepts_only_its_own_form(&samples::attested_activation_key());
    accepts_only_its_own_form(&samples::evaluation());
    accepts_only_its_own_form(&samples::key_set());
    accepts_only_its_own_form(&samples::assertion());
}

#[test]
fn no_statement_passes_for_another_type() {
    let types = [
        Challenge::TYP,
        Proof::TYP,
        Approval::TYP,
        Refusal::TYP,
        Enrolment::TYP,
        PinChange::TYP,
        Offer::TYP,
        Activation::TYP,
        ActivationKey::TYP,
        Evaluation::TYP,
        KeySet::TYP,
        Assertion::TYP,
    ];
    for (index, typ) in types.iter().enumerate() {
        assert!(!types[..index].contains(typ), "{typ}");
    }
    let proof = sign(&samples::proof(), &key(1)).unwrap();
    assert_eq!(refusal(proof.compact()), StatementError::Type);
}

#[test]
fn a_proof_names_a_challenge_or_a_nonce() {
    let text = |proof: &Proof| serde_json::to_string(proof).unwrap();
    let both = text(&samples::proof()).replacen('{', r#"{"nonce":"n0nce","#, 1);
    assert!(!accepted::<Proof>(&both));
    let neither = text(&samples::nonce_proof()).replace(r#""nonce":"n0nce","#, "");
    assert!(!neither.contains("nonce"));
    assert!(!accepted::<Proof>(&neither));
    let Freshness::Challenge(id) = samples::proof().freshness else {
        panic!("the sample names a challenge")
    };
    assert!(text(&samples::proof()).contains(&format!(r#""challenge_id":"{id}""#)));
}

#[test]
fn a_repeated_parameter_is_refused() {
    let text = serde_json::to_string(&samples::assertion()).unwrap();
    let repeated = text.replacen(r#""seats":1"#, r#""seats":1,"seats":1"#, 1);
    assert_ne!(repeated, text);
    assert!(!accepted::<Assertion>(&repeated));
    let others = text.replacen(r#""seats":1"#, r#""seats":1,"chairs":1"#, 1);
    assert!(accepted::<Assertion>(&others));
}

#[test]
fn claims_are_written_as_documented() {
    let challenge = json(&samples::challenge());
    assert_eq!(
        challenge["match"],
        serde_json::json!({ "mode": "enter_code", "digits": 6 })
    );
    assert_eq!(challenge["relying_party"]["id"], "course-market");
    assert_eq!(challenge["nonce"], base64url(&[4; 32]));
    assert_eq!(json(&samples::approval())["decision"], "approve");
    assert_eq!(json(&samples::refusal())["decision"], "not_me");
    assert_eq!(
        json(&samples::evaluation())["context"],
        samples::challenge_id().to_string()
    );
    assert_eq!(json(&samples::key_set())["keys"][1]["use"], "challenge");
    assert_eq!(json(&samples::key_set())["keys"][1]["state"], "next");
    let detail = &json(&samples::assertion())["authorization_details"][0];
    assert_eq!(detail["type"], "course.buy");
    let price = serde_json::json!({ "minor_units": 149_900, "currency": "EUR" });
    assert_eq!(
        detail["parameters"],
        serde_json::json!({ "title": "Soudure", "price": price, "seats": 1 })
    );
    assert_eq!(
        json(&samples::assertion())["sub"],
        PairwiseSubject::from_bytes([12; 32]).to_string()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_texts_and_numbers_come_back(title in "\\PC{0,60}", name in "\\PC{0,20}", amount: i64, text in "\\PC{0,40}") {
        let parameters = [
            (name, Parameter::Text(text)),
            ("price".to_owned(), Parameter::Money { minor_units: amount, currency: "EUR".into() }),
            ("number".to_owned(), Parameter::Integer(amount)),
        ];
        let mut assertion = samples::assertion();
        let detail = assertion.authorization_details.remove(0);
        let parameters = Parameters(parameters.into());
        assertion.authorization_details = vec![AuthorizationDetail { title, parameters, ..detail }];
        let compact = sign(&assertion, &key(1)).unwrap().into_compact();
        let verified = verify::<Assertion>(&compact, key(1).public_key(), ISS).unwrap();
        prop_assert_eq!(verified.claims(), &assertion);
    }
}
