#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

fn sealer(byte: u8) -> Sealer {
    Sealer::new(&MasterKey([byte; MASTER_KEY_BYTES]))
}

fn tampered(table: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    Err(SealError::Tampered {
        table: table.to_owned(),
    })
}

proptest! {
    #[test]
    fn a_blob_opens_only_where_and_as_it_was_sealed(
        plaintext in proptest::collection::vec(any::<u8>(), 0..200),
        table in "[a-z]{0,8}", id in "[a-z0-9]{0,8}", version in any::<u64>(),
        other in "[a-z0-9]{0,8}", other_version in any::<u64>(),
        position in any::<prop::sample::Index>(), flip in 1_u8..,
    ) {
        let sealer = sealer(1);
        let blob = sealer.seal(&table, &id, version, &plaintext).unwrap();
        prop_assert_eq!(blob.len(), plaintext.len() + 29);
        let opened = sealer.open(&table, &id, version, &blob).unwrap();
        prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
        if other != table {
            prop_assert_eq!(sealer.open(&other, &id, version, &blob), tampered(&other));
        }
        if other != id {
            prop_assert_eq!(sealer.open(&table, &other, version, &blob), tampered(&table));
        }
        if other_version != version {
            prop_assert_eq!(sealer.open(&table, &id, other_version, &blob), tampered(&table));
        }
        let mut flipped = blob.clone();
        flipped[position.index(blob.len())] ^= flip;
        prop_assert_eq!(sealer.open(&table, &id, version, &flipped), tampered(&table));
        let cut = position.index(blob.len());
        prop_assert_eq!(sealer.open(&table, &id, version, &blob[..cut]), tampered(&table));
        let longer = [blob, vec![flip]].concat();
        prop_assert_eq!(sealer.open(&table, &id, version, &longer), tampered(&table));
    }

    /// Moving bytes between table and row id gives another row.
    #[test]
    fn table_and_row_id_do_not_run_into_each_other(name in "[a-z]{2,12}", split in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let (split, other) = (split.index(name.len()), other.index(name.len()));
        prop_assume!(split != other);
        let blob = sealer(1).seal(&name[..split], &name[split..], 1, b"secret").unwrap();
        prop_assert_eq!(sealer(1).open(&name[..other], &name[other..], 1, &blob), tampered(&name[..other]));
    }
}

/// Computed once with another implementation (Python `cryptography`): HKDF-SHA256 without salt, AES-256-GCM.
#[test]
fn a_blob_of_this_format_opens_for_ever() {
    let blob = data_encoding::HEXLOWER.decode(VECTOR).unwrap();
    let opened = sealer(7).open("device", "dev_1", 3, &blob).unwrap();
    assert_eq!(opened.as_slice(), b"what the row holds");
}

const VECTOR: &[u8] = b"01000102030405060708090a0b11437baacc18523543f61\
    b41c5285b72437ddda2291f576acbde94608eeeea6ba514";

#[test]
fn the_same_plaintext_is_never_sealed_alike() {
    let blobs: Vec<_> = (0..100)
        .map(|_| sealer(1).seal("t", "r", 1, b"same").unwrap())
        .collect();
    let nonces: std::collections::HashSet<_> = blobs.iter().map(|blob| blob[1..13].to_vec()).collect();
    let bodies: std::collections::HashSet<_> = blobs.iter().map(|blob| blob[13..].to_vec()).collect();
    assert_eq!((nonces.len(), bodies.len()), (100, 100));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    name: String,
    born: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Other {
    key: u8,
}

#[test]
fn records_come_back_and_others_are_named() {
    let person = Person {
        name: "Zoé".to_owned(),
        born: Some(-1),
    };
    let blob = sealer(1).seal_record("subject", "sbj_1", 2, &person).unwrap();
    assert_eq!(
        sealer(1).open_record::<Person>("subject", "sbj_1", 2, &blob),
        Ok(person)
    );
    assert_eq!(
        sealer(1)
            .open_record::<Person>("subject", "sbj_1", 1, &blob)
            .unwrap_err()
            .code(),
        "store.tampered"
    );
    assert_eq!(
        sealer(1)
            .open_record::<Other>("subject", "sbj_1", 2, &blob)
            .unwrap_err()
            .code(),
        "store.record"
    );
    let other = sealer(1)
        .seal_record("subject", "sbj_1", 2, &Other { key: 1 })
        .unwrap();
    let error = sealer(1)
        .open_record::<Person>("subject", "sbj_1", 2, &other)
        .unwrap_err();
    assert_eq!(error.code(), "store.record");
}

#[test]
fn another_master_key_is_named_at_start() {
    let value = sealer(1).check_value().unwrap();
    assert_eq!(sealer(1).verify_check_value(&value), Ok(()));
    assert_eq!(
        sealer(2).verify_check_value(&value),
        Err(SealError::WrongMasterKey)
    );
    assert_eq!(SealError::WrongMasterKey.code(), "store.wrong_master_key");
    let forged = sealer(1)
        .seal(CHECK_TABLE, CHECK_ID, 0, b"another value")
        .unwrap();
    assert_eq!(
        sealer(1).verify_check_value(&forged),
        Err(SealError::WrongMasterKey)
    );
}

#[test]
fn a_master_key_survives_its_file_and_nothing_else_is_one() {
    let mut rng = rand_core::OsRng;
    let key = MasterKey::random(&mut rng);
    assert_ne!(key.0, MasterKey::random(&mut rng).0);
    let hex = key.expose_hex();
    for contents in [
        hex.as_bytes(),
        format!("{}\r\n", hex.as_str()).as_bytes(),
        hex.to_uppercase().as_bytes(),
        &key.0,
    ] {
        assert_eq!(MasterKey::from_file_contents(contents).ok().unwrap().0, key.0);
    }
    let not_hex = "g".repeat(64);
    for contents in [
        &b""[..],
        &[1; 31],
        &[1; 33],
        &hex.as_bytes()[1..],
        not_hex.as_bytes(),
    ] {
        assert_eq!(
            MasterKey::from_file_contents(contents).err(),
            Some(SealError::MasterKeyFormat)
        );
    }
}

#[test]
fn during_a_rotation_both_keys_open_and_only_the_new_one_seals() {
    let (old, new) = (MasterKey([1; 32]), MasterKey([2; 32]));
    let blob = sealer(1).seal("t", "r", 1, b"value").unwrap();
    let rotating = Sealer::rotating(&new, &old);
    assert!(rotating.is_rotating());
    assert_eq!(rotating.open("t", "r", 1, &blob).unwrap().as_slice(), b"value");
    let resealed = rotating.reseal("t", "r", 1, &blob).unwrap().unwrap();
    assert_eq!(
        sealer(2).open("t", "r", 1, &resealed).unwrap().as_slice(),
        b"value"
    );
    assert_eq!(sealer(1).open("t", "r", 1, &resealed), tampered("t"));
    assert_eq!(rotating.reseal("t", "r", 1, &resealed), Ok(None));
    let error = SealError::Tampered { table: "t".into() };
    assert_eq!(rotating.reseal("t", "r", 2, &blob), Err(error));
    let fresh = rotating.seal("t", "r", 2, b"value").unwrap();
    assert!(sealer(2).open("t", "r", 2, &fresh).is_ok());
    rotating.forget_previous();
    assert_eq!(rotating.open("t", "r", 1, &blob), tampered("t"));
    assert!(!rotating.is_rotating() && rotating.open("t", "r", 1, &resealed).is_ok());
}

#[test]
fn a_check_value_is_that_of_one_key() {
    let (old, new) = (MasterKey([1; 32]), MasterKey([2; 32]));
    let value = sealer(1).check_value().unwrap();
    let rotating = Sealer::rotating(&new, &old);
    assert!(rotating.verify_check_value(&value).is_err());
    assert!(rotating.verify_check_value_of_previous(&value).is_ok());
    assert!(sealer(1).verify_check_value_of_previous(&value).is_err());
    assert!(old.is(&MasterKey([1; 32])) && !old.is(&new));
}
