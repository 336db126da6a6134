//! What can go wrong between the daemon and its database. Made by the drivers and the queues in `db`, passed on by every use case
//! (`From<DbError>` on their errors), shown to operators at start. Invariant: no value of any row ever appears in a message.

use std::path::{Path, PathBuf};

/// A failure of the store. [`DbError::code`] is stable; the message tells an operator what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// No database at the path, or an empty file.
    #[error("there is no database at {}: correct the path in the configuration, put the backup there that you mean to restore, or begin a new deployment with `paraphed init`", .path.display())]
    Missing { path: PathBuf },
    /// `paraphed init` was pointed at a database that is in use already.
    #[error("{} already holds a database and was left as it is: choose another path, or start the daemon on it", .path.display())]
    Exists { path: PathBuf },
    /// Another process holds the lock beside the database.
    #[error("another paraphed has {} open: stop it first; one daemon serves one database file", .path.display())]
    Locked { path: PathBuf },
    /// The file is no database, or another application's.
    #[error("{} is not a Paraphe database (or its first page is destroyed) and was left as it is: correct the path, or restore a backup", .path.display())]
    Foreign { path: PathBuf },
    /// A later release has migrated the database.
    #[error(
        "the database has schema version {found}, this release knows up to {known}: run the later release; a schema never goes back"
    )]
    Newer { found: i64, known: i64 },
    /// The database's structure is damaged.
    #[error(
        "the database is damaged ({detail}): keep the file for examination and run `paraphed restore` with a backup"
    )]
    Corrupt { detail: String },
    /// The operating system refused a file operation. After a failed commit the outcome is unknown until the next start.
    #[error(
        "the database could not be read or written ({detail}): check the disk, the path and the file's owner"
    )]
    Io { detail: String },
    /// The queue is full; nothing was executed.
    #[error("too many transactions are waiting: try again in a moment")]
    Overloaded,
    /// The database cannot serve now: closed, busy, or out of space.
    #[error(
        "the database is unavailable ({detail}): try again; if it lasts, check the disk's free space and the daemon's log"
    )]
    Unavailable { detail: String },
    /// A unique key is taken; `constraint` names the columns as `table.column, …`.
    #[error("a record with the same {constraint} exists already")]
    Conflict { constraint: String },
    /// A CHECK, NOT NULL or foreign key was violated: the daemon's own mistake.
    #[error("the database refused a record ({detail}): this is a defect of paraphed, please report it")]
    Constraint { detail: String },
    /// A statement the database does not accept: the daemon's own mistake.
    #[error("the database refused a statement ({detail}): this is a defect of paraphed, please report it")]
    Statement { detail: String },
    /// A column was read as something it is not: the daemon's own mistake, or a row that was tampered with.
    #[error("column {index} holds {found} where {expected} was expected: run `paraphed check`")]
    Column {
        index: usize,
        expected: &'static str,
        found: &'static str,
    },
    /// The transaction's closure panicked; its changes were rolled back.
    #[error(
        "the transaction `{name}` broke off and was undone: this is a defect of paraphed, please report it with the log"
    )]
    Panicked { name: &'static str },
}

impl DbError {
    /// The stable code of this error, as in the catalogue of codes.
    pub fn code(&self) -> &'static str {
        match self {
            DbError::Missing { .. } => "store.missing",
            DbError::Exists { .. } => "store.exists",
            DbError::Locked { .. } => "store.locked",
            DbError::Foreign { .. } => "store.foreign",
            DbError::Newer { .. } => "store.newer",
            DbError::Corrupt { .. } => "store.corrupt",
            DbError::Io { .. } => "store.io",
            DbError::Overloaded => "store.overloaded",
            DbError::Unavailable { .. } => "store.unavailable",
            DbError::Conflict { .. } => "store.conflict",
            DbError::Constraint { .. } => "store.constraint",
            DbError::Statement { .. } => "store.statement",
            DbError::Column { .. } => "store.column",
            DbError::Panicked { .. } => "store.panicked",
        }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> DbError {
        DbError::Io {
            detail: format!("{}: {error}", path.display()),
        }
    }

    pub(super) fn unavailable(detail: &str) -> DbError {
        DbError::Unavailable {
            detail: detail.to_owned(),
        }
    }
}
