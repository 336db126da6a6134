//! Rotations where the issuer keys are on a token: theirs, and that of the master key.

use paraphe_proto::jws;
use paraphe_proto::statements::{Assertion, Challenge};
use rand_core::OsRng;

use super::{assertion, verify, world};
use crate::daemon::ISSUER;
use crate::hand::{approve, ask};
use crate::master_key;
use crate::rotation::{follow, jwks, keys, refused, reload};
use crate::token::softhsm::{SoftHsm, TOKEN_PIN};
use crate::world::{PIN, Person, World};

pub(super) async fn approves(world: &World, person: &Person) {
    let asked = ask(world, person).await;
    approve(world, person, &asked).await.unwrap();
    verify(world, &assertion(world, &asked.reply.challenge_id).await);
}

/// The person approves, and the assertion is by the key of that label.
async fn signs(world: &World, token: &SoftHsm, person: &Person, label: &str) {
    let asked = ask(world, person).await;
    approve(world, person, &asked).await.unwrap();
    let signed = assertion(world, &asked.reply.challenge_id).await;
    jws::verify::<Assertion>(&signed, &token.public_key(label), ISSUER).unwrap();
}

/// The labels of the private keys on the token.
pub(super) fn labels(token: &SoftHsm) -> Vec<String> {
    let listed = token.pkcs11_tool(&["--list-objects", "--type", "privkey"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    let labels = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("label:"));
    let mut labels: Vec<String> = labels.map(|label| label.trim().to_owned()).collect();
    labels.sort();
    labels
}

pub(super) fn kid(token: &SoftHsm, label: &str) -> String {
    token.public_key(label).thumbprint().to_owned()
}

/// `next` with labels that are given.
pub(super) fn with<'a>(challenge: &'a str, assertion: &'a str) -> [&'a str; 5] {
    [
        "next",
        "--challenge-key-label",
        challenge,
        "--assertion-key-label",
        assertion,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_on_a_token_rotate_and_drop_no_challenge_in_flight() {
    let (token, mut world) = world().await;
    let (anna, ben) = (world.enrol().await, world.enrol().await);
    let old = jwks(&world.daemon);
    follow(&world.daemon, &["next"]).await;
    let next = ["challenge-key-2", "assertion-key-2"];
    for label in next {
        let listed = token.listed(label);
        assert!(
            listed.contains("never extractable") && listed.contains("always sensitive"),
            "{listed}"
        );
        assert!(token.value_of(label).is_err());
    }
    let both = jwks(&world.daemon);
    assert_eq!(both, [old[0].clone(), kid(&token, next[1])]);
    approves(&world, &anna).await;
    world.pass(601);

    // Anna has seen hers before the step, Ben has not.
    let annas = ask(&world, &anna).await;
    let subject = world.subject(&world.market, &ben).await;
    let bens = world.ask(&world.market, &subject).await;
    follow(&world.daemon, &["activate"]).await;
    approve(&world, &anna, &annas).await.unwrap();
    let shown = crate::hand::shown(&world, &ben, &bens.challenge_id).await;
    let code = Some(bens.match_code.as_str());
    let done = ben
        .phone
        .approve(&world.server, &shown, code, PIN, &mut OsRng)
        .await;
    assert_eq!(done.unwrap().state.to_string(), "approved");
    for id in [&annas.reply.challenge_id, &bens.challenge_id] {
        let signed = assertion(&world, id).await;
        jws::verify::<Assertion>(&signed, &token.public_key(next[1]), ISSUER).unwrap();
    }
    let asked = ask(&world, &anna).await;
    let challenge = jws::unverified_kid::<Challenge>(asked.shown.compact()).unwrap();
    assert_eq!(challenge, kid(&token, next[0]));
    approve(&world, &anna, &asked).await.unwrap();

    refused(&world.daemon, &["retire"], "keys.too_early");
    assert_eq!(labels(&token).len(), 4);
    world.pass(3_601);
    follow(&world.daemon, &["retire"]).await;
    assert_eq!(
        labels(&token),
        ["assertion-key-2", "challenge-key-2"],
        "the old ones are destroyed"
    );
    assert_eq!(jwks(&world.daemon), [kid(&token, next[1])]);
    signs(&world, &token, &ben, next[1]).await;

    // Over a restart, and once more; the configuration names the keys of `init` all the while.
    assert_eq!(world.daemon.stop(), 0);
    world.start_again().await;
    signs(&world, &token, &anna, next[1]).await;
    for step in ["next", "activate", "retire"] {
        follow(&world.daemon, &[step, "--now"]).await;
    }
    assert_eq!(labels(&token), ["assertion-key-5", "challenge-key-5"]);
    world.sign_in_again().await;
    let fresh = world.enrol().await;
    signs(&world, &token, &fresh, "assertion-key-5").await;
    let listed = keys(&world.daemon, &["list", "--json"]).unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["key_set"], &listed["published"]), (&7.into(), &7.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_is_given_is_taken_and_what_is_refused_leaves_no_key_behind() {
    let (token, mut world) = world().await;
    let anna = world.enrol().await;
    token.make("theirs", "EC:prime256v1", &[]);
    token.make("weak", "EC:prime256v1", &["--extractable"]);
    let before = labels(&token);
    for (challenge, assertion, code) in [
        ("mine", "assertion-key", "keys.step"),
        ("mine", "challenge-key", "keys.step"),
        ("mine", "mine", "keys.step"),
        ("mine", "", "keys.step"),
        ("mine", "weak", "keys.token_key"),
    ] {
        refused(&world.daemon, &with(challenge, assertion), code);
    }
    refused(&world.daemon, &["activate", "--now"], "keys.step");
    refused(&world.daemon, &["retire", "--now"], "keys.step");
    let said = emergency(&world);
    assert!(
        said.contains("paraphed: keys.step: ") && said.contains("PKCS#11"),
        "{said}"
    );
    assert_eq!(labels(&token), before);

    follow(&world.daemon, &with("mine", "theirs")).await;
    refused(&world.daemon, &["next"], "keys.step");
    assert_eq!(jwks(&world.daemon)[1], kid(&token, "theirs"));
    follow(&world.daemon, &["activate", "--now"]).await;
    approves(&world, &anna).await;
    assert_eq!(world.daemon.stop(), 0);
    world.start_again().await;
    approves(&world, &anna).await;
    // Whoever puts another key in its place is noticed.
    assert_eq!(world.daemon.stop(), 0);
    token.delete("mine", &["privkey", "pubkey"]);
    let (said, exit) = world.daemon.fail_to_start();
    assert!(
        said.contains("\"mine\" is not on the token") && exit == 5,
        "{said}"
    );
    token.make("mine", "EC:prime256v1", &[]);
    let (said, _) = world.daemon.fail_to_start();
    assert!(said.contains("not the one of this deployment"), "{said}");
}

/// `paraphed keys emergency prepare` is for keys in the file.
fn emergency(world: &World) -> String {
    let to = world.daemon.path("set.json").display().to_string();
    keys(&world.daemon, &["emergency", "prepare", "--to", &to]).unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tries_no_pin_and_a_token_that_is_away_changes_nothing() {
    let (token, mut world) = world().await;
    let anna = world.enrol().await;
    keys(&world.daemon, &["next"]).unwrap();
    let (old, logins) = (jwks(&world.daemon), token.logins());
    token.mood("gone", 1);
    reload(&world.daemon, "the issuer keys were not replaced").await;
    assert_eq!(jwks(&world.daemon), old);
    token.mood("live", 2);
    token.set_pin("4711-wrong");
    for _ in 0..2 {
        reload(&world.daemon, "the issuer keys were read again").await;
    }
    assert_eq!(jwks(&world.daemon).len(), 2);
    approves(&world, &anna).await;
    assert_eq!(token.logins(), logins);
}

/// Tokens lock after a few wrong PINs: however often the daemon is told to read its keys again, the PIN that was refused is not tried.
#[tokio::test(flavor = "multi_thread")]
async fn reloads_try_a_pin_that_was_refused_once_in_all() {
    let (token, mut world) = world().await;
    let anna = world.enrol().await;
    keys(&world.daemon, &["next"]).unwrap();
    let logins = token.logins();
    token.mood("pin", 1);
    for _ in 0..3 {
        reload(&world.daemon, "the issuer keys were not replaced").await;
    }
    assert_eq!(token.logins() - logins, 1);
    token.mood("live", 1);
    reload(&world.daemon, "the issuer keys were read again").await;
    assert_eq!(jwks(&world.daemon).len(), 2);
    approves(&world, &anna).await;
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
