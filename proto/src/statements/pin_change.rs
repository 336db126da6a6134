//! What a phone signs to move its PIN epoch. Sections 3 and 4 of protocol.md.

use serde::{Deserialize, Serialize};

use crate::{encoding::B64, ids::DeviceId};

/// Action of the challenge that begins a PIN change; no other may carry the claim `new_pin_policy`.
pub const CHANGE_PIN_ACTION: &str = "paraphe.change_pin";

/// The relying party that asks for it: the daemon itself.
pub const CHANGE_PIN_RELYING_PARTY: &str = "paraphe";

/// Names the one element whose key becomes the OPRF key of the next epoch. Signed by the approval key, which only the old PIN
/// opens: whoever holds the possession key alone can neither finish a PIN change nor turn it to a PIN of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinChange {
    /// Issuer URL.
    pub iss: String,
    /// SHA-256 of the compact JWS of the challenge that was approved for it.
    pub challenge_sha256: B64<32>,
    /// The phone.
    pub device_id: DeviceId,
    /// PIN epoch that begins, one more than the one that ends.
    pub epoch: u64,
    /// SHA-256 of the blinded element of the new PIN.
    pub element_sha256: B64<32>,
}
