//! The daemon's own store, opened as a library: one durable transaction per batch.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use paraphe_proto::time::Timestamp;
use paraphe_server::app::{Facts, Scope};
use paraphe_server::config::Config;
use paraphe_server::domain::attestation::Rules;
use paraphe_server::domain::fault::Fault;
use paraphe_server::keys::{IssuerKeys, ProofingKeys, read_master_key, read_public_key};
use paraphe_server::open::load_catalogue;
use paraphe_server::store::db::{Db, Options};
use paraphe_server::store::record::{Record, Rows};
use paraphe_server::store::seal::Sealer;

use crate::Result;

/// The open store.
pub struct Store {
    /// Configuration, catalogue, keys.
    pub facts: Arc<Facts>,
    /// The time of the whole seeding.
    pub now: Timestamp,
    configuration: PathBuf,
    db: Db,
    rows: AtomicU64,
    audited: AtomicU64,
}

impl Store {
    /// Opens the database that a configuration names.
    ///
    /// # Errors
    /// As the daemon.
    pub fn open(configuration: &Path) -> Result<Self> {
        let config = Config::load(configuration)?;
        let catalogue = load_catalogue(&config)?;
        let sealer = Sealer::new(&read_master_key(&config.keys.master_key_file)?);
        let root = read_public_key(&config.keys.root_public_key_file)?;
        let keys = IssuerKeys::read(&config.keys, &sealer, root)?;
        let db = Db::open(&config.store.path, Options::default())?;
        db.waive_journal();
        let seconds = i64::try_from(std::time::UNIX_EPOCH.elapsed()?.as_secs())?;
        let store = Self {
            facts: Arc::new(Facts {
                config,
                catalogue,
                keys,
                proofing: ProofingKeys::default(),
                sealer,
                attestation: Rules::default(),
                restore_epoch: 0,
            }),
            now: Timestamp::from_secs(seconds),
            configuration: configuration.to_owned(),
            db,
            rows: AtomicU64::new(0),
            audited: AtomicU64::new(0),
        };
        let last = store.write(|s| {
            let row = s
                .rows
                .tx
                .query_opt("SELECT COALESCE(MAX(id), 0) FROM audit", &[])?;
            Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or(0))
        })?;
        store.audited.store(u64::try_from(last)?, Ordering::Relaxed);
        Ok(store)
    }

    /// Rows inserted since it was opened.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The first of `count` audit numbers that are free.
    pub fn audit_numbers(&self, count: u64) -> u64 {
        self.audited.fetch_add(count, Ordering::Relaxed) + 1
    }

    /// One use case or more in one transaction.
    ///
    /// # Errors
    /// Those of the use case.
    pub fn write<T: Send + 'static>(
        &self,
        mut verb: impl FnMut(&mut Scope<'_, '_>) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let (facts, now) = (Arc::clone(&self.facts), self.now);
        let written = self.db.write_blocking("seed", move |tx| {
            verb(&mut Scope {
                rows: Rows::new(tx, &facts.sealer),
                facts: &facts,
                now,
            })
        });
        Ok(written?)
    }

    /// A batch of records of one kind.
    ///
    /// # Errors
    /// Those of the store.
    pub fn insert<R: Record + Send + Sync + 'static>(&self, records: Arc<Vec<R>>) -> Result<()> {
        self.rows
            .fetch_add(u64::try_from(records.len())?, Ordering::Relaxed);
        self.write(move |s| {
            for record in records.iter() {
                s.rows.insert(record)?;
            }
            Ok(())
        })
    }

    /// Closes it, which empties the write-ahead log, and opens it again: file sizes are true afterwards.
    ///
    /// # Errors
    /// As the daemon.
    pub fn reopened(self) -> Result<Self> {
        let configuration = self.configuration.clone();
        self.close()?;
        Self::open(&configuration)
    }

    /// Drains and closes.
    ///
    /// # Errors
    /// When the last checkpoint fails.
    pub fn close(self) -> Result<()> {
        Ok(self.db.close_blocking()?)
    }
}
