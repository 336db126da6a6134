//! The phone's secure chip, played by the test: possession keys that its maker attests under a test root, with real signatures.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use paraphe_companion::{KeyStore, KeyStoreError, PossessionKey};
use paraphe_proto::ids::ActivationId;
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::statements::Keystore;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::daemon::ISSUER;

#[path = "../../server/src/domain/attestation/tests/makers.rs"]
pub mod makers;

use makers::{AppAttest, Description, Maker};

/// Whose phone it is, and what is wrong with what it says.
pub enum Says {
    /// Android's key attestation; the description may be changed before it is signed.
    Android(fn(Description) -> Description),
    /// Apple's App Attest, likewise.
    Apple(fn(AppAttest) -> AppAttest),
    /// These bytes, whatever they are.
    Bytes(Vec<u8>),
}

/// A secure chip with its maker.
pub struct ThePhonesSecureChip {
    maker: Arc<Maker>,
    says: Says,
    keys: Mutex<HashMap<String, Key>>,
}

struct Key {
    pem: String,
    challenge: [u8; 32],
}

impl ThePhonesSecureChip {
    pub fn of(maker: &Arc<Maker>, says: Says) -> Arc<Self> {
        Arc::new(Self {
            maker: Arc::clone(maker),
            says,
            keys: Mutex::default(),
        })
    }
}

impl KeyStore for ThePhonesSecureChip {
    fn kind(&self) -> Keystore {
        Keystore::Hardware
    }

    fn platform(&self) -> &str {
        "test/1"
    }

    fn generate(
        &self,
        label: &str,
        attestation_challenge: &[u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), KeyStoreError> {
        let mut rng = rng;
        let key = SoftwareKey::generate(&mut rng).unwrap();
        self.keys.lock().unwrap().entry(label.to_owned()).or_insert(Key {
            pem: key.to_pkcs8_pem().unwrap().to_string(),
            challenge: *attestation_challenge,
        });
        Ok(())
    }

    fn possession_key(&self, label: &str) -> Result<PossessionKey, KeyStoreError> {
        let keys = self.keys.lock().unwrap();
        let key = keys.get(label).ok_or_else(|| KeyStoreError::Missing {
            label: label.to_owned(),
        })?;
        Ok(Box::new(SoftwareKey::from_pkcs8_pem(&key.pem).unwrap()))
    }

    fn attestation(
        &self,
        label: &str,
        client_data_sha256: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, KeyStoreError> {
        let possession = self.possession_key(label)?;
        let challenge = self.keys.lock().unwrap()[label].challenge;
        Ok(Some(match &self.says {
            Says::Android(change) => {
                // What the chip was given when the key was made, whatever a test believes that it should be.
                let id: ActivationId = label.parse().unwrap();
                let description = Description {
                    challenge: challenge.to_vec(),
                    ..Description::of(ISSUER, &id)
                };
                change(description).attest(&self.maker, possession.public_key())
            }
            Says::Apple(change) => change(AppAttest::over(*client_data_sha256)).attest(&self.maker),
            Says::Bytes(bytes) => bytes.clone(),
        }))
    }

    fn seal(
        &self,
        _label: &str,
        device_secret: &[u8; 32],
        _rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, KeyStoreError> {
        Ok(device_secret.to_vec())
    }

    fn unseal(&self, _label: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyStoreError> {
        Ok(Zeroizing::new(sealed.try_into().unwrap()))
    }

    fn erase(&self, label: &str) -> Result<(), KeyStoreError> {
        self.keys.lock().unwrap().remove(label);
        Ok(())
    }
}
