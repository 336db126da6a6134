//! Client JWTs as other software makes them, and those that must be refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use serde_json::{Value, json};

use super::*;
use crate::testing::{ISS, RFC7515_JWK, forge, key, samples::NOW};

const HEADER: &str = r#"{"alg":"ES256","typ":"JWT"}"#;

fn claims() -> Value {
    json!({ "iss": "course-market", "sub": "course-market", "aud": ISS, "iat": NOW, "exp": NOW.plus_s(300) })
}

fn verify_at(token: &str, now: Timestamp) -> Result<ClientJwt, JwtError> {
    verify_client_jwt(token, crate::keys::Signer::public_key(&key(1)), ISS, now, 300)
}

fn verify(token: &str) -> Result<ClientJwt, JwtError> {
    verify_at(token, NOW)
}

/// The verdict on claims that differ from good ones in one member.
fn verify_with(name: &str, value: Value) -> Result<ClientJwt, JwtError> {
    let mut claims = claims();
    claims[name] = value;
    verify(&forge(HEADER, &claims.to_string(), &key(1)))
}

#[test]
fn our_own_tokens_verify() {
    let claims = ClientJwt {
        iss: "course-market".into(),
        sub: "course-market".into(),
        iat: NOW,
        exp: NOW.plus_s(60),
        jti: Some("once".into()),
    };
    let token = sign_client_jwt(&key(1), &claims, ISS).unwrap();
    assert_eq!(unverified_issuer(&token).unwrap(), "course-market");
    assert_eq!(verify(&token).unwrap(), claims);
}

#[test]
fn tokens_of_other_libraries_verify() {
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"typ":"jwt","alg":"ES256"}"#,
        r#"{"alg":"ES256","typ":"JWT","kid":"2026-01","x5t":"x"}"#,
    ] {
        assert!(
            verify(&forge(header, &claims().to_string(), &key(1))).is_ok(),
            "{header}"
        );
    }
    assert!(verify_with("aud", json!([ISS])).is_ok());
    assert!(verify_with("scope", json!({ "any": [1, 2.5, null] })).is_ok());
    assert!(verify_with("nbf", json!(NOW)).is_ok());
}

#[test]
fn either_s_is_accepted() {
    let token = forge(HEADER, &claims().to_string(), &key(1));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = crate::encoding::from_base64url(signature)
        .unwrap()
        .try_into()
        .unwrap();
    let mirrored = crate::encoding::base64url(&crate::testing::mirror_s(&signature));
    assert!(verify(&format!("{signed}.{mirrored}")).is_ok());
}

#[test]
fn other_headers_are_refused() {
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"ES384","typ":"JWT"}"#,
        r#"{"alg":"ES256","typ":"dpop+jwt"}"#,
        r#"{"alg":"ES256","typ":"paraphe-challenge+jwt"}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":true}"#,
        r#"{"alg":"ES256","crit":null}"#,
    ] {
        let token = forge(header, &claims().to_string(), &key(1));
        assert_eq!(verify(&token).unwrap_err(), JwtError::Header, "{header}");
        assert_eq!(
            unverified_issuer(&token).unwrap_err(),
            JwtError::Header,
            "{header}"
        );
    }
    for header in ["{}", r#"{"alg":"ES256","alg":"ES256"}"#, r#"["ES256"]"#, "x"] {
        let token = forge(header, &claims().to_string(), &key(1));
        assert_eq!(verify(&token).unwrap_err(), JwtError::Malformed, "{header}");
    }
}

#[test]
fn missing_or_repeated_claims_are_refused() {
    for name in ["iss", "sub", "aud", "iat", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(
            verify(&forge(HEADER, &claims.to_string(), &key(1))).unwrap_err(),
            JwtError::Claims,
            "{name}"
        );
    }
    let repeated = claims().to_string().replacen('{', r#"{"iss":"other","#, 1);
    assert_eq!(
        verify(&forge(HEADER, &repeated, &key(1))).unwrap_err(),
        JwtError::Claims
    );
    assert_eq!(verify_with("iat", json!(1.5)).unwrap_err(), JwtError::Claims);
    assert_eq!(verify_with("exp", json!("1")).unwrap_err(), JwtError::Claims);
}

#[test]
fn only_our_audience_is_accepted() {
    for aud in [
        json!("https://other.example"),
        json!(format!("{ISS}/")),
        json!([]),
        json!([ISS, "other"]),
    ] {
        assert_eq!(
            verify_with("aud", aud.clone()).unwrap_err(),
            JwtError::Audience,
            "{aud}"
        );
    }
}

#[test]
fn times_are_kept() {
    let token = forge(HEADER, &claims().to_string(), &key(1));
    assert!(verify_at(&token, NOW.plus_s(299)).is_ok());
    assert_eq!(verify_at(&token, NOW.plus_s(300)).unwrap_err(), JwtError::Expired);
    assert!(verify_at(&token, NOW.plus_s(-CLOCK_SKEW_S)).is_ok());
    assert_eq!(
        verify_at(&token, NOW.plus_s(-CLOCK_SKEW_S - 1)).unwrap_err(),
        JwtError::NotYet
    );
    assert_eq!(
        verify_with("nbf", json!(NOW.plus_s(31))).unwrap_err(),
        JwtError::NotYet
    );
    assert_eq!(
        verify_with("exp", json!(NOW.plus_s(301))).unwrap_err(),
        JwtError::Lifetime
    );
    assert_eq!(
        verify_with("iat", json!(i64::MIN)).unwrap_err(),
        JwtError::Lifetime
    );
    assert_eq!(verify_with("iat", json!(NOW.plus_s(30))).map(|_| ()), Ok(()));
    let mut backwards = claims();
    backwards["iat"] = json!(NOW.plus_s(20));
    backwards["exp"] = json!(NOW.plus_s(10));
    assert_eq!(
        verify(&forge(HEADER, &backwards.to_string(), &key(1))).unwrap_err(),
        JwtError::Lifetime
    );
}

#[test]
fn another_signature_is_refused() {
    assert_eq!(
        verify(&forge(HEADER, &claims().to_string(), &key(2))).unwrap_err(),
        JwtError::Signature
    );
    let token = forge(HEADER, &claims().to_string(), &key(1));
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(verify(&format!("{signed}.")).unwrap_err(), JwtError::Signature);
    assert_eq!(verify(signed).unwrap_err(), JwtError::Malformed);
    assert_eq!(verify(&format!("{token}=")).unwrap_err(), JwtError::Malformed);
    assert_eq!(
        verify_with("filler", json!("x".repeat(MAX_BYTES))).unwrap_err(),
        JwtError::Malformed
    );
}

/// RFC 7515, appendix A.3: the signature is right, so what is missed are the claims; one bit off, and it is the signature.
#[test]
fn the_published_jws_is_refused_for_its_claims() {
    let token = "eyJhbGciOiJFUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let key = PublicKey::from_jwk_json(RFC7515_JWK).unwrap();
    let verdict = |token: &str| verify_client_jwt(token, &key, ISS, Timestamp::from_secs(1_300_819_300), 300);
    assert_eq!(verdict(token).unwrap_err(), JwtError::Claims);
    assert_eq!(
        verdict(&token.replace(".DtEh", ".DtEi")).unwrap_err(),
        JwtError::Signature
    );
}
