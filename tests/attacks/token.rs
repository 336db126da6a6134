//! Issuer keys on a PKCS#11 token: SoftHSM, in a folder of its own, behind a module that fails as tokens do (`token.c`).
//! What they sign verifies, they cannot leave the token, and a token that is wrong or away is named and changes nothing.

mod planted;
mod retired;
mod rotation;
mod softhsm;
mod starts;

use std::process::Command;
use std::sync::Arc;

use paraphe_proto::jws;
use paraphe_proto::keys::is_low_s;
use paraphe_proto::statements::Assertion;
use paraphe_proto::v1;
use tokio::task::JoinSet;
use tonic::Code;

use self::softhsm::SoftHsm;
use crate::daemon::{Daemon, ISSUER, binary};
use crate::hand::{OPEN, Parts, approval, approve, ask, blind, code_of, guess, send, unlock};
use crate::world::{World, code, purchase};

/// What a phone's core makes of `UNAVAILABLE`: the app tries again.
const AWAY: &str = "server.unreachable";

async fn world() -> (SoftHsm, World) {
    let token = SoftHsm::new();
    let open = OPEN.replace("[operators]", "[operators]\nenrolments_per_10_min = 1000");
    let extra = format!("{open}{}", token.section());
    let (daemon, made) = Daemon::prepared_with(&extra, token.environment());
    (token, World::around(daemon, made).await)
}

/// The assertion of an approved challenge.
async fn assertion(world: &World, id: &str) -> String {
    let verdict = world.verdict(&world.market, id).await;
    assert_eq!(verdict.state(), v1::State::Approved);
    verdict.assertion
}

/// By the JWK set that the daemon serves, with `paraphe verify`.
fn verify(world: &World, assertion: &str) {
    let file = world.daemon.path("assertion.jwt");
    std::fs::write(&file, assertion).unwrap();
    let jwks = format!("{}/.well-known/jwks.json", world.daemon.url);
    let mut verify = Command::new(binary("debug", "paraphe"));
    verify.arg("--ca").arg(world.daemon.path("ca.pem"));
    verify.args([
        "verify",
        "--issuer",
        ISSUER,
        "--audience",
        "market",
        "--jwks",
        &jwks,
    ]);
    crate::supply::run(verify.arg("--assertion").arg(file));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_signs_what_everybody_verifies_and_its_keys_cannot_leave_it() {
    let (token, mut world) = world().await;
    let anna = world.enrol().await;
    for round in 0..2 {
        let asked = ask(&world, &anna).await;
        approve(&world, &anna, &asked).await.unwrap();
        let signed = assertion(&world, &asked.reply.challenge_id).await;
        let key = token.public_key("assertion-key");
        jws::verify::<Assertion>(&signed, &key, ISSUER).unwrap();
        verify(&world, &signed);
        let challenge = Parts::of(asked.shown.compact());
        assert_eq!(
            challenge.header["kid"],
            token.public_key("challenge-key").thumbprint()
        );
        if round == 0 {
            assert_eq!(world.daemon.stop(), 0);
            world.start_again().await;
        }
    }
    for label in ["challenge-key", "assertion-key"] {
        let listed = token.listed(label);
        for said in [
            "EC",
            "sensitive",
            "always sensitive",
            "never extractable",
            "local",
        ] {
            assert!(listed.contains(said), "{label}: {said} in {listed}");
        }
        assert!(
            token.value_of(label).is_err(),
            "the private value of {label} was read"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_away_fails_calls_and_changes_nothing() {
    let (token, mut world) = world().await;
    let (anna, ben) = (world.enrol().await, world.enrol().await);
    let subject = world.subject(&world.market, &ben).await;
    let asked = ask(&world, &anna).await;
    let unlocked = unlock(&world, &anna, &asked).await;
    let yes = approval(&asked, &unlocked, &asked.reply.match_code);
    let trail = world.audit().await.len();

    token.mood("gone", 1);
    let message = purchase(&subject);
    let refused = world.try_ask(&world.market, message.clone()).await.unwrap_err();
    assert_eq!(
        (refused.code(), code(&refused).as_str()),
        (Code::Unavailable, "keys.unavailable")
    );
    let refused = send(&world, &anna, asked.id(), &yes).await;
    assert_eq!(code_of(refused), AWAY);
    let verdict = world.verdict(&world.market, &asked.reply.challenge_id).await;
    assert_eq!(verdict.state(), v1::State::Pending);
    assert_eq!(world.audit().await.len(), trail, "nothing was written");
    assert_eq!(world.attempts_left(&anna.phone).await, 4, "nothing was credited");
    assert!(world.daemon.log().contains("the token did not sign"));

    token.mood("live", 2);
    let outcome = send(&world, &anna, asked.id(), &yes).await.unwrap();
    assert_eq!(outcome.state, "approved");
    verify(&world, &assertion(&world, &asked.reply.challenge_id).await);
    assert_eq!(world.attempts_left(&anna.phone).await, 5);
    world.try_ask(&world.market, message).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_that_was_charged_but_not_signed_is_given_for_the_same_element() {
    let (token, mut world) = world().await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let element = blind(crate::world::PIN).1;
    let prover = anna.phone.prover().unwrap();
    let evaluate = || {
        let at = &world.server;
        paraphe_companion::protocol::request_evaluation(at, &prover, asked.id(), &element)
    };
    token.mood("gone", 1);
    assert_eq!(code_of(evaluate().await), AWAY);
    token.mood("live", 2);
    evaluate().await.unwrap();
    assert_eq!(world.attempts_left(&anna.phone).await, 4, "charged once");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_died_are_opened_again_and_nobody_notices() {
    let (token, mut world) = world().await;
    let anna = world.enrol().await;
    for generation in 1..4 {
        let asked = ask(&world, &anna).await;
        token.mood("live", generation);
        approve(&world, &anna, &asked).await.unwrap();
        verify(&world, &assertion(&world, &asked.reply.challenge_id).await);
    }
    assert!(world.daemon.log().contains("another one is opened"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_does_not_verify_never_leaves_the_daemon() {
    let (token, mut world) = world().await;
    let (anna, ben) = (world.enrol().await, world.enrol().await);
    let subject = world.subject(&world.market, &ben).await;
    let asked = ask(&world, &anna).await;
    let unlocked = unlock(&world, &anna, &asked).await;
    let yes = approval(&asked, &unlocked, &asked.reply.match_code);
    token.mood("flip", 0);
    let refused = world
        .try_ask(&world.market, purchase(&subject))
        .await
        .unwrap_err();
    assert_eq!(code(&refused), "keys.unavailable");
    assert_eq!(code_of(send(&world, &anna, asked.id(), &yes).await), AWAY);
    assert!(world.daemon.log().contains("not a signature by its key"));
    token.mood("live", 0);
    send(&world, &anna, asked.id(), &yes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_the_token_refuses_is_tried_once() {
    let (token, mut world) = world().await;
    let (anna, ben) = (world.enrol().await, world.enrol().await);
    let subject = world.subject(&world.market, &ben).await;
    let asked = ask(&world, &anna).await;
    let before = token.logins();
    token.mood("pin", 1);
    for _ in 0..3 {
        let refused = guess(&world, &anna, asked.id(), crate::world::PIN).await;
        assert!(refused.is_err());
        let refused = world
            .try_ask(&world.market, purchase(&subject))
            .await
            .unwrap_err();
        assert_eq!(code(&refused), "keys.unavailable");
    }
    assert_eq!(
        token.logins() - before,
        1,
        "more wrong PINs would lock a real token"
    );
    token.mood("live", 1);
    world.daemon.stop();
    world.start_again().await;
    world.shown(&anna.phone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_approvals_in_parallel_go_through_the_token() {
    let (token, mut world) = world().await;
    let mut asked = Vec::new();
    for _ in 0..64 {
        let person = world.enrol().await;
        let challenge = ask(&world, &person).await;
        asked.push((person, challenge));
    }
    let key = token.public_key("assertion-key");
    let world = Arc::new(world);
    let mut approvals = JoinSet::new();
    for (person, asked) in asked {
        let world = Arc::clone(&world);
        approvals.spawn(async move {
            approve(&world, &person, &asked).await.unwrap();
            assertion(&world, &asked.reply.challenge_id).await
        });
    }
    let signed = approvals.join_all().await;
    assert_eq!(signed.len(), 64);
    for compact in signed {
        jws::verify::<Assertion>(&compact, &key, ISSUER).unwrap();
        assert!(is_low_s(&Parts::of(&compact).signature));
    }
    assert!(!world.daemon.log().contains("token"), "{}", world.daemon.log());
}
