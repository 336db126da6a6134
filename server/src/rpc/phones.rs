//! The public keys of phones that have called lately, so that a proof is checked without a read. Used by `proof` alone.
//!
//! Invariant: nothing here decides anything that can change. A phone's keys never change under one id and epoch; its state, its epoch
//! and its attempts are looked at again in the transaction of every use case that is bound to a challenge. What moves an epoch forgets the
//! phone here, and a proof that names another epoch than the one remembered is held against the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use paraphe_proto::ids::DeviceId;
use paraphe_proto::jwk::PublicKey;

/// Phones remembered at most: some 25 MB. With one more, all are forgotten and read again.
const MOST: usize = 65_536;

/// What proves a phone.
pub struct PhoneKeys {
    /// Verifies its proofs and refusals.
    pub possession_key: PublicKey,
    /// Verifies its approvals.
    pub approval_key: PublicKey,
    /// The PIN epoch under which it has them.
    pub epoch: u64,
}

/// Phones by id.
#[derive(Default)]
pub struct KnownPhones(Mutex<HashMap<DeviceId, Arc<PhoneKeys>>>);

impl KnownPhones {
    /// The keys of a phone that were read before.
    pub fn of(&self, id: DeviceId) -> Option<Arc<PhoneKeys>> {
        let phones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        phones.get(&id).cloned()
    }

    /// Forgets a phone whose epoch has moved.
    pub fn forget(&self, id: DeviceId) {
        let mut phones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        phones.remove(&id);
    }

    /// Remembers keys that were read.
    pub fn remember(&self, id: DeviceId, keys: &Arc<PhoneKeys>) {
        let mut phones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if phones.len() >= MOST {
            phones.clear();
        }
        phones.insert(id, Arc::clone(keys));
    }
}
