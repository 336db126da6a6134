//! Row: an old key set, a skipped version, a challenge by a next or retired key. Refused by the phone.

use paraphe_companion::IssuerKeys;
use paraphe_companion::Shown;
use paraphe_proto::jws;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::{KeySet, KeySetEntry, KeyState, KeyUse};
use rand_core::OsRng;

use crate::hand::{Asked, OPEN, Parts, ask, code_of};
use crate::world::{Person, World};

/// The issuer's real root key and first set, and what an issuer or a thief could publish next.
struct Issuer {
    root: SoftwareKey,
    keys: IssuerKeys,
    first: KeySet,
}

impl Issuer {
    fn of(world: &World, person: &Person) -> Self {
        let pem = std::fs::read_to_string(world.daemon.path("root-key.pem")).unwrap();
        let trust = person.phone.record().trust;
        let first = serde_json::from_value(Parts::of(&trust.key_sets[0]).claims).unwrap();
        Self {
            root: SoftwareKey::from_pkcs8_pem(&pem).unwrap(),
            keys: IssuerKeys::walk(trust).unwrap(),
            first,
        }
    }

    fn set(&self, version: u64, keys: Vec<KeySetEntry>, by: &SoftwareKey) -> String {
        let set = KeySet {
            version,
            keys,
            ..self.first.clone()
        };
        jws::sign(&set, by).unwrap().into_compact()
    }

    fn all(&self, state: KeyState) -> Vec<KeySetEntry> {
        let mut keys = self.first.keys.clone();
        keys.iter_mut()
            .filter(|key| key.key_use == KeyUse::Challenge)
            .for_each(|key| key.state = state);
        keys
    }
}

fn entry(key: &SoftwareKey, state: KeyState) -> KeySetEntry {
    let jwk = key.public_key().clone();
    KeySetEntry {
        kid: jwk.thumbprint().to_owned(),
        jwk,
        key_use: KeyUse::Challenge,
        state,
    }
}

async fn scene() -> (World, Person, Asked) {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    let asked = ask(&world, &person).await;
    (world, person, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_by_a_retired_key_is_refused_by_the_phone() {
    let (world, anna, asked) = scene().await;
    let issuer = Issuer::of(&world, &anna);
    let (device, challenge) = (anna.phone.device_id(), asked.shown.compact());
    let fresh = SoftwareKey::generate(&mut OsRng).unwrap();
    for (state, accepted) in [
        (KeyState::Retired, false),
        (KeyState::Next, false),
        (KeyState::Active, true),
    ] {
        let mut keys = issuer.all(state);
        keys.push(entry(&fresh, KeyState::Active));
        let newer = issuer
            .keys
            .extended(vec![issuer.set(2, keys, &issuer.root)])
            .unwrap();
        let shown = Shown::verify(&newer, &device, challenge);
        assert_eq!(shown.is_ok(), accepted, "{state:?}");
        if !accepted {
            assert_eq!(code_of(shown), "statement.key", "{state:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_by_a_key_that_is_only_next_is_refused_until_it_is_active() {
    let (world, anna, asked) = scene().await;
    let issuer = Issuer::of(&world, &anna);
    let fresh = SoftwareKey::generate(&mut OsRng).unwrap();
    let challenge = Parts::of(asked.shown.compact())
        .with_header("kid", fresh.public_key().thumbprint())
        .sign(&fresh);
    let device = anna.phone.device_id();
    assert_eq!(
        code_of(Shown::verify(&issuer.keys, &device, &challenge)),
        "statement.key",
        "an unknown key"
    );
    let with = |state| {
        let mut keys = issuer.first.keys.clone();
        keys.push(entry(&fresh, state));
        keys
    };
    let next = issuer.set(2, with(KeyState::Next), &issuer.root);
    let second = issuer.keys.extended(vec![next.clone()]).unwrap();
    assert_eq!(
        code_of(Shown::verify(&second, &device, &challenge)),
        "statement.key"
    );
    let active = issuer.set(3, with(KeyState::Active), &issuer.root);
    let third = issuer.keys.extended(vec![next, active.clone()]).unwrap();
    assert!(Shown::verify(&third, &device, &challenge).is_ok());
    let by_fresh = issuer.set(3, with(KeyState::Active), &fresh);
    assert!(
        second.extended(vec![by_fresh]).is_err(),
        "a key that is only next makes no set"
    );
    let fourth = issuer.set(4, with(KeyState::Active), &fresh);
    assert_eq!(
        third.extended(vec![fourth]).unwrap().version(),
        4,
        "an active one does"
    );
    let mut assertion = issuer.first.keys.clone();
    assertion.push(KeySetEntry {
        key_use: KeyUse::Assertion,
        ..entry(&fresh, KeyState::Active)
    });
    let other_use = issuer
        .keys
        .extended(vec![issuer.set(2, assertion, &issuer.root)])
        .unwrap();
    assert_eq!(
        code_of(Shown::verify(&other_use, &device, &challenge)),
        "statement.key",
        "a key for assertions"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_set_a_skipped_version_and_a_set_by_a_strangers_key_are_refused() {
    let (world, anna, _) = scene().await;
    let issuer = Issuer::of(&world, &anna);
    let keys = || issuer.first.keys.clone();
    let stranger = SoftwareKey::generate(&mut OsRng).unwrap();
    let second = issuer.set(2, keys(), &issuer.root);
    for (what, sets) in [
        (
            "the same version again",
            vec![issuer.set(1, keys(), &issuer.root)],
        ),
        ("a skipped version", vec![issuer.set(3, keys(), &issuer.root)]),
        (
            "back to the first",
            vec![second.clone(), issuer.set(1, keys(), &issuer.root)],
        ),
        (
            "a stranger's set",
            vec![issuer.set(2, vec![entry(&stranger, KeyState::Active)], &stranger)],
        ),
        (
            "another issuer's set",
            vec![{
                let mut parts = Parts::of(&second);
                parts.claims["iss"] = "https://elsewhere.test".into();
                parts.sign(&issuer.root)
            }],
        ),
    ] {
        assert!(issuer.keys.extended(sets).is_err(), "{what}");
    }
    assert_eq!(issuer.keys.extended(vec![second]).unwrap().version(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_serves_its_sets_after_the_version_that_a_phone_holds() {
    let (world, anna, _) = scene().await;
    let sets = async |after_version| {
        let request = paraphe_proto::v1::KeySetsRequest { after_version };
        world
            .server
            .client()
            .key_sets(request)
            .await
            .unwrap()
            .into_inner()
            .statements
    };
    assert_eq!(sets(0).await, anna.phone.record().trust.key_sets);
    assert!(sets(1).await.is_empty() && sets(u64::MAX).await.is_empty());
}
