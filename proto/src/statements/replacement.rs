//! What an old phone stands for when it lets a new one take its place. Section 5 of protocol.md.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::B64,
    ids::{ActivationId, DeviceId},
};

/// Action of the challenge that asks the old phone; no other may carry the claim `replacement`.
pub const REPLACE_ACTION: &str = "paraphe.replace";

/// The relying party that asks for it: the daemon itself.
pub const REPLACE_RELYING_PARTY: &str = "paraphe";

/// The new phone, by the statement that holds both of its keys: whoever approves the challenge approves these keys and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The activation that made the new phone.
    pub activation_id: ActivationId,
    /// The new phone.
    pub device_id: DeviceId,
    /// SHA-256 of its `paraphe-activation+jwt`.
    pub activation_sha256: B64<32>,
}
