//! What time alone does: challenges and activations expire, quarantines end, devices lock. Bounded work per step.
//!
//! Called by `rpc::expire`. Invariant: a row that does not verify keeps nobody else's time from passing, unless as many as a step moves do
//! not.

use std::str::FromStr;

use paraphe_proto::ids::DeviceId;
use paraphe_proto::time::Timestamp;

use super::{Scope, challenge, life};
use crate::domain::activation::{self, Activation};
use crate::domain::challenge::{Challenge, State};
use crate::domain::device::{Cause, Device, State as DeviceState};
use crate::domain::ended::Event;
use crate::domain::fault::Result;
use crate::store;
use crate::store::record::{Record, StoreError, Stored};
use crate::store::{meta, operator};

/// Rows of each kind that one step moves.
const STEP: i64 = 200;

/// Something whose time is over, by the id that stands in the clear.
pub enum Overdue {
    /// A challenge that was not answered.
    Challenge(String),
    /// A phone that moves on.
    Device(String),
    /// An activation that was not used.
    Activation(String),
}

/// One step: everything in one transaction. A row that does not verify fails it as a whole: then [`one`] moves the others. Whether more may
/// be waiting.
///
/// # Errors
/// Those of the store.
pub fn sweep(s: &mut Scope<'_, '_>) -> Result<bool> {
    let overdue = overdue(s)?;
    let challenges = overdue.iter().filter(|one| matches!(one, Overdue::Challenge(_)));
    let more = i64::try_from(challenges.count()).is_ok_and(|count| count == STEP);
    for each in &overdue {
        one(s, each)?;
    }
    tidy(s)?;
    Ok(more)
}

/// What one step moves, in this order.
///
/// # Errors
/// Those of the database.
pub fn overdue(s: &mut Scope<'_, '_>) -> Result<Vec<Overdue>> {
    upto(s, STEP)
}

fn upto(s: &mut Scope<'_, '_>, limit: i64) -> Result<Vec<Overdue>> {
    let (now, rows) = (s.now, &mut s.rows);
    let challenges = store::challenge::overdue(rows, now, limit)?;
    let devices = store::device::due(rows, now, limit)?;
    let activations = store::activation::overdue(rows, now, limit)?;
    let challenges = challenges.into_iter().map(Overdue::Challenge);
    let devices = devices.into_iter().map(Overdue::Device);
    let activations = activations.into_iter().map(Overdue::Activation);
    Ok(challenges.chain(devices).chain(activations).collect())
}

/// Moves one of them, unless another one has moved it meanwhile.
///
/// # Errors
/// `store.tampered` for a row that does not verify; those of the store.
pub fn one(s: &mut Scope<'_, '_>, overdue: &Overdue) -> Result<()> {
    match overdue {
        Overdue::Challenge(id) => expire_challenge(s, id),
        Overdue::Device(id) => match store::device::load(&mut s.rows, named(id, Device::TABLE)?)? {
            Some(mut phone) if phone.due_at.is_some_and(|at| at <= s.now) => device(s, &mut phone),
            _ => Ok(()),
        },
        Overdue::Activation(id) => expire_activation(s, id),
    }
}

/// An id as it stands in the clear.
fn named<I: FromStr>(id: &str, table: &'static str) -> Result<I> {
    id.parse()
        .map_err(|_| StoreError::Tampered { table, column: "id" }.into())
}

fn expire_challenge(s: &mut Scope<'_, '_>, id: &str) -> Result<()> {
    let found = store::challenge::load(&mut s.rows, named(id, Challenge::TABLE)?)?;
    let at = s.now;
    match found {
        Some(found) if found.state.decided_at().is_none() && found.expires_at <= at => {
            challenge::conclude(s, found, State::Expired { at }, "paraphed").map(drop)
        }
        _ => Ok(()),
    }
}

fn expire_activation(s: &mut Scope<'_, '_>, id: &str) -> Result<()> {
    let found = store::activation::load(&mut s.rows, named(id, Activation::TABLE)?)?;
    let Some(mut overdue) = found.filter(|found| found.is_overdue(s.now)) else {
        return Ok(());
    };
    if let Some(id) = overdue.device_id() {
        revoke_unconfirmed(s, id, &Cause::daemon("not_confirmed"))?;
    }
    overdue.state = activation::State::Expired;
    s.rows.update(&mut overdue)?;
    s.audit("paraphed", "expire_activation", overdue.id, "ok")
}

/// The end of a step: sessions that are over, and the time.
///
/// # Errors
/// Those of the store.
pub fn tidy(s: &mut Scope<'_, '_>) -> Result<()> {
    operator::delete_ended_sessions(&mut s.rows, s.now)?;
    note_time(s)
}

/// Notes the time, once an hour in the security journal too: a database that is put back is then seen to be older.
fn note_time(s: &mut Scope<'_, '_>) -> Result<()> {
    let hour = |at: Timestamp| at.as_secs().div_euclid(3_600);
    if meta::last_seen(&mut s.rows)?.is_none_or(|at| hour(at) != hour(s.now)) {
        s.rows.tx.note(Event::At(s.now));
    }
    Ok(meta::note_seen(&mut s.rows, s.now)?)
}

/// Whether there is anything to do; read on a reader, so that an idle daemon writes nothing. No row is opened.
///
/// # Errors
/// Those of the database.
pub fn is_due(s: &mut Scope<'_, '_>) -> Result<bool> {
    let now = s.now;
    Ok(!upto(s, 1)?.is_empty() || meta::last_seen(&mut s.rows)?.is_none_or(|at| now.since_s(at) >= 60))
}

fn device(s: &mut Scope<'_, '_>, phone: &mut Stored<Device>) -> Result<()> {
    let before = phone.state;
    phone.settle(s.now, &s.facts.attempt_limits());
    life::take_over(s, phone)?;
    let why = match phone.state {
        DeviceState::Revoked { .. } => "old_phone_ended",
        _ => "rollback",
    };
    s.save_device(phone, &Cause::daemon(why))?;
    let verb = match phone.state {
        now if now == before => return Ok(()),
        DeviceState::Locked { .. } => "lock",
        DeviceState::Expired { .. } => "expire_device",
        DeviceState::Revoked { .. } => "revoke_device",
        DeviceState::Quarantined { .. } => "extend_quarantine",
        _ => "end_quarantine",
    };
    s.audit("paraphed", verb, phone.id, "ok")?;
    if !phone.is_alive() {
        life::end_pending(s, phone.id)?;
    }
    Ok(())
}

/// A device whose confirmation never came ends with its activation.
///
/// # Errors
/// Those of the store.
pub fn revoke_unconfirmed(s: &mut Scope<'_, '_>, id: DeviceId, by: &Cause) -> Result<()> {
    if let Some(mut phone) = store::device::load(&mut s.rows, id)?
        && phone.state == DeviceState::AwaitingConfirmation
    {
        phone.revoke(s.now);
        s.save_device(&mut phone, by)?;
    }
    Ok(())
}
