//! Text forms of byte strings: base64url without padding (RFC 4648, section 5), base32, hex. Used everywhere.
//!
//! Decoding is strict: one text for one byte string. Padding, foreign characters, whitespace and non-zero trailing bits
//! are refused. Section 3 of protocol.md.

use std::fmt;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Text that is not the one encoding of any byte string of the expected length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a canonical encoding of the expected length")]
pub struct EncodingError;

impl EncodingError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        "encoding.malformed"
    }
}

/// Base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Decodes base64url without padding.
///
/// # Errors
/// When the text is not canonical.
pub fn from_base64url(text: &str) -> Result<Vec<u8>, EncodingError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| EncodingError)
}

/// Lowercase hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Decodes lowercase hexadecimal.
///
/// # Errors
/// When the text has an odd length or another character, uppercase included.
pub fn from_hex(text: &str) -> Result<Vec<u8>, EncodingError> {
    HEXLOWER.decode(text.as_bytes()).map_err(|_| EncodingError)
}

/// Lowercase base32 without padding (RFC 4648, section 6).
pub(crate) fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Decodes lowercase base32 without padding into exactly `N` bytes.
pub(crate) fn from_base32<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(EncodingError);
    }
    let bytes = BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| EncodingError)?;
    bytes.try_into().map_err(|_| EncodingError)
}

/// `N` bytes inside a statement: base64url text in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct B64<const N: usize>(pub [u8; N]);

impl<const N: usize> B64<N> {
    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> From<[u8; N]> for B64<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> fmt::Debug for B64<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url(&self.0))
    }
}

impl<const N: usize> Serialize for B64<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for B64<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let B64Vec(bytes) = B64Vec::deserialize(deserializer)?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| D::Error::custom(EncodingError))
    }
}

/// A byte string of any length inside a statement: base64url text in JSON.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct B64Vec(pub Vec<u8>);

impl fmt::Debug for B64Vec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url(&self.0))
    }
}

impl Serialize for B64Vec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url(&self.0))
    }
}

impl<'de> Deserialize<'de> for B64Vec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_base64url(&text).map(Self).map_err(D::Error::custom)
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn base64url_refuses_every_other_form() {
        assert_eq!(from_base64url("-_8").unwrap(), [0xfb, 0xff]);
        for text in ["-_8=", "+/8", "-_9", "-_8 ", " -_8", "-_8\n", "-", "é"] {
            assert_eq!(from_base64url(text), Err(EncodingError), "{text:?}");
        }
    }

    #[test]
    fn hex_is_lowercase_only() {
        assert_eq!(hex(&[0, 0xab]), "00ab");
        assert_eq!(from_hex("00ab").unwrap(), [0, 0xab]);
        for text in ["00AB", "00a", "00ag", " 00ab"] {
            assert_eq!(from_hex(text), Err(EncodingError), "{text:?}");
        }
    }

    #[test]
    fn byte_strings_of_fixed_length_refuse_others() {
        assert_eq!(
            serde_json::from_str::<B64<2>>(r#""-_8""#).unwrap(),
            B64([0xfb, 0xff])
        );
        assert!(serde_json::from_str::<B64<3>>(r#""-_8""#).is_err());
        assert!(serde_json::from_str::<B64<2>>("[251,255]").is_err());
    }

    proptest! {
        #[test]
        fn every_byte_string_has_one_text(bytes: Vec<u8>) {
            prop_assert_eq!(from_base64url(&base64url(&bytes)).unwrap(), bytes.clone());
            prop_assert_eq!(from_hex(&hex(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_text(text in "[A-Za-z0-9_=+/-]{0,12}") {
            if let Ok(bytes) = from_base64url(&text) {
                prop_assert_eq!(base64url(&bytes), text);
            }
        }
    }
}
