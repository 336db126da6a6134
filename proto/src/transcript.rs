//! Unambiguous concatenation of byte strings before they are hashed or authenticated.
//!
//! Every part, the label first, is preceded by its length as a 32-bit big-endian number: two different lists of parts
//! never give the same bytes, and two uses with different labels never meet. Sections 4 to 6 of protocol.md.

use ring::{digest, hmac};

use crate::derive::sha256;

/// A labelled list of parts.
///
/// Parts are protocol fields of at most some KiB; one of 4 GiB cannot occur.
#[derive(Clone)]
#[must_use]
pub struct Transcript(Vec<u8>);

impl Transcript {
    /// An empty transcript for one purpose, e.g. `paraphe/v1/sas`.
    pub fn new(label: &str) -> Self {
        Self(Vec::new()).field(label.as_bytes())
    }

    /// Appends one part.
    pub fn field(mut self, part: &[u8]) -> Self {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    /// The encoded list.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of the encoded list.
    pub fn sha256(&self) -> [u8; digest::SHA256_OUTPUT_LEN] {
        sha256(&self.0)
    }

    /// HMAC-SHA-256 (RFC 2104) of the encoded list.
    pub fn hmac(&self, key: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &self.0);
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(tag.as_ref());
        bytes
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
    use crate::encoding::hex;

    #[test]
    fn every_part_is_preceded_by_its_length() {
        let transcript = Transcript::new("a").field(b"").field(b"bc");
        assert_eq!(hex(transcript.bytes()), "000000016100000000000000026263");
        // Computed with Python's hmac.
        let expected = "1d44b9a3cd8b45ffeb5a0ddad41d703a47145d32bf714d89427bf020909283f2";
        assert_eq!(hex(&transcript.hmac(b"key")), expected);
    }

    proptest! {
        #[test]
        fn different_parts_never_meet(
            left in prop::collection::vec(prop::collection::vec(0u8..2, 0..4), 0..4),
            right in prop::collection::vec(prop::collection::vec(0u8..2, 0..4), 0..4),
        ) {
            let encode = |parts: &[Vec<u8>]| {
                parts.iter().fold(Transcript::new("t"), |transcript, part| transcript.field(part)).sha256()
            };
            prop_assert_eq!(encode(&left) == encode(&right), left == right);
        }
    }
}
