//! DPoP proofs (RFC 9449): a terminal shows with every request that it holds the key of its session. Section 1 of
//! protocol.md.
//!
//! `htm` is `POST` and `htu` the issuer URL followed by the RPC's path. The caller keeps each `jti` for two minutes and
//! refuses a second use.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::JwtError;
use crate::{
    compact::{self, MAX_BYTES, Parts, Presence, json_object},
    derive::sha256,
    encoding::base64url,
    jwk::{ForeignJwk, Jwk, PublicKey},
    keys::{Signer, SigningError, verify_es256},
    time::Timestamp,
};

const TYP: &str = "dpop+jwt";
const HTM: &str = "POST";
/// How far `iat` may be from our clock, in seconds, either way.
pub const WINDOW_S: i64 = 60;
/// Longest `jti`, in bytes.
pub const JTI_MAX_BYTES: usize = 128;

/// What a verified proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpopProof {
    /// RFC 7638 thumbprint of the key that signed it.
    pub thumbprint: String,
    /// Unique name, 1 to 128 bytes.
    pub jti: String,
    /// When it was signed.
    pub iat: Timestamp,
}

#[derive(Serialize)]
struct OwnHeader {
    typ: &'static str,
    alg: &'static str,
    jwk: Jwk,
}

#[derive(Deserialize)]
struct ForeignHeader {
    typ: String,
    alg: String,
    jwk: ForeignJwk,
    #[serde(default)]
    crit: Presence,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

/// The `htu` of an RPC: the issuer URL followed by the path, e.g. `https://id.example/paraphe.v1.Session/Begin`.
pub fn htu(issuer: &str, method_path: &str) -> String {
    format!("{}{method_path}", issuer.trim_end_matches('/'))
}

/// Signs the proof for one request.
///
/// # Errors
/// [`SigningError`] when the key fails.
pub fn sign(
    signer: &dyn Signer,
    method_path: &str,
    issuer: &str,
    access_token: Option<&str>,
    iat: Timestamp,
    jti: &str,
) -> Result<String, SigningError> {
    let header = OwnHeader {
        typ: TYP,
        alg: "ES256",
        jwk: signer.public_key().to_jwk(),
    };
    let claims = Claims {
        jti: jti.to_owned(),
        htm: HTM.to_owned(),
        htu: htu(issuer, method_path),
        iat,
        ath: access_token.map(ath),
    };
    compact::sign(&header, &claims, signer)
}

/// Verifies the proof of one request (RFC 9449, section 4.3). The caller compares the thumbprint with the key that the
/// session or the terminal is bound to, and refuses a `jti` that it has seen.
///
/// # Errors
/// [`JwtError`] when the proof is for another request, another access token or another time.
pub fn verify(
    proof: &str,
    htu: &str,
    access_token: Option<&str>,
    now: Timestamp,
) -> Result<DpopProof, JwtError> {
    let (key, claims) = open(proof)?;
    if claims.htm != HTM || claims.htu != htu || !is_bound_to(claims.ath.as_deref(), access_token) {
        return Err(JwtError::Request);
    }
    if claims.jti.is_empty() || claims.jti.len() > JTI_MAX_BYTES {
        return Err(JwtError::Claims);
    }
    match now.since_s(claims.iat) {
        age if age > WINDOW_S => Err(JwtError::Expired),
        age if age < -WINDOW_S => Err(JwtError::NotYet),
        _ => Ok(DpopProof {
            thumbprint: key.thumbprint().to_owned(),
            jti: claims.jti,
            iat: claims.iat,
        }),
    }
}

/// Takes a proof apart, checks its header, and its signature by the key in it.
fn open(proof: &str) -> Result<(PublicKey, Claims), JwtError> {
    if proof.len() > MAX_BYTES {
        return Err(JwtError::Malformed);
    }
    let parts = Parts::parse(proof).map_err(|_| JwtError::Malformed)?;
    let header: ForeignHeader = json_object(&parts.header).ok_or(JwtError::Header)?;
    if header.typ != TYP || header.alg != "ES256" || header.crit.0 {
        return Err(JwtError::Header);
    }
    let key = PublicKey::try_from(header.jwk).map_err(|_| JwtError::Key)?;
    if !verify_es256(&key, parts.signed, &parts.signature) {
        return Err(JwtError::Signature);
    }
    let claims = json_object(&parts.payload).ok_or(JwtError::Claims)?;
    Ok((key, claims))
}

/// `ath`: base64url of the SHA-256 of the access token.
fn ath(access_token: &str) -> String {
    base64url(&sha256(access_token.as_bytes()))
}

fn is_bound_to(ath_claim: Option<&str>, access_token: Option<&str>) -> bool {
    match (ath_claim, access_token) {
        (Some(claim), Some(token)) => claim.as_bytes().ct_eq(ath(token).as_bytes()).into(),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{ISS, forge, key, samples::NOW};

    const PATH: &str = "/paraphe.v1.Enrolment/OpenCase";

    fn header() -> Value {
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key(1).public_key().to_jwk() })
    }

    fn claims() -> Value {
        json!({ "jti": "1", "htm": "POST", "htu": htu(ISS, PATH), "iat": NOW, "ath": ath("token") })
    }

    fn verdict(header: &Value, claims: &Value) -> Result<DpopProof, JwtError> {
        let proof = forge(&header.to_string(), &claims.to_string(), &key(1));
        verify(&proof, &htu(ISS, PATH), Some("token"), NOW)
    }

    #[test]
    fn a_proof_verifies_for_its_request_only() {
        let proof = sign(&key(1), PATH, ISS, Some("token"), NOW, "1").unwrap();
        let good = verify(&proof, &htu(ISS, PATH), Some("token"), NOW).unwrap();
        let expected = DpopProof {
            thumbprint: key(1).public_key().thumbprint().to_owned(),
            jti: "1".into(),
            iat: NOW,
        };
        assert_eq!(good, expected);
        let other = |htu: &str, token| verify(&proof, htu, token, NOW).unwrap_err();
        assert_eq!(
            other(&htu(ISS, "/paraphe.v1.Enrolment/GetCase"), Some("token")),
            JwtError::Request
        );
        assert_eq!(
            other(&htu("https://other.example", PATH), Some("token")),
            JwtError::Request
        );
        assert_eq!(other(&htu(ISS, PATH), Some("tokem")), JwtError::Request);
        assert_eq!(other(&htu(ISS, PATH), None), JwtError::Request);
        let tokenless = sign(&key(1), PATH, ISS, None, NOW, "1").unwrap();
        assert!(verify(&tokenless, &htu(ISS, PATH), None, NOW).is_ok());
        assert_eq!(
            verify(&tokenless, &htu(ISS, PATH), Some("token"), NOW).unwrap_err(),
            JwtError::Request
        );
    }

    #[test]
    fn a_proof_is_good_for_a_minute() {
        let proof = sign(&key(1), PATH, ISS, None, NOW, "1").unwrap();
        let at = |seconds| verify(&proof, &htu(ISS, PATH), None, NOW.plus_s(seconds)).map(|_| ());
        assert_eq!((at(-60), at(60)), (Ok(()), Ok(())));
        assert_eq!((at(-61), at(61)), (Err(JwtError::NotYet), Err(JwtError::Expired)));
    }

    #[test]
    fn other_headers_are_refused() {
        let with = |name: &str, value: Value| {
            let mut header = header();
            header[name] = value;
            verdict(&header, &claims()).map(|_| ())
        };
        assert_eq!(with("kid", json!("any")), Ok(()));
        assert_eq!(with("typ", json!("JWT")), Err(JwtError::Header));
        assert_eq!(with("alg", json!("none")), Err(JwtError::Header));
        assert_eq!(with("alg", json!("HS256")), Err(JwtError::Header));
        assert_eq!(with("crit", json!(["jwk"])), Err(JwtError::Header));
        assert_eq!(with("jwk", Value::Null), Err(JwtError::Header));
        assert_eq!(
            with("jwk", json!(key(2).public_key().to_jwk())),
            Err(JwtError::Signature)
        );
        let mut private = json!(key(1).public_key().to_jwk());
        private["d"] = json!("AA");
        assert_eq!(with("jwk", private), Err(JwtError::Key));
        let mut off_curve = json!(key(1).public_key().to_jwk());
        off_curve["y"] = off_curve["x"].clone();
        assert_eq!(with("jwk", off_curve), Err(JwtError::Key));
    }

    #[test]
    fn other_claims_are_refused() {
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            verdict(&header(), &claims).map(|_| ())
        };
        assert_eq!(with("nonce", json!("any")), Ok(()));
        assert_eq!(with("htm", json!("GET")), Err(JwtError::Request));
        assert_eq!(with("htm", json!("post")), Err(JwtError::Request));
        assert_eq!(with("ath", Value::Null), Err(JwtError::Request));
        assert_eq!(with("jti", json!("")), Err(JwtError::Claims));
        assert_eq!(with("jti", json!("x".repeat(129))), Err(JwtError::Claims));
        assert_eq!(with("jti", Value::Null), Err(JwtError::Claims));
        assert_eq!(with("iat", json!(1.5)), Err(JwtError::Claims));
    }

    #[test]
    fn the_issuer_url_may_end_with_a_slash() {
        assert_eq!(htu("https://id.example/", "/a/B"), "https://id.example/a/B");
        assert_eq!(htu("https://id.example", "/a/B"), "https://id.example/a/B");
    }

    /// RFC 9449, figure 2, whose key has the thumbprint printed in section 6.1; and the `ath` of section 7.1.
    #[test]
    fn the_published_proof_verifies() {
        let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZ\
            OXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6I\
            lAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL\
            3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nf\
            bV37xRZT3Lg";
        let now = Timestamp::from_secs(1_562_262_616);
        let verified = verify(proof, "https://server.example.com/token", None, now).unwrap();
        assert_eq!(verified.thumbprint, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        assert_eq!(verified.jti, "-BwC3ESc6acc2lTc");
        assert_eq!(
            ath("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
            "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
        );
    }
}
