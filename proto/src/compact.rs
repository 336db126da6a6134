//! The three base64url parts of a JWS in compact serialisation (RFC 7515, section 7.1). Used by [`crate::jws`] and
//! [`crate::jwt`]; says nothing about what the parts mean.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    encoding::{base64url, from_base64url},
    keys::{Signer, SigningError},
};

/// Longest token that is looked at, in bytes.
pub(crate) const MAX_BYTES: usize = 8 * 1024;

/// A token taken apart; nothing in it is verified.
pub(crate) struct Parts<'a> {
    pub(crate) header: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// The bytes that were signed.
    pub(crate) signed: &'a [u8],
}

/// The token is not three canonical base64url parts.
pub(crate) struct Malformed;

impl<'a> Parts<'a> {
    pub(crate) fn parse(compact: &'a str) -> Result<Self, Malformed> {
        let (signed, signature) = compact.rsplit_once('.').ok_or(Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Malformed)?;
        let decode = |part| from_base64url(part).map_err(|_| Malformed);
        Ok(Self {
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed: signed.as_bytes(),
        })
    }
}

/// Parses a JSON object with nothing after it. serde would take an array for a struct as well.
pub(crate) fn json_object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

/// Whether a member is there, be it as `null`.
#[derive(Default)]
pub(crate) struct Presence(pub(crate) bool);

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// Signs `header` and `payload`.
pub(crate) fn sign(
    header: &impl Serialize,
    payload: &impl Serialize,
    signer: &dyn Signer,
) -> Result<String, SigningError> {
    let part =
        |json: serde_json::Result<Vec<u8>>| json.map(|json| base64url(&json)).map_err(|_| SigningError);
    let header = part(serde_json::to_vec(header))?;
    let payload = part(serde_json::to_vec(payload))?;
    let signed = format!("{header}.{payload}");
    let signature = signer.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", base64url(&signature)))
}
