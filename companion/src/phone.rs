//! The activated phone: what it is, whom it trusts, and how it changes its file.
//!
//! The verbs live beside it: `approve`, `refuse`, `watch`, `device`, `history`. Invariants: what was loaded is replaced only
//! by what is on disk; a write starts from the file as it is now, so two processes on one folder do not undo each other;
//! the last evaluation seen never falls. The protocol: sections 3, 4 and 6.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use paraphe_proto::ids::DeviceId;

use crate::attempt::Interrupted;
use crate::challenge::Shown;
use crate::connect::Server;
use crate::error::Error;
use crate::keystore::KeyStore;
use crate::request::Prover;
use crate::state::{DeviceRecord, Seen};
use crate::state_file::{StateError, StateFile};
use crate::trust::IssuerKeys;
use crate::unlock::refuse_rollback;

/// An activated phone. Share it by reference or `Arc`: every call takes `&self`.
pub struct Phone {
    file: StateFile,
    keystore: Arc<dyn KeyStore>,
    loaded: Mutex<Arc<Loaded>>,
    pub(crate) interrupted: Mutex<Option<Interrupted>>,
}

/// The record as it was read last, with the issuer's keys walked.
pub(crate) struct Loaded {
    pub(crate) record: DeviceRecord,
    pub(crate) keys: IssuerKeys,
}

impl Loaded {
    fn new(record: DeviceRecord) -> Result<Self, Error> {
        let keys = IssuerKeys::walk(record.trust.clone())?;
        Ok(Self { record, keys })
    }
}

impl Phone {
    /// Opens the phone whose state lies in `dir`; `None` when it was never activated.
    ///
    /// # Errors
    /// [`Error::State`] when the file cannot be used; [`Error::Untrusted`] when its key sets do not follow from its root
    /// key.
    pub fn open(dir: impl AsRef<Path>, keystore: Arc<dyn KeyStore>) -> Result<Option<Self>, Error> {
        let file = StateFile::at(dir.as_ref())?;
        let Some(record) = file.load()?.device else {
            return Ok(None);
        };
        Self::with_record(file, keystore, record).map(Some)
    }

    pub(crate) fn with_record(
        file: StateFile,
        keystore: Arc<dyn KeyStore>,
        record: DeviceRecord,
    ) -> Result<Self, Error> {
        Ok(Self {
            file,
            keystore,
            loaded: Mutex::new(Arc::new(Loaded::new(record)?)),
            interrupted: Mutex::new(None),
        })
    }

    /// The device's id.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        self.loaded().record.device_id
    }

    /// The issuer's URL, as in every statement.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.loaded().record.trust.issuer.clone()
    }

    /// URL where the daemon was reached at activation.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.loaded().record.endpoint.clone()
    }

    /// The six digits to show, until [`Phone::device`] said that somebody typed them.
    #[must_use]
    pub fn sas(&self) -> Option<String> {
        self.loaded().record.sas.clone()
    }

    /// A copy of everything the file says of the device. It holds no secret in the clear.
    #[must_use]
    pub fn record(&self) -> DeviceRecord {
        self.loaded().record.clone()
    }

    /// Verifies a challenge by the keys that the phone knows, without asking the daemon.
    ///
    /// # Errors
    /// Those of [`Shown::verify`].
    pub fn verify(&self, challenge: &str) -> Result<Shown, Error> {
        let loaded = self.loaded();
        Shown::verify(&loaded.keys, &loaded.record.device_id, challenge)
    }

    /// Verifies a challenge; where that fails, with the issuer's newest keys once more.
    ///
    /// # Errors
    /// Those of [`Shown::verify`], and when the newest keys cannot be had.
    pub async fn verify_with_newest_keys(&self, server: &Server, challenge: &str) -> Result<Shown, Error> {
        match self.verify(challenge) {
            Err(first) if self.refresh_keys(server).await? => self.verify(challenge).map_err(|_| first),
            verdict => verdict,
        }
    }

    /// Walks to the issuer's newest key set. Returns whether there was a newer one.
    ///
    /// # Errors
    /// When the daemon does not answer, or gives a set that does not follow.
    pub async fn refresh_keys(&self, server: &Server) -> Result<bool, Error> {
        let Some(newer) = self.loaded().keys.refreshed(server).await? else {
            return Ok(false);
        };
        self.change(|record| {
            if record.trust.key_sets.len() < newer.trust().key_sets.len() {
                record.trust = newer.trust().clone();
            }
            Ok(())
        })?;
        Ok(true)
    }

    /// Speaks for this phone. The calls of this type use it; tests and load generators may.
    ///
    /// # Errors
    /// [`Error::KeyStore`] when the possession key is gone.
    pub fn prover(&self) -> Result<Prover, Error> {
        let loaded = self.loaded();
        let record = &loaded.record;
        Ok(Prover {
            issuer: record.trust.issuer.clone(),
            device_id: record.device_id,
            epoch: record.epoch,
            seen: record.seen,
            key: self.keystore.possession_key(&record.key_label)?,
        })
    }

    pub(crate) fn keystore(&self) -> &dyn KeyStore {
        &*self.keystore
    }

    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&lock(&self.loaded))
    }

    /// Reads the record again where another process has changed the PIN, or began to.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        let loaded = self.loaded();
        let begun = |record: &DeviceRecord| record.pin_change.as_ref().map(|change| change.statement.clone());
        let on_disk = self.file.load()?.device;
        let changed = on_disk.filter(|record| {
            record.device_id == loaded.record.device_id
                && (record.epoch != loaded.record.epoch || begun(record) != begun(&loaded.record))
        });
        if let Some(record) = changed {
            *lock(&self.loaded) = Arc::new(Loaded::new(record)?);
        }
        Ok(())
    }

    /// What was charged under the PIN epoch before is of no use any more.
    pub(crate) fn forget_attempt(&self) {
        *lock(&self.interrupted) = None;
    }

    /// Has on disk what an evaluation said before anything else is done with it.
    pub(crate) fn remember_seen(&self, seen: Seen) -> Result<(), Error> {
        self.change(|record| {
            refuse_rollback(seen, record.seen)?;
            record.seen = seen;
            Ok(())
        })
    }

    /// Changes the record on disk, then in memory.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&mut DeviceRecord) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let device_id = self.device_id();
        let record = self.file.update(|state| {
            let record = state
                .device
                .as_mut()
                .filter(|record| record.device_id == device_id)
                .ok_or(StateError::Replaced)?;
            change(record)?;
            Ok(record.clone())
        })?;
        let loaded = Arc::new(Loaded::new(record)?);
        *lock(&self.loaded) = loaded;
        Ok(())
    }
}

/// A poisoned lock is no reason to stop: each value behind one is replaced as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
