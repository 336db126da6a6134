//! What happens to an enrolled phone besides answering: suspended, resumed, revoked, replaced (protocol.md section 5).
//!
//! Invariant: nothing but an approval with PIN lets a suspended phone go on; support can end, never restore. A phone is replaced only
//! when the quarantine of the new one is over, and until then the old one may veto it (`newcomer`). A new phone that rests on the old
//! one's word alone takes its place only while the old one is active.

use paraphe_proto::ids::{ActivationId, DeviceId};

use super::own::{Own, raise_own, waiting};
use super::quota::require_share;
use super::{Scope, activation as activations, challenge, lift, pairwise, replacement};
use crate::domain::challenge::{Challenge, Purpose};
use crate::domain::device::{Cause, Device, ProvenPhone, State as DeviceState, Who, Word};
use crate::domain::fault::{self, Result};
use crate::domain::identity::PivotIdentity;
use crate::domain::relying_party::DAEMON;
use crate::domain::subject::Subject;
use crate::store;
use crate::store::record::Stored;
use crate::store::{activation, device};

/// Action of the built-in catalogue.
const RESUME: &str = "paraphe.resume";
/// Digits of a suspension code.
const CODE_DIGITS: u32 = 10;

/// Draws the suspension code of an activation: ten digits; and what is kept of it.
pub fn draw_code(s: &Scope<'_, '_>, id: &ActivationId) -> (String, [u8; 32]) {
    let number = u64::from_be_bytes(s.random()) % 10_u64.pow(CODE_DIGITS);
    let digits = format!("{number:010}");
    let hash = s.facts.keys.suspension_hash(id, &digits);
    let (head, tail) = digits.split_at(5);
    (format!("{head}-{tail}"), hash)
}

/// `Companion.Suspend`: the phone's holder stops it; no PIN is needed, as for a refusal. Where the phone is now.
///
/// # Errors
/// `device.*`.
pub fn suspend_own(s: &mut Scope<'_, '_>, proven: &ProvenPhone) -> Result<DeviceState> {
    let phone = s.proven_phone(proven)?;
    suspend(s, phone, &proven.device_id.to_string(), Cause::asked())
}

/// Stops a phone for somebody.
///
/// # Errors
/// `device.*`.
pub(super) fn suspend(
    s: &mut Scope<'_, '_>,
    mut phone: Stored<Device>,
    actor: &str,
    by: Cause,
) -> Result<DeviceState> {
    phone.suspend(s.now)?;
    let id = phone.id;
    let state = keep(s, phone, actor, "suspend_device", &by)?;
    replacement::withdraw(s, id, actor, &by)?;
    Ok(state)
}

/// Writes a phone that moved; what it could still have answered ends. Where it is now.
///
/// # Errors
/// Those of the store.
pub(super) fn keep(
    s: &mut Scope<'_, '_>,
    mut phone: Stored<Device>,
    actor: &str,
    verb: &str,
    by: &Cause,
) -> Result<DeviceState> {
    s.save_device(&mut phone, by)?;
    s.audit(actor, verb, phone.id, &by.outcome())?;
    end_pending(s, phone.id)?;
    Ok(phone.state)
}

/// Ends what waits for a phone that can no longer answer.
///
/// # Errors
/// Those of the store.
pub fn end_pending(s: &mut Scope<'_, '_>, id: DeviceId) -> Result<()> {
    for pending in store::challenge::pending_of_device(&mut s.rows, id)? {
        let state = pending.cut_short(s.now);
        challenge::conclude(s, pending, state, "paraphed")?;
    }
    Ok(())
}

/// `Companion.Resume`: raises the challenge on the suspended phone, or finds the one that waits there.
///
/// # Errors
/// `device.not_suspended`, `device.locked`, `device.expired`, `request.too_many`.
pub fn resume(s: &mut Scope<'_, '_>, proven: &ProvenPhone) -> Result<Challenge> {
    let phone = s.proven_phone(proven)?;
    phone.require_suspended()?;
    if let Some(waiting) = waiting(s, phone.id, |purpose| matches!(purpose, Purpose::Resume))? {
        return Ok(waiting);
    }
    require_share(s, &phone, fault::REQUESTS_EXHAUSTED)?;
    raise_own(
        s,
        Own {
            relying_party_id: DAEMON,
            action: RESUME,
            subject_id: phone.subject_id,
            device_id: phone.id,
            parameters: Vec::new(),
            lifetime_s: None,
            purpose: Purpose::Resume,
            enrolment: None,
            replacement: None,
        },
    )
}

/// The challenge was approved with PIN: the phone goes back to what it was.
///
/// # Errors
/// `device.not_suspended`; those of the store.
pub fn resumed(s: &mut Scope<'_, '_>, phone: &mut Stored<Device>) -> Result<()> {
    phone.resume()?;
    s.save_device(phone, &Cause::pin())?;
    s.audit(&phone.id.to_string(), "resume_device", phone.id, "pin")?;
    replacement::begin_quarantine_again(s, phone, &Cause::pin())
}

/// `Companion.Revoke`: the phone's holder gives it up for good.
///
/// # Errors
/// `device.*` where it has ended already.
pub fn revoke_own(s: &mut Scope<'_, '_>, proven: &ProvenPhone) -> Result<DeviceState> {
    let mut phone = s.proven_phone(proven)?;
    if !phone.is_confirmed() {
        phone.require_active()?;
    }
    phone.revoke(s.now);
    keep(
        s,
        phone,
        &proven.device_id.to_string(),
        "revoke_device",
        &Cause::asked(),
    )
}

/// `Enrolment.RevokeDevice`: a supervisor ends every phone of a person, and what was handed out for another, and says why.
///
/// # Errors
/// `subject.no_phone`, `subject.ambiguous`.
pub fn revoke(
    s: &mut Scope<'_, '_>,
    actor: &str,
    identity: &PivotIdentity,
    why: &str,
) -> Result<Vec<DeviceState>> {
    let people = pairwise::of_identity(s, identity)?;
    let born = |person: &Stored<Subject>| {
        let known = person.identity.as_ref();
        known.map(|known| known.birthplace.clone()).unwrap_or_default()
    };
    let other = |asked: &str| people.iter().any(|person| born(person) != asked);
    if people.len() > 1 || identity.birthplace().is_some_and(other) {
        return fault::SUBJECT_AMBIGUOUS.broken();
    }
    let (mut moved, mut handed_out) = (Vec::new(), 0);
    let by = Cause::new(Who::Supervisor, why);
    for person in people {
        for open in activation::open_of_subject(&mut s.rows, person.id)? {
            handed_out += 1;
            activations::end(s, open, actor, &by)?;
        }
        for mut phone in device::alive_of_subject(&mut s.rows, person.id)? {
            phone.revoke(s.now);
            moved.push(keep(s, phone, actor, "revoke_device", &by)?);
        }
    }
    match moved.is_empty() && handed_out == 0 {
        true => fault::NOTHING_TO_REVOKE.broken(),
        false => Ok(moved),
    }
}

/// A phone whose quarantine is over takes the place of the old one, which ends. One that rests on the old one's word waits on while the
/// old one is suspended, and is revoked instead where that has ended.
///
/// # Errors
/// Those of the store.
pub fn take_over(s: &mut Scope<'_, '_>, new: &mut Device) -> Result<()> {
    if replacement::waits_on(s, new)? {
        return Ok(());
    }
    let Some(replaced) = new.take_over(s.now) else {
        return Ok(());
    };
    if new.vouched_by.is_none() {
        lift::proofed(s, new.subject_id)?;
    } else if replacement::word_of(s, replaced)? != Word::Counts {
        tracing::warn!(device_id = %new.id, old = %replaced, "the phone that vouched for a new one is not active any more");
        new.revoke(s.now);
        return Ok(());
    }
    let Some(mut old) = device::load(&mut s.rows, replaced)?.filter(|old| old.is_alive()) else {
        return Ok(());
    };
    old.replace(s.now);
    let by = Cause::daemon(new.id.to_string());
    keep(s, old, "paraphed", "replace_device", &by).map(drop)
}
