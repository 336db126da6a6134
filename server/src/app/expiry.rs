//! What time alone does: challenges and activations expire, quarantines end, devices lock. Bounded work per step.

use paraphe_proto::ids::DeviceId;
use paraphe_proto::time::Timestamp;

use super::{Scope, challenge, life};
use crate::domain::activation;
use crate::domain::challenge::{Challenge, State};
use crate::domain::device::{Cause, Device, State as DeviceState};
use crate::domain::ended::Event;
use crate::domain::fault::Result;
use crate::store;
use crate::store::record::Stored;
use crate::store::{meta, operator};

/// Rows of each kind that one step moves.
const STEP: i64 = 200;

/// What one step did.
#[derive(Default)]
pub struct Swept {
    /// Challenges that became final: their watchers are woken.
    pub concluded: Vec<Challenge>,
    /// Whether more may be waiting.
    pub more: bool,
}

/// One step.
///
/// # Errors
/// Those of the store.
pub fn sweep(s: &mut Scope<'_, '_>) -> Result<Swept> {
    let mut swept = Swept::default();
    let overdue = store::challenge::overdue(&mut s.rows, s.now, STEP)?;
    swept.more = i64::try_from(overdue.len()).is_ok_and(|count| count == STEP);
    for stored in overdue {
        let at = s.now;
        let concluded = challenge::conclude(s, stored, State::Expired { at }, "paraphed")?;
        swept.concluded.push(concluded.record);
    }
    devices(s, &mut swept)?;
    for mut overdue in store::activation::overdue(&mut s.rows, s.now, STEP)? {
        if let Some(id) = overdue.device_id() {
            revoke_unconfirmed(s, id, &Cause::daemon("not_confirmed"))?;
        }
        overdue.state = activation::State::Expired;
        s.rows.update(&mut overdue)?;
        s.audit("paraphed", "expire_activation", overdue.id, "ok")?;
    }
    operator::delete_ended_sessions(&mut s.rows, s.now)?;
    note_time(s)?;
    Ok(swept)
}

/// Notes the time, once an hour in the security journal too: a database that is put back is then seen to be older.
fn note_time(s: &mut Scope<'_, '_>) -> Result<()> {
    let hour = |at: Timestamp| at.as_secs().div_euclid(3_600);
    if meta::last_seen(&mut s.rows)?.is_none_or(|at| hour(at) != hour(s.now)) {
        s.rows.tx.note(Event::At(s.now));
    }
    Ok(meta::note_seen(&mut s.rows, s.now)?)
}

/// Whether [`sweep`] has anything to do; read on a reader, so that an idle daemon writes nothing.
///
/// # Errors
/// Those of the store.
pub fn is_due(s: &mut Scope<'_, '_>) -> Result<bool> {
    Ok(!store::challenge::overdue(&mut s.rows, s.now, 1)?.is_empty()
        || !store::device::due(&mut s.rows, s.now, 1)?.is_empty()
        || !store::activation::overdue(&mut s.rows, s.now, 1)?.is_empty()
        || meta::last_seen(&mut s.rows)?.is_none_or(|at| s.now.since_s(at) >= 60))
}

/// Each is read when its turn comes: an earlier one may have ended it.
fn devices(s: &mut Scope<'_, '_>, swept: &mut Swept) -> Result<()> {
    let due: Vec<DeviceId> = store::device::due(&mut s.rows, s.now, STEP)?
        .iter()
        .map(|phone| phone.id)
        .collect();
    for id in due {
        let Some(mut phone) = store::device::load(&mut s.rows, id)? else {
            continue;
        };
        if phone.due_at.is_some_and(|at| at <= s.now) {
            swept.concluded.extend(device(s, &mut phone)?);
        }
    }
    Ok(())
}

fn device(s: &mut Scope<'_, '_>, phone: &mut Stored<Device>) -> Result<Vec<Challenge>> {
    let before = phone.state;
    phone.settle(s.now, &s.facts.attempt_limits());
    let mut ended = life::take_over(s, phone)?;
    let why = match phone.state {
        DeviceState::Revoked { .. } => "old_phone_ended",
        _ => "rollback",
    };
    s.save_device(phone, &Cause::daemon(why))?;
    let verb = match phone.state {
        now if now == before => return Ok(ended),
        DeviceState::Locked { .. } => "lock",
        DeviceState::Expired { .. } => "expire_device",
        DeviceState::Revoked { .. } => "revoke_device",
        DeviceState::Quarantined { .. } => "extend_quarantine",
        _ => "end_quarantine",
    };
    s.audit("paraphed", verb, phone.id, "ok")?;
    if !phone.is_alive() {
        ended.extend(life::end_pending(s, phone.id)?);
    }
    Ok(ended)
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
