//! A copy of the database for a backup, made while a daemon may serve from it. Called by `paraphed backup`.
//! Invariants: the copy appears under its name whole and durable, or not at all; it says that it is one, so that no daemon serves from it
//! before `paraphed restore`.

use std::fs::File;
use std::path::Path;

use paraphe_proto::time::Timestamp;

use super::sqlite::Sqlite;
use super::{DbError, Tx, file};
use crate::store::meta;

/// Copies what is committed in the database at `path` to the new file `to`.
///
/// # Errors
/// [`DbError::Missing`], `Foreign`, `Corrupt`, `Io`; nothing is left behind then.
pub fn copy(path: &Path, to: &Path, at: Timestamp) -> Result<(), DbError> {
    if !file::is_present(path)? {
        return Err(DbError::Missing {
            path: path.to_owned(),
        });
    }
    let unfinished = file::beside(to, ".unfinished");
    remove(&unfinished)?;
    let copied = fill(path, &unfinished, at).and_then(|()| {
        std::fs::rename(&unfinished, to).map_err(|error| DbError::io(to, &error))?;
        file::sync_name(to)
    });
    if copied.is_err() {
        let _absent = remove(&unfinished);
    }
    copied
}

fn fill(path: &Path, to: &Path, at: Timestamp) -> Result<(), DbError> {
    file::create(to)?;
    Sqlite::copy(path, to)?;
    let (copy, identity) = Sqlite::open(to)?;
    if identity.is_blank {
        return Err(DbError::Missing {
            path: path.to_owned(),
        });
    }
    copy.check()?;
    copy.begin_write()?;
    meta::mark_copy(&mut Tx::sqlite(&copy), at)?;
    copy.commit()?;
    drop(copy);
    let synced = File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| DbError::io(to, &error))
}

fn remove(path: &Path) -> Result<(), DbError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(DbError::io(path, &error)),
        _ => Ok(()),
    }
}
