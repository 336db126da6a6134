//! `Enrolment.SuspendDevice`: a person has told their suspension code (protocol.md section 5).
//!
//! Invariant: a wrong code is counted in the transaction that refuses it, alike for an unknown person and one without a phone.

use paraphe_proto::ids::DeviceId;
use subtle::ConstantTimeEq;

use super::{Scope, life, pairwise, replacement};
use crate::domain::device::{Cause, Device, State as DeviceState, Who};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::identity::PivotIdentity;
use crate::domain::suspension::WrongCodes;
use crate::store::record::Stored;
use crate::store::{device, suspension};

const VERB: &str = "suspend_device";

/// What telling a code led to.
pub enum Told {
    /// It was right: the phone is stopped, and where it is now.
    Suspended(DeviceState),
    /// It was not looked at, or wrong, and that is stored.
    Refused(Fault),
}

/// Stops the phone that has this code.
///
/// # Errors
/// Those of the store. A wrong code and one too many are in [`Told::Refused`]: `suspension.refused`, alike for an unknown person, one
/// without a phone, and a wrong code; `suspension.too_many`, alike for a right code.
pub fn suspend_by_code(
    s: &mut Scope<'_, '_>,
    actor: &str,
    identity: &PivotIdentity,
    code: &str,
) -> Result<Told> {
    let lookup = s.facts.keys.lookup_hash(&identity.lookup_text());
    let bucket = WrongCodes::bucket_of(&lookup);
    let told = suspension::load(&mut s.rows, bucket)?;
    if let Some(Err(exhausted)) = told.as_ref().map(|told| told.require_left(s.now)) {
        return refused(s, actor, identity, exhausted);
    }
    let mut stopped = None;
    for id in of_code(s, identity, code)? {
        // The one before may have taken it with it.
        let Some(phone) = device::load(&mut s.rows, id)?.filter(|phone| phone.is_alive()) else {
            continue;
        };
        let state = stop(s, actor, phone)?;
        stopped.get_or_insert(state);
    }
    if let Some(state) = stopped {
        return Ok(Told::Suspended(state));
    }
    count(s, told, bucket)?;
    refused(s, actor, identity, fault::SUSPENSION_REFUSED.fault())
}

fn stop(s: &mut Scope<'_, '_>, actor: &str, mut phone: Stored<Device>) -> Result<DeviceState> {
    phone.settle(s.now, &s.facts.attempt_limits());
    let by = Cause::new(Who::Person, "suspension_code");
    if !matches!(phone.state, DeviceState::Suspended { .. }) {
        return life::suspend(s, phone, actor, by);
    }
    s.audit(actor, VERB, phone.id, "suspended_already")?;
    // A restore without the journal suspends both and withdraws nothing.
    replacement::withdraw(s, phone.id, actor, &by)?;
    Ok(phone.state)
}

/// Several have the same code: a phone and the one that it vouched for.
fn of_code(s: &mut Scope<'_, '_>, identity: &PivotIdentity, code: &str) -> Result<Vec<DeviceId>> {
    let limits = s.facts.attempt_limits();
    let mut found = Vec::new();
    for person in pairwise::namesakes(s, identity)? {
        for mut phone in device::alive_of_subject(&mut s.rows, person.id)? {
            phone.settle(s.now, &limits);
            if phone.is_confirmed() && has_code(s, &phone, code) {
                found.push(phone.id);
            }
        }
    }
    Ok(found)
}

fn has_code(s: &Scope<'_, '_>, phone: &Device, digits: &str) -> bool {
    let came_with = phone.suspension_of.as_ref().or(phone.activation_id.as_ref());
    let (Some(known), Some(id)) = (&phone.suspension, came_with) else {
        return false;
    };
    let given = s.facts.keys.suspension_hash(id, digits);
    known.0.ct_eq(&given).into()
}

fn count(s: &mut Scope<'_, '_>, told: Option<Stored<WrongCodes>>, bucket: u16) -> Result<()> {
    if let Some(mut told) = told {
        told.count(s.now);
        return Ok(s.rows.update(&mut told)?);
    }
    let mut first = WrongCodes::none(bucket);
    first.count(s.now);
    Ok(s.rows.insert(&first)?)
}

fn refused(s: &mut Scope<'_, '_>, actor: &str, identity: &PivotIdentity, fault: Fault) -> Result<Told> {
    let mark = s.facts.keys.person_mark(&identity.lookup_text());
    s.audit(actor, VERB, mark, fault.code())?;
    Ok(Told::Refused(fault))
}
