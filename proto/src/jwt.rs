//! Tokens that other software signs: backends, service accounts and terminals. Section 1 of protocol.md.
//!
//! A client JWT (RFC 7519, RFC 7523) authenticates its key's owner for at most a few minutes. Unlike statements it may hold
//! unknown claims and headers (RFC 7519, section 4) and either `s`. `alg` is ES256 and nothing else, `crit` is refused.
//! [`dpop`] holds proofs of possession (RFC 9449).

use serde::{Deserialize, Serialize};

use crate::{
    compact::{self, MAX_BYTES, Parts, Presence, json_object},
    jwk::PublicKey,
    keys::{Signer, SigningError, verify_es256},
    time::Timestamp,
};

pub mod dpop;

/// How far a client's clock may be ahead of ours, in seconds.
pub const CLOCK_SKEW_S: i64 = 30;

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// Longer than 8 KiB or not a compact JWS with JSON inside.
    #[error("the token is not a signed JWT of at most 8 KiB")]
    Malformed,
    /// Another algorithm or type, or a critical header.
    #[error("the token's header must say alg ES256 and the right typ, without crit")]
    Header,
    /// The key inside the proof is not a public P-256 key.
    #[error("the proof's header must hold a public P-256 key as jwk")]
    Key,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing or of the wrong kind.
    #[error("the token lacks a claim, or one is of the wrong kind (times are whole seconds)")]
    Claims,
    /// Meant for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// `iat` or `nbf` lies ahead.
    #[error("the token is not valid yet: check the clock")]
    NotYet,
    /// From `iat` to `exp` it is longer than allowed.
    #[error("the token's life is longer than allowed")]
    Lifetime,
    /// The proof is for another request or another access token.
    #[error("the proof is for another request")]
    Request,
}

impl JwtError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "token.malformed",
            Self::Header => "token.header",
            Self::Key => "token.key",
            Self::Signature => "token.signature",
            Self::Claims => "token.claims",
            Self::Audience => "token.audience",
            Self::Expired => "token.expired",
            Self::NotYet => "token.not_yet",
            Self::Lifetime => "token.lifetime",
            Self::Request => "token.request",
        }
    }
}

/// What a client JWT says about its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientJwt {
    /// Who signed it.
    pub iss: String,
    /// Whom it is about; the same for our clients.
    pub sub: String,
    /// When it was signed.
    pub iat: Timestamp,
    /// From when on it is refused.
    pub exp: Timestamp,
    /// Unique name, where the client gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

#[derive(Serialize)]
struct OwnHeader {
    alg: &'static str,
    typ: &'static str,
    kid: String,
}

#[derive(Serialize)]
struct OwnClaims<'a> {
    aud: &'a str,
    #[serde(flatten)]
    claims: &'a ClientJwt,
}

#[derive(Deserialize)]
struct ForeignHeader {
    alg: String,
    typ: Option<String>,
    #[serde(default)]
    crit: Presence,
}

#[derive(Deserialize)]
struct ForeignClaims {
    iss: String,
    sub: String,
    aud: Audience,
    iat: Timestamp,
    exp: Timestamp,
    nbf: Option<Timestamp>,
    jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// The token is for `aud` and nobody else.
    fn is_only(&self, aud: &str) -> bool {
        match self {
            Self::One(one) => one == aud,
            Self::Many(many) => matches!(many.as_slice(), [one] if one == aud),
        }
    }
}

/// Signs a client JWT for the audience `aud`, the daemon's issuer URL.
///
/// # Errors
/// [`SigningError`] when the key fails.
pub fn sign_client_jwt(signer: &dyn Signer, claims: &ClientJwt, aud: &str) -> Result<String, SigningError> {
    let header = OwnHeader {
        alg: "ES256",
        typ: "JWT",
        kid: signer.public_key().thumbprint().to_owned(),
    };
    compact::sign(&header, &OwnClaims { aud, claims }, signer)
}

/// The `iss` of a client JWT. Nothing is verified: use it to find the key.
///
/// # Errors
/// [`JwtError`] when the text is not a client JWT.
pub fn unverified_issuer(token: &str) -> Result<String, JwtError> {
    let parts = open(token)?;
    claims_of(&parts).map(|claims| claims.iss)
}

/// Verifies a client JWT by the key of its sender. The caller compares `iss` and `sub` with the key's owner.
///
/// # Errors
/// [`JwtError`] when the signature, the audience or a time is wrong.
pub fn verify_client_jwt(
    token: &str,
    key: &PublicKey,
    aud: &str,
    now: Timestamp,
    max_lifetime_s: i64,
) -> Result<ClientJwt, JwtError> {
    let parts = open(token)?;
    if !verify_es256(key, parts.signed, &parts.signature) {
        return Err(JwtError::Signature);
    }
    let claims = claims_of(&parts)?;
    if !claims.aud.is_only(aud) {
        return Err(JwtError::Audience);
    }
    if claims.exp <= now {
        return Err(JwtError::Expired);
    }
    let latest_start = now.plus_s(CLOCK_SKEW_S);
    if claims.iat > latest_start || claims.nbf.is_some_and(|nbf| nbf > latest_start) {
        return Err(JwtError::NotYet);
    }
    if !(1..=max_lifetime_s).contains(&claims.exp.since_s(claims.iat)) {
        return Err(JwtError::Lifetime);
    }
    Ok(ClientJwt {
        iss: claims.iss,
        sub: claims.sub,
        iat: claims.iat,
        exp: claims.exp,
        jti: claims.jti,
    })
}

/// Takes a client JWT apart and checks size and header.
fn open(token: &str) -> Result<Parts<'_>, JwtError> {
    if token.len() > MAX_BYTES {
        return Err(JwtError::Malformed);
    }
    let parts = Parts::parse(token).map_err(|_| JwtError::Malformed)?;
    let header: ForeignHeader = json_object(&parts.header).ok_or(JwtError::Malformed)?;
    // RFC 7519, section 5.1: `JWT`, recommended in upper case.
    let typ_fits = header.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    if header.alg == "ES256" && typ_fits && !header.crit.0 {
        Ok(parts)
    } else {
        Err(JwtError::Header)
    }
}

fn claims_of(parts: &Parts<'_>) -> Result<ForeignClaims, JwtError> {
    json_object(&parts.payload).ok_or(JwtError::Claims)
}

#[cfg(test)]
mod tests;
