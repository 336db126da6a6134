//! What the deployment's policy makes of the attestation that a phone states (protocol.md section 5).
//!
//! Called once per `FinishActivation`, outside its transaction: chains are verified against the statement alone. Whether the statement
//! answers the offer is checked inside.

use paraphe_proto::statements::ActivationKey;
use paraphe_proto::time::Timestamp;

use crate::app::Facts;
use crate::config::AttestationPolicy;
use crate::domain::attestation::{self, AttestationError};
use crate::domain::device::KeyStorage;
use crate::domain::fault::{self, Fault};
use crate::domain::level::Acr;

/// Why the policy refuses a phone.
#[derive(Clone, Copy, Debug)]
pub enum Refused {
    /// It states none.
    Missing,
    /// What it states does not count.
    Wrong(AttestationError),
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Missing => fault::ATTESTATION_REQUIRED.fault().on("activation"),
            Refused::Wrong(error) => {
                let detail = format!("{error}.");
                fault::ATTESTATION_REFUSED
                    .fault()
                    .on("activation")
                    .because(detail)
            }
        }
    }
}

/// Where the possession key lives, as far as the policy asks.
///
/// # Errors
/// [`Refused`].
pub fn key_storage(facts: &Facts, stated: &ActivationKey, now: Timestamp) -> Result<KeyStorage, Refused> {
    let policy = facts.config.attestation.policy;
    let attestation = stated
        .attestation
        .as_ref()
        .filter(|_| policy != AttestationPolicy::Off);
    let Some(attestation) = attestation else {
        return match policy {
            AttestationPolicy::Required => Err(Refused::Missing),
            AttestationPolicy::Recorded | AttestationPolicy::Off => Ok(KeyStorage::Unattested),
        };
    };
    attestation::verify(stated, &attestation.0, &facts.attestation, now)
        .map(KeyStorage::Attested)
        .map_err(Refused::Wrong)
}

/// The level of a phone that its channel would give `channel`.
pub fn level(facts: &Facts, channel: Acr, key_storage: &KeyStorage) -> Acr {
    match key_storage {
        KeyStorage::Attested(_) => channel,
        KeyStorage::Unattested => channel.min(facts.config.attestation.unattested_acr),
    }
}
