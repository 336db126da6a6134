//! Every form in which a statement must be refused, and the one in which it is accepted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::prelude::*;
use ring::hmac;
use serde_json::Value;

use super::*;
use crate::{
    compact::MAX_BYTES,
    encoding::{B64Vec, base64url, from_base64url},
    statements::{Activation, ActivationKey, Challenge, verify_activation},
    testing::{ISS, RFC7515_JWK, forge, key, mirror_s, samples},
};

mod claims;

fn compact() -> String {
    sign(&samples::challenge(), &key(1)).unwrap().into_compact()
}

fn refusal(compact: &str) -> StatementError {
    verify::<Challenge>(compact, key(1).public_key(), ISS).expect_err(compact)
}

fn header() -> String {
    format!(
        r#"{{"alg":"ES256","typ":"paraphe-challenge+jwt","kid":"{}"}}"#,
        key(1).public_key().thumbprint()
    )
}

fn payload() -> String {
    serde_json::to_string(&samples::challenge()).unwrap()
}

/// The sample with this signature in place of its own.
fn with_signature(change: impl FnOnce([u8; 64]) -> Vec<u8>) -> String {
    let compact = compact();
    let (signed, signature) = compact.rsplit_once('.').unwrap();
    let signature = from_base64url(signature).unwrap().try_into().unwrap();
    format!("{signed}.{}", base64url(&change(signature)))
}

#[test]
fn a_signed_statement_verifies() {
    let signed = sign(&samples::challenge(), &key(1)).unwrap();
    let verified = verify::<Challenge>(signed.compact(), key(1).public_key(), ISS).unwrap();
    assert_eq!(verified.claims(), &samples::challenge());
    assert_eq!(verified.compact(), signed.compact());
    assert_eq!(verified.sha256(), signed.sha256());
    assert_eq!(verified.kid(), key(1).public_key().thumbprint());
    let parts = Parts::parse(signed.compact()).ok().unwrap();
    assert_eq!(String::from_utf8(parts.header).unwrap(), header());
    assert_eq!(String::from_utf8(parts.payload).unwrap(), payload());
}

#[test]
fn every_other_header_is_refused() {
    use StatementError::{Algorithm, Header, Key, Type};
    let kid = key(1).public_key().thumbprint().to_owned();
    let cases = [
        (r#"{"typ":"T","kid":"K"}"#, Header),
        (r#"{"alg":"ES256","kid":"K"}"#, Header),
        (r#"{"alg":"ES256","typ":"T"}"#, Header),
        (r#"{"alg":"none","typ":"T","kid":"K"}"#, Algorithm),
        (r#"{"alg":"HS256","typ":"T","kid":"K"}"#, Algorithm),
        (r#"{"alg":"ES384","typ":"T","kid":"K"}"#, Algorithm),
        (r#"{"alg":"es256","typ":"T","kid":"K"}"#, Algorithm),
        (r#"{"alg":["ES256"],"typ":"T","kid":"K"}"#, Header),
        (r#"{"alg":"ES256","typ":"JWT","kid":"K"}"#, Type),
        (r#"{"alg":"ES256","typ":"paraphe-approval+jwt","kid":"K"}"#, Type),
        (r#"{"alg":"ES256","typ":"PARAPHE-CHALLENGE+JWT","kid":"K"}"#, Type),
        (r#"{"alg":"ES256","typ":"application/T","kid":"K"}"#, Type),
        (r#"{"alg":"ES256","typ":"T","kid":""}"#, Key),
        (r#"{"alg":"ES256","typ":"T","kid":"KK"}"#, Key),
        (r#"{"alg":"ES256","typ":"T","kid":"K","crit":[]}"#, Header),
        (r#"{"alg":"ES256","typ":"T","kid":"K","crit":["exp"]}"#, Header),
        (r#"{"alg":"ES256","typ":"T","kid":"K","b64":false}"#, Header),
        (r#"{"alg":"ES256","typ":"T","kid":"K","jwk":null}"#, Header),
        (r#"{"alg":"ES256","alg":"ES256","typ":"T","kid":"K"}"#, Header),
        (r#"{"alg":"none","typ":"T","kid":"K","alg":"ES256"}"#, Header),
        (r#"{"alg":"ES256","typ":"T","kid":"K","kid":"K"}"#, Header),
        (r#"["ES256","T","K"]"#, Header),
        (r#"{"alg":"ES256","typ":"T","kid":"K"} "x""#, Header),
        (r#" {"alg":"ES256","typ":"T","kid":"K"}"#, Header),
        ("", Header),
        ("{}", Header),
        ("null", Header),
    ];
    for (header, expected) in cases {
        let header = header
            .replace("\"T\"", "\"paraphe-challenge+jwt\"")
            .replace('K', &kid)
            .replace("/T", "/paraphe-challenge+jwt");
        let forged = forge(&header, &payload(), &key(1));
        assert_eq!(refusal(&forged), expected, "{header}");
    }
    assert!(verify::<Challenge>(&forge(&header(), &payload(), &key(1)), key(1).public_key(), ISS).is_ok());
}

/// The public key as an HMAC key: the classical confusion of algorithms (RFC 8725, section 2.1).
#[test]
fn an_hmac_by_the_public_key_is_refused() {
    let key = key(1);
    let jwk = serde_json::to_string(key.public_key()).unwrap();
    for secret in [
        &key.public_key().as_sec1()[..],
        &key.public_key().compressed(),
        jwk.as_bytes(),
    ] {
        for alg in ["HS256", "ES256"] {
            let header = header().replace("ES256", alg);
            let signed = format!(
                "{}.{}",
                base64url(header.as_bytes()),
                base64url(payload().as_bytes())
            );
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
            let expected = if alg == "HS256" {
                StatementError::Algorithm
            } else {
                StatementError::Signature
            };
            assert_eq!(
                refusal(&format!("{signed}.{}", base64url(tag.as_ref()))),
                expected
            );
        }
    }
}

#[test]
fn every_other_signature_is_refused() {
    let der = |signature: [u8; 64]| {
        p256::ecdsa::Signature::from_slice(&signature)
            .unwrap()
            .to_der()
            .as_bytes()
            .to_vec()
    };
    let zeroed = |range: std::ops::Range<usize>| {
        move |mut signature: [u8; 64]| {
            signature[range].fill(0);
            signature.to_vec()
        }
    };
    let order = [&[0xff; 4][..], &[0; 4], &[0xff; 8], &order_tail()].concat();
    let forged = [
        with_signature(|signature| mirror_s(&signature).to_vec()),
        with_signature(zeroed(0..32)),
        with_signature(zeroed(32..64)),
        with_signature(zeroed(0..64)),
        with_signature(|signature| [&order, &signature[32..]].concat()),
        with_signature(|signature| [&signature[..32], &order].concat()),
        with_signature(der),
        with_signature(|signature| signature[..63].to_vec()),
        with_signature(|signature| [&signature[..], &[0]].concat()),
        with_signature(|signature| [&signature[32..], &signature[..32]].concat()),
        with_signature(|_| Vec::new()),
    ];
    for forged in forged {
        assert_eq!(refusal(&forged), StatementError::Signature);
    }
}

/// The lower half of the group's order n (SEC 2, section 2.4.2).
fn order_tail() -> Vec<u8> {
    crate::encoding::from_hex("bce6faada7179e84f3b9cac2fc632551").unwrap()
}

#[test]
fn only_the_canonical_text_is_accepted() {
    let compact = compact();
    let parts: Vec<_> = compact.split('.').collect();
    let bare = format!("{}.{}", parts[0], parts[1]);
    let altered = [
        format!("{compact}="),
        format!("{compact}=="),
        format!("{compact} "),
        format!("{compact}\n"),
        format!(" {compact}"),
        format!("{compact}."),
        format!(".{compact}"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{bare}.{}+", &parts[2][..85]),
        bare.clone(),
        parts[0].to_owned(),
        "..".to_owned(),
        String::new(),
        serde_json::json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string(),
    ];
    for altered in altered {
        let error = refusal(&altered);
        assert!(
            matches!(error, StatementError::Malformed | StatementError::Header),
            "{altered}: {error:?}"
        );
    }
    assert_eq!(refusal(&format!("{bare}.")), StatementError::Signature);
    // The last of 86 characters carries two bits that must be zero.
    let last = parts[2].chars().last().unwrap();
    let sibling = char::from(last as u8 + 1);
    assert_eq!(
        refusal(&format!("{bare}.{}{sibling}", &parts[2][..85])),
        StatementError::Malformed
    );
}

#[test]
fn longer_than_8_kib_is_refused() {
    let with_title = |length| {
        let mut challenge = samples::challenge();
        challenge.display.title = "x".repeat(length);
        challenge
    };
    let spare = (MAX_BYTES - compact().len()) / 4 * 3;
    let fitting = sign(&with_title(spare), &key(1)).unwrap();
    assert!(fitting.compact().len() > MAX_BYTES - 64);
    assert!(verify::<Challenge>(fitting.compact(), key(1).public_key(), ISS).is_ok());

    let long = with_title(spare + 64);
    assert_eq!(sign(&long, &key(1)).unwrap_err(), SignError::TooLong);
    let forged = forge(&header(), &serde_json::to_string(&long).unwrap(), &key(1));
    assert_eq!(refusal(&forged), StatementError::TooLong);
}

#[test]
fn an_activation_has_room_for_the_longest_attestation_and_no_more() {
    let attested = |bytes: usize| {
        let inner = ActivationKey {
            attestation: Some(B64Vec(vec![0x30; bytes])),
            ..samples::attested_activation_key()
        };
        let inner = sign(&inner, &key(11)).unwrap().into_compact();
        let outer = Activation {
            iss: ISS.into(),
            inner,
        };
        sign(&outer, &key(10)).map(Signed::into_compact)
    };
    let longest = attested(crate::attestation::MAX_BYTES).unwrap();
    assert!(verify_activation(&longest, key(10).public_key(), ISS).is_ok());
    assert!(longest.len() > 2 * MAX_BYTES);
    assert_eq!(attested(10 * 1024).unwrap_err(), SignError::TooLong);
}

#[test]
fn another_key_or_issuer_is_refused() {
    let other = sign(&samples::challenge(), &key(2)).unwrap();
    assert_eq!(refusal(other.compact()), StatementError::Key);
    let impostor = forge(&header(), &payload(), &key(2));
    assert_eq!(refusal(&impostor), StatementError::Signature);
    for iss in ["https://id.example/", "https://id.example.org", ""] {
        let error = verify::<Challenge>(&compact(), key(1).public_key(), iss).unwrap_err();
        assert_eq!(error, StatementError::Issuer);
    }
}

#[test]
fn the_key_is_found_by_its_thumbprint() {
    let compact = compact();
    assert_eq!(
        unverified_kid::<Challenge>(&compact).unwrap(),
        key(1).public_key().thumbprint()
    );
    let find = |seed: u64| move |_: &str| Some(key(seed).public_key().clone());
    assert!(verify_with::<Challenge>(&compact, ISS, find(1)).is_ok());
    assert_eq!(
        verify_with::<Challenge>(&compact, ISS, find(2)).unwrap_err(),
        StatementError::Key
    );
    assert_eq!(
        verify_with::<Challenge>(&compact, ISS, |_| None).unwrap_err(),
        StatementError::Key
    );
}

/// RFC 7515, appendix A.3: a right signature, but none of our statements.
#[test]
fn the_published_jws_verifies_as_a_signature_only() {
    let compact = "eyJhbGciOiJFUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let key = PublicKey::from_jwk_json(RFC7515_JWK).unwrap();
    let parts = Parts::parse(compact).ok().unwrap();
    assert_eq!(parts.header, br#"{"alg":"ES256"}"#);
    assert!(verify_es256(&key, parts.signed, &parts.signature));
    assert!(!verify_es256(&key, &parts.signed[1..], &parts.signature));
    assert_eq!(
        verify::<Challenge>(compact, &key, "joe").unwrap_err(),
        StatementError::Header
    );
}

#[test]
fn no_character_can_be_replaced() {
    let compact = compact();
    for position in 0..compact.len() {
        let original = compact.as_bytes()[position];
        let replacement = if original == b'A' { "B" } else { "A" };
        let mut altered = compact.clone();
        altered.replace_range(position..=position, replacement);
        refusal(&altered);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_edit_of_one_character_is_accepted(
        at in any::<prop::sample::Index>(),
        character in "[A-Za-z0-9_.=+/ -]|\\PC",
        insert: bool,
    ) {
        let compact = compact();
        let at = at.index(compact.len());
        let mut altered = compact.clone();
        altered.replace_range(at..at + usize::from(!insert), &character);
        if altered != compact {
            refusal(&altered);
        }
    }

    #[test]
    fn no_other_text_is_accepted(text in "\\PC{0,200}|[A-Za-z0-9_-]{0,80}[.][A-Za-z0-9_-]{0,80}[.][A-Za-z0-9_-]{86}") {
        refusal(&text);
    }
}
