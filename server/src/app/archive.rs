//! The archive: what was decided long ago is packed and moved, in small steps (docs/operations.md, Retention).
//!
//! Called by the sweeper. Invariant: a challenge that any quota or a repeated answer may still need stays where it is, and whoever
//! reads a moved one cannot tell.

use paraphe_proto::time::Timestamp;

use super::Scope;
use crate::domain::fault::Result;
use crate::store::past;

/// Challenges that one step moves: a few milliseconds of the writer.
const STEP: i64 = 25;
/// Steps in a row, each a transaction of its own, before the sweeper pauses.
pub const STEPS: usize = 4;

/// Whether [`step`] has anything to do; read on a reader.
///
/// # Errors
/// Those of the store.
pub fn is_due(s: &mut Scope<'_, '_>) -> Result<bool> {
    let before = decided_before(s);
    Ok(!past::ripe(&mut s.rows, before, 1)?.is_empty())
}

/// Moves the oldest that are due; whether more may wait.
///
/// # Errors
/// Those of the store.
pub fn step(s: &mut Scope<'_, '_>) -> Result<bool> {
    let before = decided_before(s);
    let ripe = past::ripe(&mut s.rows, before, STEP)?;
    let more = i64::try_from(ripe.len()).is_ok_and(|count| count == STEP);
    for decided in ripe {
        past::file(&mut s.rows, decided)?;
    }
    Ok(more)
}

fn decided_before(s: &Scope<'_, '_>) -> Timestamp {
    let days = i64::from(s.facts.config.retention.archive_after_days);
    s.now.plus_s(-days.saturating_mul(86_400))
}
