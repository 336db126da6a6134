//! The security journal: what must stay ended, in an append-only file apart from the database (protocol.md section 4, rule 6).
//!
//! Written by the store's writer thread (`db::keeper`), read when the daemon starts and by `paraphed restore`. Each group of transactions
//! that ends something is one line, durable before the group's commit; another line says that the commit came through. Invariants: a line
//! that was written under another key, changed, taken out or moved is noticed; the last line alone may be torn, by a crash within its
//! write, and is left out then; nothing personal is in it.
//!
//! A line is `<JSON> <tag>`: the tag is HMAC-SHA-256 over the JSON (key: HKDF of the master key), and the JSON names the tag of the line before.

use std::path::PathBuf;

use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::seal::SealError;
use crate::domain::ended::Event;

mod file;
mod line;
mod read;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;

pub use self::file::Journal;
pub use self::read::{Contents, read};

/// A place in one journal: the database keeps the one of the last group that ended something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Name of the journal, drawn when it is made.
    pub journal: String,
    /// Number of the group, from 1.
    pub number: u64,
    /// Tag of its line.
    pub tag: String,
}

/// How a database stands to the journal that was kept beside it.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// It knows all of it.
    Level,
    /// A crash came between the journal and the commit of the last group: what that group ended.
    InFlight(Vec<Event>),
    /// The journal knows of so many groups more, whose commits came through: the database is an older one.
    DatabaseOlder(u64),
    /// The journal lacks what the database knows, or has something else in its place.
    JournalOlder,
    /// It is another journal.
    Other,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Not there.
    #[error("the security journal {0} is not there: put it back from the disk that it was kept on")]
    Missing(PathBuf),
    /// It is there already.
    #[error("{0} exists already: nothing is overwritten; remove it yourself if you are sure")]
    Exists(PathBuf),
    /// Of another deployment, or no journal at all.
    #[error(
        "{0} is not a security journal under this master key: check `store.security_journal` and `keys.master_key_file`"
    )]
    Foreign(PathBuf),
    /// Changed, or a part is missing.
    #[error(
        "{path} does not verify at line {line}: it was changed outside the daemon, or a part of it is missing"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
    },
    /// It ends before what the database knows.
    #[error(
        "{0} ends before what the database knows: it is an older copy, or its end was cut off; put the right one back"
    )]
    Behind(PathBuf),
    /// It began after the backup was made.
    #[error("{0} was begun after this backup was made: it does not hold what was ended in between")]
    DoesNotReach(PathBuf),
    /// The operating system refused.
    #[error("{path} cannot be read or written ({detail}): check the disk, the path and the file's owner")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        detail: String,
    },
    /// No key.
    #[error(transparent)]
    Key(#[from] SealError),
}

impl JournalError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "journal.missing",
            Self::Exists(_) => "journal.exists",
            Self::Foreign(_) => "journal.foreign",
            Self::Damaged { .. } => "journal.damaged",
            Self::Behind(_) => "journal.behind",
            Self::DoesNotReach(_) => "journal.does_not_reach",
            Self::Io { .. } => "journal.io",
            Self::Key(error) => error.code(),
        }
    }

    fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            detail: error.to_string(),
        }
    }
}

/// The latest time that these events name.
fn latest(events: &[Event]) -> Option<Timestamp> {
    let at = |event: &Event| match event {
        Event::At(at) => Some(*at),
        Event::Ended(_) | Event::Lifted(_) | Event::RestoreEpoch(_) => None,
    };
    events.iter().filter_map(at).max()
}
