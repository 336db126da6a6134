#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::statements::KeyState::{Active, Next, Retired};
use rand_core::OsRng;

use super::*;

const ISS: &str = "https://paraphe.test";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_795_000_000 + seconds)
}

fn key() -> IssuerKey {
    IssuerKey::File(SoftwareKey::generate(&mut OsRng).unwrap())
}

/// A root key, a new ring, and the first set.
fn new() -> (SoftwareKey, Ring, Vec<String>) {
    let root = SoftwareKey::generate(&mut OsRng).unwrap();
    let ring = Ring::first(key(), key()).unwrap();
    let first = jws::sign(&ring.first_set(ISS, at(0)), &root)
        .unwrap()
        .into_compact();
    (root, ring, vec![first])
}

fn next(ring: &Ring) -> Ring {
    ring.next(ISS, &mut OsRng, at(1)).unwrap()
}

fn states(ring: &Ring) -> Vec<(KeyState, bool)> {
    ring.list().map(|(_, _, state, signs)| (state, signs)).collect()
}

fn code<T>(outcome: Result<T, KeysError>) -> &'static str {
    outcome.err().expect("it must be refused").code()
}

fn listed(ring: &Ring) -> Vec<String> {
    let jwks: serde_json::Value = serde_json::from_str(&ring.jwks()).unwrap();
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_rotation_announces_overlaps_and_ends_with_one_pair() {
    let (root, ring, mut known) = new();
    let old = ring.assertion().public_key().thumbprint().to_owned();
    let second = next(&ring);
    assert_eq!(
        states(&second),
        [(Active, true), (Active, true), (Next, false), (Next, false)]
    );
    let third = second.activate(ISS, at(2)).unwrap();
    assert_eq!(
        states(&third),
        [(Active, false), (Active, false), (Active, true), (Active, true)]
    );
    let new = third.assertion().public_key().thumbprint().to_owned();
    let fourth = third.retire(ISS, at(3)).unwrap();
    assert_eq!(
        states(&fourth),
        [(Retired, false), (Retired, false), (Active, true), (Active, true)]
    );
    assert!(fourth.keys()[..2].iter().all(|key| key.private.is_none()));
    assert_eq!(listed(&ring), std::slice::from_ref(&old));
    assert_eq!(listed(&second), [old.clone(), new.clone()]);
    assert_eq!(listed(&third), [old, new.clone()]);
    assert_eq!(listed(&fourth), [new]);
    let published = fourth.unpublished(&known, root.public_key(), ISS).unwrap();
    let verbs: Vec<Vec<&str>> = published
        .iter()
        .map(|set| set.changes.iter().map(|(verb, _)| *verb).collect())
        .collect();
    assert_eq!(verbs, [["key_next"; 2], ["key_activate"; 2], ["key_retire"; 2]]);
    known.extend(published.into_iter().map(|set| set.statement));
    assert!(
        fourth
            .unpublished(&known, root.public_key(), ISS)
            .unwrap()
            .is_empty()
    );
    let chain = KeySetChain::walk(root.public_key(), &known, ISS).unwrap();
    assert_eq!((chain.version(), fourth.version()), (4, 4));
    let fifth = next(&fourth);
    assert_eq!(
        states(&fifth),
        [(Active, true), (Active, true), (Next, false), (Next, false)],
        "what was retired is not carried on"
    );
}

#[test]
fn the_old_challenge_key_stays_good_for_what_is_in_flight() {
    let (_, ring, _) = new();
    let old = ring.challenge().public_key().thumbprint().to_owned();
    let third = next(&ring).activate(ISS, at(2)).unwrap();
    assert_ne!(third.challenge().public_key().thumbprint(), old);
    assert!(third.active_challenge(&old).is_some());
    let fourth = third.retire(ISS, at(3)).unwrap();
    assert!(fourth.active_challenge(&old).is_none());
    assert!(
        third
            .active_challenge(third.assertion().public_key().thumbprint())
            .is_none()
    );
}

#[test]
fn steps_out_of_order_are_refused() {
    let (_, ring, _) = new();
    assert_eq!(code(ring.activate(ISS, at(1))), "keys.step");
    assert_eq!(code(ring.retire(ISS, at(1))), "keys.step");
    let second = next(&ring);
    assert_eq!(code(second.next(ISS, &mut OsRng, at(1))), "keys.step");
    assert_eq!(code(second.retire(ISS, at(1))), "keys.step");
    let third = second.activate(ISS, at(2)).unwrap();
    assert_eq!(code(third.next(ISS, &mut OsRng, at(2))), "keys.step");
    assert_eq!(code(third.activate(ISS, at(2))), "keys.step");
}

#[test]
fn a_file_that_does_not_follow_from_what_was_published_is_refused() {
    let (root, ring, first) = new();
    let second = next(&ring);
    let mut known = first.clone();
    known.push(second.statements()[0].clone());
    let public = root.public_key();
    assert_eq!(
        code(ring.unpublished(&known, public, ISS)),
        "keys.behind_database"
    );
    assert_eq!(
        code(next(&ring).unpublished(&known, public, ISS)),
        "keys.other_history"
    );
    let (other_root, other, _) = new();
    assert_eq!(code(other.unpublished(&first, public, ISS)), "keys.other_history");
    assert_eq!(
        code(ring.unpublished(&first, other_root.public_key(), ISS)),
        "keys.chain"
    );
    assert_eq!(
        code(second.unpublished(&first, public, "https://elsewhere.test")),
        "keys.chain"
    );
    assert_eq!(code(ring.unpublished(&[], public, ISS)), "keys.chain");
}

/// A set that the old key does not sign would part the phones from the daemon.
#[test]
fn a_set_by_a_key_that_is_only_next_is_never_published() {
    let (root, ring, first) = new();
    let mut second = next(&ring);
    second.challenge = Arc::clone(second.keys()[2].private.as_ref().unwrap());
    let third = second.activate(ISS, at(2)).unwrap();
    assert_eq!(
        code(third.unpublished(&first, root.public_key(), ISS)),
        "keys.chain"
    );
}

/// The key of a set long ago may be in other hands: it never comes in again, from a token on which it was left or otherwise.
#[test]
fn a_key_of_any_earlier_set_is_never_announced_again() {
    let (_, ring, _) = new();
    let first = SoftwareKey::from_scalar(&[7; 32]).unwrap();
    let again = || IssuerKey::File(SoftwareKey::from_scalar(&[7; 32]).unwrap());
    let ring = ring.announced([again(), key()], ISS, at(1)).unwrap();
    let mut later = ring;
    for _ in 0..2 {
        later = later.activate(ISS, at(2)).unwrap().retire(ISS, at(3)).unwrap();
        assert_eq!(code(later.announced([key(), again()], ISS, at(4))), "keys.step");
        later = next(&later);
    }
    let later = later.activate(ISS, at(5)).unwrap().retire(ISS, at(6)).unwrap();
    assert!(!later.keys().iter().any(|held| held.public == *first.public_key()));
    assert_eq!(code(later.announced([again(), key()], ISS, at(7))), "keys.step");
    let found = [first.public_key()];
    assert_eq!(code(later.require_unknown(found.into_iter(), ISS)), "keys.step");
    let new = key();
    let twice = [new.public_key(), new.public_key()];
    assert_eq!(code(later.require_unknown(twice.into_iter(), ISS)), "keys.step");
    assert!(later.require_unknown([new.public_key()].into_iter(), ISS).is_ok());
}
