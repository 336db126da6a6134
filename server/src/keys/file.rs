//! Key files: the master key in hexadecimal, the issuer keys sealed with it, the root key as a public JWK.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use paraphe_proto::jwk::{JwkError, PublicKey};
use paraphe_proto::keys::{KeyError, SoftwareKey};
use paraphe_proto::statements::{KeyState, KeyUse};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::IssuerKeys;
use super::ring::{Held, Ring};
use crate::domain::secret::{Bytes, Secret};
use crate::store::seal::{MasterKey, SealError, Sealer};

const TABLE: &str = "issuer_keys";
const ID: &str = "file";
/// Two keys, both active.
const TWO_KEYS: u64 = 1;
/// Any number of keys with their states, and the key sets after the first.
const RING: u64 = 2;

/// What can be wrong with key files.
#[derive(Debug, Error)]
pub enum KeysError {
    /// Not there.
    #[error("{0} is not there: check the path, or initialise this daemon first with `paraphed init`")]
    Missing(PathBuf),
    /// Cannot be read or written.
    #[error("{path} cannot be read or written ({source}): check the path and its permissions")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is there already; nothing is overwritten.
    #[error("{0} exists already: nothing is overwritten; remove it yourself if you are sure")]
    Exists(PathBuf),
    /// Not what it should be.
    #[error("{path} is not what it should be ({detail}): restore it from your copy")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Sealed with another master key.
    #[error(
        "{0} does not open with this master key: check `keys.master_key_file`; to rotate it, run `paraphed rotate-master-key` first"
    )]
    WrongMasterKey(PathBuf),
    /// Key generation failed.
    #[error("a key could not be made: {0}")]
    Generation(#[from] KeyError),
    /// A use has no key that signs.
    #[error("the issuer keys file holds no active key of some use: restore it from your copy")]
    NoActiveKey,
    /// The rotation is at another step.
    #[error("{0}")]
    Step(&'static str),
    /// The daemon has not served the newest key set for long enough.
    #[error("{0}")]
    TooEarly(String),
    /// The new master key is the one before.
    #[error(
        "`keys.master_key_file` and `keys.previous_master_key_file` hold the same key: make a new one with `paraphed rotate-master-key`"
    )]
    SameMasterKey,
    /// Another command works on the file.
    #[error("{0} is being changed by another `paraphed` command: try again")]
    Busy(PathBuf),
    /// The file is older than the database.
    #[error(
        "the issuer keys file ends at key set {file}, the database at {database}: put the newest copy of the file back"
    )]
    BehindDatabase {
        /// Newest set of the file.
        file: u64,
        /// Newest set of the database.
        database: u64,
    },
    /// File and database each have a key set of that version, and they differ.
    #[error(
        "key set {0} of the issuer keys file is not that of the database: put the file that belongs to this database back"
    )]
    OtherHistory(usize),
    /// The key sets do not follow from the root key.
    #[error(
        "the key sets do not follow from the root key ({0}): put the files that belong to this database back"
    )]
    Chain(String),
}

impl KeysError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "keys.missing",
            Self::Unreadable { .. } => "keys.unreadable",
            Self::Exists(_) => "keys.exists",
            Self::Malformed { .. } => "keys.malformed",
            Self::WrongMasterKey(_) => "store.wrong_master_key",
            Self::Generation(_) => "keys.generation",
            Self::NoActiveKey => "keys.no_active_key",
            Self::Step(_) => "keys.step",
            Self::TooEarly(_) => "keys.too_early",
            Self::SameMasterKey => "keys.same_master_key",
            Self::Busy(_) => "keys.busy",
            Self::BehindDatabase { .. } => "keys.behind_database",
            Self::OtherHistory(_) => "keys.other_history",
            Self::Chain(_) => "keys.chain",
        }
    }
}

/// What releases before rotation sealed.
#[derive(Deserialize)]
struct SealedTwo {
    challenge: Secret<32>,
    assertion: Secret<32>,
    lookup: Secret<32>,
    pairwise: Secret<32>,
}

#[derive(Serialize, Deserialize)]
struct SealedRing {
    keys: Vec<SealedKey>,
    key_sets: Vec<String>,
    lookup: Secret<32>,
    pairwise: Secret<32>,
}

#[derive(Serialize, Deserialize)]
struct SealedKey {
    public: Bytes<65>,
    key_use: KeyUse,
    state: KeyState,
    private: Option<Secret<32>>,
}

impl IssuerKeys {
    /// Opens the sealed file, of this release or an earlier one.
    ///
    /// # Errors
    /// [`KeysError`] with the path.
    pub fn read(path: &Path, sealer: &Sealer, root: PublicKey) -> Result<Self, KeysError> {
        let blob = read(path)?;
        let named = |error| match error {
            SealError::Tampered { .. } => KeysError::WrongMasterKey(path.to_owned()),
            other => malformed(path, &other),
        };
        let (ring, lookup, pairwise) = match sealer.open_record::<SealedRing>(TABLE, ID, RING, &blob) {
            Ok(sealed) => (sealed.ring()?, sealed.lookup, sealed.pairwise),
            Err(SealError::Tampered { .. }) => {
                let sealed: SealedTwo = sealer.open_record(TABLE, ID, TWO_KEYS, &blob).map_err(named)?;
                (sealed.ring()?, sealed.lookup, sealed.pairwise)
            }
            Err(other) => return Err(malformed(path, &other)),
        };
        Ok(Self {
            ring: RwLock::new(Arc::new(ring)),
            lookup: Zeroizing::new(*lookup.expose()),
            pairwise: Zeroizing::new(*pairwise.expose()),
            root,
        })
    }

    /// Writes the sealed file, never over another.
    ///
    /// # Errors
    /// [`KeysError`] with the path.
    pub fn write(&self, path: &Path, sealer: &Sealer) -> Result<(), KeysError> {
        write_new(path, &self.sealed(path, sealer)?)
    }

    /// Puts the sealed file in the place of the one that is there: a crash leaves one of the two, whole.
    ///
    /// # Errors
    /// [`KeysError`] with the path.
    pub fn replace(&self, path: &Path, sealer: &Sealer) -> Result<(), KeysError> {
        let unwritable = |source| KeysError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let blob = self.sealed(path, sealer)?;
        let owner = std::fs::metadata(path).map_err(unwritable)?;
        let fresh = beside(path, ".new");
        write_replacing(&fresh, &blob, &owner)
            .and_then(|()| std::fs::rename(&fresh, path))
            .and_then(|()| sync_folder(path))
            .map_err(unwritable)
    }

    fn sealed(&self, path: &Path, sealer: &Sealer) -> Result<Vec<u8>, KeysError> {
        let ring = self.ring();
        let keys = ring.keys().iter().map(|key| SealedKey {
            public: Bytes(*key.public.as_sec1()),
            key_use: key.key_use,
            state: key.state,
            private: key.private.as_ref().map(|key| Secret::new(*key.to_scalar())),
        });
        let sealed = SealedRing {
            keys: keys.collect(),
            key_sets: ring.statements().to_vec(),
            lookup: Secret::new(*self.lookup),
            pairwise: Secret::new(*self.pairwise),
        };
        sealer
            .seal_record(TABLE, ID, RING, &sealed)
            .map_err(|error| malformed(path, &error))
    }
}

impl SealedTwo {
    fn ring(&self) -> Result<Ring, KeysError> {
        let key = |secret: &Secret<32>| SoftwareKey::from_scalar(secret.expose());
        Ring::first(key(&self.challenge)?, key(&self.assertion)?)
    }
}

impl SealedRing {
    fn ring(&self) -> Result<Ring, KeysError> {
        let held = |key: &SealedKey| {
            let private = key.private.as_ref();
            let private = private.map(|secret| SoftwareKey::from_scalar(secret.expose()));
            Ok(Held {
                public: PublicKey::from_sec1(&key.public.0).map_err(|_| KeyError)?,
                key_use: key.key_use,
                state: key.state,
                private: private.transpose()?.map(Arc::new),
            })
        };
        let keys: Result<Vec<Held>, KeyError> = self.keys.iter().map(held).collect();
        Ring::new(keys?, self.key_sets.clone())
    }
}

fn malformed(path: &Path, error: &SealError) -> KeysError {
    KeysError::Malformed {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}

/// Takes the file for one command that changes it, by the lock file beside it; it lasts until the value is dropped.
///
/// # Errors
/// [`KeysError::Busy`] while another command has it.
pub fn lock(path: &Path) -> Result<std::fs::File, KeysError> {
    if !path.exists() {
        return Err(KeysError::Missing(path.to_owned()));
    }
    let unreadable = |source| KeysError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(beside(path, ".lock"))
        .map_err(unreadable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(KeysError::Busy(path.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(unreadable(source)),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes a file that belongs to the owner of the one it will replace: root runs the command, the daemon's user reads.
fn write_replacing(path: &Path, contents: &[u8], owner: &std::fs::Metadata) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(contents)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The master key.
///
/// # Errors
/// [`KeysError`] with the path.
pub fn read_master_key(path: &Path) -> Result<MasterKey, KeysError> {
    warn_if_open(path);
    MasterKey::from_file_contents(&read(path)?).map_err(|error| KeysError::Malformed {
        path: path.to_owned(),
        detail: error.to_string(),
    })
}

/// A public key, a JWK in JSON.
///
/// # Errors
/// [`KeysError`] with the path.
pub fn read_public_key(path: &Path) -> Result<PublicKey, KeysError> {
    let text = String::from_utf8(read(path)?.to_vec()).map_err(|_| KeysError::Malformed {
        path: path.to_owned(),
        detail: "not text".to_owned(),
    })?;
    PublicKey::from_jwk_json(&text).map_err(|error: JwkError| KeysError::Malformed {
        path: path.to_owned(),
        detail: error.to_string(),
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    std::fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => KeysError::Missing(path.to_owned()),
            _ => KeysError::Unreadable {
                path: path.to_owned(),
                source,
            },
        })
}

/// Says so when others than its owner may read a secret file.
fn warn_if_open(path: &Path) {
    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "others than its owner may read this key file: chmod 600");
    }
}

/// [`write_new`] for the owner of the file `like`.
///
/// # Errors
/// [`KeysError::Exists`], [`KeysError::Unreadable`].
pub fn write_new_like(like: &Path, path: &Path, contents: &[u8]) -> Result<(), KeysError> {
    let unreadable = |source| KeysError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let owner = std::fs::metadata(like).map_err(unreadable)?;
    write_new(path, contents)?;
    let made = std::fs::metadata(path).map_err(unreadable)?;
    if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).map_err(unreadable)?;
    }
    sync_folder(path).map_err(unreadable)
}

/// Writes a new file with mode 0600, durable, never over another.
///
/// # Errors
/// [`KeysError::Exists`], [`KeysError::Unreadable`].
pub fn write_new(path: &Path, contents: &[u8]) -> Result<(), KeysError> {
    let unwritable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => KeysError::Exists(path.to_owned()),
        _ => KeysError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(unwritable)?;
    file.write_all(contents)
        .and_then(|()| file.sync_all())
        .map_err(unwritable)
}

#[cfg(test)]
mod tests;
