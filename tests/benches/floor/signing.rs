//! ES256 by ring, graviola, crrl and p256, over a statement of usual length. Signatures verify across libraries or nothing is measured.

use std::hint::black_box;

use graviola::hashing::Sha256;
use graviola::signing::ecdsa;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::pkcs8::EncodePrivateKey as _;
use rand_core::OsRng;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};

use super::Candidate;
use crate::Result;

/// Header and claims of a challenge, about.
const MESSAGE: [u8; 1_000] = [0x61; 1_000];

struct Keys {
    secret: p256::SecretKey,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl Keys {
    fn new() -> Result<Self> {
        let secret = p256::SecretKey::random(&mut OsRng);
        Ok(Self {
            pkcs8: secret.to_pkcs8_der()?.as_bytes().to_vec(),
            public: secret.public_key().to_sec1_bytes().to_vec(),
            secret,
        })
    }

    fn crrl(&self) -> Result<crrl::p256::PrivateKey> {
        let key = crrl::p256::PrivateKey::decode(&self.secret.to_bytes());
        key.ok_or_else(|| "crrl refuses the key".into())
    }
}

fn candidate(library: &'static str, run: impl FnMut() + 'static) -> Candidate {
    Candidate {
        library,
        run: Box::new(run),
    }
}

/// Signing.
///
/// # Errors
/// When a library refuses the key.
pub fn signers() -> Result<Vec<Candidate>> {
    let keys = Keys::new()?;
    let random = SystemRandom::new();
    let ring = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &keys.pkcs8, &random)
        .map_err(|error| format!("ring: {error}"))?;
    let graviola = ecdsa::SigningKey::<ecdsa::P256>::from_pkcs8_der(&keys.pkcs8)
        .map_err(|error| format!("graviola: {error:?}"))?;
    let crrl = keys.crrl()?;
    let p256 = p256::ecdsa::SigningKey::from(&keys.secret);
    let mut room = [0; 64];
    Ok(vec![
        candidate("ring", move || {
            black_box(ring.sign(&random, &MESSAGE).expect("ring signs"));
        }),
        candidate("graviola", move || {
            let signed = graviola.sign::<Sha256>(&[&MESSAGE], &mut room);
            black_box(signed.expect("graviola signs"));
        }),
        candidate("crrl", move || {
            black_box(crrl.sign_hash(digest(&SHA256, &MESSAGE).as_ref(), &[]));
        }),
        candidate("p256", move || {
            let signature: p256::ecdsa::Signature = p256.sign(&MESSAGE);
            black_box(signature);
        }),
    ])
}

/// Verifying a signature of ring.
///
/// # Errors
/// When a library refuses the key.
pub fn verifiers() -> Result<Vec<Candidate>> {
    let keys = Keys::new()?;
    let random = SystemRandom::new();
    let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &keys.pkcs8, &random)
        .map_err(|error| format!("ring: {error}"))?;
    let signed = signer.sign(&random, &MESSAGE).map_err(|_| "ring does not sign")?;
    let signature: [u8; 64] = signed.as_ref().try_into()?;
    let public = keys.public.clone();
    let ring = move || {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public);
        key.verify(&MESSAGE, &signature).expect("ring verifies");
    };
    let public = keys.public.clone();
    let graviola = move || {
        let key = ecdsa::VerifyingKey::<ecdsa::P256>::from_x962_uncompressed(&public);
        let verified = key.expect("a point").verify::<Sha256>(&[&MESSAGE], &signature);
        verified.expect("graviola verifies");
    };
    let public = keys.public.clone();
    let crrl = move || {
        let key = crrl::p256::PublicKey::decode(&public).expect("a point");
        assert!(key.verify_hash(&signature, digest(&SHA256, &MESSAGE).as_ref()));
    };
    let p256 = move || {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&keys.public).expect("a point");
        let signature = p256::ecdsa::Signature::from_slice(&signature).expect("a signature");
        key.verify(&MESSAGE, &signature).expect("p256 verifies");
    };
    Ok(vec![
        candidate("ring", ring),
        candidate("graviola", graviola),
        candidate("crrl", crrl),
        candidate("p256", p256),
    ])
}
