//! Rotating the issuer keys while the daemon serves: phones follow, what is in flight survives, no step can be taken out of turn.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use paraphe_companion::{Activation, Argon2Cost, Event, Invitation, SoftwareKeyStore};
use paraphe_proto::jws;
use paraphe_proto::statements::{Assertion, Challenge};
use rand_core::OsRng;
use rustls_pki_types::pem::PemObject;

use crate::daemon::Daemon;
use crate::hand::{OPEN, Parts, approve, ask, code_of};
use crate::world::{PIN, Person, World, connect};

/// `paraphed keys …`.
pub fn command(daemon: &Daemon, step: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(crate::daemon::binary("debug", "paraphed-test-hooks"));
    command.arg("keys").args(step).arg("--config");
    command.arg(daemon.path("paraphed.toml"));
    command.env("PARAPHE_TEST_CLOCK_FILE", daemon.path("clock"));
    command.envs(daemon.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// `paraphed keys …`: its output, or what it refused with.
pub fn keys(daemon: &Daemon, step: &[&str]) -> Result<String, String> {
    let output = command(daemon, step).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() {
        return Ok(text(output.stdout));
    }
    assert_eq!(output.status.code(), Some(5));
    Err(text(output.stderr))
}

pub fn refused(daemon: &Daemon, step: &[&str], code: &str) -> String {
    let file = || std::fs::read(daemon.path("issuer-keys.sealed")).unwrap();
    let before = file();
    let said = keys(daemon, step).unwrap_err();
    assert!(said.contains(&format!("paraphed: {code}: ")), "{step:?}: {said}");
    assert_eq!(file(), before, "nothing changed");
    said
}

/// SIGHUP; waits until the log has this once more.
pub async fn reload(daemon: &Daemon, says: &str) {
    let count = || daemon.log().matches(says).count();
    let before = count();
    daemon.hang_up();
    for _ in 0..200 {
        if count() > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the log does not say {says:?}: {}", daemon.log());
}

async fn step(world: &World, step: &[&str]) {
    follow(&world.daemon, step).await;
}

/// A step that the running daemon follows.
pub async fn follow(daemon: &Daemon, step: &[&str]) {
    keys(daemon, step).unwrap();
    reload(daemon, "the issuer keys were read again").await;
}

/// The `kid`s of `/.well-known/jwks.json`.
pub fn jwks(daemon: &Daemon) -> Vec<String> {
    let ca = std::fs::read(daemon.path("ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_slice(&ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "127.0.0.1".try_into().unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let address = daemon.url.strip_prefix("https://").unwrap();
    let mut stream = rustls::StreamOwned::new(session, TcpStream::connect(address).unwrap());
    stream
        .write_all(b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: paraphe.test\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut reply = String::new();
    let _closed = stream.read_to_string(&mut reply);
    let body = reply.split("\r\n\r\n").nth(1).unwrap();
    let jwks: serde_json::Value = serde_json::from_str(body).unwrap();
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid(challenge: &str) -> String {
    jws::unverified_kid::<Challenge>(challenge).unwrap()
}

async fn assertion_kid(world: &World, id: &str) -> String {
    let verdict = world.verdict(&world.market, id).await;
    assert!(!verdict.assertion.is_empty());
    jws::unverified_kid::<Assertion>(&verdict.assertion).unwrap()
}

fn versions(person: &Person) -> usize {
    person.phone.record().trust.key_sets.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_drops_no_stream_and_no_challenge_in_flight() {
    let mut world = World::with(OPEN).await;
    let (anna, ben, away) = (world.enrol().await, world.enrol().await, world.enrol().await);
    let (listening, _) = connect(&world.daemon).await;
    let mut watch = away.phone.watch(&listening).await.unwrap();
    assert!(matches!(watch.next().await.unwrap(), Some(Event::CaughtUp)));
    let old = jwks(&world.daemon);
    step(&world, &["next"]).await;
    let both = jwks(&world.daemon);
    assert!(both.len() == 2 && both[0] == old[0], "{both:?}");
    world.pass(601);

    // Anna has seen hers before the step, Ben has not.
    let annas = ask(&world, &anna).await;
    let subject = world.subject(&world.market, &ben).await;
    let bens = world.ask(&world.market, &subject).await;
    step(&world, &["activate"]).await;
    assert_eq!(jwks(&world.daemon), both, "the old assertions are still good");
    let receipt = approve(&world, &anna, &annas).await.unwrap();
    assert_eq!(receipt.state.to_string(), "approved");
    assert_eq!(versions(&anna), 3, "its evaluation was signed with the new key");
    let shown = crate::hand::shown(&world, &ben, &bens.challenge_id).await;
    assert_eq!(kid(shown.compact()), kid(annas.shown.compact()));
    let done = ben
        .phone
        .approve(&world.server, &shown, Some(&bens.match_code), PIN, &mut OsRng)
        .await;
    assert_eq!(done.unwrap().state.to_string(), "approved");
    for id in [&annas.reply.challenge_id, &bens.challenge_id] {
        assert_eq!(assertion_kid(&world, id).await, both[1]);
    }

    // The phone that was only listening gets a challenge by the new key on the stream that it opened before the rotation.
    let subject = world.subject(&world.market, &away).await;
    let later = world.ask(&world.market, &subject).await;
    let event = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    let Some(Event::Pending(pending)) = event.unwrap().unwrap() else {
        panic!("a challenge")
    };
    let shown = pending.challenge.unwrap();
    assert_eq!(shown.challenge_id().to_string(), later.challenge_id);
    assert_ne!(kid(shown.compact()), kid(annas.shown.compact()));

    refused(&world.daemon, &["retire"], "keys.too_early");
    world.pass(3_601);
    step(&world, &["retire"]).await;
    assert_eq!(jwks(&world.daemon), [both[1].clone()]);
    world.start_again().await;
    for person in [&anna, &ben, &away] {
        let asked = ask(&world, person).await;
        let receipt = approve(&world, person, &asked).await.unwrap();
        assert_eq!(receipt.state.to_string(), "approved");
    }
    world.sign_in_again().await;
    let fresh = world.enrol().await;
    assert_eq!(versions(&fresh), 4, "a new phone walks from the root key");
    let verbs: Vec<String> = world.audit().await.into_iter().map(|entry| entry.verb).collect();
    let count = |verb: &str| verbs.iter().filter(|known| *known == verb).count();
    for (verb, times) in [
        ("publish_key_set", 3),
        ("key_next", 2),
        ("key_activate", 2),
        ("key_retire", 2),
    ] {
        assert_eq!(count(verb), times, "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_that_began_before_ends_under_the_key_of_its_offer() {
    let mut world = World::with(OPEN).await;
    let (name, issued) = world.issue().await;
    let folder = world.daemon.path(&format!("phone-{name}"));
    let keystore = Arc::new(SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap());
    let invitation = Invitation::from_uri(&issued.uri).unwrap();
    let mut begun = Activation::begin(&folder, keystore, invitation, &world.server, &mut OsRng)
        .await
        .unwrap();
    step(&world, &["next"]).await;
    step(&world, &["activate", "--now"]).await;
    let done = begun
        .finish(&world.server, PIN, Argon2Cost::LOWEST, &mut OsRng)
        .await
        .unwrap();
    let digits = done.sas.to_string();
    world.confirm(&issued.activation_id, &digits).await.unwrap();
    let person = Person {
        phone: done.phone,
        name,
    };
    let asked = ask(&world, &person).await;
    let receipt = approve(&world, &person, &asked).await.unwrap();
    assert_eq!(receipt.state.to_string(), "approved");
}

/// What the wait before `retire` is for: `--now` is for a stolen key, whose challenges nobody may be shown any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_by_a_key_that_was_retired_at_once_is_shown_to_nobody() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let asked = world.ask(&world.market, &subject).await;
    for step_taken in ["next", "activate", "retire"] {
        step(&world, &[step_taken, "--now"]).await;
    }
    let mut pending = person.phone.fetch(&world.server).await.unwrap();
    person.phone.refresh_keys(&world.server).await.unwrap();
    assert_eq!(pending.len(), 1);
    pending = person.phone.fetch(&world.server).await.unwrap();
    assert_eq!(code_of(pending.pop().unwrap().challenge), "statement.key");
    let again = world.ask(&world.market, &subject).await;
    assert_ne!(again.challenge_id, asked.challenge_id);
    let shown = crate::hand::shown(&world, &person, &again.challenge_id).await;
    let code = Some(again.match_code.as_str());
    let done = person
        .phone
        .approve(&world.server, &shown, code, PIN, &mut OsRng)
        .await;
    assert_eq!(done.unwrap().state.to_string(), "approved");
}

/// A question that no phone shows is not found again: its holder would have to wait until it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_by_a_key_that_was_retired_at_once_is_asked_anew() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    person.phone.suspend(&world.server).await.unwrap();
    let first = person.phone.resume(&world.server).await.unwrap();
    assert_eq!(person.phone.resume(&world.server).await.unwrap(), first);
    for step_taken in ["next", "activate", "retire"] {
        step(&world, &[step_taken, "--now"]).await;
    }
    person.phone.refresh_keys(&world.server).await.unwrap();
    let again = person.phone.resume(&world.server).await.unwrap();
    assert_ne!(again, first);
    let shown = crate::hand::shown(&world, &person, &again.to_string()).await;
    let approved = person
        .phone
        .approve(&world.server, &shown, None, PIN, &mut OsRng)
        .await;
    assert_eq!(approved.unwrap().state.to_string(), "approved");
}

/// The daemon would go on signing with a key whose private half is said to be gone.
#[tokio::test(flavor = "multi_thread")]
async fn no_step_runs_ahead_of_a_daemon_that_serves() {
    let mut world = World::with(OPEN).await;
    step(&world, &["next"]).await;
    keys(&world.daemon, &["activate", "--now"]).unwrap();
    let said = refused(&world.daemon, &["retire", "--now"], "keys.too_early");
    assert!(
        said.contains("has not read key set 3") && said.contains("systemctl reload"),
        "{said}"
    );
    reload(&world.daemon, "the issuer keys were read again").await;
    keys(&world.daemon, &["retire", "--now"]).unwrap();
    refused(&world.daemon, &["next", "--now"], "keys.too_early");

    // A daemon that is stopped signs nothing.
    assert_eq!(world.daemon.stop(), 0);
    for step in ["next", "activate", "retire"] {
        keys(&world.daemon, &[step, "--now"]).unwrap();
    }
    world.start_again().await;
    assert_eq!(jwks(&world.daemon).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_out_of_turn_is_refused_and_changes_nothing() {
    let mut world = World::with(OPEN).await;
    let daemon = &world.daemon;
    refused(daemon, &["activate"], "keys.step");
    refused(daemon, &["retire", "--now"], "keys.step");
    keys(daemon, &["next"]).unwrap();
    refused(daemon, &["next"], "keys.step");
    refused(daemon, &["activate"], "keys.too_early");
    assert!(
        keys(daemon, &["activate"])
            .unwrap_err()
            .contains("systemctl reload")
    );
    world.pass(10_000);
    let daemon = &world.daemon;
    refused(daemon, &["activate"], "keys.too_early");
    reload(daemon, "the issuer keys were read again").await;
    refused(daemon, &["activate"], "keys.too_early");
    assert!(keys(daemon, &["activate"]).unwrap_err().contains("say --now"));
    world.pass(601);
    keys(&world.daemon, &["activate"]).unwrap();
    let list: serde_json::Value =
        serde_json::from_str(&keys(&world.daemon, &["list", "--json"]).unwrap()).unwrap();
    assert_eq!((&list["key_set"], &list["published"]), (&3.into(), &2.into()));
    let signs = list["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["signs"] == true);
    assert_eq!(signs.count(), 2);
    let held = std::fs::File::options()
        .write(true)
        .open(world.daemon.path("issuer-keys.sealed.lock"))
        .unwrap();
    held.lock().unwrap();
    refused(&world.daemon, &["retire", "--now"], "keys.busy");
    drop(held);
    std::fs::remove_file(world.daemon.path("issuer-keys.sealed")).unwrap();
    assert!(
        keys(&world.daemon, &["next"])
            .unwrap_err()
            .contains("keys.missing")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_key_file_or_another_history_is_never_served() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    let file = world.daemon.path("issuer-keys.sealed");
    let older = std::fs::read(&file).unwrap();
    step(&world, &["next"]).await;
    step(&world, &["activate", "--now"]).await;
    let newest = std::fs::read(&file).unwrap();
    let asked = ask(&world, &person).await;

    // A thief of an old copy, or a careless restore: the daemon keeps the keys that it has.
    std::fs::write(&file, &older).unwrap();
    reload(&world.daemon, "keys.behind_database").await;
    let other = ask(&world, &person).await;
    assert_eq!(kid(other.shown.compact()), kid(asked.shown.compact()));
    assert_eq!(world.daemon.stop(), 0);
    let (said, status) = world.daemon.fail_to_start();
    assert!(
        said.contains("paraphed: keys.behind_database: ") && status == 5,
        "{said}"
    );

    // The same versions by another rotation of the old file.
    keys(&world.daemon, &["next", "--now"]).unwrap();
    keys(&world.daemon, &["activate", "--now"]).unwrap();
    let (said, status) = world.daemon.fail_to_start();
    assert!(
        said.contains("paraphed: keys.other_history: ") && status == 5,
        "{said}"
    );

    std::fs::write(&file, &newest).unwrap();
    world.start_again().await;
    let asked = ask(&world, &person).await;
    approve(&world, &person, &asked).await.unwrap();
    let trust = person.phone.record().trust;
    assert_eq!(Parts::of(trust.key_sets.last().unwrap()).claims["version"], 3);
}
