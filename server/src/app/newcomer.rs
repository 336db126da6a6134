//! `Companion.Veto` and the newer phones of a person that do not count yet (protocol.md sections 5 to 5.3).
//!
//! Called by `history` for what a phone is shown, by `replacement`, and by an older phone itself. Invariant: a veto ends the newer phone
//! that its owner named, and never another one; without a name it ends the only one there is.

use paraphe_proto::ids::{DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;

use super::{Scope, life};
use crate::domain::device::{Before, Cause, Device, ProvenPhone, State, Who};
use crate::domain::fault::{self, Result};
use crate::store::device;
use crate::store::record::Stored;

/// A newer phone that an older one may veto.
pub struct Newcomer {
    /// The phone.
    pub phone: Stored<Device>,
    /// When it counts.
    pub at: Timestamp,
}

/// The newer phones that this one may veto: the one that would take its place first, then by when they count.
///
/// # Errors
/// Those of the store.
pub fn newcomers(s: &mut Scope<'_, '_>, phone: &Device) -> Result<Vec<Newcomer>> {
    let now = s.now;
    let alive = device::alive_of_subject(&mut s.rows, phone.subject_id)?;
    let mut found: Vec<Newcomer> = alive
        .into_iter()
        .filter_map(|other| {
            let at = waits_until(&other, now)?;
            is_newer(&other, phone).then_some(Newcomer { phone: other, at })
        })
        .collect();
    found.sort_by_key(|new| (new.phone.replaces != Some(phone.id), new.at, new.phone.id));
    Ok(found)
}

/// One that takes another's place waits also beyond its time: until it is resumed.
fn waits_until(other: &Device, now: Timestamp) -> Option<Timestamp> {
    match other.state {
        State::Quarantined { until }
        | State::Suspended {
            before: Before::Quarantined { until },
            ..
        } if other.replaces.is_some() || now < until => Some(until),
        _ => None,
    }
}

fn is_newer(other: &Device, phone: &Device) -> bool {
    other.replaces == Some(phone.id) || (other.id != phone.id && other.created_at >= phone.created_at)
}

/// The phone that is about to take the place of this one.
///
/// # Errors
/// Those of the store.
pub fn replacement_of(s: &mut Scope<'_, '_>, phone: &Device) -> Result<Option<Stored<Device>>> {
    let mut found = newcomers(s, phone)?.into_iter().map(|new| new.phone);
    Ok(found.find(|new| new.replaces == Some(phone.id)))
}

/// `Companion.Veto`: an older phone says that a newer one is not its owner's. Repeating it by name answers alike:
/// with the newer phone's state.
///
/// # Errors
/// `veto.ambiguous` without a name where there are several; `veto.unknown`, `device.no_replacement`, `device.*`.
pub fn veto(s: &mut Scope<'_, '_>, proven: &ProvenPhone, which: Option<DeviceId>) -> Result<State> {
    let phone = s.proven_phone(proven)?;
    phone.require_active()?;
    if let Some(state) = revoked(s, phone.subject_id, which)? {
        return Ok(state);
    }
    let mut new = meant(newcomers(s, &phone)?, which)?;
    tracing::warn!(device_id = %phone.id, vetoed = %new.id, "an older phone vetoed a newer one");
    new.revoke(s.now);
    let by = Cause::new(Who::OldPhone, "asked");
    life::keep(s, new, &phone.id.to_string(), "veto_replacement", &by)
}

fn revoked(s: &mut Scope<'_, '_>, person: SubjectId, which: Option<DeviceId>) -> Result<Option<State>> {
    let Some(id) = which else {
        return Ok(None);
    };
    let named = device::load(&mut s.rows, id)?.filter(|named| named.subject_id == person);
    let state = named.map(|named| named.state);
    Ok(state.filter(|state| matches!(state, State::Revoked { .. })))
}

fn meant(newcomers: Vec<Newcomer>, which: Option<DeviceId>) -> Result<Stored<Device>> {
    let listed: Vec<String> = newcomers.iter().map(|new| new.phone.id.to_string()).collect();
    let listed = format!("`device_id` is one of {}.", listed.join(", "));
    if newcomers.is_empty() {
        return fault::DEVICE_NO_REPLACEMENT.broken();
    }
    let mut meant = newcomers.into_iter().map(|new| new.phone);
    let mut meant = meant.by_ref().filter(|new| which.is_none_or(|id| id == new.id));
    match (meant.next(), meant.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(fault::VETO_AMBIGUOUS.fault().on("device_id").because(listed)),
        (None, _) => Err(fault::VETO_UNKNOWN.fault().on("device_id").because(listed)),
    }
}
