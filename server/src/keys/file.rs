//! Key files: the master key in hexadecimal, the issuer keys sealed with it, the root key as a public JWK.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use paraphe_proto::jwk::{JwkError, PublicKey};
use paraphe_proto::keys::{KeyError, SoftwareKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::IssuerKeys;
use crate::domain::secret::Secret;
use crate::store::seal::{MasterKey, SealError, Sealer};

const TABLE: &str = "issuer_keys";
const ID: &str = "file";
const VERSION: u64 = 1;

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
    #[error("{0} does not open with this master key: check `keys.master_key_file`")]
    WrongMasterKey(PathBuf),
    /// Key generation failed.
    #[error("a key could not be made: {0}")]
    Generation(#[from] KeyError),
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
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    challenge: Secret<32>,
    assertion: Secret<32>,
    lookup: Secret<32>,
    pairwise: Secret<32>,
    key_set_version: u64,
}

impl IssuerKeys {
    /// Opens the sealed file.
    ///
    /// # Errors
    /// [`KeysError`] with the path.
    pub fn read(path: &Path, sealer: &Sealer, root: PublicKey) -> Result<Self, KeysError> {
        let blob = read(path)?;
        let sealed: Sealed = sealer
            .open_record(TABLE, ID, VERSION, &blob)
            .map_err(|error| match error {
                SealError::Tampered { .. } => KeysError::WrongMasterKey(path.to_owned()),
                other => KeysError::Malformed {
                    path: path.to_owned(),
                    detail: other.to_string(),
                },
            })?;
        Ok(Self {
            challenge: SoftwareKey::from_scalar(sealed.challenge.expose())?,
            assertion: SoftwareKey::from_scalar(sealed.assertion.expose())?,
            lookup: Zeroizing::new(*sealed.lookup.expose()),
            pairwise: Zeroizing::new(*sealed.pairwise.expose()),
            root,
            key_set_version: sealed.key_set_version,
        })
    }

    /// Writes the sealed file, never over another.
    ///
    /// # Errors
    /// [`KeysError`] with the path.
    pub fn write(&self, path: &Path, sealer: &Sealer) -> Result<(), KeysError> {
        let sealed = Sealed {
            challenge: Secret::new(*self.challenge.to_scalar()),
            assertion: Secret::new(*self.assertion.to_scalar()),
            lookup: Secret::new(*self.lookup),
            pairwise: Secret::new(*self.pairwise),
            key_set_version: self.key_set_version,
        };
        let blob = sealer
            .seal_record(TABLE, ID, VERSION, &sealed)
            .map_err(|error| KeysError::Malformed {
                path: path.to_owned(),
                detail: error.to_string(),
            })?;
        write_new(path, &blob)
    }
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
