//! The database as a file: its lock, its mode, its creation. Called by `Db::{open, create}` before any driver touches it.
//! Invariants: one process per file, nobody but the owner reads it, nothing is ever deleted.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::DbError;

const OWNER_ONLY: u32 = 0o600;

/// A command that looks whether the database is served holds the lock for a moment: whoever opens it tries again, for a quarter of a second.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Takes the advisory lock on `<path>.lock`; it lasts until the last clone is dropped or the process ends.
///
/// # Errors
/// [`DbError::Locked`] when another daemon holds it.
pub(super) fn lock(path: &Path) -> Result<Arc<File>, DbError> {
    let lock_path = beside(path, ".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(&lock_path)
        .map_err(|error| DbError::io(&lock_path, &error))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Arc::new(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(DbError::io(&lock_path, &error)),
        }
    }
    Err(DbError::Locked {
        path: path.to_owned(),
    })
}

/// Whether a process holds the lock. Whoever looks shares it for that moment with others who do.
pub(super) fn is_locked(path: &Path) -> Result<bool, DbError> {
    let lock_path = beside(path, ".lock");
    let file = match File::open(&lock_path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(DbError::io(&lock_path, &error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(DbError::io(&lock_path, &error)),
    }
}

/// Whether there is anything at `path` that could be a database: a file that is not empty.
pub(super) fn is_present(path: &Path) -> Result<bool, DbError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len() > 0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(DbError::io(path, &error)),
    }
}

/// Makes an empty file, or keeps what is there, and makes the directory entry durable.
pub(super) fn create(path: &Path) -> Result<(), DbError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path)
        .map_err(|error| DbError::io(path, &error))?;
    sync_name(path)
}

/// Makes the directory entry durable.
pub(super) fn sync_name(path: &Path) -> Result<(), DbError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| DbError::io(parent, &error))
}

/// Takes the file and its write-ahead log away from group and others. Files made later inherit the mode.
pub(super) fn restrict(path: &Path) -> Result<(), DbError> {
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        match std::fs::set_permissions(&file, Permissions::from_mode(OWNER_ONLY)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DbError::io(&file, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
