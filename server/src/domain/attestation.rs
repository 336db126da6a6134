//! Key attestation: whether a maker's secure hardware vouches for a phone's possession key (protocol.md section 5).
//!
//! Called by `app::activation` when a phone finishes. Invariant: a [`VerifiedAttestation`] exists only for what [`verify`] accepted,
//! or as it was stored then. Pure: roots, rules and `now` are arguments. What is verified against is given by the caller from
//! its own statement; that the statement answers the offer is the caller's to check.

use paraphe_proto::attestation::MAX_BYTES;
use paraphe_proto::ids::{ActivationId, DeviceId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::statements::{ActivationKey, Keystore};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod android;
mod apple;
mod chain;
mod key_description;
#[cfg(test)]
mod tests;

pub use android::{AndroidApp, AndroidRules};
pub use apple::{AppleRules, Environment};
pub use chain::{ChainError, Root};

/// Where an attested key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityLevel {
    /// The trusted execution environment beside Android.
    #[default]
    TrustedEnvironment,
    /// A secure element of its own.
    Strongbox,
    /// Apple's, as the genuine app says.
    SecureEnclave,
}

impl SecurityLevel {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TrustedEnvironment => "trusted_environment",
            Self::Strongbox => "strongbox",
            Self::SecureEnclave => "secure_enclave",
        }
    }
}

/// Whose attestation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Android key attestation.
    AndroidKey,
    /// Apple App Attest.
    AppleAppAttest,
}

impl Kind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AndroidKey => "android_key",
            Self::AppleAppAttest => "apple_app_attest",
        }
    }
}

/// What was verified, kept with the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedAttestation {
    /// Whose attestation it was.
    pub kind: Kind,
    /// Where the possession key lives.
    pub security_level: SecurityLevel,
    /// Package or App ID of the app.
    pub application: String,
    /// Android's, `major × 10000 + minor × 100 + sub`.
    pub os_version: Option<u32>,
    /// Android's, `YYYYMM`.
    pub os_patch_level: Option<u32>,
    /// When.
    pub verified_at: Timestamp,
}

/// What a deployment accepts; a kind without rules is refused.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Android key attestation.
    pub android: Option<AndroidRules>,
    /// Apple App Attest.
    pub apple: Option<AppleRules>,
}

/// What the attestation must be bound to.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// Issuer URL.
    pub iss: &'a str,
    /// The activation.
    pub activation_id: &'a ActivationId,
    /// The id of the offer.
    pub device_id: &'a DeviceId,
    /// The nonce of the offer.
    pub nonce: &'a [u8; 32],
    /// The key to vouch for.
    pub possession_key: &'a PublicKey,
}

/// Why an attestation does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AttestationError {
    /// Longer than any.
    #[error("the attestation is longer than 8 KiB")]
    TooLong,
    /// Neither certificates in DER nor an attestation object of App Attest, or not in the form of either.
    #[error(
        "the attestation cannot be read: Android's certificates in DER one after the other are allowed, or the attestation object of App Attest as Apple gives it"
    )]
    Malformed,
    /// The deployment has no rules for its kind.
    #[error("this service does not accept attestations of this kind")]
    Kind,
    /// The statement says otherwise.
    #[error("the statement says that its keystore is software: an attested one is hardware")]
    Stated,
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// An attested key signed another one.
    #[error("a certificate above the attested key is itself one of an attested key")]
    Authority,
    /// Another key.
    #[error("the attested key is not the one that it must be")]
    Key,
    /// Made for something else.
    #[error("the attestation was made for another activation, key or service")]
    Challenge,
    /// Too old to say what is asked.
    #[error("the attestation is older than version 3 (Keymaster 4.0)")]
    Version,
    /// Not secure hardware, or not good enough.
    #[error("the key, or what attests it, is not in hardware of the level that this service asks for")]
    SecurityLevel,
    /// Imported.
    #[error("the key was not generated in the secure hardware")]
    Origin,
    /// For more than signing.
    #[error("the key is not for signing alone")]
    Purpose,
    /// Not P-256.
    #[error("the key is not one of P-256")]
    Algorithm,
    /// Another operating system.
    #[error("the device did not start verified by its maker's key")]
    VerifiedBoot,
    /// Anybody may start another operating system.
    #[error("the boot loader of the device is unlocked")]
    DeviceUnlocked,
    /// Another app.
    #[error("the key does not belong to one app that this service knows")]
    Application,
    /// Another maker of the app.
    #[error("the app is signed by a certificate that this service does not know")]
    SigningCertificate,
    /// The attested key is not the credential.
    #[error("the credential id is not the digest of the attested key")]
    Credential,
    /// Not a new key.
    #[error("the attested key has been used before: its counter is not 0")]
    Counter,
    /// Development instead of production, or the reverse.
    #[error("the attestation comes from the other App Attest environment")]
    Environment,
}

/// Verifies what a phone states with its activation.
///
/// # Errors
/// [`AttestationError`].
pub fn verify(
    stated: &ActivationKey,
    attestation: &[u8],
    rules: &Rules,
    now: Timestamp,
) -> Result<VerifiedAttestation, AttestationError> {
    if stated.keystore != Keystore::Hardware {
        return Err(AttestationError::Stated);
    }
    if attestation.len() > MAX_BYTES {
        return Err(AttestationError::TooLong);
    }
    let bound = Bound {
        iss: &stated.iss,
        activation_id: &stated.activation_id,
        device_id: &stated.device_id,
        nonce: stated.nonce.as_bytes(),
        possession_key: &stated.possession_key,
    };
    match attestation.first() {
        // A SEQUENCE of DER.
        Some(0x30) => {
            let rules = rules.android.as_ref().ok_or(AttestationError::Kind)?;
            android::verify(attestation, &bound, rules, now)
        }
        // A map of CBOR.
        Some(0xa0..=0xbf) => {
            let rules = rules.apple.as_ref().ok_or(AttestationError::Kind)?;
            apple::verify(attestation, &bound, rules, now)
        }
        _ => Err(AttestationError::Malformed),
    }
}
