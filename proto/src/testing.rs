//! What the tests of this crate share: a seeded source of randomness, keys, and one statement of every type.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use p256::{
    Scalar,
    elliptic_curve::{Field, PrimeField},
};
use rand_core::{CryptoRng, RngCore};

use crate::{
    derive::sha256,
    encoding::base64url,
    keys::{Signer, SoftwareKey},
};

pub(crate) mod samples;

/// Issuer of the samples.
pub(crate) const ISS: &str = "https://id.example";

/// The key of RFC 9449, section 6.1.
pub(crate) const RFC9449_JWK: &str = r#"{"kty":"EC",
 "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
 "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
 "crv":"P-256"}"#;

/// The public key of RFC 7515, appendix A.3.
pub(crate) const RFC7515_JWK: &str = r#"{"kty":"EC",
 "crv":"P-256",
 "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
 "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

/// SHA-256 in counter mode: the same bytes for the same seed.
pub(crate) struct SeededRng {
    seed: u64,
    block: u64,
}

impl SeededRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, block: 0 }
    }
}

impl RngCore for SeededRng {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for chunk in dest.chunks_mut(32) {
            let hash = sha256(&[self.seed.to_be_bytes(), self.block.to_be_bytes()].concat());
            chunk.copy_from_slice(&hash[..chunk.len()]);
            self.block += 1;
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for SeededRng {}

/// Gives these bytes as if they were drawn: for published vectors.
pub(crate) struct FixedRng(pub(crate) Vec<u8>);

impl RngCore for FixedRng {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.copy_from_slice(&self.0);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for FixedRng {}

/// The same key for the same seed.
pub(crate) fn key(seed: u64) -> SoftwareKey {
    SoftwareKey::generate(&mut SeededRng::new(seed)).unwrap()
}

/// A compact JWS over any header and payload, with a right signature.
pub(crate) fn forge(header: &str, payload: &str, signer: &dyn Signer) -> String {
    let signed = format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(payload.as_bytes())
    );
    let signature = signer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64url(&signature))
}

/// The signature with the other `s`, which verifies as well.
pub(crate) fn mirror_s(signature: &[u8; 64]) -> [u8; 64] {
    let (r, s) = signature.split_at(32);
    let s = <[u8; 32]>::try_from(s).unwrap();
    let s = Scalar::from_repr(s.into()).unwrap();
    assert!(!s.is_zero_vartime());
    let mirrored = (-s).to_repr();
    [r, &mirrored[..]].concat().try_into().unwrap()
}
