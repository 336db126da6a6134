//! What passes at activation, and the issuer's key sets. Sections 3 and 5 of protocol.md.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::{B64, B64Vec},
    ids::{ActivationId, DeviceId},
    jwk::PublicKey,
    jws::{self, StatementError, Verified, unverified_claims},
    pin::PinPolicy,
    time::Timestamp,
};

/// The daemon's reply to `BeginActivation`; signed by a `challenge` key of the issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Issuer URL.
    pub iss: String,
    /// The activation.
    pub activation_id: ActivationId,
    /// The id that the phone will have.
    pub device_id: DeviceId,
    /// Fresh random bytes.
    pub nonce: B64<32>,
    /// Rules for the PIN.
    pub pin_policy: PinPolicy,
    /// SHA-256 of the SAS nonce that the daemon opens at the end; see [`crate::sas`].
    pub sas_commitment: B64<32>,
    /// Version of the key set that holds the signing key.
    pub keyset_version: u64,
    /// When it was signed.
    pub iat: Timestamp,
    /// From when on the activation is refused.
    pub exp: Timestamp,
}

/// The phone's activation, outer layer; signed by the possession key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// Issuer URL.
    pub iss: String,
    /// The compact JWS of [`ActivationKey`].
    pub inner: String,
}

/// The phone's activation, inner layer; signed by the approval key that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationKey {
    /// Issuer URL.
    pub iss: String,
    /// The activation.
    pub activation_id: ActivationId,
    /// The id of the offer.
    pub device_id: DeviceId,
    /// The nonce of the offer.
    pub nonce: B64<32>,
    /// SHA-256 of the offer's compact JWS.
    pub offer_sha256: B64<32>,
    /// Operating system and app, e.g. `software/1`.
    pub platform: String,
    /// Where the possession key lives.
    pub keystore: Keystore,
    /// Possession key.
    pub possession_key: PublicKey,
    /// Approval key.
    pub approval_key: PublicKey,
    /// The platform's key attestation, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<B64Vec>,
}

/// Where a phone's possession key lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keystore {
    /// In memory or a file: tests and the command line.
    Software,
    /// In the phone's secure chip.
    Hardware,
}

/// Verifies both layers of an activation: the outer one by `possession_key`, the inner one by the approval key that it
/// names, and that it names the same possession key. The caller compares it with the offer.
///
/// # Errors
/// [`StatementError`]; [`StatementError::Binding`] when the layers name different possession keys.
pub fn verify_activation(
    compact: &str,
    possession_key: &PublicKey,
    iss: &str,
) -> Result<(Verified<Activation>, Verified<ActivationKey>), StatementError> {
    let outer: Verified<Activation> = jws::verify(compact, possession_key, iss)?;
    let inner = &outer.claims().inner;
    let approval_key = unverified_claims::<ActivationKey>(inner)?.approval_key;
    let inner: Verified<ActivationKey> = jws::verify(inner, &approval_key, iss)?;
    if inner.claims().possession_key != *possession_key {
        return Err(StatementError::Binding);
    }
    Ok((outer, inner))
}

/// The issuer's keys; signed by a `challenge` key active in the set before, or by the root key. See [`crate::keyset`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    /// Issuer URL.
    pub iss: String,
    /// 1 for the first set, then rising by one.
    pub version: u64,
    /// Every key that is of use.
    pub keys: Vec<KeySetEntry>,
    /// When it was signed.
    pub iat: Timestamp,
}

/// One issuer key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySetEntry {
    /// The key.
    pub jwk: PublicKey,
    /// RFC 7638 thumbprint of the key.
    pub kid: String,
    /// What it signs.
    #[serde(rename = "use")]
    pub key_use: KeyUse,
    /// Whether it signs now.
    pub state: KeyState,
}

/// What an issuer key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// Challenges, offers, evaluations and key sets: what phones verify.
    Challenge,
    /// Assertions: what backends verify.
    Assertion,
}

/// Where an issuer key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Announced; signs nothing yet.
    Next,
    /// Signs.
    Active,
    /// Signs nothing any more.
    Retired,
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;
    use crate::{
        keys::Signer,
        testing::{ISS, key, samples},
    };

    fn verdict(outer: &Activation, signer: u64) -> Result<(), StatementError> {
        let compact = jws::sign(outer, &key(signer)).unwrap().into_compact();
        verify_activation(&compact, key(10).public_key(), ISS).map(|_| ())
    }

    /// An outer layer by the right possession key around this inner one.
    fn around(inner: &ActivationKey, signer: u64) -> Result<(), StatementError> {
        let inner = jws::sign(inner, &key(signer)).unwrap().into_compact();
        verdict(
            &Activation {
                iss: ISS.into(),
                inner,
            },
            10,
        )
    }

    #[test]
    fn both_layers_verify() {
        let compact = jws::sign(&samples::activation(), &key(10))
            .unwrap()
            .into_compact();
        let (outer, inner) = verify_activation(&compact, key(10).public_key(), ISS).unwrap();
        assert_eq!(inner.claims(), &samples::activation_key());
        assert_eq!(inner.compact(), outer.claims().inner);
        assert_eq!(around(&samples::attested_activation_key(), 11), Ok(()));
    }

    #[test]
    fn a_wrong_layer_is_refused() {
        let inner = samples::activation_key();
        assert_eq!(verdict(&samples::activation(), 11), Err(StatementError::Key));
        assert_eq!(around(&inner, 10), Err(StatementError::Key));
        let other_possession = ActivationKey {
            possession_key: key(12).public_key().clone(),
            ..inner.clone()
        };
        assert_eq!(around(&other_possession, 11), Err(StatementError::Binding));
        let other_approval = ActivationKey {
            approval_key: key(12).public_key().clone(),
            ..inner.clone()
        };
        assert_eq!(around(&other_approval, 11), Err(StatementError::Key));
        let other_issuer = ActivationKey {
            iss: "https://other.example".into(),
            ..inner
        };
        assert_eq!(around(&other_issuer, 11), Err(StatementError::Issuer));
        let empty = Activation {
            iss: ISS.into(),
            inner: String::new(),
        };
        assert_eq!(verdict(&empty, 10), Err(StatementError::Malformed));
    }
}
