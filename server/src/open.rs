//! Opening a deployment: configuration → keys → store → security journal. Called by `start` to serve, by `cli::restore` before it repairs.
//!
//! Invariant: nothing is served from a database that was put back without `paraphed restore`, as far as the database and its security
//! journal together show it (protocol.md section 4, rule 6).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_core::RngCore;
use thiserror::Error;

use crate::app::reseal::{self, MasterKeyState};
use crate::app::{Daemon, Facts, Scope, restore};
use crate::clock::{Clock, ClockError};
use crate::config::Config;
use crate::domain::catalogue::{Catalogue, CatalogueError, LifetimeBounds};
use crate::domain::ended::Event;
use crate::domain::fault::Fault;
use crate::edge::ServeError;
use crate::keys::{
    AttestationFileError, IssuerKeys, KeysError, MasterKeys, ProofingKeys, read_attestation_rules,
    read_public_key,
};
use crate::store::class;
use crate::store::db::{Db, DbError, Options};
use crate::store::journal::{self, Contents, Journal, JournalError, Standing};
use crate::store::meta::{self, Known};
use crate::store::record::{Rows, StoreError};
use crate::store::seal::SealError;

/// Why the daemon does not start, or stopped.
#[derive(Debug, Error)]
pub enum StartError {
    /// Key files.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The security journal.
    #[error("{0}. If it is lost, `paraphed restore --without-journal` says what that costs")]
    Journal(#[from] JournalError),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Roots and lists for key attestations.
    #[error(transparent)]
    Attestation(#[from] AttestationFileError),
    /// The action catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The catalogue's file.
    #[error("{path} cannot be read ({source}): check `actions_file`")]
    ActionsFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The listener.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The master key is not the one of this database.
    #[error("the database was sealed with another master key: check `keys.master_key_file`")]
    WrongMasterKey,
    /// Some rows are under the new master key, others under the one before.
    #[error(
        "a rotation of the master key is not finished: set `keys.master_key_file` to the new key and \
         `keys.previous_master_key_file` to the one before, until the log says that it is done"
    )]
    MasterKeyUnfinished,
    /// The rotation goes to another key than the configured one.
    #[error(
        "the rotation of the master key was begun with another new key: set `keys.master_key_file` to that one"
    )]
    OtherNewMasterKey,
    /// A row does not open.
    #[error(
        "a row of `{table}` does not verify ({column}): the database was changed outside the daemon; keep this file for \
         examination and put a good copy in its place"
    )]
    Tampered {
        /// The table.
        table: &'static str,
        /// The column that differs, or `sealed`.
        column: &'static str,
    },
    /// The database belongs to another issuer.
    #[error("the database belongs to the issuer {0}: check `issuer` and `store.path`")]
    OtherIssuer(String),
    /// The database is an older one that was put back.
    #[error(
        "the database was put back from a backup ({0}): it would give PIN attempts back and revive what was ended since; \
         run `paraphed restore` with this configuration first"
    )]
    RestoreUndeclared(String),
    /// `paraphed restore` broke off.
    #[error(
        "a restore of this database has begun and not ended: run `paraphed restore` with this configuration again"
    )]
    RestoreUnfinished,
    /// A use case failed at start.
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl StartError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Keys(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::Clock(error) => error.code(),
            Self::Attestation(error) => error.code(),
            Self::Catalogue(error) => error.code(),
            Self::ActionsFile { .. } => "catalogue.unreadable",
            Self::Serve(error) => error.code(),
            Self::WrongMasterKey => "store.wrong_master_key",
            Self::MasterKeyUnfinished => "keys.master_key_unfinished",
            Self::OtherNewMasterKey => "keys.other_new_master_key",
            Self::Tampered { .. } => "store.tampered",
            Self::OtherIssuer(_) => "store.other_issuer",
            Self::RestoreUndeclared(_) => "store.restore_undeclared",
            Self::RestoreUnfinished => "store.restore_unfinished",
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl From<SealError> for StartError {
    fn from(error: SealError) -> Self {
        JournalError::from(error).into()
    }
}

/// The catalogue that the configuration names.
///
/// # Errors
/// `catalogue.*`.
pub fn load_catalogue(config: &Config) -> Result<Catalogue, StartError> {
    let path = &config.actions_file;
    let text = std::fs::read_to_string(path).map_err(|source| StartError::ActionsFile {
        path: path.clone(),
        source,
    })?;
    let bounds = LifetimeBounds {
        min_s: config.step_up.min_lifetime_s,
        max_s: config.step_up.max_lifetime_s,
    };
    Ok(Catalogue::parse(&text, bounds)?)
}

/// A deployment whose keys belong to its database.
pub struct Opened {
    /// Configuration, catalogue and keys.
    pub facts: Arc<Facts>,
    /// The database, which ends nothing yet.
    pub db: Db,
    /// What it says of itself.
    pub known: Known,
}

/// Opens everything but the security journal.
///
/// # Errors
/// `catalogue.*`, `keys.*`, `store.*`.
pub fn deployment(config: Config) -> Result<Opened, StartError> {
    let catalogue = load_catalogue(&config)?;
    let master = MasterKeys::read(&config.keys)?;
    let db = Db::open(&config.store.path, Options::default())?;
    let known: Known = db.read_blocking("open", meta::known)?;
    let sealer = master.sealer();
    let looking = master.sealer();
    let checks = db.read_blocking("open", move |tx| {
        Ok::<_, Fault>(reseal::checks(&mut Rows::new(tx, &looking))?)
    })?;
    match checks.state(&sealer) {
        MasterKeyState::Settled => sealer.forget_previous(),
        MasterKeyState::Rotating => {}
        MasterKeyState::Wrong => return Err(StartError::WrongMasterKey),
        MasterKeyState::Unfinished => return Err(StartError::MasterKeyUnfinished),
        MasterKeyState::OtherNewKey => return Err(StartError::OtherNewMasterKey),
    }
    let root = read_public_key(&config.keys.root_public_key_file)?;
    let keys = IssuerKeys::read(&config.keys, &master.current(), root)?;
    let issuer = String::from_utf8_lossy(known.issuer.as_deref().unwrap_or_default());
    if issuer != config.issuer.as_str() {
        return Err(StartError::OtherIssuer(issuer.into_owned()));
    }
    let restore_epoch = match &known.restore_epoch {
        Some(sealed) => restore::open_epoch(&sealer, sealed)?,
        None => 0,
    };
    let facts = Arc::new(Facts {
        proofing: ProofingKeys::read(&config.proofing)?,
        attestation: read_attestation_rules(&config.attestation)?,
        config,
        catalogue,
        keys,
        sealer,
        restore_epoch,
    });
    Ok(Opened { facts, db, known })
}

/// Opens a deployment to serve from it.
///
/// # Errors
/// As [`deployment`]; `store.restore_*`, `journal.*`, `clock.*`.
pub fn serving(config: Config) -> Result<(Daemon, Clock), StartError> {
    let opened = deployment(config)?;
    let in_flight = join_journal(&opened)?;
    let clock = Clock::starting_after(opened.known.last_seen)?;
    look_at_each_class(&opened.facts, &opened.db)?;
    let (facts, now) = (Arc::clone(&opened.facts), clock.now()?);
    opened.db.write_blocking("open", move |tx| {
        let mut scope = Scope {
            rows: Rows::new(tx, &facts.sealer),
            facts: &facts,
            now,
        };
        for event in in_flight.iter().filter(|event| event.ends_something()) {
            restore::carry_out(&mut scope, event)?;
        }
        scope.rows.tx.note(Event::At(now));
        Ok::<_, Fault>(())
    })?;
    Ok((Daemon::new(opened.facts, opened.db), clock))
}

/// A row of each class opens, or nothing is served.
fn look_at_each_class(facts: &Arc<Facts>, db: &Db) -> Result<(), StartError> {
    let facts = Arc::clone(facts);
    let looked = db.read_blocking("look_at_each_class", move |tx| {
        class::look_at_each(&mut Rows::new(tx, &facts.sealer))
    });
    looked.map_err(|error| match error {
        StoreError::Tampered { table, column } => StartError::Tampered { table, column },
        other => Fault::from(other).into(),
    })
}

/// Looks whether the database is the one that this journal was kept beside, and keeps the journal from here on. What a crash left in
/// the journal alone is returned: its transaction was answered to nobody, and is carried out.
fn join_journal(opened: &Opened) -> Result<Vec<Event>, StartError> {
    let (known, path) = (&opened.known, &opened.facts.config.store.security_journal);
    if known.restoring {
        return Err(StartError::RestoreUnfinished);
    }
    if known.copied_at.is_some() {
        return undeclared("it is a copy that `paraphed backup` made");
    }
    let key = || opened.facts.keys.journal_key();
    let Some(place) = &known.place else {
        return first_journal(opened, path);
    };
    let contents = read(path, &key(), Some(place))?;
    let in_flight = match contents.standing(place) {
        Standing::Level => Vec::new(),
        Standing::InFlight(events) => {
            tracing::warn!(
                "a crash came between the security journal and its commit: what it says is carried out"
            );
            events
        }
        Standing::DatabaseOlder(more) => {
            return undeclared(&format!("the security journal goes on by {more} entries"));
        }
        Standing::JournalOlder => return Err(JournalError::Behind(path.clone()).into()),
        Standing::Other => return Err(JournalError::Foreign(path.clone()).into()),
    };
    opened.db.keep(Journal::resume(path, key(), &contents)?);
    Ok(in_flight)
}

fn undeclared<T>(why: &str) -> Result<T, StartError> {
    Err(StartError::RestoreUndeclared(why.to_owned()))
}

/// A database that never had a journal gets one. Where there is one already, the database is from before it.
fn first_journal(opened: &Opened, path: &Path) -> Result<Vec<Event>, StartError> {
    let key = || opened.facts.keys.journal_key();
    let journal = if path.exists() {
        let contents = read(path, &key(), None)?;
        if contents.groups() > 0 {
            return undeclared("it is from before the security journal was begun");
        }
        Journal::resume(path, key(), &contents)?
    } else {
        tracing::info!(path = %path.display(), "the security journal begins");
        new_journal(path, &opened.facts.keys)?
    };
    opened.db.keep(journal);
    Ok(Vec::new())
}

/// Makes a journal under a new name.
///
/// # Errors
/// `journal.exists`, `journal.io`.
pub fn new_journal(path: &Path, keys: &IssuerKeys) -> Result<Journal, StartError> {
    let mut name = [0; 16];
    crate::entropy::system().fill_bytes(&mut name);
    Ok(Journal::create(path, keys.journal_key(), &name)?)
}

fn read(
    path: &Path,
    key: &ring::hmac::Key,
    place: Option<&journal::Position>,
) -> Result<Contents, StartError> {
    let contents = journal::read::<JournalError>(path, key, place, |_, _| Ok(()))?;
    if contents.torn_bytes > 0 {
        tracing::warn!(
            bytes = contents.torn_bytes,
            "a crash cut the last line of the security journal short: it is left out"
        );
    }
    Ok(contents)
}
