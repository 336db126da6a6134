//! `StepUp.Check` and `StepUp.Request` (protocol.md section 6).

use std::collections::BTreeMap;

use paraphe_proto::ids::{PairwiseSubject, SubjectId};

use super::pairwise::{self, Person};
use super::quota::{Quota, is_quiet, require_quota};
use super::raise::{Raise, raise};
use super::{Scope, challenge as concluding};
use crate::domain::catalogue::{Action, ParameterValue};
use crate::domain::challenge::{Challenge, Purpose, State};
use crate::domain::device::Device;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::level::Acr;
use crate::domain::relying_party::RelyingParty;
use crate::domain::subject::Subject;
use crate::store::record::Stored;
use crate::store::{challenge, device, subject};

/// What `Check` asks.
#[derive(Clone)]
pub struct CheckCommand {
    /// Who asks.
    pub relying_party: RelyingParty,
    /// About whom.
    pub person: Person,
    /// For what.
    pub action: String,
    /// Level of the session at the backend.
    pub session_acr: Option<Acr>,
}

/// What `Check` says.
pub enum Decision {
    /// The session is enough.
    Allowed,
    /// A confirmation is needed and possible.
    StepUpRequired,
    /// The person has no phone for it.
    EnrolmentRequired,
    /// The person does not want to be asked.
    Refused,
}

/// `Check`: whether this action needs a step-up, and the person's name at this backend.
///
/// # Errors
/// `action.unknown`, those of [`pairwise::find`].
pub fn check(s: &mut Scope<'_, '_>, cmd: &CheckCommand) -> Result<(Decision, Option<PairwiseSubject>)> {
    let action = known_action(s, &cmd.relying_party, &cmd.action)?;
    let sufficient = action.session_acr_sufficient();
    let found = pairwise::find(s, &cmd.relying_party, &cmd.person)?;
    let name = match &found {
        Some(person) => Some(pairwise::name_at(s, &cmd.relying_party.id, person.id)?),
        None => None,
    };
    if sufficient.is_some_and(|needed| cmd.session_acr >= Some(needed)) {
        return Ok((Decision::Allowed, name));
    }
    let Some(person) = found else {
        return Ok((Decision::EnrolmentRequired, None));
    };
    if !is_open_to(s, &person, &cmd.relying_party.id)? {
        return Ok((Decision::Refused, name));
    }
    let phone = phone_for(s, &person, action.acr())?;
    Ok((
        if phone.is_some() {
            Decision::StepUpRequired
        } else {
            Decision::EnrolmentRequired
        },
        name,
    ))
}

/// What `Request` asks.
#[derive(Clone)]
pub struct RequestCommand {
    /// Who asks.
    pub relying_party: RelyingParty,
    /// The backend's own key.
    pub idempotency_key: String,
    /// Whom.
    pub subject: PairwiseSubject,
    /// What.
    pub action: String,
    /// With which parameters.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// In which locale.
    pub locale: String,
    /// Seconds it lives; `None` for the action's default.
    pub lifetime_s: Option<i64>,
    /// `Some(true)` asks for a match code, `Some(false)` for none; `None` for the catalogue's.
    pub match_code: Option<bool>,
    /// SHA-256 of all but the key.
    pub content: [u8; 32],
}

/// `Request`: one signed challenge for the person's phone; the same key and content find the same challenge. A new
/// transaction takes the place of one that is still asked.
///
/// # Errors
/// Those named in step_up.proto; nothing is stored then.
pub fn request(s: &mut Scope<'_, '_>, cmd: &RequestCommand) -> Result<Challenge> {
    let known = challenge::by_idempotency_key(&mut s.rows, &cmd.relying_party.id, &cmd.idempotency_key)?;
    if let Some(known) = known {
        if known.content.0 != cmd.content {
            return Err(fault::IDEMPOTENCY_REUSED.fault().on("idempotency_key"));
        }
        return Ok(known.record);
    }
    let facts = s.facts;
    let action = known_action(s, &cmd.relying_party, &cmd.action)?;
    let lifetime_s = lifetime(action, cmd.lifetime_s)?;
    let match_code = match_mode(action, cmd.match_code)?;
    let person = pairwise::find(s, &cmd.relying_party, &Person::Subject(cmd.subject))?;
    let Some(person) = person else {
        return fault::SUBJECT_NOT_FOUND.broken();
    };
    if !is_open_to(s, &person, &cmd.relying_party.id)? {
        return fault::SUBJECT_REFUSES.broken();
    }
    let Some(phone) = phone_for(s, &person, action.acr())? else {
        return fault::ENROLMENT_REQUIRED.broken();
    };
    let step_up = &facts.config.step_up;
    let quota = Quota {
        per_10_min: step_up.requests_per_10_min,
        per_day: step_up.requests_per_day,
    };
    let recent = require_quota(
        s,
        person.id,
        &cmd.relying_party.id,
        quota,
        fault::REQUESTS_EXHAUSTED,
    )
    .map_err(|fault| fault.on("subject"))?;
    if action.is_transaction() {
        supersede(s, person.id, &cmd.relying_party.id)?;
    }
    let quiet = is_quiet(s, &recent);
    let challenge = raise(
        s,
        Raise {
            relying_party_id: &cmd.relying_party.id,
            display_name: &cmd.relying_party.display_name,
            subject_id: person.id,
            subject: cmd.subject,
            device_id: phone.id,
            action,
            parameters: &cmd.parameters,
            locale: &cmd.locale,
            lifetime_s,
            match_code,
            idempotency_key: cmd.idempotency_key.clone(),
            content: cmd.content,
            quiet,
            purpose: Purpose::StepUp,
            enrolment: None,
            replacement: None,
        },
    )?;
    tracing::debug!(challenge_id = %challenge.id, locale = %cmd.locale, issuer = facts.issuer(), "challenge raised");
    Ok(challenge)
}

fn known_action<'a>(s: &Scope<'a, '_>, relying_party: &RelyingParty, id: &str) -> Result<&'a Action> {
    let action = s.facts.catalogue.action(id).filter(|_| relying_party.may_ask(id));
    action.ok_or_else(|| fault::ACTION_UNKNOWN.fault().on("action"))
}

fn lifetime(action: &Action, asked: Option<i64>) -> Result<i64> {
    let limits = action.lifetime();
    let lifetime_s = asked.unwrap_or(limits.default_s);
    if lifetime_s < limits.min_s || lifetime_s > limits.max_s {
        let allowed = format!("It must be from {} to {} seconds.", limits.min_s, limits.max_s);
        return Err(fault::LIFETIME_REFUSED.fault().on("lifetime_s").because(allowed));
    }
    Ok(lifetime_s)
}

fn match_mode(action: &Action, asked: Option<bool>) -> Result<bool> {
    if action.needs_match_code() && asked == Some(false) {
        return Err(fault::MATCH_TOO_WEAK.fault().on("match"));
    }
    Ok(asked.unwrap_or(action.needs_match_code()))
}

fn is_open_to(s: &mut Scope<'_, '_>, person: &Stored<Subject>, relying_party_id: &str) -> Result<bool> {
    if person.frozen_at.is_some() {
        return Ok(false);
    }
    let blocks = subject::blocks(&mut s.rows, person.id)?;
    Ok(!blocks
        .iter()
        .any(|block| block.relying_party_id == relying_party_id))
}

/// The person's active phone at this level. Of several, the one on which the PIN was right last, which their owner has at hand and which no
/// thief without the PIN can become; else the newest.
///
/// # Errors
/// Those of the store.
pub fn phone_for(
    s: &mut Scope<'_, '_>,
    person: &Stored<Subject>,
    acr: Acr,
) -> Result<Option<Stored<Device>>> {
    let limits = s.facts.attempt_limits();
    let now = s.now;
    let phones = device::alive_of_subject(&mut s.rows, person.id)?;
    let can = phones.into_iter().filter_map(|mut phone| {
        phone.settle(now, &limits);
        (phone.require_active().is_ok() && phone.acr >= acr).then_some(phone)
    });
    Ok(can.max_by_key(|phone| (phone.approved_at, phone.created_at, phone.id)))
}

/// Ends the transaction that one relying party still asks of a person, on whichever phone.
///
/// # Errors
/// `challenge.charged` for one with a PIN attempt of less than 60 s ago.
pub fn supersede(s: &mut Scope<'_, '_>, subject_id: SubjectId, relying_party_id: &str) -> Result<()> {
    for earlier in challenge::pending_of_person(&mut s.rows, subject_id, s.now)? {
        let same = earlier.relying_party_id == relying_party_id && earlier.transaction;
        if !same || !earlier.is_open(s.now) {
            continue;
        }
        if let Some(phone) = device::load(&mut s.rows, earlier.device_id)? {
            phone.attempts.require_uncharged(earlier.id, s.now)?;
        }
        let at = s.now;
        concluding::conclude(s, earlier, State::Superseded { at }, relying_party_id)?;
    }
    Ok(())
}

/// A locale, a key or a name that came from outside: 1 to `most` characters of a safe set.
///
/// # Errors
/// `field.invalid` with the field's name.
pub fn require_token(field: &str, text: &str, most: usize) -> Result<()> {
    let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.len() > most || !text.chars().all(safe) {
        let allowed = format!("It must be 1 to {most} characters of A-Z a-z 0-9 - _.");
        return Err(Fault::field(field, allowed));
    }
    Ok(())
}
