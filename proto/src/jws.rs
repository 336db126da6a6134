//! The one module that signs and verifies Paraphe's statements, for daemon and phone alike. Section 3 of protocol.md.
//!
//! A statement is a compact JWS (RFC 7515) with ES256 and an explicit type (RFC 8725, section 3.11). Its header is exactly
//! `{"alg":"ES256","typ":…,"kid":…}` where `kid` is the RFC 7638 thumbprint of the key. [`Verified`] is a value that only
//! this module can make. Signed bytes are never encoded again: what is shown, stored or hashed is the text that came in.
//!
//! Refused: another `alg` or `typ`, `crit` or any other header, unknown, missing or repeated claims, a claim in another
//! JSON form than ours, more than [`Statement::MAX_BYTES`], base64url that is not canonical, signatures with the high `s`, with `r` or `s` = 0
//! or in DER, another issuer.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    compact::{self, Parts, json_object},
    derive::sha256,
    jwk::PublicKey,
    keys::{Signer, SigningError, is_low_s, verify_es256},
};

const ALG: &str = "ES256";

/// The claims of one type of statement.
pub trait Statement: Serialize + DeserializeOwned {
    /// The `typ` header.
    const TYP: &'static str;

    /// Longest compact JWS that is looked at, in bytes.
    const MAX_BYTES: usize;

    /// The `iss` claim: the issuer URL of the daemon that the statement belongs to.
    fn issuer(&self) -> &str;
}

/// Why a statement was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Longer than a statement of its type may be.
    #[error("the statement is longer than one of its type may be")]
    TooLong,
    /// Not three canonical base64url parts.
    #[error("the statement is not a compact JWS")]
    Malformed,
    /// The header is not exactly `alg`, `typ` and `kid`.
    #[error("the statement's header is not exactly alg, typ and kid")]
    Header,
    /// Another algorithm.
    #[error("the statement's algorithm is not ES256")]
    Algorithm,
    /// Another type of statement.
    #[error("the statement is of another type")]
    Type,
    /// The key that it names is not one that may sign it.
    #[error("the statement names a key that may not sign it")]
    Key,
    /// The signature is not the key's, or not in its one form.
    #[error("the statement's signature is wrong")]
    Signature,
    /// The claims are not exactly those of the type.
    #[error("the statement's claims are not exactly those of its type")]
    Claims,
    /// Another issuer.
    #[error("the statement belongs to another issuer")]
    Issuer,
    /// Statements that belong together do not fit each other.
    #[error("the statement does not fit the one it belongs to")]
    Binding,
}

impl StatementError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "statement.too_long",
            Self::Malformed => "statement.malformed",
            Self::Header => "statement.header",
            Self::Algorithm => "statement.algorithm",
            Self::Type => "statement.type",
            Self::Key => "statement.key",
            Self::Signature => "statement.signature",
            Self::Claims => "statement.claims",
            Self::Issuer => "statement.issuer",
            Self::Binding => "statement.binding",
        }
    }
}

/// Why a statement could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The claims do not fit into the longest statement of its type.
    #[error("the statement would be longer than one of its type may be")]
    TooLong,
    /// The key failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl SignError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "statement.too_long",
            Self::Signing(error) => error.code(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// A statement that was just signed.
#[derive(Debug, Clone)]
pub struct Signed<S> {
    compact: String,
    statement: PhantomData<fn() -> S>,
}

impl<S> Signed<S> {
    /// The compact JWS.
    pub fn compact(&self) -> &str {
        &self.compact
    }

    /// The compact JWS.
    pub fn into_compact(self) -> String {
        self.compact
    }

    /// SHA-256 of the compact JWS: how other statements refer to this one.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(self.compact.as_bytes())
    }
}

/// A statement whose type, key, signature, form and issuer were checked.
#[derive(Debug, Clone)]
pub struct Verified<S> {
    claims: S,
    compact: String,
    kid: String,
}

impl<S> Verified<S> {
    /// What the statement says.
    pub fn claims(&self) -> &S {
        &self.claims
    }

    /// What the statement says, without its text.
    pub fn into_claims(self) -> S {
        self.claims
    }

    /// The compact JWS as it came in.
    pub fn compact(&self) -> &str {
        &self.compact
    }

    /// SHA-256 of the compact JWS: how other statements refer to this one.
    pub fn sha256(&self) -> [u8; 32] {
        sha256(self.compact.as_bytes())
    }

    /// Thumbprint of the key that signed it.
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

/// Signs a statement.
///
/// # Errors
/// [`SignError::TooLong`] above [`Statement::MAX_BYTES`]; [`SignError::Signing`] when the key fails.
pub fn sign<S: Statement>(statement: &S, signer: &dyn Signer) -> Result<Signed<S>, SignError> {
    let header = Header {
        alg: ALG.into(),
        typ: S::TYP.into(),
        kid: signer.public_key().thumbprint().to_owned(),
    };
    let compact = compact::sign(&header, statement, signer)?;
    if compact.len() > S::MAX_BYTES {
        return Err(SignError::TooLong);
    }
    Ok(Signed {
        compact,
        statement: PhantomData,
    })
}

/// Verifies a statement that only `key` may have signed.
///
/// # Errors
/// [`StatementError`] for everything that the module's head lists.
pub fn verify<S: Statement>(
    compact: &str,
    key: &PublicKey,
    iss: &str,
) -> Result<Verified<S>, StatementError> {
    let (parts, kid) = open::<S>(compact)?;
    check(compact, &parts, kid, key, iss)
}

/// Verifies a statement by the key that `key_of` gives for its `kid`.
///
/// # Errors
/// [`StatementError::Key`] when there is none; otherwise like [`verify`].
pub fn verify_with<S: Statement>(
    compact: &str,
    iss: &str,
    key_of: impl FnOnce(&str) -> Option<PublicKey>,
) -> Result<Verified<S>, StatementError> {
    let (parts, kid) = open::<S>(compact)?;
    let key = key_of(&kid).ok_or(StatementError::Key)?;
    check(compact, &parts, kid, &key, iss)
}

fn check<S: Statement>(
    compact: &str,
    parts: &Parts<'_>,
    kid: String,
    key: &PublicKey,
    iss: &str,
) -> Result<Verified<S>, StatementError> {
    if key.thumbprint() != kid {
        return Err(StatementError::Key);
    }
    if !is_low_s(&parts.signature) || !verify_es256(key, parts.signed, &parts.signature) {
        return Err(StatementError::Signature);
    }
    let claims: S = exact_claims(&parts.payload)?;
    if claims.issuer() != iss {
        return Err(StatementError::Issuer);
    }
    Ok(Verified {
        claims,
        compact: compact.to_owned(),
        kid,
    })
}

/// The `kid` that a statement of type `S` names. Nothing is verified: use it to find the key, then [`verify`].
///
/// # Errors
/// [`StatementError`] when the text is not a statement of that type.
pub fn unverified_kid<S: Statement>(compact: &str) -> Result<String, StatementError> {
    open::<S>(compact).map(|(_, kid)| kid)
}

/// What a statement claims to say. Nothing is verified: for finding the key that must have signed it.
pub(crate) fn unverified_claims<S: Statement>(compact: &str) -> Result<S, StatementError> {
    let (parts, _) = open::<S>(compact)?;
    exact_claims(&parts.payload)
}

/// The claims of a statement that the caller itself signed and has kept where nobody else writes: its signature is not checked again.
///
/// # Errors
/// [`StatementError`] when the text is not a statement of that type and issuer.
pub fn own_claims<S: Statement>(compact: &str, iss: &str) -> Result<S, StatementError> {
    let claims: S = unverified_claims(compact)?;
    if claims.issuer() == iss {
        Ok(claims)
    } else {
        Err(StatementError::Issuer)
    }
}

/// Takes a statement apart and checks size and header.
fn open<S: Statement>(compact: &str) -> Result<(Parts<'_>, String), StatementError> {
    if compact.len() > S::MAX_BYTES {
        return Err(StatementError::TooLong);
    }
    let parts = Parts::parse(compact).map_err(|_| StatementError::Malformed)?;
    let header: Header = json_object(&parts.header).ok_or(StatementError::Header)?;
    if header.alg != ALG {
        return Err(StatementError::Algorithm);
    }
    if header.typ != S::TYP {
        return Err(StatementError::Type);
    }
    Ok((parts, header.kid))
}

/// The claims, if nothing else is in the payload: repeated and unknown names are refused while parsing, and what was
/// parsed must encode to the same JSON value (so no `null` for an absent claim, no array for an object).
fn exact_claims<S: Statement>(payload: &[u8]) -> Result<S, StatementError> {
    let claims: S = json_object(payload).ok_or(StatementError::Claims)?;
    // Written as we write it: then nothing else can be in it.
    if serde_json::to_vec(&claims).is_ok_and(|written| written == payload) {
        return Ok(claims);
    }
    let received: serde_json::Value = json_object(payload).ok_or(StatementError::Claims)?;
    let understood = serde_json::to_value(&claims).map_err(|_| StatementError::Claims)?;
    if received == understood {
        Ok(claims)
    } else {
        Err(StatementError::Claims)
    }
}

#[cfg(test)]
mod tests;
