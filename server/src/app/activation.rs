//! Activations as operators see them: issue, end, view, confirm; `phone` has the phone's side (protocol.md section 5).

use paraphe_proto::activation::{ActivationSecret, ActivationUri};
use paraphe_proto::ids::{ActivationId, CaseId, DeviceId, SubjectId};
use paraphe_proto::sas::Sas;
use paraphe_proto::time::Timestamp;

use super::{Scope, expiry, life, lift, replacement, room};
use crate::config::{ChannelName, ChannelProfile};
use crate::domain::activation::{Activation, Signature, State};
use crate::domain::device::{Cause, Device, KeyStorage, State as DeviceState, Who};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::operator::Operator;
use crate::domain::secret::{Bytes, Secret};
use crate::store::record::Stored;
use crate::store::{activation, case, challenge, device, operator};

mod attested;
mod phone;

pub use attested::{Refused, key_storage};
pub use phone::{Finished, Stated, begin, evaluate, finish, proof_key};

/// PIN epoch of a new device.
pub const FIRST_EPOCH: u64 = 1;

/// What the operator is shown, once.
pub struct Issued {
    /// Derived from the secret.
    pub id: ActivationId,
    /// For typing.
    pub code: String,
    /// Content of the QR code.
    pub uri: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// With which the person suspends the phone from afar; none for an operator's phone.
    pub suspension_code: Option<String>,
}

/// For whom an activation is issued, and by whom.
pub struct Issue<'a> {
    /// The person.
    pub subject_id: SubjectId,
    /// The case behind it; `None` for an operator's phone.
    pub case_id: Option<CaseId>,
    /// Its channel.
    pub channel: ChannelName,
    /// Actor.
    pub issued_by: &'a str,
    /// The clerk's signature that it waits for; `None` where none is asked for.
    pub signature: Option<Signature>,
    /// Whether the new phone takes the place of the one that the person has.
    pub replaces: bool,
    /// Which phone, where it is named.
    pub replaced: Option<DeviceId>,
    /// The phone that hands it out; `None` where an operator does.
    pub vouched_by: Option<&'a Device>,
}

/// Hands out the single-use secret. Where an operator does, and no signature is waited for, earlier open ones of the same person end.
///
/// # Errors
/// Those of the store.
pub fn issue(s: &mut Scope<'_, '_>, secret: ActivationSecret, issue: Issue<'_>) -> Result<Issued> {
    if issue.signature.is_none() && issue.vouched_by.is_none() {
        end_earlier(s, issue.subject_id, secret.activation_id(), issue.issued_by)?;
    }
    let (id, code) = (secret.activation_id(), secret.code().to_string());
    let profile = profile_of(s, issue.channel)?;
    let acr = issue
        .vouched_by
        .map_or(profile.acr, |phone| phone.acr.min(profile.acr));
    let expires_at = s.now.plus_s(i64::from(profile.activation_lifetime_s));
    let state = match issue.signature {
        Some(_) => State::AwaitingSignature,
        None => State::Issued,
    };
    let suspension = issue.case_id.map(|_| life::draw_code(s, &id));
    let issuer = issuer(s, issue.issued_by)?;
    s.rows.insert(&Activation {
        id,
        subject_id: issue.subject_id,
        case_id: issue.case_id,
        channel: issue.channel.as_str().to_owned(),
        acr: Some(acr),
        issued_by: issue.issued_by.to_owned(),
        issuer_phones: issuer.map_or(0, |issuer| issuer.phones_replaced),
        expires_at,
        mac_key: Secret::new(*secret.mac_key()),
        wrong_digits: 0,
        vouched_by: issue.vouched_by.map(|phone| phone.id),
        replaced: issue.replaced,
        signature: issue.signature,
        replaces: issue.replaces,
        suspension: suspension.as_ref().map(|(_, hash)| Bytes(*hash)),
        state,
    })?;
    s.audit(issue.issued_by, "issue_activation", id, "ok")?;
    let issuer = s.facts.issuer().to_owned();
    let uri = ActivationUri {
        secret,
        issuer,
        root_key: s.facts.keys.root_public().clone(),
    };
    Ok(Issued {
        id,
        code,
        uri: uri.to_text().to_string(),
        expires_at,
        suspension_code: suspension.map(|(code, _)| code),
    })
}

/// Ends what was issued to a person before `newest` and not used to its end.
///
/// # Errors
/// Those of the store.
pub fn end_earlier(
    s: &mut Scope<'_, '_>,
    subject_id: SubjectId,
    newest: ActivationId,
    actor: &str,
) -> Result<()> {
    let mut earlier = activation::open_of_subject(&mut s.rows, subject_id)?;
    earlier.retain(|activation| activation.id != newest);
    for activation in earlier {
        end(s, activation, actor, &Cause::daemon("superseded"))?;
    }
    Ok(())
}

/// Revokes an activation and the phone that it made, if any.
///
/// # Errors
/// Those of the store.
pub fn end(s: &mut Scope<'_, '_>, mut found: Stored<Activation>, actor: &str, by: &Cause) -> Result<()> {
    if let Some(id) = found.device_id() {
        expiry::revoke_unconfirmed(s, id, by)?;
    }
    found.state = State::Revoked;
    s.rows.update(&mut found)?;
    s.audit(actor, "revoke_activation", found.id, "ok")
}

/// An operator who was disabled enrols nobody any more, also by what they handed out before; nor does one whose phone was replaced since,
/// nor a phone that is not active.
fn require_issuer_trusted(s: &mut Scope<'_, '_>, found: &Activation) -> Result<()> {
    if let Some(phone) = found.vouched_by {
        return replacement::voucher(s, phone).map(drop);
    }
    match is_issuer_trusted(s, found)? {
        true => Ok(()),
        false => fault::ACTIVATION_REVOKED.broken(),
    }
}

fn is_issuer_trusted(s: &mut Scope<'_, '_>, found: &Activation) -> Result<bool> {
    let issuer = issuer(s, &found.issued_by)?;
    Ok(issuer.is_none_or(|issuer| !issuer.disabled && issuer.phones_replaced == found.issuer_phones))
}

/// The operator behind an actor; `None` where a phone or the daemon itself acts.
fn issuer(s: &mut Scope<'_, '_>, actor: &str) -> Result<Option<Operator>> {
    let Ok(id) = actor.parse() else {
        return Ok(None);
    };
    Ok(operator::load(&mut s.rows, id)?.map(|found| found.record))
}

fn profile_of<'a>(s: &Scope<'a, '_>, channel: ChannelName) -> Result<&'a ChannelProfile> {
    s.facts
        .config
        .channels
        .profile(channel)
        .ok_or_else(|| fault::CHANNEL_UNKNOWN.fault())
}

fn profile_named<'a>(s: &Scope<'a, '_>, channel: &str) -> Result<&'a ChannelProfile> {
    let name = ChannelName::from_name(channel).ok_or_else(|| fault::CHANNEL_UNKNOWN.fault())?;
    profile_of(s, name)
}

fn load(s: &mut Scope<'_, '_>, id: ActivationId) -> Result<Stored<Activation>> {
    activation::load(&mut s.rows, id)?.ok_or_else(|| fault::ACTIVATION_NOT_FOUND.fault())
}

/// The device counts from here, after its quarantine; the case is done. Challenges of a phone whose place it took end.
fn accept(s: &mut Scope<'_, '_>, found: &Activation, phone: &mut Device) -> Result<()> {
    room::make(s, phone, found)?;
    let quarantine_s = i64::from(profile_named(s, &found.channel)?.quarantine_s);
    phone.confirm(s.now, quarantine_s)?;
    life::take_over(s, phone)?;
    let Some(case_id) = found.case_id else {
        return Ok(());
    };
    if let Some(open) = case::load(&mut s.rows, case_id)? {
        let mut enrolled = open.try_map(|case| case.enrol(found.id))?;
        s.rows.update(&mut enrolled)?;
    }
    // One that another phone may still veto lifts nothing yet: see `life::take_over`; one that comes to count beside others never does.
    if phone.replaces.is_none() && !has_others(s, phone)? {
        lift::proofed(s, found.subject_id)?;
    }
    Ok(())
}

fn has_others(s: &mut Scope<'_, '_>, phone: &Device) -> Result<bool> {
    let alive = device::alive_of_subject(&mut s.rows, phone.subject_id)?;
    Ok(alive
        .iter()
        .any(|other| other.id != phone.id && other.is_confirmed() && !other.rollback_noticed))
}

/// An activation as the operator sees it.
pub struct View {
    /// Its id.
    pub id: ActivationId,
    /// Name of its state.
    pub state: &'static str,
    /// Tries left for the six digits.
    pub tries_left: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// State of its phone, and where its possession key lives.
    pub device: Option<(DeviceState, KeyStorage)>,
    /// Why the digits did not count; the try is spent all the same.
    pub refused: Option<Fault>,
}

/// `GetActivation`, for the operator who issued it.
///
/// # Errors
/// `activation.not_found`, alike for missing ones and those of others.
pub fn view(s: &mut Scope<'_, '_>, actor: &str, id: ActivationId) -> Result<View> {
    let found = of_actor(s, actor, id)?;
    view_of(s, &found, None)
}

/// `ConfirmActivation`: three tries, then the activation and its device are revoked.
///
/// # Errors
/// `activation.not_found`, `.state`, `.expired`, `.revoked`. Wrong digits are in [`View::refused`]: that try is stored.
pub fn confirm(s: &mut Scope<'_, '_>, actor: &str, id: ActivationId, digits: &Sas) -> Result<View> {
    let mut found = of_actor(s, actor, id)?;
    found.require_alive(s.now)?;
    let State::AwaitingConfirmation { device_id, sas, .. } = &found.state else {
        return Err(found.at_another_step());
    };
    let right = Sas::parse(sas).is_ok_and(|right| right.ct_eq(digits));
    require_issuer_trusted(s, &found)?;
    let phone = device::load(&mut s.rows, *device_id)?;
    let mut phone = phone.ok_or_else(|| Fault::internal("an activation without its device"))?;
    let refused = if right {
        accept(s, &found, &mut phone)?;
        found.confirm()?;
        None
    } else {
        found.wrong_digits();
        if matches!(found.state, State::Revoked) {
            phone.revoke(s.now);
        }
        Some(
            fault::SAS_WRONG
                .fault()
                .on("code")
                .because(match found.tries_left() {
                    0 => "That was the last try: the activation is revoked, issue a new one.".to_owned(),
                    left => format!("Tries left: {left}."),
                }),
        )
    };
    s.rows.update(&mut found)?;
    let outcome = if right { "ok" } else { fault::SAS_WRONG.code };
    let why = if right { "six_digits" } else { "wrong_digits" };
    s.save_device(&mut phone, &Cause::new(Who::Clerk, why))?;
    s.audit(actor, "confirm_activation", id, outcome)?;
    view_of(s, &found, refused)
}

fn of_actor(s: &mut Scope<'_, '_>, actor: &str, id: ActivationId) -> Result<Stored<Activation>> {
    let found = load(s, id)?;
    if found.issued_by != actor {
        return fault::ACTIVATION_NOT_FOUND.broken();
    }
    Ok(found)
}

fn view_of(s: &mut Scope<'_, '_>, found: &Activation, refused: Option<Fault>) -> Result<View> {
    let device = match &found.state {
        State::Confirmed { device_id, .. } => {
            device::load(&mut s.rows, *device_id)?.map(|phone| (phone.state, phone.key_storage.clone()))
        }
        _ => None,
    };
    let state = if found.is_overdue(s.now) {
        "expired"
    } else if found.is_open() && !is_issuer_trusted(s, found)? {
        State::Revoked.as_str()
    } else if is_unsigned(s, found)? {
        "unsigned"
    } else {
        found.state.as_str()
    };
    let tries_left = found.tries_left();
    Ok(View {
        id: found.id,
        state,
        tries_left,
        expires_at: found.expires_at,
        device,
        refused,
    })
}

/// Whether the challenge that asked for the clerk's signature ended without one.
fn is_unsigned(s: &mut Scope<'_, '_>, found: &Activation) -> Result<bool> {
    let (State::AwaitingSignature, Some(signature)) = (&found.state, &found.signature) else {
        return Ok(false);
    };
    let asked = challenge::load(&mut s.rows, signature.challenge_id)?;
    Ok(!asked.is_some_and(|asked| asked.is_open(s.now)))
}
