//! Key files: the master key in hexadecimal, the issuer keys sealed with it, the root key as a public JWK.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paraphe_proto::jwk::{JwkError, PublicKey};
use zeroize::Zeroizing;

use super::sealed::{self, Place};
use super::{IssuerKeys, KeysError, Ring};
use crate::config::Keys;
use crate::store::seal::{MasterKey, Sealer};

impl IssuerKeys {
    /// Opens the sealed file, of this release or an earlier one, and the token where the issuer keys are on one.
    ///
    /// # Errors
    /// [`KeysError`] with the path, or the configuration key of the token.
    pub fn read(config: &Keys, sealer: &Sealer, root: PublicKey) -> Result<Self, KeysError> {
        let place = Place {
            path: &config.issuer_keys_file,
            token: config.pkcs11.as_ref(),
            open: None,
        };
        sealed::open(&place, &read(place.path)?, sealer, root)
    }

    /// Reads the sealed file once more; the ring that it holds now. Keys on a token that are open stay so.
    ///
    /// # Errors
    /// As [`IssuerKeys::read`].
    pub fn read_again(&self, config: &Keys, sealer: &Sealer) -> Result<Arc<Ring>, KeysError> {
        let open = self.ring();
        let place = Place {
            path: &config.issuer_keys_file,
            token: config.pkcs11.as_ref(),
            open: Some(&open),
        };
        let root = self.root_public().clone();
        Ok(sealed::open(&place, &read(place.path)?, sealer, root)?.ring())
    }

    /// Writes the sealed file, never over another.
    ///
    /// # Errors
    /// [`KeysError`] with the path.
    pub fn write(&self, path: &Path, sealer: &Sealer) -> Result<(), KeysError> {
        write_new(path, &sealed::seal(self, path, sealer)?)
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
        let blob = sealed::seal(self, path, sealer)?;
        let owner = std::fs::metadata(path).map_err(unwritable)?;
        let fresh = beside(path, ".new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(&fresh)
            .and_then(|mut file| write_owned(&mut file, &blob, &owner))
            .and_then(|()| std::fs::rename(&fresh, path))
            .and_then(|()| sync_folder(path))
            .map_err(unwritable)
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

/// Writes a file that belongs to the owner of another: root runs the command, the daemon's user reads. Its contents are durable then, its
/// name is not yet.
fn write_owned(file: &mut std::fs::File, contents: &[u8], owner: &std::fs::Metadata) -> std::io::Result<()> {
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (owner.uid(), owner.gid()) {
        std::os::unix::fs::fchown(&*file, Some(owner.uid()), Some(owner.gid()))?;
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
pub(super) fn warn_if_open(path: &Path) {
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
    let mut file = create_new(path)?;
    write_owned(&mut file, contents, &owner)
        .and_then(|()| sync_folder(path))
        .map_err(unreadable)
}

/// Writes a new file with mode 0600, never over another; it and its name are durable.
///
/// # Errors
/// [`KeysError::Exists`], [`KeysError::Unreadable`].
pub fn write_new(path: &Path, contents: &[u8]) -> Result<(), KeysError> {
    let unwritable = |source| KeysError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = create_new(path)?;
    file.write_all(contents)
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path))
        .map_err(unwritable)
}

fn create_new(path: &Path) -> Result<std::fs::File, KeysError> {
    let unwritable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => KeysError::Exists(path.to_owned()),
        _ => KeysError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(unwritable)
}

#[cfg(test)]
mod tests;
