//! A new master key: what the check values say of the configured keys, and sealing every row again in small steps
//! (protocol.md section 2.2).
//!
//! Called at start and by the background task. Invariants: the check value is that of the key before until the last row is under
//! the new one; a step is one short transaction that keeps where it has come to, so that a crash loses nothing.

use super::{Scope, restore};
use crate::domain::fault::{Fault, Result};
use crate::store::class::{self, Cursor};
use crate::store::meta;
use crate::store::record::{Rows, StoreError};
use crate::store::seal::Sealer;

/// Who acts.
const ACTOR: &str = "paraphed";
/// On what.
const DATABASE: &str = "database";
/// Name of the value that the new master key opens.
const NEXT_CHECK_VALUE: &str = "next_master_key_check";
const CURSOR: &str = "reseal_cursor";
/// Rows that one step seals again: a few milliseconds of the writer.
const STEP: i64 = 50;

/// The stored values that tell master keys apart.
pub struct Checks {
    current: Vec<u8>,
    next: Option<Vec<u8>>,
}

/// Whether the configured master keys are those of the database.
#[derive(Debug, PartialEq, Eq)]
pub enum MasterKeyState {
    /// Every row is under the configured key.
    Settled,
    /// Rows are under the configured key or the previous one.
    Rotating,
    /// Neither key is that of the database.
    Wrong,
    /// A rotation is under way and one of its two keys is not configured.
    Unfinished,
    /// A rotation is under way, to another key.
    OtherNewKey,
}

/// Reads them.
///
/// # Errors
/// Those of the store.
pub fn checks(rows: &mut Rows<'_, '_>) -> std::result::Result<Checks, StoreError> {
    Ok(Checks {
        current: meta::load(rows.tx, meta::CHECK_VALUE)?.unwrap_or_default(),
        next: meta::load(rows.tx, NEXT_CHECK_VALUE)?,
    })
}

impl Checks {
    /// What they say of the keys of `sealer`.
    pub fn state(&self, sealer: &Sealer) -> MasterKeyState {
        let is_current = sealer.verify_check_value(&self.current).is_ok();
        let from_previous = sealer.verify_check_value_of_previous(&self.current).is_ok();
        let Some(next) = &self.next else {
            return match (is_current, from_previous) {
                (true, _) => MasterKeyState::Settled,
                (false, true) => MasterKeyState::Rotating,
                (false, false) => MasterKeyState::Wrong,
            };
        };
        match (sealer.verify_check_value(next).is_ok(), from_previous) {
            (true, true) => MasterKeyState::Rotating,
            (true, false) => MasterKeyState::Unfinished,
            (false, true) => MasterKeyState::OtherNewKey,
            (false, false) if is_current => MasterKeyState::Unfinished,
            (false, false) => MasterKeyState::Wrong,
        }
    }
}

/// Ties the rotation to its new key, once.
///
/// # Errors
/// Those of the store.
pub fn begin(s: &mut Scope<'_, '_>) -> Result<()> {
    if meta::load(s.rows.tx, NEXT_CHECK_VALUE)?.is_some() {
        return Ok(());
    }
    let check = s.facts.sealer.check_value().map_err(Fault::internal)?;
    meta::store(s.rows.tx, NEXT_CHECK_VALUE, &check)?;
    s.audit(ACTOR, "begin_master_key_rotation", DATABASE, "ok")
}

/// Seals the next rows again; whether that was all.
///
/// # Errors
/// `store.tampered` for a row that neither key opens, and those of the store.
pub fn step(s: &mut Scope<'_, '_>) -> Result<bool> {
    let cursor = match meta::load(s.rows.tx, CURSOR)? {
        Some(kept) => ciborium::from_reader(kept.as_slice()).map_err(Fault::internal)?,
        None => Cursor::START,
    };
    let Some(cursor) = class::reseal(&mut s.rows, &cursor, STEP)? else {
        finish(s)?;
        return Ok(true);
    };
    let mut kept = Vec::new();
    ciborium::into_writer(&cursor, &mut kept).map_err(Fault::internal)?;
    meta::store(s.rows.tx, CURSOR, &kept)?;
    Ok(false)
}

fn finish(s: &mut Scope<'_, '_>) -> Result<()> {
    let check = s.facts.sealer.check_value().map_err(Fault::internal)?;
    meta::store(s.rows.tx, meta::CHECK_VALUE, &check)?;
    if let Some(sealed) = meta::load(s.rows.tx, meta::RESTORE_EPOCH)? {
        let epoch = restore::open_epoch(&s.facts.sealer, &sealed).map_err(Fault::internal)?;
        let sealed = restore::seal_epoch(&s.facts.sealer, epoch).map_err(Fault::internal)?;
        meta::store(s.rows.tx, meta::RESTORE_EPOCH, &sealed)?;
    }
    meta::forget(s.rows.tx, NEXT_CHECK_VALUE)?;
    meta::forget(s.rows.tx, CURSOR)?;
    s.audit(ACTOR, "end_master_key_rotation", DATABASE, "ok")
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::MasterKeyState::{OtherNewKey, Rotating, Settled, Unfinished, Wrong};
    use super::*;
    use crate::store::seal::MasterKey;

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_file_contents(&[byte; 32]).unwrap()
    }

    #[test]
    fn the_check_values_tell_which_keys_are_configured() {
        let value = |byte| Sealer::new(&key(byte)).check_value().unwrap();
        for (next, master, previous, state) in [
            (None, 1, None, Settled),
            (None, 2, None, Wrong),
            (None, 2, Some(1), Rotating),
            (None, 1, Some(2), Settled),
            (None, 2, Some(3), Wrong),
            (Some(2), 2, Some(1), Rotating),
            (Some(2), 2, None, Unfinished),
            (Some(2), 2, Some(3), Unfinished),
            (Some(2), 1, None, Unfinished),
            (Some(2), 1, Some(2), Unfinished),
            (Some(2), 3, Some(1), OtherNewKey),
            (Some(2), 3, None, Wrong),
        ] {
            let checks = Checks {
                current: value(1),
                next: next.map(value),
            };
            let sealer = match previous {
                Some(previous) => Sealer::rotating(&key(master), &key(previous)),
                None => Sealer::new(&key(master)),
            };
            assert_eq!(checks.state(&sealer), state, "{next:?} {master} {previous:?}");
        }
    }
}
