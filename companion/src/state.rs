//! What the phone remembers between two starts. [`StateFile`](crate::state_file::StateFile) keeps it.
//!
//! Written by `activate` and `phone`. Invariant: it holds no PIN, no plain key and nothing that tells a right PIN from a
//! wrong one. The protocol: sections 2 to 5.

use paraphe_proto::encoding::B64Vec;
use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::pin::{PinPolicy, WrappedKey};
use serde::{Deserialize, Serialize};

/// The version of the format that this crate writes.
pub(crate) const FORMAT: u32 = 1;

/// Everything in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneState {
    format: u32,
    /// The device this phone is, once it was activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceRecord>,
    /// The activation under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<PendingActivation>,
}

impl Default for PhoneState {
    fn default() -> Self {
        Self {
            format: FORMAT,
            device: None,
            activation: None,
        }
    }
}

/// Whom the phone trusts, and how far it has walked the issuer's key sets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// The issuer's URL, as in every statement.
    pub issuer: String,
    /// The root key pinned at activation.
    pub root_key: PublicKey,
    /// Compact JWS `paraphe-keyset+jwt` from version 1 upwards.
    pub key_sets: Vec<String>,
}

/// The last evaluation statement that the phone saw. Its next proofs return it, so that a rolled-back database is noticed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Number of the evaluation.
    pub evaluation: u64,
    /// Restore epoch it was made in.
    pub restore_epoch: u64,
}

/// The approval key as it lies on the phone: useless without the PIN, the daemon and the keystore.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedKey {
    /// The device secret as the keystore sealed it.
    pub sealed_device_secret: B64Vec,
    /// The approval key under the unlock key.
    pub wrapped: WrappedKey,
    /// The public half.
    pub public: PublicKey,
}

/// The device that this phone is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRecord {
    /// Whom it trusts.
    pub trust: Trust,
    /// URL where the daemon was reached at activation.
    pub endpoint: String,
    /// The device.
    pub device_id: DeviceId,
    /// PIN epoch, 1 at activation.
    pub epoch: u64,
    /// Label of its keys in the keystore.
    pub key_label: String,
    /// The approval key.
    pub key: LockedKey,
    /// The last evaluation seen.
    pub seen: Seen,
    /// The six digits, until the daemon says that they were typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sas: Option<String>,
    /// The daemon's rules for a new PIN when the phone learnt them last; `None` in files of before they were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_policy: Option<PinPolicy>,
    /// The PIN change that the daemon was asked for and whose outcome is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_change: Option<PreparedPinChange>,
}

/// The last step of a PIN change, written down before it is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedPinChange {
    /// The challenge that the old PIN approved.
    pub challenge_id: ChallengeId,
    /// The PIN epoch that it begins.
    pub epoch: u64,
    /// The approval key under the new PIN.
    pub key: LockedKey,
    /// Compact JWS `paraphe-pin-change+jwt`.
    pub statement: String,
}

/// An activation that was begun and not finished.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingActivation {
    /// Whom it trusts.
    pub trust: Trust,
    /// URL where the daemon was reached.
    pub endpoint: String,
    /// The activation; its text is also the label of the new keys.
    pub activation_id: ActivationId,
    /// Compact JWS `paraphe-offer+jwt`.
    pub offer: String,
    /// What is ready to be sent once the PIN was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<PreparedActivation>,
}

/// The last step of an activation, written down before it is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedActivation {
    /// The approval key.
    pub key: LockedKey,
    /// The evaluation it was wrapped under.
    pub seen: Seen,
    /// Compact JWS `paraphe-activation+jwt`.
    pub statement: String,
}
