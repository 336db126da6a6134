//! `Companion.Replace` and `ConfirmReplacement`: a new phone takes the place of an old one by an approval on the old one, without a
//! clerk (protocol.md section 5).
//!
//! Invariants: a new phone counts only once the PIN of the old one approved a challenge that names the new phone's keys, and then only
//! after its quarantine, if the old one is still active then; it has the old one's level, document and suspension code.

use paraphe_proto::activation::ActivationSecret;
use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, DeviceId};
use paraphe_proto::statements::{self, REPLACE_ACTION};

use super::activation::{self as activations, Issue, Issued};
use super::newcomer::replacement_of;
use super::own::{Own, raise_own, supersede, waiting};
use super::quota::{Quota, require_share};
use super::raise::Vouched;
use super::{Scope, expiry, life};
use crate::config::{ChannelName, ChannelProfile};
use crate::domain::activation::{Activation, State};
use crate::domain::challenge::{Challenge, Purpose};
use crate::domain::device::{Cause, Device, ProvenPhone, Who, Word};
use crate::domain::digest::sha256;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::relying_party::DAEMON;
use crate::store::challenge::{DAY_S, TEN_MINUTES_S};
use crate::store::record::Stored;
use crate::store::{activation, device, subject};

/// Quarantine of a new phone where handing over has been closed since.
const CLOSED_QUARANTINE_S: i64 = 3 * DAY_S;

/// `Replace`: draws the secret of an activation whose phone may take the place of this one. What this phone handed out before ends; what
/// a clerk handed out stays.
///
/// # Errors
/// `replacement.*`, `device.*`, `request.too_many`.
pub fn replace(s: &mut Scope<'_, '_>, proven: &ProvenPhone) -> Result<Issued> {
    let phone = s.proven_phone(proven)?;
    phone.require_active()?;
    let profile = profile(s)?;
    if phone.acr > profile.acr {
        let detail = format!("Here it is at most `{}`.", profile.acr.as_str());
        return Err(fault::REPLACEMENT_LEVEL.fault().because(detail));
    }
    if subject::load(&mut s.rows, phone.subject_id)?.is_none_or(|person| person.identity.is_none()) {
        return fault::REPLACEMENT_STAFF.broken();
    }
    require_none_pending(s, &phone)?;
    require_few(s, &phone, i64::from(profile.activation_lifetime_s))?;
    let is_one = |purpose: &Purpose| matches!(purpose, Purpose::Replace { .. });
    supersede(s, &phone, is_one, &phone.id.to_string())?;
    let actor = phone.id.to_string();
    for earlier in activation::open_of_subject(&mut s.rows, phone.subject_id)? {
        if earlier.vouched_by == Some(phone.id) {
            activations::end(s, earlier, &actor, &Cause::daemon("superseded"))?;
        }
    }
    let secret = ActivationSecret::random(&mut s.rng());
    let issue = Issue {
        subject_id: phone.subject_id,
        case_id: None,
        channel: ChannelName::OwnPhone,
        issued_by: &actor,
        signature: None,
        replaces: true,
        replaced: Some(phone.id),
        vouched_by: Some(&phone),
    };
    activations::issue(s, secret, issue)
}

fn profile<'a>(s: &Scope<'a, '_>) -> Result<&'a ChannelProfile> {
    let profile = s.facts.config.channels.profile(ChannelName::OwnPhone);
    profile.ok_or_else(|| fault::REPLACEMENT_CLOSED.fault())
}

fn require_none_pending(s: &mut Scope<'_, '_>, phone: &Device) -> Result<()> {
    match replacement_of(s, phone)? {
        Some(_) => fault::REPLACEMENT_PENDING.broken(),
        None => Ok(()),
    }
}

/// A possession key alone may hand out no more than the daemon asks on one phone.
fn require_few(s: &mut Scope<'_, '_>, phone: &Device, lifetime_s: i64) -> Result<()> {
    let quota = Quota::of_the_daemon(s);
    for (window_s, most) in [(TEN_MINUTES_S, quota.per_10_min), (DAY_S, quota.per_day)] {
        let since = s.now.plus_s(lifetime_s.saturating_sub(window_s));
        let recent = activation::ending_after(&mut s.rows, phone.subject_id, since)?;
        let own = recent.iter().filter(|one| one.vouched_by == Some(phone.id));
        if u32::try_from(own.count()).unwrap_or(u32::MAX) >= most {
            return Err(fault::REQUESTS_EXHAUSTED.fault().retry_after(window_s));
        }
    }
    Ok(())
}

/// The phone that handed an activation out, as long as its word counts.
///
/// # Errors
/// `activation.revoked` once that phone is not active any more.
pub fn voucher(s: &mut Scope<'_, '_>, id: DeviceId) -> Result<Stored<Device>> {
    let phone = active(s, id)?;
    phone.ok_or_else(|| fault::ACTIVATION_REVOKED.fault())
}

/// What the word of a phone is worth when the quarantine of the one that rests on it is over.
///
/// # Errors
/// Those of the store.
pub fn word_of(s: &mut Scope<'_, '_>, id: DeviceId) -> Result<Word> {
    let Some(mut phone) = device::load(&mut s.rows, id)? else {
        return Ok(Word::Gone);
    };
    phone.settle(s.now, &s.facts.attempt_limits());
    Ok(phone.word())
}

/// Whether a new phone whose quarantine is over waits for the old one, which is suspended; its quarantine begins again then.
///
/// # Errors
/// Those of the store.
pub fn waits_on(s: &mut Scope<'_, '_>, new: &mut Device) -> Result<bool> {
    let Some(old) = new
        .vouched_by
        .filter(|_| new.replaces.is_some() && new.has_waited(s.now))
    else {
        return Ok(false);
    };
    let waits = word_of(s, old)? == Word::Waits;
    if waits {
        new.begin_quarantine_again(s.now, quarantine_s(s));
    }
    Ok(waits)
}

/// An old phone goes on: the one that it handed over to begins its quarantine again, in which the old one can veto it.
///
/// # Errors
/// Those of the store.
pub fn begin_quarantine_again(s: &mut Scope<'_, '_>, old: &Device, by: &Cause) -> Result<()> {
    let new = replacement_of(s, old)?;
    let Some(mut new) = new.filter(|new| new.vouched_by == Some(old.id)) else {
        return Ok(());
    };
    new.begin_quarantine_again(s.now, quarantine_s(s));
    s.save_device(&mut new, by)?;
    s.audit(&old.id.to_string(), "extend_quarantine", new.id, "resume_device")
}

fn quarantine_s(s: &Scope<'_, '_>) -> i64 {
    let profile = s.facts.config.channels.profile(ChannelName::OwnPhone);
    profile.map_or(CLOSED_QUARANTINE_S, |profile| i64::from(profile.quarantine_s))
}

/// A phone that stops takes with it what rests on its word alone: the new phone in its quarantine, and what it handed out. Whoever
/// resumes it, with the PIN that a thief may know, does not bring them back.
///
/// # Errors
/// Those of the store.
pub fn withdraw(s: &mut Scope<'_, '_>, id: DeviceId, actor: &str, by: &Cause) -> Result<()> {
    let Some(old) = device::load(&mut s.rows, id)? else {
        return Ok(());
    };
    // The new phone itself has asked for nothing.
    let by = match by.who {
        Who::OwnPhone => Cause::daemon("old_phone_ended"),
        _ => by.clone(),
    };
    for handed_out in activation::open_of_subject(&mut s.rows, old.subject_id)? {
        if handed_out.vouched_by == Some(id) {
            activations::end(s, handed_out, actor, &by)?;
        }
    }
    match replacement_of(s, &old)? {
        Some(mut new) if new.vouched_by == Some(id) => {
            new.revoke(s.now);
            life::keep(s, new, actor, "revoke_device", &by).map(drop)
        }
        _ => Ok(()),
    }
}

fn active(s: &mut Scope<'_, '_>, id: DeviceId) -> Result<Option<Stored<Device>>> {
    let mut phone = device::load(&mut s.rows, id)?;
    if let Some(phone) = &mut phone {
        phone.settle(s.now, &s.facts.attempt_limits());
    }
    Ok(phone.filter(|phone| phone.require_active().is_ok()))
}

/// `ConfirmReplacement`: asks the old phone's holder for the six digits of the new phone, and for the PIN; or finds that question again.
///
/// # Errors
/// `activation.*`, `device.*`, `replacement.pending`, `request.too_many`.
pub fn ask(s: &mut Scope<'_, '_>, proven: &ProvenPhone, id: ActivationId) -> Result<Challenge> {
    let phone = s.proven_phone(proven)?;
    phone.require_active()?;
    let (found, new) = confirmable(s, &phone, id)?;
    let State::AwaitingConfirmation { sas, .. } = &found.state else {
        return Err(found.at_another_step());
    };
    let same =
        |purpose: &Purpose| matches!(purpose, Purpose::Replace { activation_id } if *activation_id == id);
    if let Some(waiting) = waiting(s, phone.id, same)? {
        return Ok(waiting);
    }
    require_share(s, &phone, fault::REQUESTS_EXHAUSTED)?;
    let wait = waits(profile(s)?.quarantine_s);
    raise_own(
        s,
        Own {
            relying_party_id: DAEMON,
            action: REPLACE_ACTION,
            subject_id: phone.subject_id,
            device_id: phone.id,
            parameters: vec![("level", new.acr.as_str()), ("wait", &wait)],
            lifetime_s: None,
            purpose: Purpose::Replace { activation_id: id },
            enrolment: None,
            replacement: Some(Vouched {
                phone: statements::Replacement {
                    activation_id: id,
                    device_id: new.id,
                    activation_sha256: B64(sha256(&new.activation)),
                },
                digits: sas.clone(),
            }),
        },
    )
}

fn waits(quarantine_s: u32) -> String {
    match (quarantine_s / 3_600, quarantine_s % 3_600) {
        (hours, 0) => format!("{hours} h"),
        _ => format!("{} min", quarantine_s.div_ceil(60)),
    }
}

/// The activation that this phone handed out, and the new phone that waits for its digits.
fn confirmable(
    s: &mut Scope<'_, '_>,
    old: &Device,
    id: ActivationId,
) -> Result<(Stored<Activation>, Stored<Device>)> {
    let found = activation::load(&mut s.rows, id)?.filter(|found| found.vouched_by == Some(old.id));
    let found = found.ok_or_else(|| fault::ACTIVATION_NOT_FOUND.fault())?;
    require_not_mistyped(&found)?;
    found.require_alive(s.now)?;
    require_none_pending(s, old)?;
    let State::AwaitingConfirmation { device_id, .. } = found.state else {
        return Err(found.at_another_step());
    };
    let new = device::load(&mut s.rows, device_id)?;
    let new = new.ok_or_else(|| Fault::internal("an activation without its device"))?;
    Ok((found, new))
}

/// Only the phone that handed it out asks, so nobody else learns of it.
fn require_not_mistyped(found: &Activation) -> Result<()> {
    match (&found.state, found.tries_left()) {
        (State::Revoked, 0) => {
            let detail = "Wrong digits were typed three times, which ended it and the new phone: hand out another one.";
            Err(fault::ACTIVATION_REVOKED.fault().because(detail))
        }
        _ => Ok(()),
    }
}

/// Whether the old phone's yes still counts; nothing to say of challenges about something else.
///
/// # Errors
/// `activation.*`, `replacement.*`; the PIN was right all the same.
pub fn require_confirmable(s: &mut Scope<'_, '_>, old: &Device, purpose: &Purpose) -> Result<()> {
    let Purpose::Replace { activation_id } = purpose else {
        return Ok(());
    };
    profile(s)?;
    confirmable(s, old, *activation_id).map(drop)
}

/// The old phone's holder has approved: the new phone's quarantine begins.
///
/// # Errors
/// Those of [`require_confirmable`], `document.expired`.
pub fn confirm(s: &mut Scope<'_, '_>, old: &Device, id: ActivationId) -> Result<()> {
    let (mut found, mut new) = confirmable(s, old, id)?;
    new.replaces = Some(old.id);
    new.confirm(s.now, i64::from(profile(s)?.quarantine_s))?;
    life::take_over(s, &mut new)?;
    found.confirm()?;
    s.save_device(&mut new, &Cause::new(Who::OldPhone, "pin"))?;
    s.rows.update(&mut found)?;
    s.audit(&old.id.to_string(), "confirm_replacement", new.id, "ok")?;
    tracing::info!(device_id = %old.id, new = %new.id, "an old phone lets a new one take its place");
    Ok(())
}

/// The digits were wrong: three times, and the activation ends with its phone.
///
/// # Errors
/// Those of the store.
pub fn wrong_digits(s: &mut Scope<'_, '_>, asked: &Challenge) -> Result<()> {
    let Some(mut found) = asked_about(s, asked)? else {
        return Ok(());
    };
    let new = found.device_id();
    found.wrong_digits();
    if let (State::Revoked, Some(new)) = (&found.state, new) {
        expiry::revoke_unconfirmed(s, new, &Cause::daemon("wrong_digits"))?;
    }
    s.rows.update(&mut found)?;
    let actor = asked.device_id.to_string();
    s.audit(&actor, "confirm_replacement", found.id, fault::SAS_WRONG.code)
}

/// The old phone's holder said no: the activation ends with its phone.
///
/// # Errors
/// Those of the store.
pub fn refused(s: &mut Scope<'_, '_>, asked: &Challenge) -> Result<()> {
    match asked_about(s, asked)? {
        Some(found) => {
            let by = Cause::new(Who::OldPhone, "asked");
            activations::end(s, found, &asked.device_id.to_string(), &by)
        }
        None => Ok(()),
    }
}

/// The activation that a challenge is about, while it waits for the digits.
fn asked_about(s: &mut Scope<'_, '_>, asked: &Challenge) -> Result<Option<Stored<Activation>>> {
    let Purpose::Replace { activation_id } = asked.purpose else {
        return Ok(None);
    };
    let found = activation::load(&mut s.rows, activation_id)?;
    Ok(found.filter(|found| matches!(found.state, State::AwaitingConfirmation { .. })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_said_in_hours_or_minutes_never_too_short() {
        for (seconds, said) in [(0, "0 h"), (259_200, "72 h"), (3_601, "61 min"), (90, "2 min")] {
            assert_eq!(waits(seconds), said);
        }
    }
}
