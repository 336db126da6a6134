#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use paraphe_proto::time::Timestamp;
use proptest::prelude::*;

use super::super::tests::sample;
use super::*;
use crate::domain::challenge::tests::pending;

/// A compact JWS, or a text that looks a little like one.
fn text() -> impl Strategy<Value = String> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let jws = (bytes(), bytes(), bytes()).prop_map(|(a, b, c)| [a, b, c].map(|it| base64url(&it)).join("."));
    prop_oneof![jws, "[A-Za-z0-9_=-]{0,9}(\\.[A-Za-z0-9_=-]{0,9}){0,4}", ".{0,20}"]
}

/// Every state in turn.
fn state(which: u8, at: Timestamp, one: String, two: String) -> State {
    match which {
        0 => State::Pending,
        1 => State::Approved {
            at,
            approval: one,
            assertion: two,
            assertion_expires_at: at,
        },
        2 => State::Denied { at, refusal: one },
        3 => State::Reported { at, refusal: one },
        4 => State::Expired { at },
        5 => State::Cancelled { at },
        6 => State::Superseded { at },
        7 => State::Failed { at, approval: None },
        _ => State::Failed {
            at,
            approval: Some(one),
        },
    }
}

fn cbor(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn unpacking_gives_back_every_byte(
        (which, at) in (0u8..9, any::<i64>()),
        (statement, one, two) in (text(), text(), text()),
        (parameters, key) in (".{0,200}", ".{0,64}"),
    ) {
        let mut challenge = pending();
        challenge.state = state(which, Timestamp::from_secs(at), one, two);
        challenge.statement = statement;
        (challenge.parameters, challenge.idempotency_key) = (parameters, key);
        let stored = cbor(&pack(&challenge).unwrap());
        let read: Packed = ciborium::from_reader(stored.as_slice()).unwrap();
        prop_assert_eq!(cbor(&unpack(&read).unwrap()), cbor(&challenge));
    }

    #[test]
    fn anything_else_is_refused_without_a_panic(format in 0u8..3, deflated in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = unpack(&Packed(format, ByteBuf::from(deflated), Vec::new()));
    }
}

#[test]
fn a_text_that_is_not_canonical_is_kept_as_it_is() {
    assert!(cut("AA.AA.AA").is_some());
    for text in [
        "",
        "AA",
        "AA.AA",
        "AA.AA.AA.AA",
        "AB.AA.AA",
        "AA==.AA.AA",
        "A.AA.AA",
        "AA.A+.AA",
        " AA.AA.AA",
    ] {
        assert!(cut(text).is_none(), "{text}");
        let mut challenge = pending();
        challenge.statement = text.into();
        assert_eq!(unpack(&pack(&challenge).unwrap()).unwrap().statement, text);
    }
}

#[test]
fn what_inflates_beyond_the_bound_is_refused_and_never_made() {
    let bomb = deflate(&vec![0; 64 << 20]).unwrap();
    assert!(bomb.len() < 100_000);
    assert!(unpack(&Packed(FORMAT, ByteBuf::from(bomb), Vec::new())).is_err());
    let mut challenge = pending();
    challenge.parameters = "x".repeat(MOST_BYTES);
    assert!(pack(&challenge).is_err());
}

#[test]
fn a_signed_purchase_comes_back_byte_for_byte_in_a_third_of_its_size() {
    for n in 0..20 {
        let bought = sample::purchase(n);
        let (whole, packed) = (cbor(&bought), cbor(&pack(&bought).unwrap()));
        println!("{} bytes of {}", packed.len(), whole.len());
        assert!(packed.len() * 3 < whole.len(), "{} bytes", packed.len());
        assert_eq!(cbor(&unpack(&pack(&bought).unwrap()).unwrap()), whole);
    }
}

#[test]
fn the_longest_statements_are_packed() {
    let longest = [6_000, 100, 64]
        .map(|length| base64url(&vec![7; length]))
        .join(".");
    let mut challenge = pending();
    challenge.statement = longest.clone();
    challenge.parameters = "y".repeat(8_000);
    challenge.state = State::Approved {
        at: Timestamp::from_secs(0),
        approval: longest.clone(),
        assertion: longest,
        assertion_expires_at: Timestamp::from_secs(0),
    };
    assert_eq!(
        cbor(&unpack(&pack(&challenge).unwrap()).unwrap()),
        cbor(&challenge)
    );
}
