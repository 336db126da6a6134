//! What time alone does: challenges and activations expire, quarantines end, devices lock. Bounded work per step.

use super::{Scope, challenge, life};
use crate::domain::activation;
use crate::domain::challenge::{Challenge, State};
use crate::domain::device::State as DeviceState;
use crate::domain::fault::Result;
use crate::store;
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
            revoke_unconfirmed(s, id)?;
        }
        overdue.state = activation::State::Expired;
        s.rows.update(&mut overdue)?;
        s.audit("paraphed", "expire_activation", overdue.id, "ok")?;
    }
    operator::delete_ended_sessions(&mut s.rows, s.now)?;
    meta::note_seen(&mut s.rows, s.now)?;
    Ok(swept)
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

fn devices(s: &mut Scope<'_, '_>, swept: &mut Swept) -> Result<()> {
    let limits = s.facts.attempt_limits();
    for mut phone in store::device::due(&mut s.rows, s.now, STEP)? {
        phone.settle(s.now, &limits);
        swept.concluded.extend(life::take_over(s, &mut phone)?);
        s.save_device(&mut phone)?;
        let verb = match phone.state {
            DeviceState::Locked { .. } => "lock",
            DeviceState::Expired { .. } => "expire_device",
            _ => "end_quarantine",
        };
        s.audit("paraphed", verb, phone.id, "ok")?;
        if !phone.is_alive() {
            swept.concluded.extend(life::end_pending(s, phone.id)?);
        }
    }
    Ok(())
}

/// A device whose confirmation never came ends with its activation.
///
/// # Errors
/// Those of the store.
pub fn revoke_unconfirmed(s: &mut Scope<'_, '_>, id: paraphe_proto::ids::DeviceId) -> Result<()> {
    if let Some(mut phone) = store::device::load(&mut s.rows, id)?
        && phone.state == DeviceState::AwaitingConfirmation
    {
        phone.revoke(s.now);
        s.save_device(&mut phone)?;
    }
    Ok(())
}
