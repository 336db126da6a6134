#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

use paraphe_proto::keys::Signer;
use paraphe_proto::time::Timestamp;
use rand_core::OsRng;

use super::*;

const ISS: &str = "https://paraphe.test";

fn sealer(byte: u8) -> Sealer {
    Sealer::new(&MasterKey::from_file_contents(&[byte; 32]).unwrap())
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
    let read = || IssuerKeys::read(&path, &sealer(7), root.public_key().clone()).unwrap();
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
    let wrong = IssuerKeys::read(&path, &sealer(8), root.public_key().clone());
    assert_eq!(wrong.err().unwrap().code(), "store.wrong_master_key");
}

#[test]
fn one_command_at_a_time_changes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuer-keys.sealed");
    assert_eq!(lock(&path).unwrap_err().code(), "keys.missing");
    write_new(&path, b"x").unwrap();
    let held = lock(&path).unwrap();
    assert_eq!(lock(&path).unwrap_err().code(), "keys.busy");
    drop(held);
    assert!(lock(&path).is_ok());
}
