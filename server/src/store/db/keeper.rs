//! The security journal at the writer thread's side: a group that ends something is in the journal, durable, before its COMMIT, and the
//! database learns the place in that same commit. Called by `lanes`; set by `Db`.
//! Invariant: no commit goes through that ends something the journal does not hold, unless a declared restore has waived it.

use super::{DbError, Tx};
use crate::domain::ended::Event;
use crate::store::journal::Journal;
use crate::store::meta;

/// What becomes of events.
pub(super) enum Keeper {
    /// No journal is open: a group with events is refused.
    Absent,
    /// They are written there.
    Kept {
        journal: Box<Journal>,
        /// The last group's commit is awaited.
        awaits_commit: bool,
    },
    /// A restore carries out what the journal says already.
    Waived,
}

impl Keeper {
    /// Writes a group's events and notes their place in the same transaction.
    pub(super) fn record(&mut self, tx: &mut Tx<'_>, events: Vec<Event>) -> Result<(), DbError> {
        let (journal, awaits_commit) = match self {
            _ if events.is_empty() => return Ok(()),
            Self::Waived => return Ok(()),
            Self::Absent => return Err(DbError::unavailable("its security journal is not open")),
            Self::Kept {
                journal,
                awaits_commit,
            } => (journal, awaits_commit),
        };
        *awaits_commit = false;
        let place = journal.append(events).map_err(|error| DbError::Unavailable {
            detail: error.to_string(),
        })?;
        meta::store_place(tx, &place)?;
        *awaits_commit = true;
        Ok(())
    }

    /// The group has ended; `committed` or not.
    pub(super) fn settle(&mut self, committed: bool) {
        if let Self::Kept {
            journal,
            awaits_commit,
        } = self
            && std::mem::take(awaits_commit)
            && committed
            && let Err(error) = journal.committed()
        {
            tracing::error!(code = error.code(), %error, "the security journal could not note a commit");
        }
    }
}
