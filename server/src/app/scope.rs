//! What every use case is given: the rows of its transaction, the time, randomness, and the facts that do not change while
//! the daemon runs.

use std::sync::Arc;

use paraphe_proto::jws::SignError;
use paraphe_proto::pin::PinPolicy;
use paraphe_proto::time::Timestamp;
use rand_core::{CryptoRng, RngCore};

use crate::config::Config;
use crate::domain::attempts::Limits;
use crate::domain::attestation::Rules;
use crate::domain::catalogue::Catalogue;
use crate::domain::challenge::Challenge;
use crate::domain::device::{Device, ProvenPhone, Seen};
use crate::domain::ended::Event;
use crate::domain::fault::{self, Fault, Result};
use crate::hooks::{self, Point};
use crate::keys::{IssuerKeys, ProofingKeys};
use crate::store::db::{Db, DbError, Listener};
use crate::store::record::{Rows, StoreError, Stored};
use crate::store::seal::Sealer;
use crate::store::{audit, device};

/// What does not change while the daemon runs.
pub struct Facts {
    /// The configuration.
    pub config: Config,
    /// The action catalogue.
    pub catalogue: Catalogue,
    /// Issuer, lookup and pairwise keys.
    pub keys: IssuerKeys,
    /// Keys of identity-proofing providers.
    pub proofing: ProofingKeys,
    /// Seals rows.
    pub sealer: Sealer,
    /// What key attestations are accepted.
    pub attestation: Rules,
    /// Number of declared restores; phones see it rise.
    pub restore_epoch: u64,
}

impl Facts {
    /// `iss` of every statement.
    pub fn issuer(&self) -> &str {
        self.config.issuer.as_str()
    }

    /// Limits of PIN attempts.
    pub fn attempt_limits(&self) -> Limits {
        let pin = &self.config.pin;
        Limits {
            wait_after_3_s: i64::from(pin.wait_after_3_s),
            wait_after_4_s: i64::from(pin.wait_after_4_s),
            max_failures: pin.max_failures,
            rolling_failures: pin.rolling_failures,
            rolling_window_s: i64::from(pin.rolling_days).saturating_mul(86_400),
        }
    }
}

impl Facts {
    /// Rules for a new PIN.
    pub fn pin_policy(&self) -> PinPolicy {
        let pin = &self.config.pin;
        PinPolicy {
            min_length: pin.min_length,
            max_length: pin.max_length,
            refuse_repeats: pin.refuse_repeats,
            refuse_runs: pin.refuse_runs,
            refuse_dates: pin.refuse_dates,
        }
    }
}

/// One transaction of a use case.
pub struct Scope<'a, 'tx> {
    /// Sealed records.
    pub rows: Rows<'a, 'tx>,
    /// What does not change.
    pub facts: &'a Facts,
    /// The one time of this transaction.
    pub now: Timestamp,
}

impl Scope<'_, '_> {
    /// Adds an audit entry.
    ///
    /// # Errors
    /// Those of the store.
    pub fn audit(&mut self, actor: &str, verb: &str, target: impl ToString, outcome: &str) -> Result<()> {
        audit::append(
            &mut self.rows,
            self.now,
            actor,
            verb,
            &target.to_string(),
            outcome,
        )?;
        Ok(())
    }

    /// Says that a challenge was made or moved: those who wait for it are told after the commit.
    pub fn announce(&mut self, challenge: Arc<Challenge>) {
        self.rows.tx.announce(challenge);
    }

    /// Refuses a phone that has seen more than the store knows.
    ///
    /// # Errors
    /// `device.rollback_noticed`.
    pub fn require_seen(&self, phone: &Device, seen: Seen) -> Result<()> {
        seen.require_known(phone.attempts.latest(), self.facts.restore_epoch)
    }

    /// The phone behind a proof as it is now, moved on by what time alone moves. It must still be at the epoch that the proof names.
    ///
    /// # Errors
    /// `caller.unauthenticated`, `device.rollback_noticed`.
    pub fn proven_phone(&mut self, proven: &ProvenPhone) -> Result<Stored<Device>> {
        let found = device::load(&mut self.rows, proven.device_id)?;
        let mut phone = found.ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
        self.require_seen(&phone, proven.seen)?;
        if phone.epoch != proven.epoch {
            return fault::UNAUTHENTICATED.broken();
        }
        phone.settle(self.now, &self.facts.attempt_limits());
        Ok(phone)
    }

    /// The operating system's randomness, for what a use case draws.
    pub fn rng(&self) -> impl CryptoRng + RngCore {
        crate::entropy::system()
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng().fill_bytes(&mut bytes);
        bytes
    }
}

/// The use cases' way into the store.
#[derive(Clone)]
pub struct Daemon {
    /// What does not change.
    pub facts: Arc<Facts>,
    db: Db,
}

impl Daemon {
    /// A daemon over an open store.
    pub fn new(facts: Arc<Facts>, db: Db) -> Self {
        Self { facts, db }
    }

    /// Runs one named use case in one transaction; it may run again, and is answered after its commit.
    ///
    /// # Errors
    /// Those of the use case and of the store.
    pub async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        now: Timestamp,
        mut verb: impl FnMut(&mut Scope<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let facts = Arc::clone(&self.facts);
        let done = self
            .db
            .write(name, move |tx| {
                let noted = tx.noted();
                let done = verb(&mut Scope {
                    rows: Rows::new(tx, &facts.sealer),
                    facts: &facts,
                    now,
                });
                if tx.noted() > noted {
                    // Whoever compares the journal with a backup sees when its last line was written.
                    tx.note(Event::At(now));
                }
                hooks::pass(name, Point::Computed);
                done
            })
            .await;
        hooks::pass(name, Point::Committed);
        done
    }

    /// The same on a reader's snapshot.
    ///
    /// # Errors
    /// Those of the use case and of the store.
    pub async fn read<T: Send + 'static>(
        &self,
        name: &'static str,
        now: Timestamp,
        mut verb: impl FnMut(&mut Scope<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let facts = Arc::clone(&self.facts);
        self.db
            .read(name, move |tx| {
                verb(&mut Scope {
                    rows: Rows::new(tx, &facts.sealer),
                    facts: &facts,
                    now,
                })
            })
            .await
    }

    /// Tells `listener` from now on which challenges were made or moved, after each commit: on the writer's thread, which must not wait.
    pub fn listen(&self, listener: Listener) {
        self.db.listen(listener);
    }

    /// Drains and closes the store.
    ///
    /// # Errors
    /// Those of [`Db::close`].
    pub async fn close(&self) -> std::result::Result<(), DbError> {
        self.db.close().await
    }
}

impl From<SignError> for Fault {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Signing(_) => fault::KEYS_UNAVAILABLE.fault().caused_by(error),
            other => Self::internal(other),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Db(error) => error.into(),
            StoreError::Tampered { .. } => {
                tracing::error!(code = fault::STORE_TAMPERED.code, %error, "a stored record does not verify");
                fault::STORE_TAMPERED.fault().caused_by(error)
            }
            StoreError::Stale(_) => fault::STORE_UNAVAILABLE.fault().caused_by(error),
        }
    }
}

impl From<DbError> for Fault {
    fn from(error: DbError) -> Self {
        let rule = match error.code() {
            "store.overloaded" => fault::STORE_OVERLOADED,
            _ => fault::STORE_UNAVAILABLE,
        };
        rule.fault().caused_by(error)
    }
}
