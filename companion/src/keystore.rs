//! The secure chip, as far as the phone's core needs one.
//!
//! Two users: [`SoftwareKeyStore`](crate::SoftwareKeyStore) here, and what an app writes over Android Keystore or the Secure
//! Enclave. Invariant: a possession key never leaves its store; the core only asks it to sign. The protocol: section 2.

use paraphe_proto::keys::Signer;
use paraphe_proto::statements::Keystore;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

/// A possession key that can sign on any thread.
pub type PossessionKey = Box<dyn Signer>;

/// The secure chip. A label names one possession key and the sealing key beside it: 1 to 64 characters of
/// `a-z 0-9 _ -`.
pub trait KeyStore: Send + Sync {
    /// Where the keys live: whoever copies a software one has the key, a chip never gives it away. It goes into the activation statement and from there into the assertion's `amr`.
    fn kind(&self) -> Keystore;

    /// The system the phone runs, for the activation statement: 1 to 64 printable ASCII characters, such as `android/16`.
    fn platform(&self) -> &str;

    /// Makes the keys of a label. Keys that exist are kept, so that an activation interrupted here goes on. The possession
    /// key is made with `attestation_challenge`, where the system takes one (Android's `setAttestationChallenge`).
    ///
    /// # Errors
    /// When the store cannot make or keep a key.
    fn generate(
        &self,
        label: &str,
        attestation_challenge: &[u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), KeyStoreError>;

    /// What the maker of the chip says of the possession key: Android's certificates in DER one after the other, the key's own
    /// first; or the attestation object of Apple's `attestKey` over `client_data_sha256`, as it is. `None`, the default, where
    /// nobody says anything. Asked again after an interruption: keep what was made.
    ///
    /// # Errors
    /// When the label has no keys, or an attestation that should be there cannot be had.
    fn attestation(
        &self,
        label: &str,
        client_data_sha256: &[u8; 32],
    ) -> Result<Option<Vec<u8>>, KeyStoreError> {
        let (_, _) = (label, client_data_sha256);
        Ok(None)
    }

    /// The possession key of a label: P-256, not exportable.
    ///
    /// # Errors
    /// [`KeyStoreError::Missing`] when there is none; others when the store cannot be used.
    fn possession_key(&self, label: &str) -> Result<PossessionKey, KeyStoreError>;

    /// Seals the device secret so that only this store opens it again.
    ///
    /// # Errors
    /// When the label has no keys or the store cannot be used.
    fn seal(
        &self,
        label: &str,
        device_secret: &[u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, KeyStoreError>;

    /// Opens what [`KeyStore::seal`] made under the same label.
    ///
    /// # Errors
    /// [`KeyStoreError::NotOurs`] when it was sealed elsewhere, under another label, or altered.
    fn unseal(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyStoreError>;

    /// Destroys the keys of a label. A label without keys is no error.
    ///
    /// # Errors
    /// When the store cannot destroy them.
    fn erase(&self, label: &str) -> Result<(), KeyStoreError>;
}

/// Why the secure chip refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// No keys under the label: the phone was reset or restored from another one.
    #[error("the keystore holds no key `{label}`; activate this phone again")]
    Missing {
        /// The label asked for.
        label: String,
    },
    /// A label that could name a file elsewhere, or nothing.
    #[error("a key label is 1 to 64 characters of a-z, 0-9, _ and -")]
    BadLabel,
    /// Other users of the machine may read the key.
    #[error(
        "{path} may be read by others; run chmod {mode} on it, and activate again if somebody may have copied it"
    )]
    Exposed {
        /// The file or folder.
        path: String,
        /// The mode it needs, octal.
        mode: &'static str,
    },
    /// The key file or the sealed value is not what this store wrote.
    #[error("the keystore cannot use {what}: it was made elsewhere or altered; activate this phone again")]
    NotOurs {
        /// What it is.
        what: String,
    },
    /// The store itself failed.
    #[error("the keystore failed: {0}")]
    Failed(String),
}

impl KeyStoreError {
    /// The stable code, such as `keystore.missing`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "keystore.missing",
            Self::BadLabel => "keystore.bad_label",
            Self::Exposed { .. } => "keystore.exposed",
            Self::NotOurs { .. } => "keystore.not_ours",
            Self::Failed(_) => "keystore.failed",
        }
    }
}
