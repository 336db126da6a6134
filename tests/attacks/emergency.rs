//! The issuer keys are stolen: the root key, kept offline, signs a set with new keys, and nobody else can (protocol.md section 2.1).

use std::path::PathBuf;

use paraphe_companion::IssuerKeys as Trust;
use paraphe_companion::Shown;
use paraphe_proto::jws;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::{Challenge, KeySet};
use paraphe_proto::v1::State;
use paraphe_server::keys::{IssuerKeys, read_master_key, read_public_key};
use paraphe_server::store::seal::Sealer;
use rand_core::OsRng;

use crate::daemon::Daemon;
use crate::hand::{OPEN, Parts, approve, ask, code_of};
use crate::rotation::{jwks, keys, reload};
use crate::world::World;

/// `paraphed keys emergency …` for this daemon: its output, or what it refused with.
fn emergency(daemon: &Daemon, step: &[&str]) -> Result<String, String> {
    keys(daemon, &[&["emergency"], step].concat())
}

fn path(daemon: &Daemon, name: &str) -> String {
    daemon.path(name).to_str().unwrap().to_owned()
}

pub fn prepare(daemon: &Daemon) -> String {
    emergency(daemon, &["prepare", "--to", &path(daemon, "set.json")]).unwrap()
}

/// On the machine that is offline: no configuration, no database, no daemon.
pub fn sign(daemon: &Daemon, root_key: &str, to: &str) -> Result<String, String> {
    let apart = tempfile::tempdir().unwrap();
    for name in ["set.json", root_key] {
        std::fs::copy(daemon.path(name), apart.path().join(name)).unwrap();
    }
    let mut command = std::process::Command::new(crate::daemon::binary("debug", "paraphed-test-hooks"));
    command.args([
        "keys",
        "emergency",
        "sign",
        "--request",
        "set.json",
        "--root-key",
        root_key,
    ]);
    command.args(["--to", to, "--yes"]).current_dir(apart.path());
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    std::fs::copy(apart.path().join(to), daemon.path(to)).unwrap();
    Ok(String::from_utf8(output.stdout).unwrap())
}

pub fn apply(daemon: &Daemon, statement: &str) -> Result<String, String> {
    emergency(daemon, &["apply", "--statement", &path(daemon, statement)])
}

fn refused(daemon: &Daemon, statement: &str, code: &str) -> String {
    let file = || std::fs::read(daemon.path("issuer-keys.sealed")).unwrap();
    let before = file();
    let said = apply(daemon, statement).unwrap_err();
    assert!(
        said.contains(&format!("paraphed: {code}: ")),
        "{statement}: {said}"
    );
    assert_eq!(file(), before, "nothing changed");
    said
}

/// What a thief of the daemon's files has: the keys that sign today.
fn stolen(daemon: &Daemon) -> IssuerKeys {
    let config = paraphe_server::config::Config::load(&daemon.path("paraphed.toml")).unwrap();
    let sealer = Sealer::new(&read_master_key(&daemon.path("master.key")).unwrap());
    let root: PathBuf = config.keys.root_public_key_file.clone();
    IssuerKeys::read(&config.keys, &sealer, read_public_key(&root).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_key_replaces_stolen_keys_at_once_and_phones_follow() {
    let mut world = World::with(OPEN).await;
    let (anna, ben) = (world.enrol().await, world.enrol().await);
    let waiting = ask(&world, &anna).await;
    let thief = stolen(&world.daemon);
    let old = jwks(&world.daemon);

    let listed = prepare(&world.daemon);
    assert_eq!(jwks(&world.daemon), old, "preparing changes nothing in use");
    let shown = sign(&world.daemon, "root-key.pem", "set.jws").unwrap();
    for line in listed.lines().filter(|line| line.contains("new")).take(2) {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    apply(&world.daemon, "set.jws").unwrap();
    assert!(!world.daemon.path("issuer-keys.sealed.emergency").exists());
    apply(&world.daemon, "set.jws").unwrap();
    assert_eq!(jwks(&world.daemon), old, "until the daemon reads it");
    reload(&world.daemon, "the issuer keys were read again").await;
    let new = jwks(&world.daemon);
    assert!(new.len() == 1 && new != old, "{new:?}");

    // What the old key signed and nobody answered has ended, and its backend knows.
    let ended = world.verdict(&world.market, &waiting.reply.challenge_id).await;
    assert_eq!(ended.state(), State::Failed);

    for person in [&anna, &ben] {
        let asked = ask(&world, person).await;
        let receipt = approve(&world, person, &asked).await.unwrap();
        assert_eq!(receipt.state.to_string(), "approved");
        assert_eq!(person.phone.record().trust.key_sets.len(), 2, "it has walked");
    }

    // The thief signs a challenge with the key that was stolen, and a key set that would bring it back.
    let asked = ask(&world, &anna).await;
    let signer = thief.challenge();
    let claims: Challenge = serde_json::from_value(Parts::of(asked.shown.compact()).claims).unwrap();
    let forged = jws::sign(&claims, &*signer).unwrap().into_compact();
    let trust = Trust::walk(anna.phone.record().trust).unwrap();
    let device = anna.phone.device_id();
    assert_eq!(code_of(Shown::verify(&trust, &device, &forged)), "statement.key");
    assert!(Shown::verify(&trust, &device, asked.shown.compact()).is_ok());
    let text = std::fs::read_to_string(world.daemon.path("set.jws")).unwrap();
    let set: KeySet = serde_json::from_value(Parts::of(text.trim()).claims).unwrap();
    let third = KeySet { version: 3, ..set };
    let back = jws::sign(&third, &*signer).unwrap().into_compact();
    assert!(trust.extended(vec![back]).is_err());

    let verbs = world.audit().await;
    let published = verbs.iter().find(|entry| entry.verb == "publish_key_set");
    assert_eq!(published.unwrap().outcome, "by_root_key");
    let retired = verbs.iter().filter(|entry| entry.verb == "key_retire").count();
    assert_eq!(retired, 2);

    // It goes on: over a restart, for new phones, and with rotations after it.
    assert_eq!(world.daemon.stop(), 0);
    world.start_again().await;
    world.sign_in_again().await;
    let fresh = world.enrol().await;
    assert_eq!(fresh.phone.record().trust.key_sets.len(), 2);
    crate::rotation::follow(&world.daemon, &["next"]).await;
    assert_eq!(jwks(&world.daemon).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_anything_but_the_root_key_signed_is_refused_at_import() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let daemon = &world.daemon;
    std::fs::write(daemon.path("set.jws"), "a.b.c").unwrap();
    let said = refused(daemon, "set.jws", "keys.step");
    assert!(said.contains("prepare"), "{said}");
    refused(daemon, "absent.jws", "keys.missing");
    prepare(daemon);
    let twice = emergency(daemon, &["prepare", "--to", &path(daemon, "other.json")]).unwrap_err();
    assert!(twice.contains("paraphed: keys.exists: "), "{twice}");
    assert!(!daemon.path("other.json").exists());

    let stranger = SoftwareKey::generate(&mut OsRng).unwrap();
    std::fs::write(
        daemon.path("stranger.pem"),
        stranger.to_pkcs8_pem().unwrap().as_bytes(),
    )
    .unwrap();
    let said = sign(daemon, "stranger.pem", "stranger.jws").unwrap_err();
    assert!(said.contains("paraphed: keys.other_root_key: "), "{said}");
    for key in [stranger.public_key(), stolen(daemon).root_public()] {
        assert!(said.contains(key.thumbprint()), "{said}");
    }
    assert!(!daemon.path("stranger.jws").exists());

    let request = std::fs::read(daemon.path("set.json")).unwrap();
    let request: serde_json::Value = serde_json::from_slice(&request).unwrap();
    let set: KeySet = serde_json::from_value(request["key_set"].clone()).unwrap();
    let by = |set: &KeySet, signer: &dyn Signer| jws::sign(set, signer).unwrap().into_compact();
    // Whoever signs it elsewhere.
    std::fs::write(daemon.path("stranger.jws"), by(&set, &stranger)).unwrap();
    let said = refused(daemon, "stranger.jws", "keys.not_by_root");
    assert!(said.contains("root key"), "{said}");

    // The stolen key itself signs key sets for phones, but not this one.
    let thief = stolen(daemon);
    std::fs::write(daemon.path("thief.jws"), by(&set, &*thief.challenge())).unwrap();
    refused(daemon, "thief.jws", "keys.not_by_root");

    // The root key over anything but what was prepared here.
    let pem = std::fs::read_to_string(daemon.path("root-key.pem")).unwrap();
    let root = SoftwareKey::from_pkcs8_pem(&pem).unwrap();
    let mut added = set.clone();
    added.keys.push(added.keys[0].clone());
    let later = KeySet {
        version: 3,
        ..set.clone()
    };
    let foreign = KeySet {
        iss: "https://elsewhere.example".into(),
        ..set
    };
    for (name, set, code) in [
        ("added.jws", added, "keys.other_set"),
        ("later.jws", later, "keys.other_set"),
        ("foreign.jws", foreign, "keys.not_by_root"),
    ] {
        std::fs::write(daemon.path(name), by(&set, &root)).unwrap();
        refused(daemon, name, code);
    }
    std::fs::write(daemon.path("set.json"), "{}").unwrap();
    let malformed = sign(daemon, "root-key.pem", "never.jws").unwrap_err();
    assert!(malformed.contains("paraphed: keys.malformed: "), "{malformed}");

    // The daemon has served all the while with the keys that it had.
    let asked = ask(&world, &anna).await;
    let receipt = approve(&world, &anna, &asked).await.unwrap();
    assert_eq!(receipt.state.to_string(), "approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_was_stopped_meanwhile_ends_what_the_old_key_signed_when_it_starts() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let waiting = ask(&world, &anna).await;
    assert_eq!(world.daemon.stop(), 0);
    prepare(&world.daemon);
    sign(&world.daemon, "root-key.pem", "set.jws").unwrap();
    apply(&world.daemon, "set.jws").unwrap();
    world.start_again().await;
    let ended = world.verdict(&world.market, &waiting.reply.challenge_id).await;
    assert_eq!(ended.state(), State::Failed);
    let asked = ask(&world, &anna).await;
    approve(&world, &anna, &asked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_in_between_makes_what_was_prepared_worthless() {
    let world = World::with(OPEN).await;
    prepare(&world.daemon);
    sign(&world.daemon, "root-key.pem", "set.jws").unwrap();
    let (prepared, elsewhere) = ("issuer-keys.sealed.emergency", "elsewhere");
    for step in ["next", "activate", "retire"] {
        for step in [&[step][..], &[step, "--now"]] {
            let said = crate::rotation::refused(&world.daemon, step, "keys.emergency_prepared");
            assert!(said.contains("worthless") && said.contains(prepared), "{said}");
        }
    }
    let listed = || keys(&world.daemon, &["list"]).unwrap();
    assert!(listed().contains("an emergency is prepared"), "{}", listed());

    // Who hides the file from the rotation has lost what was prepared.
    std::fs::rename(world.daemon.path(prepared), world.daemon.path(elsewhere)).unwrap();
    assert!(!listed().contains("emergency"), "{}", listed());
    crate::rotation::follow(&world.daemon, &["next"]).await;
    std::fs::rename(world.daemon.path(elsewhere), world.daemon.path(prepared)).unwrap();
    assert!(listed().contains("is worthless"), "{}", listed());
    let said = refused(&world.daemon, "set.jws", "keys.step");
    assert!(said.contains("prepare it again"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_does_not_rotate_while_an_emergency_is_prepared() {
    let world = World::with(OPEN).await;
    prepare(&world.daemon);
    crate::master_key::move_away(&world.daemon);
    let said = crate::master_key::run(&world.daemon).unwrap_err();
    assert!(said.contains("an emergency is prepared"), "{said}");
}
