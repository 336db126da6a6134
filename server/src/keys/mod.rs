//! The daemon's own keys (protocol.md section 2): the issuer keys, the lookup key and the pairwise key, in one file sealed with
//! the master key; the public root key beside it. A PKCS#11 token can hold the issuer keys instead.
//!
//! `init` makes them, `serve` opens them and follows the file at SIGHUP, `paraphed keys` takes their steps.

mod attestation;
mod error;
mod file;
mod issuer;
mod master;
mod pkcs11;
mod proofing;
mod ring;
mod sealed;

pub use attestation::{AttestationFileError, read_attestation_rules};
pub use error::KeysError;
pub use file::{lock, read_master_key, read_public_key, write_new, write_new_like};
pub use master::MasterKeys;
pub use pkcs11::{TokenError, look as look_for_token};
pub use proofing::ProofingKeys;
pub use ring::{Publication, Ring, Undestroyed};

use std::sync::{Arc, PoisonError, RwLock};

use ::ring::hmac;
use paraphe_proto::encoding::hex;
use paraphe_proto::ids::{ActivationId, PairwiseSubject, SubjectId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::keys::Signer;
use paraphe_proto::statements::{self, KeySet, Offer};
use paraphe_proto::time::Timestamp;
use paraphe_proto::transcript::Transcript;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::config::Keys;
use crate::domain::fault::{Fault, Result};

/// Version of the rule that derives pairwise subjects.
const PAIRWISE_VERSION: &[u8] = b"1";

/// The issuer's keys, open.
pub struct IssuerKeys {
    /// Replaced as a whole when the file is read again.
    ring: RwLock<Arc<Ring>>,
    lookup: Zeroizing<[u8; 32]>,
    pairwise: Zeroizing<[u8; 32]>,
    root: PublicKey,
}

impl IssuerKeys {
    /// New keys under a root key; key set version 1. The issuer keys are on the token that the configuration names, if it names one.
    ///
    /// # Errors
    /// [`KeysError`] when the system's randomness or the token fails.
    pub fn generate(
        config: &Keys,
        root: PublicKey,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> std::result::Result<Self, KeysError> {
        let mut secrets = [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])];
        for secret in &mut secrets {
            rng.fill_bytes(secret.as_mut_slice());
        }
        let [lookup, pairwise] = secrets;
        let [challenge, assertion] = issuer::generate(config, rng)?;
        Ok(Self {
            ring: RwLock::new(Arc::new(Ring::first(challenge, assertion)?)),
            lookup,
            pairwise,
            root,
        })
    }

    /// The keys of this moment.
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signs with these keys from now on. Their key sets must be published.
    pub fn follow(&self, ring: Arc<Ring>) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    /// Signs challenges, offers, evaluations and key sets.
    pub fn challenge(&self) -> Arc<dyn Signer> {
        Arc::clone(self.ring().challenge()) as Arc<dyn Signer>
    }

    /// Signs what continues an activation: the key of its offer while that is active, since the phone walks no key sets until
    /// the activation is finished.
    pub fn challenge_after(&self, offer: &str) -> Arc<dyn Signer> {
        let ring = self.ring();
        let kid = jws::unverified_kid::<Offer>(offer).unwrap_or_default();
        Arc::clone(ring.active_challenge(&kid).unwrap_or(ring.challenge())) as Arc<dyn Signer>
    }

    /// Signs assertions.
    pub fn assertion(&self) -> Arc<dyn Signer> {
        Arc::clone(self.ring().assertion()) as Arc<dyn Signer>
    }

    /// Whether signing waits for a token.
    pub fn on_token(&self) -> bool {
        self.ring().is_on_token()
    }

    /// The root key that phones pin.
    pub fn root_public(&self) -> &PublicKey {
        &self.root
    }

    /// Version of the key set that holds these keys.
    pub fn key_set_version(&self) -> u64 {
        self.ring().version()
    }

    /// The public key set of version 1, to be signed by the root key.
    pub fn first_key_set(&self, issuer: &str, now: Timestamp) -> KeySet {
        self.ring().first_set(issuer, now)
    }

    /// The JWK set for backends (RFC 7517): assertion keys.
    pub fn jwks(&self) -> Arc<str> {
        self.ring().jwks()
    }

    /// Keyed hash by which a person is found.
    pub fn lookup_hash(&self, lookup_text: &str) -> [u8; 32] {
        Transcript::new("paraphe/v1/lookup")
            .field(lookup_text.as_bytes())
            .hmac(self.lookup.as_slice())
    }

    /// A short mark of a person for the audit trail: equal for the same names and birth date, and it names nobody.
    pub fn person_mark(&self, lookup_text: &str) -> String {
        let digest = Transcript::new("paraphe/v1/person-mark")
            .field(lookup_text.as_bytes())
            .hmac(self.lookup.as_slice());
        format!("person:{}", hex(digest.get(..8).unwrap_or_default()))
    }

    /// The key that authenticates the security journal. It does not change with the master key.
    pub fn journal_key(&self) -> hmac::Key {
        let key = Zeroizing::new(Transcript::new("paraphe/v1/journal-key").hmac(self.lookup.as_slice()));
        hmac::Key::new(hmac::HMAC_SHA256, key.as_slice())
    }

    /// What is kept of a suspension code, which is drawn for one activation.
    pub fn suspension_hash(&self, activation_id: &ActivationId, digits: &str) -> [u8; 32] {
        Transcript::new("paraphe/v1/suspension")
            .field(activation_id.as_bytes())
            .field(digits.as_bytes())
            .hmac(self.lookup.as_slice())
    }

    /// The person's name at one relying party: HMAC, versioned, independent of the master key.
    pub fn pairwise_subject(&self, relying_party_id: &str, subject_id: &SubjectId) -> PairwiseSubject {
        let transcript = Transcript::new("paraphe/v1/pairwise")
            .field(PAIRWISE_VERSION)
            .field(relying_party_id.as_bytes())
            .field(subject_id.as_bytes());
        PairwiseSubject::from_bytes(transcript.hmac(self.pairwise.as_slice()))
    }

    /// Whether an emergency has retired the key that signed this challenge: no yes to it counts.
    pub fn is_voided(&self, challenge: &str, issuer: &str) -> bool {
        let ring = self.ring();
        let kid = jws::unverified_kid::<statements::Challenge>(challenge).unwrap_or_default();
        !ring.is_active_challenge(&kid) && ring.voided(&self.root, issuer).contains(&kid)
    }

    /// The claims of a challenge that this daemon signed before and kept sealed, which is what vouches for it now.
    ///
    /// # Errors
    /// Internal: a stored challenge that does not read was damaged.
    pub fn reopen_challenge(&self, compact: &str, issuer: &str) -> Result<statements::Challenge> {
        let claims = jws::own_claims::<statements::Challenge>(compact, issuer);
        claims.map_err(|error| Fault::internal(format!("stored challenge: {error}")))
    }
}
