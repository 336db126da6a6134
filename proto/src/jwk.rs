//! P-256 public keys and their JSON form (RFC 7517, RFC 7518 section 6.2). Used wherever a key is named.
//!
//! A [`PublicKey`] is a point of the curve other than the identity: only the check can make one. Section 2 of protocol.md.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use p256::elliptic_curve::sec1::ToEncodedPoint;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    compact::Presence,
    derive::sha256,
    encoding::{base64url, from_base64url},
};

/// A key that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwkError {
    /// Not a JSON object with the members of an EC key.
    #[error("the key is not a JWK: give a JSON object with kty, crv, x and y")]
    Malformed,
    /// Another key type, curve, use or algorithm.
    #[error("the key is not for ES256: kty must be EC, crv P-256, use sig and alg ES256 where given")]
    Unsupported,
    /// The coordinates are not a point of the curve, or not in their one encoding.
    #[error("the key is not a point of the curve P-256")]
    Point,
    /// The key came with its private half.
    #[error("the key contains its private part `d`: send the public key only, and replace this one")]
    Private,
}

impl JwkError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "key.malformed",
            Self::Unsupported => "key.unsupported",
            Self::Point => "key.point",
            Self::Private => "key.private",
        }
    }
}

/// A P-256 public key.
#[derive(Clone)]
pub struct PublicKey {
    sec1: [u8; 65],
    thumbprint: OnceLock<String>,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.sec1 == other.sec1
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sec1.hash(state);
    }
}

impl PublicKey {
    /// Parses a point in the encodings of SEC 1, section 2.3.3: uncompressed (65 bytes) or compressed (33 bytes).
    ///
    /// # Errors
    /// [`JwkError::Point`] when the point is off the curve, the identity or in another encoding.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, JwkError> {
        if !matches!((bytes.len(), bytes.first()), (65, Some(4)) | (33, Some(2 | 3))) {
            return Err(JwkError::Point);
        }
        let key = p256::PublicKey::from_sec1_bytes(bytes).map_err(|_| JwkError::Point)?;
        Self::from_p256(&key)
    }

    pub(crate) fn from_p256(key: &p256::PublicKey) -> Result<Self, JwkError> {
        let sec1 = key
            .to_encoded_point(false)
            .as_bytes()
            .try_into()
            .map_err(|_| JwkError::Point)?;
        Ok(Self {
            sec1,
            thumbprint: OnceLock::new(),
        })
    }

    /// Parses a JWK in JSON that other software wrote: unknown members are ignored (RFC 7517, section 4).
    ///
    /// # Errors
    /// [`JwkError`] says what is wrong with the key.
    pub fn from_jwk_json(json: &str) -> Result<Self, JwkError> {
        let foreign: ForeignJwk = serde_json::from_str(json).map_err(|_| JwkError::Malformed)?;
        foreign.try_into()
    }

    /// The point, uncompressed (SEC 1): `04 ‖ x ‖ y`.
    pub const fn as_sec1(&self) -> &[u8; 65] {
        &self.sec1
    }

    /// The point, compressed (SEC 1): `02` or `03`, then x.
    pub fn compressed(&self) -> [u8; 33] {
        let (x, y) = self.coordinates();
        let odd = y.last().is_some_and(|byte| byte & 1 == 1);
        let mut bytes = [0; 33];
        if let Some((tag, rest)) = bytes.split_first_mut() {
            *tag = if odd { 3 } else { 2 };
            rest.copy_from_slice(x);
        }
        bytes
    }

    /// RFC 7638 thumbprint with SHA-256, base64url (43 characters): the `kid` of every statement.
    pub fn thumbprint(&self) -> &str {
        self.thumbprint.get_or_init(|| {
            let (x, y) = self.coordinates();
            let canonical = format!(
                r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                base64url(x),
                base64url(y)
            );
            base64url(&sha256(canonical.as_bytes()))
        })
    }

    /// The JWK with kty, crv, x and y and nothing else.
    pub fn to_jwk(&self) -> Jwk {
        let (x, y) = self.coordinates();
        Jwk {
            kty: "EC".into(),
            crv: "P-256".into(),
            x: base64url(x),
            y: base64url(y),
            kid: None,
            key_use: None,
            alg: None,
        }
    }

    fn coordinates(&self) -> (&[u8], &[u8]) {
        let (_, xy) = self.sec1.split_at(1);
        xy.split_at(32)
    }

    fn from_coordinates(x: &str, y: &str) -> Result<Self, JwkError> {
        let (x, y) = (coordinate(x)?, coordinate(y)?);
        Self::from_sec1(&[&[4][..], &x, &y].concat())
    }
}

/// RFC 7518, section 6.2.1.2: always the full 32 bytes.
fn coordinate(text: &str) -> Result<[u8; 32], JwkError> {
    from_base64url(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(JwkError::Point)
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_jwk().serialize(serializer)
    }
}

/// Accepts exactly kty, crv, x and y.
impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let jwk = Jwk::deserialize(deserializer)?;
        if jwk.kid.is_some() || jwk.key_use.is_some() || jwk.alg.is_some() {
            return Err(D::Error::custom(JwkError::Unsupported));
        }
        Self::try_from(&jwk).map_err(D::Error::custom)
    }
}

/// A JWK of ours; in a JWK set it carries `kid`, `use` and `alg` too. Unknown members are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// `EC`.
    pub kty: String,
    /// `P-256`.
    pub crv: String,
    /// x coordinate, 32 bytes in base64url.
    pub x: String,
    /// y coordinate, 32 bytes in base64url.
    pub y: String,
    /// RFC 7638 thumbprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `sig`.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub key_use: Option<String>,
    /// `ES256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
}

impl TryFrom<&Jwk> for PublicKey {
    type Error = JwkError;

    fn try_from(jwk: &Jwk) -> Result<Self, JwkError> {
        let other = |value: &Option<String>, ours| value.as_deref().is_some_and(|value| value != ours);
        if jwk.kty != "EC" || jwk.crv != "P-256" || other(&jwk.key_use, "sig") || other(&jwk.alg, "ES256") {
            return Err(JwkError::Unsupported);
        }
        let key = Self::from_coordinates(&jwk.x, &jwk.y)?;
        if jwk.kid.as_ref().is_some_and(|kid| *kid != key.thumbprint()) {
            return Err(JwkError::Malformed);
        }
        Ok(key)
    }
}

/// A JWK of other software: what we must look at, and whatever else it holds.
#[derive(Deserialize)]
pub(crate) struct ForeignJwk {
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
    #[serde(rename = "use")]
    key_use: Option<String>,
    alg: Option<String>,
    #[serde(default)]
    d: Presence,
}

impl TryFrom<ForeignJwk> for PublicKey {
    type Error = JwkError;

    fn try_from(jwk: ForeignJwk) -> Result<Self, JwkError> {
        if jwk.d.0 {
            return Err(JwkError::Private);
        }
        Self::try_from(&Jwk {
            kty: jwk.kty,
            crv: jwk.crv,
            x: jwk.x,
            y: jwk.y,
            kid: None,
            key_use: jwk.key_use,
            alg: jwk.alg,
        })
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
    use super::*;
    use crate::{
        keys::Signer,
        testing::{RFC9449_JWK, key},
    };

    fn parse(json: &str) -> Result<PublicKey, JwkError> {
        PublicKey::from_jwk_json(json)
    }

    /// The method of RFC 7638 on the key of RFC 9449, whose section 6.1 prints the thumbprint.
    #[test]
    fn thumbprint_is_the_published_one() {
        let key = parse(RFC9449_JWK).unwrap();
        assert_eq!(key.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn every_encoding_gives_the_same_key() {
        for seed in 0..8 {
            let key = key(seed).public_key().clone();
            assert_eq!(PublicKey::from_sec1(key.as_sec1()).unwrap(), key);
            assert_eq!(PublicKey::from_sec1(&key.compressed()).unwrap(), key);
            assert_eq!(PublicKey::try_from(&key.to_jwk()).unwrap(), key);
            let json = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key);
        }
    }

    #[test]
    fn points_off_the_curve_and_other_encodings_are_refused() {
        let good = *key(1).public_key().as_sec1();
        let with = |index: usize, value| {
            let mut bytes = good;
            bytes[index] = value;
            bytes.to_vec()
        };
        let hybrid = with(0, 6 | (good[64] & 1));
        let off_curve = with(64, good[64] ^ 1);
        let mut compact = good[..33].to_vec();
        compact[0] = 5;
        let no_such_x = [&[2][..], &[0xff; 32]].concat();
        let zero = [&[4][..], &[0; 64]].concat();
        let long = [&good[..], &[0]].concat();
        let tagless = good[1..].to_vec();
        for bytes in [
            off_curve,
            hybrid,
            compact,
            no_such_x,
            zero,
            long,
            tagless,
            vec![0],
            vec![],
        ] {
            assert_eq!(
                PublicKey::from_sec1(&bytes).unwrap_err(),
                JwkError::Point,
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn jwks_of_others_may_hold_more_but_not_the_private_key() {
        let more = |members: &str| parse(&RFC9449_JWK.replacen('{', &format!("{{{members},"), 1));
        assert!(more(r#""key_ops":["verify"],"ext":true,"use":"sig","alg":"ES256""#).is_ok());
        assert_eq!(
            more(r#""d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI""#).unwrap_err(),
            JwkError::Private
        );
        assert_eq!(more(r#""d":null"#).unwrap_err(), JwkError::Private);
        assert_eq!(more(r#""use":"enc""#).unwrap_err(), JwkError::Unsupported);
        assert_eq!(more(r#""alg":"ES384""#).unwrap_err(), JwkError::Unsupported);
        assert_eq!(more(r#""kty":"EC""#).unwrap_err(), JwkError::Malformed);
        assert_eq!(
            parse(r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#).unwrap_err(),
            JwkError::Unsupported
        );
        assert_eq!(
            parse(&RFC9449_JWK.replace("P-256", "secp256k1")).unwrap_err(),
            JwkError::Unsupported
        );
        assert_eq!(
            parse(&RFC9449_JWK.replace("RDA\"", "RDQ\"")).unwrap_err(),
            JwkError::Point
        );
        assert_eq!(parse("key").unwrap_err(), JwkError::Malformed);
    }

    #[test]
    fn keys_in_statements_hold_the_four_members_only() {
        let jwk = key(1).public_key().to_jwk();
        let text = |jwk: &Jwk| serde_json::to_string(jwk).unwrap();
        assert!(serde_json::from_str::<PublicKey>(&text(&jwk)).is_ok());
        let named = Jwk {
            kid: Some(key(1).public_key().thumbprint().to_owned()),
            ..jwk.clone()
        };
        assert!(serde_json::from_str::<PublicKey>(&text(&named)).is_err());
        assert!(PublicKey::try_from(&named).is_ok());
        let misnamed = Jwk {
            kid: Some(key(2).public_key().thumbprint().to_owned()),
            ..jwk
        };
        assert_eq!(PublicKey::try_from(&misnamed).unwrap_err(), JwkError::Malformed);
    }
}
