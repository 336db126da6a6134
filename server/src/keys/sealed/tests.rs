#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

use std::os::unix::fs::PermissionsExt;

use paraphe_proto::keys::Signer;
use paraphe_proto::time::Timestamp;
use rand_core::OsRng;

use super::*;
use crate::config::Keys;
use crate::keys::write_new;
use crate::store::seal::MasterKey;

const ISS: &str = "https://paraphe.test";

fn sealer(byte: u8) -> Sealer {
    Sealer::new(&MasterKey::from_file_contents(&[byte; 32]).unwrap())
}

fn config(path: &Path, pkcs11: Option<Pkcs11>) -> Keys {
    Keys {
        master_key_file: "unused".into(),
        previous_master_key_file: None,
        issuer_keys_file: path.to_owned(),
        root_public_key_file: "unused".into(),
        pkcs11,
    }
}

/// A section that no test gets as far as using.
fn section() -> Option<Pkcs11> {
    Some(Pkcs11 {
        module: "/nonexistent/module.so".into(),
        token_label: "token".to_owned(),
        pin_file: "/nonexistent/pin".into(),
        challenge_key_label: "challenge".to_owned(),
        assertion_key_label: "assertion".to_owned(),
    })
}

fn key() -> SoftwareKey {
    SoftwareKey::generate(&mut OsRng).unwrap()
}

/// What releases before rotation wrote.
#[derive(Serialize)]
struct Yesterday {
    challenge: Secret<32>,
    assertion: Secret<32>,
    lookup: Secret<32>,
    pairwise: Secret<32>,
    key_set_version: u64,
}

#[test]
fn the_file_of_an_earlier_release_opens_and_rotates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuer-keys.sealed");
    let (challenge, assertion, root) = (key(), key(), key());
    let yesterday = Yesterday {
        challenge: Secret::new(*challenge.to_scalar()),
        assertion: Secret::new(*assertion.to_scalar()),
        lookup: Secret::new([3; 32]),
        pairwise: Secret::new([4; 32]),
        key_set_version: 1,
    };
    let blob = sealer(7).seal_record(TABLE, ID, TWO_KEYS, &yesterday).unwrap();
    write_new(&path, &blob).unwrap();
    let config = config(&path, None);
    let read = || IssuerKeys::read(&config, &sealer(7), root.public_key().clone()).unwrap();
    let keys = read();
    assert_eq!(keys.challenge().public_key(), challenge.public_key());
    assert_eq!(keys.assertion().public_key(), assertion.public_key());
    assert_eq!(keys.key_set_version(), 1);
    let next = keys
        .ring()
        .next(ISS, &mut OsRng, Timestamp::from_secs(1))
        .unwrap()
        .activate(ISS, Timestamp::from_secs(2))
        .unwrap()
        .retire(ISS, Timestamp::from_secs(3))
        .unwrap();
    keys.follow(Arc::new(next));
    keys.replace(&path, &sealer(7)).unwrap();
    let again = read();
    assert_eq!(again.key_set_version(), 4);
    assert_eq!(again.challenge().public_key(), keys.challenge().public_key());
    assert_ne!(again.challenge().public_key(), challenge.public_key());
    assert_eq!(again.lookup_hash("x"), keys.lookup_hash("x"));
    assert_eq!((*again.lookup, *again.pairwise), ([3; 32], [4; 32]));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    let wrong = IssuerKeys::read(&config, &sealer(8), root.public_key().clone());
    assert_eq!(wrong.err().unwrap().code(), "store.wrong_master_key");
}

fn on_token(key_use: KeyUse) -> SealedKey {
    SealedKey {
        public: Bytes(*key().public_key().as_sec1()),
        key_use,
        state: KeyState::Active,
        private: None,
        on_token: true,
        label: None,
    }
}

/// The code with which a file of these keys is refused.
fn refused(keys: Vec<SealedKey>, key_sets: &[&str], pkcs11: Option<Pkcs11>) -> &'static str {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuer-keys.sealed");
    let sealed = SealedRing {
        keys,
        key_sets: key_sets.iter().map(|set| (*set).to_owned()).collect(),
        lookup: Secret::new([3; 32]),
        pairwise: Secret::new([4; 32]),
        undestroyed: Vec::new(),
    };
    let blob = sealer(7).seal_record(TABLE, ID, RING, &sealed).unwrap();
    write_new(&path, &blob).unwrap();
    let read = IssuerKeys::read(&config(&path, pkcs11), &sealer(7), key().public_key().clone());
    read.err().expect("it must be refused").code()
}

#[test]
fn keys_are_where_the_configuration_says_and_none_of_those_on_a_token_is_in_the_file() {
    let pair = || vec![on_token(KeyUse::Challenge), on_token(KeyUse::Assertion)];
    assert_eq!(refused(pair(), &[], None), "keys.token_section");
    let in_file = |key_use| SealedKey {
        private: Some(Secret::new(*key().to_scalar())),
        on_token: false,
        ..on_token(key_use)
    };
    let both = vec![in_file(KeyUse::Challenge), in_file(KeyUse::Assertion)];
    assert_eq!(refused(both, &[], section()), "keys.token_section");

    let mut half = pair();
    half[1] = in_file(KeyUse::Assertion);
    let mut readable = pair();
    readable[0].private = Some(Secret::new([5; 32]));
    let mut nowhere = pair();
    nowhere[1].on_token = false;
    let mut retired = pair();
    retired.push(on_token(KeyUse::Assertion));
    retired[2].state = KeyState::Retired;
    for keys in [half, readable, nowhere, retired] {
        assert_eq!(refused(keys, &[], section()), "keys.malformed");
    }
    assert_eq!(
        refused(pair(), &[], section()),
        "keys.token_pin",
        "it goes as far as the token"
    );
}

/// What the release before this one sealed: it forgot the label of a key in the moment in which it was retired.
#[derive(Serialize)]
struct BeforeUndestroyed {
    keys: Vec<SealedKey>,
    key_sets: Vec<String>,
    lookup: Secret<32>,
    pairwise: Secret<32>,
}

#[test]
fn the_file_names_what_is_to_be_destroyed_until_it_is_and_an_older_one_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuer-keys.sealed");
    let config = config(&path, None);
    let in_file = |key_use| SealedKey {
        private: Some(Secret::new(*key().to_scalar())),
        on_token: false,
        ..on_token(key_use)
    };
    let older = BeforeUndestroyed {
        keys: vec![in_file(KeyUse::Challenge), in_file(KeyUse::Assertion)],
        key_sets: Vec::new(),
        lookup: Secret::new([3; 32]),
        pairwise: Secret::new([4; 32]),
    };
    let blob = sealer(7).seal_record(TABLE, ID, RING, &older).unwrap();
    write_new(&path, &blob).unwrap();
    let read = || IssuerKeys::read(&config, &sealer(7), key().public_key().clone()).unwrap();
    let keys = read();
    assert!(keys.ring().undestroyed().is_empty());

    let retired = key().public_key().clone();
    let next = keys
        .ring()
        .next(ISS, &mut OsRng, Timestamp::from_secs(1))
        .unwrap();
    let named = next.with_undestroyed(vec![Undestroyed {
        public: retired.clone(),
        key_use: KeyUse::Assertion,
        label: "left".to_owned(),
    }]);
    keys.follow(Arc::new(named));
    keys.replace(&path, &sealer(7)).unwrap();
    let later = read().ring().activate(ISS, Timestamp::from_secs(2)).unwrap();
    let later = later.retire(ISS, Timestamp::from_secs(3)).unwrap();
    let later = later.next(ISS, &mut OsRng, Timestamp::from_secs(4)).unwrap();
    keys.follow(Arc::new(later));
    keys.replace(&path, &sealer(7)).unwrap();
    let ring = read().ring();
    let [left] = ring.undestroyed() else {
        panic!("one is left")
    };
    assert_eq!((left.kid(), left.label()), (retired.thumbprint(), "left"));
    assert_eq!(left.key_use(), KeyUse::Assertion);
    let (after, errors) = ring.destroy_retired();
    assert_eq!(
        (after.undestroyed().len(), errors.len()),
        (1, 1),
        "no token is there to destroy it"
    );
}
