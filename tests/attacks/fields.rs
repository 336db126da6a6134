//! Row: change any one field of challenge, proof, approval or activation. Refused, nothing changed. Every field of every statement
//! is enumerated from its JSON, so a new one is covered when it is added.

use paraphe_companion::protocol::method;
use paraphe_companion::{Activation, Invitation, SoftwareKeyStore};
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::{Freshness, RefusalDecision};
use paraphe_proto::v1::{self, AnswerBody, RefuseBody};
use rand_core::OsRng;
use serde_json::{Value, json};

use crate::daemon::ISSUER;
use crate::hand::{OPEN, Parts, approval, ask, blind, code_of, unlock};
use crate::world::{World, code};

/// Every way to change one leaf, with its path: another value of the same form, no value, and one member more at the top.
pub fn changes(claims: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for path in leaves(claims, String::new()) {
        let mut changed = claims.clone();
        let leaf = changed.pointer_mut(&path).unwrap();
        *leaf = other(leaf);
        all.push((path.clone(), changed));
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut without = claims.clone();
        if let Some(Value::Object(map)) = without.pointer_mut(parent) {
            map.remove(name);
            all.push((format!("{path} removed"), without));
        }
    }
    let mut more = claims.clone();
    more["more"] = json!(1);
    all.push(("one more".to_owned(), more));
    all
}

fn leaves(value: &Value, at: String) -> Vec<String> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, value)| leaves(value, format!("{at}/{name}")))
            .collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .flat_map(|(n, value)| leaves(value, format!("{at}/{n}")))
            .collect(),
        _ => vec![at],
    }
}

/// Another value that still looks like one of its kind: a digit for a digit, a letter for a letter, in the middle.
fn other(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_u64().unwrap() + 1),
        Value::Bool(flag) => json!(!flag),
        Value::String(text) if text.is_empty() => json!("x"),
        Value::String(text) => {
            let mut characters: Vec<char> = text.chars().collect();
            let middle = characters.len() / 2;
            characters[middle] = match characters[middle] {
                '2'..='6' => '7',
                '7' => '2',
                '0' => '1',
                '1' | '8' | '9' => '0',
                'a' => 'b',
                'a'..='z' => 'a',
                'A' => 'B',
                'A'..='Z' => 'A',
                _ => 'q',
            };
            json!(characters.into_iter().collect::<String>())
        }
        _ => json!("x"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_changed_in_any_field_is_not_shown() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let good = Parts::of(asked.shown.compact());
    let all = changes(&good.claims);
    assert!(
        all.len() > 40,
        "every row of the document is a field: {}",
        all.len()
    );
    for (path, claims) in all {
        let changed = Parts {
            claims,
            ..good.clone()
        };
        let refused = code_of(anna.phone.verify(&changed.compact()));
        assert_eq!(refused, "statement.signature", "{path}");
    }
    let swapped = good
        .clone()
        .with_claim("display", json!({"locale": "en", "title": "Sign in", "rows": []}));
    assert_eq!(
        code_of(anna.phone.verify(&swapped.compact())),
        "statement.signature"
    );
    assert!(anna.phone.verify(asked.shown.compact()).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_changed_in_any_field_is_refused_even_when_the_phone_signs_it() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let prover = anna.phone.prover().unwrap();
    let refusal = prover
        .refuse(asked.shown.sha256(), RefusalDecision::Deny)
        .unwrap();
    let body = RefuseBody {
        challenge_id: asked.reply.challenge_id.clone(),
        refusal,
    };
    let good = prover
        .prove(method::REFUSE, &body, Freshness::Challenge(asked.id()))
        .unwrap();
    let parts = Parts::of(&good.proof);
    for (path, claims) in changes(&parts.claims) {
        let changed = Parts {
            claims,
            ..parts.clone()
        };
        let mut proofs = vec![("as it was signed", changed.compact())];
        if !path.starts_with("/seen_") || path.ends_with("removed") {
            proofs.push(("signed anew", changed.sign(&*prover.key)));
        }
        for (how, proof) in proofs {
            let request = v1::SignedRequest {
                proof,
                ..good.clone()
            };
            let refused = code(&world.server.client().refuse(request).await.expect_err(&path));
            assert_eq!(refused, "caller.unauthenticated", "{path}, {how}");
        }
    }
    assert_eq!(
        world
            .verdict(&world.market, &asked.reply.challenge_id)
            .await
            .state(),
        v1::State::Pending
    );
    assert_eq!(
        world
            .server
            .client()
            .refuse(good.clone())
            .await
            .unwrap()
            .into_inner()
            .state,
        "denied"
    );
    let asked = ask(&world, &anna).await;
    // The two fields that say what the phone has seen: more than the store knows is an undeclared rollback.
    for name in ["seen_evaluation", "seen_restore_epoch"] {
        let later = parts.clone().with_claim(name, 1).sign(&*prover.key);
        let request = v1::SignedRequest {
            proof: later,
            ..good.clone()
        };
        let refused = world.server.client().refuse(request).await.err().unwrap();
        assert_eq!(code(&refused), "device.rollback_noticed", "{name}");
    }
    let refused = code_of(crate::hand::guess(&world, &anna, asked.id(), "739145").await);
    assert_eq!(
        refused, "device.rollback_noticed",
        "the phone approves nothing any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_changed_in_any_field_is_refused_even_when_the_phone_signs_it() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let unlocked = unlock(&world, &anna, &asked).await;
    let prover = anna.phone.prover().unwrap();
    let good = approval(&asked, &unlocked, &asked.reply.match_code);
    let parts = Parts::of(&good);
    let send = async |approval: String| {
        let body = AnswerBody {
            challenge_id: asked.reply.challenge_id.clone(),
            approval,
            enrolment: String::new(),
        };
        let request = prover
            .prove(method::ANSWER, &body, Freshness::Challenge(asked.id()))
            .unwrap();
        world.server.client().answer(request).await
    };
    for (path, claims) in changes(&parts.claims) {
        let changed = Parts {
            claims,
            ..parts.clone()
        };
        assert_eq!(
            code(&send(changed.compact()).await.expect_err(&path)),
            "statement.refused",
            "{path}"
        );
        if path == "/match_code" {
            continue; // Signed by the phone it is a wrong code, which has tests of its own.
        }
        let refused = code(&send(changed.sign(&unlocked.0)).await.expect_err(&path));
        let expected = ["statement.refused", "approval.mismatch", "evaluation.stale"];
        assert!(expected.contains(&refused.as_str()), "{path}: {refused}");
    }
    assert_eq!(world.attempts_left(&anna.phone).await, 4);
    assert_eq!(
        world
            .verdict(&world.market, &asked.reply.challenge_id)
            .await
            .state(),
        v1::State::Pending
    );
    let outcome = send(good).await.unwrap().into_inner();
    assert_eq!((outcome.state.as_str(), outcome.attempts_left), ("approved", 5));
}

/// The inner claims of an honest activation.
pub fn inner_claims(begun: &Activation, approval_key: &SoftwareKey) -> Value {
    let (offer, prover) = (begun.offer(), begun.prover().unwrap());
    let claims = paraphe_proto::statements::ActivationKey {
        iss: ISSUER.to_owned(),
        activation_id: begun.activation_id(),
        device_id: begun.device_id(),
        nonce: offer.claims().nonce,
        offer_sha256: offer.sha256().into(),
        platform: "test/1".to_owned(),
        keystore: paraphe_proto::statements::Keystore::Software,
        possession_key: prover.key.public_key().clone(),
        approval_key: approval_key.public_key().clone(),
        attestation: None,
    };
    serde_json::to_value(claims).unwrap()
}

pub fn sign_inner(claims: &Value, key: &SoftwareKey) -> String {
    signed("paraphe-activation-key+jwt", claims.clone(), key)
}

pub fn sign_outer(inner: &str, key: &dyn Signer) -> String {
    signed(
        "paraphe-activation+jwt",
        json!({"iss": ISSUER, "inner": inner}),
        key,
    )
}

fn signed(typ: &str, claims: Value, key: &dyn Signer) -> String {
    let header = json!({"alg": "ES256", "typ": typ, "kid": key.public_key().thumbprint()});
    Parts {
        header,
        claims,
        signature: Vec::new(),
    }
    .sign(key)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_changed_in_any_field_is_refused_even_when_the_phone_signs_it() {
    let mut world = World::with(OPEN).await;
    let (name, issued) = world.issue().await;
    let folder = world.daemon.path(&format!("phone-{name}"));
    let keys = std::sync::Arc::new(SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap());
    let invitation = Invitation::from_uri(&issued.uri).unwrap();
    let begun = Activation::begin(&folder, keys, invitation, &world.server, &mut OsRng)
        .await
        .unwrap();
    let prover = begun.prover().unwrap();
    let approval_key = SoftwareKey::generate(&mut OsRng).unwrap();
    let claims = inner_claims(&begun, &approval_key);
    let finish = async |activation: String| {
        let body = v1::FinishActivationBody {
            activation_id: issued.activation_id.clone(),
            activation,
        };
        let request = prover
            .prove_fresh(&world.server, method::FINISH_ACTIVATION, &body)
            .await
            .unwrap();
        world.server.client().finish_activation(request).await
    };
    let honest = sign_outer(&sign_inner(&claims, &approval_key), &*prover.key);
    let early = code(&finish(honest.clone()).await.err().unwrap());
    assert_eq!(early, "activation.state", "there is no PIN yet");
    let body = v1::EvaluateActivationBody {
        activation_id: issued.activation_id.clone(),
        blinded_element: blind("739145").1.as_bytes().to_vec(),
    };
    let request = prover
        .prove_fresh(&world.server, method::EVALUATE_ACTIVATION, &body)
        .await
        .unwrap();
    world.server.client().evaluate_activation(request).await.unwrap();
    for (path, changed) in changes(&claims) {
        if ["/platform", "/keystore"].contains(&path.as_str()) {
            continue; // What the phone says of itself; nothing is bound to it.
        }
        let outer = sign_outer(&sign_inner(&changed, &approval_key), &*prover.key);
        let refused = code(&finish(outer).await.expect_err(&path));
        assert!(
            ["statement.refused", "activation.mismatch"].contains(&refused.as_str()),
            "{path}: {refused}"
        );
    }
    let mut same_keys = claims.clone();
    same_keys["approval_key"] = same_keys["possession_key"].clone();
    let possession = Parts {
        header: json!({"alg": "ES256", "typ": "paraphe-activation-key+jwt",
        "kid": prover.key.public_key().thumbprint()}),
        claims: same_keys,
        signature: Vec::new(),
    };
    let outer = sign_outer(&possession.sign(&*prover.key), &*prover.key);
    assert_eq!(
        code(&finish(outer).await.err().unwrap()),
        "activation.mismatch",
        "two keys are two keys"
    );
    let outer = Parts::of(&honest);
    for (path, changed) in changes(&outer.claims) {
        let outer = Parts {
            claims: changed,
            ..outer.clone()
        }
        .sign(&*prover.key);
        assert_eq!(
            code(&finish(outer).await.expect_err(&path)),
            "statement.refused",
            "outside {path}"
        );
    }
    let view = v1::GetActivationRequest {
        activation_id: issued.activation_id.clone(),
    };
    let view = world
        .enrolment()
        .get_activation(world.as_clerk(view))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((view.state.as_str(), view.tries_left), ("begun", 3));
    let finished = finish(honest.clone()).await.unwrap().into_inner();
    assert_eq!(
        finish(honest).await.unwrap().into_inner(),
        finished,
        "repeating it answers alike"
    );
}
