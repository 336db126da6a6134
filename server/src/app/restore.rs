//! `paraphed restore`, one step at a time (protocol.md section 4, rule 6): an older database is put back in service without reviving what
//! was ended since.
//!
//! Called by `cli::restore` on a database that nobody serves from. Invariants: each step may be run again after a crash and changes nothing
//! twice; while [`begin`] has been stored and [`end`] has not, the daemon does not start.

use paraphe_proto::ids::{CaseId, DeviceId, OperatorId, SubjectId};

use super::{Scope, activation, challenge, replacement};
use crate::domain::case::State as CaseState;
use crate::domain::device::{Cause, State};
use crate::domain::ended::{DeviceEnd, Ended, Event};
use crate::domain::fault::{Fault, Result};
use crate::domain::operator::Credential;
use crate::domain::subject::Block;
use crate::store::journal::Position;
use crate::store::seal::{SealError, Sealer};
use crate::store::{self, case, device, meta, operator, subject};

const ACTOR: &str = "paraphed";
/// Rows that one step looks at.
const STEP: i64 = 1_000;
/// By how much verdict numbers jump, so that no backend waits behind a cursor of verdicts that are lost.
const VERDICT_JUMP: i64 = 1 << 32;
const EPOCH_TABLE: &str = "meta";

/// The number of declared restores that a database keeps.
///
/// # Errors
/// [`SealError::Tampered`].
pub fn open_epoch(sealer: &Sealer, sealed: &[u8]) -> std::result::Result<u64, SealError> {
    let opened = sealer.open(EPOCH_TABLE, meta::RESTORE_EPOCH, 0, sealed)?;
    let bytes: Option<[u8; 8]> = opened.as_slice().try_into().ok();
    let bytes = bytes.ok_or_else(|| SealError::Tampered {
        table: EPOCH_TABLE.to_owned(),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// The same, to be kept.
///
/// # Errors
/// [`SealError`].
pub fn seal_epoch(sealer: &Sealer, epoch: u64) -> std::result::Result<Vec<u8>, SealError> {
    sealer.seal(EPOCH_TABLE, meta::RESTORE_EPOCH, 0, &epoch.to_be_bytes())
}

/// The first step: from here on the daemon does not start until the restore has ended.
///
/// # Errors
/// Those of the store.
pub fn begin(s: &mut Scope<'_, '_>, epoch: u64) -> Result<()> {
    let sealed = seal_epoch(&s.facts.sealer, epoch).map_err(Fault::internal)?;
    meta::store(s.rows.tx, meta::RESTORE_EPOCH, &sealed)?;
    meta::store(s.rows.tx, meta::RESTORING, &epoch.to_be_bytes())?;
    Ok(())
}

/// Carries out what the security journal says; whether that changed anything.
///
/// # Errors
/// Those of the store.
pub fn carry_out(s: &mut Scope<'_, '_>, event: &Event) -> Result<bool> {
    let (verb, target, changed) = match event {
        Event::Ended(Ended::Device {
            id, end, pin_epoch, ..
        }) => {
            let verb = match end {
                Some(DeviceEnd::Locked) => "lock_again",
                Some(DeviceEnd::Suspended | DeviceEnd::RollbackNoticed) => "suspend_again",
                Some(DeviceEnd::Revoked) => "revoke_again",
                Some(DeviceEnd::Replaced) => "replace_again",
                None => "move_epoch_again",
            };
            (verb, id.to_string(), end_device(s, *id, *end, *pin_epoch)?)
        }
        Event::Ended(Ended::Operator { id }) => (
            "disable_operator_again",
            id.to_string(),
            disable_operator(s, *id)?,
        ),
        Event::Ended(Ended::Case { id }) => ("reject_again", id.to_string(), reject(s, *id)?),
        Event::Ended(ended @ (Ended::Block { subject_id, .. } | Ended::Frozen { subject_id, .. })) => {
            ("block_again", subject_id.to_string(), bar(s, ended)?)
        }
        Event::Lifted(Ended::Block {
            subject_id,
            relying_party_id,
            ..
        }) => {
            let lifted = unblock(s, *subject_id, relying_party_id)?;
            ("lift_again", subject_id.to_string(), lifted)
        }
        Event::Lifted(Ended::Frozen { subject_id, .. }) => {
            ("lift_again", subject_id.to_string(), thaw(s, *subject_id)?)
        }
        Event::Lifted(Ended::Device { id, pin_epoch, .. }) => (
            "resume_again",
            id.to_string(),
            end_device(s, *id, None, *pin_epoch)?,
        ),
        // Nothing else that ended has ever come back.
        Event::Lifted(_) | Event::RestoreEpoch(_) | Event::At(_) => return Ok(false),
    };
    if changed {
        s.audit(ACTOR, verb, target, "ok")?;
    }
    Ok(changed)
}

/// Notes what the journal says of a phone's last PIN attempt: made since the backup, or credited again. [`cut`] heeds what is left of it.
///
/// # Errors
/// Those of the store.
pub fn note_last_try(s: &mut Scope<'_, '_>, event: &Event) -> Result<()> {
    let (id, lost) = match event {
        Event::Ended(Ended::Device { id, last_try, .. }) => (*id, *last_try),
        Event::Lifted(Ended::Device { id, .. }) => (*id, false),
        _ => return Ok(()),
    };
    let Some(mut phone) = device::load(&mut s.rows, id)? else {
        return Ok(());
    };
    match phone.is_alive() && phone.attempts.lose_last(lost) {
        true => s.save_device(&mut phone, &Cause::daemon("restore")),
        false => Ok(()),
    }
}

/// A device that came into being after the backup is not there: it has ended with it.
fn end_device(s: &mut Scope<'_, '_>, id: DeviceId, end: Option<DeviceEnd>, pin_epoch: u64) -> Result<bool> {
    let now = s.now;
    let Some(mut phone) = device::load(&mut s.rows, id)? else {
        return Ok(false);
    };
    let was_suspended = matches!(phone.state, State::Suspended { .. });
    let changed = phone.end_again(end, pin_epoch, now);
    if changed {
        let by = Cause::daemon("restore");
        s.save_device(&mut phone, &by)?;
        if was_suspended && phone.require_active().is_ok() {
            // The veto has a whole quarantine again, as it had when the phone was resumed.
            replacement::begin_quarantine_again(s, &phone, &by)?;
        }
    }
    Ok(changed)
}

fn disable_operator(s: &mut Scope<'_, '_>, id: OperatorId) -> Result<bool> {
    for session in operator::sessions_of(&mut s.rows, id)? {
        s.rows.delete(session)?;
    }
    match operator::load(&mut s.rows, id)? {
        Some(mut found) if !found.disabled => {
            found.disabled = true;
            s.rows.update(&mut found)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn reject(s: &mut Scope<'_, '_>, id: CaseId) -> Result<bool> {
    match case::load(&mut s.rows, id)? {
        Some(mut open) if !matches!(open.state, CaseState::Rejected | CaseState::Enrolled(..)) => {
            open.state = CaseState::Rejected;
            s.rows.update(&mut open)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn bar(s: &mut Scope<'_, '_>, ended: &Ended) -> Result<bool> {
    match ended {
        Ended::Block {
            subject_id,
            relying_party_id,
            since,
        } => {
            let known = subject::blocks(&mut s.rows, *subject_id)?;
            let is_new = !known
                .iter()
                .any(|block| block.relying_party_id == *relying_party_id);
            if is_new {
                s.rows.insert(&Block {
                    subject_id: *subject_id,
                    relying_party_id: relying_party_id.clone(),
                    since: *since,
                })?;
            }
            Ok(is_new)
        }
        Ended::Frozen { subject_id, since } => match subject::load(&mut s.rows, *subject_id)? {
            Some(mut person) if person.frozen_at.is_none() => {
                person.frozen_at = Some(*since);
                s.rows.update(&mut person)?;
                Ok(true)
            }
            _ => Ok(false),
        },
        _ => Ok(false),
    }
}

fn unblock(s: &mut Scope<'_, '_>, subject_id: SubjectId, relying_party_id: &str) -> Result<bool> {
    let mut known = subject::blocks(&mut s.rows, subject_id)?;
    known.retain(|block| block.relying_party_id == relying_party_id);
    let lifted = !known.is_empty();
    for block in known {
        s.rows.delete(block)?;
    }
    Ok(lifted)
}

fn thaw(s: &mut Scope<'_, '_>, subject_id: SubjectId) -> Result<bool> {
    match subject::load(&mut s.rows, subject_id)? {
        Some(mut person) if person.frozen_at.is_some() => {
            person.frozen_at = None;
            s.rows.update(&mut person)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// What a step over devices did.
#[derive(Default)]
pub struct Cut {
    /// Cut to one attempt.
    pub cut: u64,
    /// Suspended.
    pub suspended: u64,
    /// Never confirmed, and revoked.
    pub revoked: u64,
    /// Locked: the last attempt was made since the backup.
    pub locked: u64,
    /// Where the next step begins; `None` at the end.
    pub next: Option<DeviceId>,
}

/// Cuts the devices after `after` to one attempt, or to none, and suspends them where the journal is missing.
///
/// # Errors
/// Those of the store.
pub fn cut(s: &mut Scope<'_, '_>, after: Option<DeviceId>, suspend: bool) -> Result<Cut> {
    let (limits, now) = (s.facts.attempt_limits(), s.now);
    let step = device::alive_after(&mut s.rows, after, STEP)?;
    let mut done = Cut::default();
    if i64::try_from(step.len()).is_ok_and(|count| count == STEP) {
        done.next = step.last().map(|phone| phone.id);
    }
    for mut phone in step {
        phone.cut(now, &limits);
        match phone.is_alive() {
            false if phone.attempts.is_last_lost() => {
                s.audit(ACTOR, "lock_again", phone.id, "last_try")?;
                done.locked += 1;
            }
            false => done.revoked += 1,
            true if suspend => {
                // One that is suspended already stays so.
                let _ = phone.suspend(now);
                done.suspended += 1;
            }
            true => done.cut += 1,
        }
        s.save_device(&mut phone, &Cause::daemon("restore"))?;
    }
    Ok(done)
}

/// Voids what was handed out and not used; how many, 0 at the end.
///
/// # Errors
/// Those of the store.
pub fn void_activations(s: &mut Scope<'_, '_>) -> Result<u64> {
    let open = store::activation::open(&mut s.rows, STEP)?;
    let count = open.len() as u64;
    for found in open {
        activation::end(s, found, ACTOR, &Cause::daemon("restore"))?;
    }
    Ok(count)
}

/// Ends what is pending; how many, 0 at the end.
///
/// # Errors
/// Those of the store.
pub fn void_challenges(s: &mut Scope<'_, '_>) -> Result<u64> {
    let pending = store::challenge::pending(&mut s.rows, STEP)?;
    let count = pending.len() as u64;
    for found in pending {
        let state = found.cut_short(s.now);
        challenge::conclude(s, found, state, ACTOR)?;
    }
    Ok(count)
}

/// Ends all sessions; verdict numbers jump over those that were given out since the backup.
///
/// # Errors
/// Those of the store.
pub fn end_sessions(s: &mut Scope<'_, '_>) -> Result<u64> {
    let jump = "UPDATE verdict_sequence SET last_number = last_number + $1";
    s.rows.tx.execute(jump, &[VERDICT_JUMP.into()])?;
    Ok(s.rows.tx.execute("DELETE FROM session", &[])?)
}

/// Without the journal nobody knows which service accounts were disabled: all of them are. How many.
///
/// # Errors
/// Those of the store.
pub fn disable_services(s: &mut Scope<'_, '_>) -> Result<u64> {
    let mut count = 0;
    for mut found in operator::list(&mut s.rows)? {
        if !found.disabled && matches!(found.credential, Credential::Key { .. }) {
            found.disabled = true;
            s.rows.update(&mut found)?;
            s.audit(ACTOR, "disable_operator", found.id, "without_journal")?;
            count += 1;
        }
    }
    Ok(count)
}

/// The last step: the database takes its place in the journal, and may be served from.
///
/// # Errors
/// Those of the store.
pub fn end(s: &mut Scope<'_, '_>, place: &Position, epoch: u64, outcome: &str) -> Result<()> {
    s.audit(ACTOR, "restore", format!("epoch {epoch}"), outcome)?;
    meta::store_place(s.rows.tx, place)?;
    meta::forget(s.rows.tx, meta::COPIED_AT)?;
    meta::forget(s.rows.tx, meta::RESTORING)?;
    Ok(meta::note_seen(&mut s.rows, s.now)?)
}
