//! The walk along the key sets, and the steps it must not take.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use super::*;
use crate::{
    keys::{Signer, SoftwareKey},
    statements::Challenge,
    testing::{ISS, key, samples},
};

const ROOT: u64 = 1;
const ACTIVE: u64 = 20;
const NEXT: u64 = 21;
const RETIRED: u64 = 22;
const ASSERTION: u64 = 23;

fn root() -> PublicKey {
    key(ROOT).public_key().clone()
}

fn set(version: u64, signer: &SoftwareKey) -> String {
    signed(
        &KeySet {
            version,
            ..samples::key_set()
        },
        signer,
    )
}

fn signed(set: &KeySet, signer: &SoftwareKey) -> String {
    jws::sign(set, signer).unwrap().into_compact()
}

fn chain() -> KeySetChain {
    KeySetChain::walk(&root(), &[set(1, &key(ROOT))], ISS).unwrap()
}

fn refusal(statement: &str) -> KeySetError {
    chain()
        .advance(statement)
        .map(|chain| chain.version())
        .unwrap_err()
}

#[test]
fn a_chain_walks_one_by_one() {
    // 21 takes over in the second set, and signs the third.
    let mut second = KeySet {
        version: 2,
        ..samples::key_set()
    };
    second.keys[0].state = KeyState::Retired;
    second.keys[1].state = KeyState::Active;
    let statements = [
        set(1, &key(ROOT)),
        signed(&second, &key(ACTIVE)),
        signed(&KeySet { version: 3, ..second }, &key(NEXT)),
    ];
    let chain = KeySetChain::walk(&root(), &statements, ISS).unwrap();
    assert_eq!(chain.version(), 3);
    let kid = |seed| key(seed).public_key().thumbprint().to_owned();
    assert_eq!(
        chain.active_challenge_key(&kid(NEXT)),
        Some(key(NEXT).public_key())
    );
    assert_eq!(chain.active_challenge_key(&kid(ACTIVE)), None);
    // In the order of the chain only.
    let swapped = [
        statements[0].clone(),
        statements[2].clone(),
        statements[1].clone(),
    ];
    assert!(KeySetChain::walk(&root(), &swapped, ISS).is_err());
}

#[test]
fn the_root_key_may_sign_any_set() {
    let chain = chain()
        .advance(&set(2, &key(ROOT)))
        .unwrap()
        .advance(&set(3, &key(ROOT)))
        .unwrap();
    assert_eq!(chain.version(), 3);
}

#[test]
fn the_first_set_is_the_roots_and_has_version_1() {
    let walk =
        |statement: String, iss| KeySetChain::walk(&root(), &[statement], iss).map(|chain| chain.version());
    assert_eq!(
        KeySetChain::walk(&root(), &[], ISS).map(|chain| chain.version()),
        Err(KeySetError::Empty)
    );
    assert_eq!(walk(set(1, &key(ACTIVE)), ISS), Err(StatementError::Key.into()));
    assert_eq!(
        walk(set(2, &key(ROOT)), ISS),
        Err(KeySetError::Version {
            expected: 1,
            found: 2
        })
    );
    assert_eq!(
        walk(set(0, &key(ROOT)), ISS),
        Err(KeySetError::Version {
            expected: 1,
            found: 0
        })
    );
    assert_eq!(
        walk(set(1, &key(ROOT)), "https://other.example"),
        Err(StatementError::Issuer.into())
    );
}

#[test]
fn skips_and_rollbacks_are_refused() {
    for found in [0, 1, 3, u64::MAX] {
        for signer in [ACTIVE, ROOT] {
            assert_eq!(
                refusal(&set(found, &key(signer))),
                KeySetError::Version { expected: 2, found }
            );
        }
    }
    let held = chain().advance(&set(2, &key(ACTIVE))).unwrap();
    assert!(held.advance(&set(1, &key(ROOT))).is_err());
    assert!(held.advance(&set(2, &key(ACTIVE))).is_err());
    assert!(held.advance(&set(3, &key(ACTIVE))).is_ok());
}

#[test]
fn only_active_challenge_keys_sign_the_next_set() {
    assert!(chain().advance(&set(2, &key(ACTIVE))).is_ok());
    for signer in [NEXT, RETIRED, ASSERTION, 99] {
        assert_eq!(
            refusal(&set(2, &key(signer))),
            StatementError::Key.into(),
            "{signer}"
        );
    }
    // A key cannot vouch for itself in the very set that introduces it.
    let mut own = KeySet {
        version: 2,
        ..samples::key_set()
    };
    own.keys
        .push(samples::key_set_entry(99, KeyUse::Challenge, KeyState::Active));
    assert_eq!(refusal(&signed(&own, &key(99))), StatementError::Key.into());
}

#[test]
fn misnamed_and_repeated_keys_are_refused() {
    let with = |edit: &dyn Fn(&mut Vec<KeySetEntry>)| {
        let mut set = KeySet {
            version: 2,
            ..samples::key_set()
        };
        edit(&mut set.keys);
        refusal(&signed(&set, &key(ACTIVE)))
    };
    assert_eq!(with(&|keys| keys[0].kid = keys[1].kid.clone()), KeySetError::Kid);
    assert_eq!(with(&|keys| keys[0].kid.push('A')), KeySetError::Kid);
    assert_eq!(with(&|keys| keys.push(keys[0].clone())), KeySetError::Kid);
    assert_eq!(
        with(&|keys| keys.push(KeySetEntry {
            key_use: KeyUse::Assertion,
            ..keys[0].clone()
        })),
        KeySetError::Kid
    );
}

#[test]
fn keys_serve_their_use_only() {
    let chain = chain();
    let kid = |seed| key(seed).public_key().thumbprint().to_owned();
    assert_eq!(
        chain.active_challenge_key(&kid(ACTIVE)),
        Some(key(ACTIVE).public_key())
    );
    assert_eq!(
        chain.active_assertion_key(&kid(ASSERTION)),
        Some(key(ASSERTION).public_key())
    );
    for seed in [NEXT, RETIRED, ASSERTION, ROOT] {
        assert_eq!(chain.active_challenge_key(&kid(seed)), None, "{seed}");
    }
    for seed in [ACTIVE, NEXT, RETIRED, ROOT] {
        assert_eq!(chain.active_assertion_key(&kid(seed)), None, "{seed}");
    }
}

#[test]
fn challenges_by_other_keys_are_refused() {
    let chain = chain();
    let verdict = |signer: u64| {
        let challenge = jws::sign(&samples::challenge(), &key(signer)).unwrap();
        let key_of = |kid: &str| chain.active_challenge_key(kid).cloned();
        jws::verify_with::<Challenge>(challenge.compact(), ISS, key_of).map(|_| ())
    };
    assert_eq!(verdict(ACTIVE), Ok(()));
    for signer in [NEXT, RETIRED, ASSERTION, ROOT] {
        assert_eq!(verdict(signer), Err(StatementError::Key), "{signer}");
    }
}
