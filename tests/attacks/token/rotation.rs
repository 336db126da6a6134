//! What rotates where the issuer keys are on a token, and what does not.

use super::{assertion, verify, world};
use crate::hand::{approve, ask};
use crate::master_key;
use crate::rotation::{keys, refused, reload};
use crate::token::softhsm::TOKEN_PIN;
use crate::world::{Person, World};

async fn approves(world: &World, person: &Person) {
    let asked = ask(world, person).await;
    approve(world, person, &asked).await.unwrap();
    verify(world, &assertion(world, &asked.reply.challenge_id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_on_a_token_refuse_each_step_and_are_listed() {
    let (token, world) = world().await;
    for step in ["next", "activate", "retire"] {
        for step in [&[step][..], &[step, "--now"]] {
            let said = refused(&world.daemon, step, "keys.step");
            assert!(said.contains("on a PKCS#11 token"), "{said}");
        }
    }
    let listed = keys(&world.daemon, &["list", "--json"]).unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["key_set"], 1);
    for (key, label) in ["challenge-key", "assertion-key"].iter().enumerate() {
        let listed = &listed["keys"][key];
        assert_eq!(listed["kid"], token.public_key(label).thumbprint());
        assert_eq!(
            (&listed["state"], &listed["signs"]),
            (&"active".into(), &true.into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tries_no_pin_and_the_token_goes_on_signing() {
    let (token, mut world) = world().await;
    let anna = world.enrol().await;
    token.set_pin("4711-wrong");
    let logins = token.logins();
    reload(&world.daemon, "are on a token and stay as they are").await;
    approves(&world, &anna).await;
    assert_eq!(token.logins(), logins);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_rotates_while_the_issuer_keys_stay_on_the_token() {
    let (token, mut world) = world().await;
    let anna = world.enrol().await;
    assert_eq!(world.daemon.stop(), 0);
    master_key::move_away(&world.daemon);
    token.set_pin("4711-wrong");
    let logins = token.logins();
    let said = master_key::run(&world.daemon).unwrap_err();
    assert!(said.contains("paraphed: keys.token_pin: "), "{said}");
    assert_eq!(token.logins() - logins, 1, "a wrong PIN is tried once");
    token.set_pin(TOKEN_PIN);
    for _ in 0..2 {
        master_key::run(&world.daemon).unwrap();
    }
    token.set_pin("4711-wrong");
    let said = master_key::run(&world.daemon).unwrap_err();
    assert!(said.contains("paraphed: keys.token_pin: "), "{said}");
    token.set_pin(TOKEN_PIN);
    world.start_again().await;
    approves(&world, &anna).await;
}
