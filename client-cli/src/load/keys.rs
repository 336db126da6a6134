//! Keys of phones that live in memory.
//!
//! Called by `enrol` (as the keystore of an activation) and `phone`. Invariant: nothing here is kept apart from the
//! process; a phone of a load is a measuring device, not somebody's signature.

use std::sync::{Arc, Mutex, PoisonError};

use paraphe_companion::{KeyStore, KeyStoreError, PossessionKey};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::keys::{Signer, SigningError, SoftwareKey};
use paraphe_proto::statements::Keystore;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

const PLATFORM: &str = concat!("paraphe-load-", env!("CARGO_PKG_VERSION"));

/// A key that several holders sign with.
#[derive(Clone)]
pub struct SharedKey(pub Arc<SoftwareKey>);

impl Signer for SharedKey {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningError> {
        self.0.sign(message)
    }
}

/// The keystore of one activation. It seals nothing: what it is given to keep comes out as it went in.
#[derive(Default)]
pub struct MemoryKeyStore {
    key: Mutex<Option<SharedKey>>,
}

impl MemoryKeyStore {
    /// The possession key, once an activation has made it.
    pub fn key(&self) -> Option<Arc<SoftwareKey>> {
        self.slot().as_ref().map(|key| Arc::clone(&key.0))
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<SharedKey>> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryKeyStore {
    fn kind(&self) -> Keystore {
        Keystore::Software
    }

    fn platform(&self) -> &str {
        PLATFORM
    }

    fn generate(
        &self,
        _label: &str,
        _attestation_challenge: &[u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), KeyStoreError> {
        let mut slot = self.slot();
        if slot.is_none() {
            let mut rng = rng;
            let key =
                SoftwareKey::generate(&mut rng).map_err(|error| KeyStoreError::Failed(error.to_string()))?;
            *slot = Some(SharedKey(Arc::new(key)));
        }
        Ok(())
    }

    fn possession_key(&self, label: &str) -> Result<PossessionKey, KeyStoreError> {
        let key = self.slot().clone().ok_or_else(|| KeyStoreError::Missing {
            label: label.to_owned(),
        })?;
        Ok(Box::new(key))
    }

    fn seal(
        &self,
        _label: &str,
        device_secret: &[u8; 32],
        _rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, KeyStoreError> {
        Ok(device_secret.to_vec())
    }

    fn unseal(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyStoreError> {
        let secret = sealed.try_into().map_err(|_| KeyStoreError::NotOurs {
            what: format!("the device secret `{label}`"),
        })?;
        Ok(Zeroizing::new(secret))
    }

    fn erase(&self, _label: &str) -> Result<(), KeyStoreError> {
        *self.slot() = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;
    use crate::edge;

    #[test]
    fn a_key_made_twice_is_the_same_key_until_it_is_erased() {
        let store = MemoryKeyStore::default();
        assert_eq!(
            store.possession_key("a").err().unwrap().code(),
            "keystore.missing"
        );
        store.generate("a", &[0; 32], &mut edge::random()).unwrap();
        let first = store.key().unwrap().public_key().clone();
        store.generate("a", &[0; 32], &mut edge::random()).unwrap();
        assert_eq!(*store.possession_key("a").unwrap().public_key(), first);
        store.erase("a").unwrap();
        assert!(store.key().is_none());
    }

    #[test]
    fn a_device_secret_comes_out_as_it_went_in() {
        let store = MemoryKeyStore::default();
        let sealed = store.seal("a", &[7; 32], &mut edge::random()).unwrap();
        assert_eq!(*store.unseal("a", &sealed).unwrap(), [7; 32]);
        assert_eq!(
            store.unseal("a", &sealed[1..]).err().unwrap().code(),
            "keystore.not_ours"
        );
    }
}
