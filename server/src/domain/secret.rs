//! Secret bytes inside sealed records: zeroized when dropped, never shown, compared in constant time.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes. Serialised only as part of a record that is sealed before it leaves memory.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret<const N: usize>(#[serde(with = "serde_bytes")] [u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes over the bytes.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one computation that needs them.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

/// Public bytes of fixed size inside records: keys, hashes, nonces.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes<const N: usize>(#[serde(with = "serde_bytes")] pub [u8; N]);
