//! Row: `alg: none`, `alg: HS256` with the public key, wrong `typ`, high-s, r = 0, DER instead of raw, a point that is not on the
//! curve: on every statement and token that the daemon accepts. Each forgery is signed as well as its algorithm allows, so it is
//! refused for what it is; the unforged one is accepted last.

use paraphe_companion::protocol::{Prover, method};
use paraphe_companion::{Activation, Invitation};
use paraphe_proto::encoding::from_hex;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::{Freshness, RefusalDecision};
use paraphe_proto::v1::{self, AnswerBody, DeviceBody, RefuseBody};
use rand_core::OsRng;
use serde_json::json;
use tonic::Code;

use crate::hand::{Asked, OPEN, Parts, approval, ask, blind, unlock};
use crate::world::{World, code};

/// Every forged form of a well-signed statement. `typ` is another one that the daemon knows; `strict` adds what is refused in
/// Paraphe's own statements only.
pub fn forgeries(compact: &str, key: &dyn Signer, typ: &str, strict: bool) -> Vec<(&'static str, String)> {
    // Signed anew, so that the signature is over this very text.
    let good = Parts::of(&Parts::of(compact).sign(key));
    let (r, s) = (good.signature[..32].to_vec(), good.signature[32..].to_vec());
    let mac = |parts: Parts| {
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.public_key().as_sec1());
        let tag = ring::hmac::sign(&secret, parts.signed_text().as_bytes());
        parts.with_signature(tag.as_ref().to_vec()).compact()
    };
    let joined = |r: &[u8], s: &[u8]| good.clone().with_signature([r, s].concat()).compact();
    let own = SoftwareKey::generate(&mut OsRng).unwrap();
    let jwk = serde_json::to_value(own.public_key().to_jwk()).unwrap();
    let mut all = vec![
        (
            "none",
            good.clone()
                .with_header("alg", "none")
                .with_signature(vec![])
                .compact(),
        ),
        ("none, signed", good.clone().with_header("alg", "none").sign(key)),
        (
            "HS256 with the public key",
            mac(good.clone().with_header("alg", "HS256")),
        ),
        ("ES256 over an HMAC", mac(good.clone())),
        ("ES384", good.clone().with_header("alg", "ES384").sign(key)),
        ("es256", good.clone().with_header("alg", "es256").sign(key)),
        ("another typ", good.clone().with_header("typ", typ).sign(key)),
        ("crit", good.clone().with_header("crit", json!(["b64"])).sign(key)),
        ("r = 0", joined(&[0; 32], &s)),
        ("s = 0", joined(&r, &[0; 32])),
        ("r = s = 0", joined(&[0; 32], &[0; 32])),
        ("s = order", joined(&r, &order())),
        ("DER", good.clone().with_signature(der(&r, &s)).compact()),
        ("no signature", good.clone().with_signature(vec![]).compact()),
        ("one byte more", joined(&r, &[s.as_slice(), &[0]].concat())),
        (
            "the attacker's key",
            good.clone().with_header("jwk", jwk).sign(&own),
        ),
        ("the attacker's signature", good.clone().sign(&own)),
        ("padding", format!("{compact}=")),
        ("a fourth part", format!("{compact}.e30")),
        ("a space", format!(" {compact}")),
    ];
    if strict {
        all.push(("the high s", joined(&r, &minus(&s))));
        all.push(("an unknown header", good.clone().with_header("x", 1).sign(key)));
        all.push(("an unknown claim", good.clone().with_claim("x", 1).sign(key)));
    }
    all
}

/// FIPS 186-4, D.1.2.3.
fn order() -> Vec<u8> {
    from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap()
}

/// The order minus `s`: the other signature that verifies.
pub fn minus(s: &[u8]) -> Vec<u8> {
    let (order, mut difference, mut borrow) = (order(), vec![0; 32], 0);
    for at in (0..32).rev() {
        let value = i32::from(order[at]) - i32::from(s[at]) - borrow;
        borrow = i32::from(value < 0);
        difference[at] = u8::try_from(value.rem_euclid(256)).unwrap();
    }
    difference
}

/// ECDSA-Sig-Value (RFC 3279, section 2.2.3).
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(31);
        let mut value = bytes[start..].to_vec();
        if value[0] & 0x80 != 0 {
            value.insert(0, 0);
        }
        [vec![2, u8::try_from(value.len()).unwrap()], value].concat()
    };
    let inner = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(inner.len()).unwrap()], inner].concat()
}

#[test]
fn the_high_s_verifies_under_the_same_key() {
    let key = SoftwareKey::generate(&mut OsRng).unwrap();
    let good = key.sign(b"text").unwrap();
    let high = [good[..32].to_vec(), minus(&good[32..])].concat();
    assert!(paraphe_proto::keys::verify_es256(
        key.public_key(),
        b"text",
        &high
    ));
    assert_ne!(good.to_vec(), high);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forged_proof_is_refused() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let prover = anna.phone.prover().unwrap();
    let prove = async || {
        prover
            .prove_fresh(&world.server, method::DEVICE, &DeviceBody {})
            .await
            .unwrap()
    };
    let count = forgeries(&prove().await.proof, &*prover.key, "paraphe-approval+jwt", true).len();
    for at in 0..count {
        let mut request = prove().await;
        let (what, forged) =
            forgeries(&request.proof, &*prover.key, "paraphe-approval+jwt", true).swap_remove(at);
        request.proof = forged;
        let refused = world.server.client().device(request).await;
        assert_eq!(
            code(&refused.expect_err(what)),
            "caller.unauthenticated",
            "{what}"
        );
    }
    let mut request = prove().await;
    request.proof = Parts::of(&request.proof).sign(&*prover.key);
    world.server.client().device(request).await.unwrap();
}

async fn answer(
    world: &World,
    prover: &Prover,
    asked: &Asked,
    approval: String,
) -> Result<v1::Outcome, tonic::Status> {
    let body = AnswerBody {
        challenge_id: asked.reply.challenge_id.clone(),
        approval,
        enrolment: String::new(),
    };
    let request = prover
        .prove(method::ANSWER, &body, Freshness::Challenge(asked.id()))
        .unwrap();
    Ok(world.server.client().answer(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forged_approval_is_refused_and_changes_nothing() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let unlocked = unlock(&world, &anna, &asked).await;
    let good = approval(&asked, &unlocked, &asked.reply.match_code);
    let prover = anna.phone.prover().unwrap();
    for (what, forged) in forgeries(&good, &unlocked.0, "paraphe-refusal+jwt", true) {
        let refused = answer(&world, &prover, &asked, forged).await.expect_err(what);
        assert_eq!(
            (refused.code(), code(&refused).as_str()),
            (Code::InvalidArgument, "statement.refused"),
            "{what}"
        );
    }
    let by_possession_key = Parts::of(&good)
        .with_header("kid", prover.key.public_key().thumbprint())
        .sign(&*prover.key);
    assert_eq!(
        code(
            &answer(&world, &prover, &asked, by_possession_key)
                .await
                .err()
                .unwrap()
        ),
        "statement.refused"
    );
    assert_eq!(world.attempts_left(&anna.phone).await, 4);
    assert_eq!(
        world
            .verdict(&world.market, &asked.reply.challenge_id)
            .await
            .state(),
        v1::State::Pending
    );
    let again = Parts::of(&good).sign(&unlocked.0);
    assert_eq!(
        answer(&world, &prover, &asked, again).await.unwrap().state,
        "approved"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forged_refusal_is_refused_and_changes_nothing() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let prover = anna.phone.prover().unwrap();
    let good = prover
        .refuse(asked.shown.sha256(), RefusalDecision::Deny)
        .unwrap();
    let send = async |refusal: String| {
        let body = RefuseBody {
            challenge_id: asked.reply.challenge_id.clone(),
            refusal,
        };
        let request = prover
            .prove(method::REFUSE, &body, Freshness::Challenge(asked.id()))
            .unwrap();
        world.server.client().refuse(request).await
    };
    for (what, forged) in forgeries(&good, &*prover.key, "paraphe-approval+jwt", true) {
        assert_eq!(
            code(&send(forged).await.expect_err(what)),
            "statement.refused",
            "{what}"
        );
    }
    for (name, value) in [
        ("epoch", json!(2)),
        ("device_id", json!("dev_aaaaaaaaaaaaaaaaaaaaaaaaaa")),
    ] {
        let other = Parts::of(&good).with_claim(name, value).sign(&*prover.key);
        assert_eq!(
            code(&send(other).await.err().unwrap()),
            "refusal.mismatch",
            "{name}"
        );
    }
    let elsewhere = prover.refuse([9; 32], RefusalDecision::NotMe).unwrap();
    assert_eq!(code(&send(elsewhere).await.err().unwrap()), "refusal.mismatch");
    assert_eq!(
        world
            .verdict(&world.market, &asked.reply.challenge_id)
            .await
            .state(),
        v1::State::Pending
    );
    assert_eq!(
        send(Parts::of(&good).sign(&*prover.key))
            .await
            .unwrap()
            .into_inner()
            .state,
        "denied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forged_activation_statement_is_refused_and_changes_nothing() {
    let mut world = World::with(OPEN).await;
    let (name, issued) = world.issue().await;
    let folder = world.daemon.path(&format!("phone-{name}"));
    let keys = std::sync::Arc::new(
        paraphe_companion::SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap(),
    );
    let invitation = Invitation::from_uri(&issued.uri).unwrap();
    let begun = Activation::begin(&folder, keys, invitation, &world.server, &mut OsRng)
        .await
        .unwrap();
    let prover = begun.prover().unwrap();
    let body = v1::EvaluateActivationBody {
        activation_id: issued.activation_id.clone(),
        blinded_element: blind("739145").1.as_bytes().to_vec(),
    };
    let request = prover
        .prove_fresh(&world.server, method::EVALUATE_ACTIVATION, &body)
        .await
        .unwrap();
    world.server.client().evaluate_activation(request).await.unwrap();
    let approval_key = SoftwareKey::generate(&mut OsRng).unwrap();
    let inner = crate::fields::inner_claims(&begun, &approval_key);
    let good_inner = crate::fields::sign_inner(&inner, &approval_key);
    let good = crate::fields::sign_outer(&good_inner, &*prover.key);
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
    for (what, forged) in forgeries(&good, &*prover.key, "paraphe-activation-key+jwt", true) {
        assert_eq!(
            code(&finish(forged).await.expect_err(what)),
            "statement.refused",
            "outside: {what}"
        );
    }
    for (what, forged) in forgeries(&good_inner, &approval_key, "paraphe-activation+jwt", true) {
        let nested = crate::fields::sign_outer(&forged, &*prover.key);
        assert_eq!(
            code(&finish(nested).await.expect_err(what)),
            "statement.refused",
            "inside: {what}"
        );
    }
    assert_eq!(finish(good).await.unwrap().into_inner().sas_nonce.len(), 32);
}
