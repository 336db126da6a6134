//! What a proof says of its phone, and whether the store can know less (protocol.md section 4, rule 6).

use paraphe_proto::ids::DeviceId;

use crate::domain::fault::{self, Result};

/// The last evaluation that a phone says it has seen (protocol.md section 4, rule 6).
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Number of the evaluation.
    pub evaluation: u64,
    /// Its restore epoch.
    pub restore_epoch: u64,
}

impl Seen {
    /// Whether the store knows all that the phone has seen. What it has seen before a declared restore may be more: numbers count within
    /// one restore epoch.
    ///
    /// # Errors
    /// `device.rollback_noticed`: the store was rolled back undeclared.
    pub fn require_known(&self, latest: u64, restore_epoch: u64) -> Result<()> {
        if (self.restore_epoch, self.evaluation) > (restore_epoch, latest) {
            return fault::ROLLBACK_NOTICED.broken();
        }
        Ok(())
    }
}

/// What a proof says of its phone; looked at again in the transaction that acts on it.
#[derive(Clone, Copy, Debug)]
pub struct ProvenPhone {
    /// The phone.
    pub device_id: DeviceId,
    /// The PIN epoch it names.
    pub epoch: u64,
    /// What it says that it has seen.
    pub seen: Seen,
}
