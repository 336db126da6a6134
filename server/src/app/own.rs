//! Challenges that the daemon raises in its own name: logins, enrolments, lifts, replacements. They are ordinary challenges, charged alike
//! (protocol.md section 4, rule 5), with quotas of their own.

use std::collections::BTreeMap;

use paraphe_proto::encoding::base64url;
use paraphe_proto::ids::{DeviceId, SubjectId};
use paraphe_proto::jws;
use paraphe_proto::statements::{self, Enrolled};

use super::raise::{Raise, Vouched, raise};
use super::{Scope, challenge, pairwise};
use crate::domain::catalogue::ParameterValue;
use crate::domain::challenge::{Challenge, Purpose, State};
use crate::domain::device::Device;
use crate::domain::fault::{Fault, Result};
use crate::store;

/// One of the daemon's own challenges.
pub struct Own<'a> {
    /// [`crate::domain::relying_party::DAEMON`] or `DESK`.
    pub relying_party_id: &'static str,
    /// Action of the built-in catalogue.
    pub action: &'static str,
    /// Whose phone.
    pub subject_id: SubjectId,
    /// Which phone.
    pub device_id: DeviceId,
    /// What its template is rendered with.
    pub parameters: Vec<(&'static str, &'a str)>,
    /// Seconds it lives; `None` for the action's default.
    pub lifetime_s: Option<i64>,
    /// What an approval sets in motion.
    pub purpose: Purpose,
    /// What the phone signs besides the approval.
    pub enrolment: Option<Enrolled>,
    /// See [`Raise::replacement`].
    pub replacement: Option<Vouched>,
}

/// Raises it; whether a match code is drawn is the action's word.
///
/// # Errors
/// `parameter.refused`; those of the store.
pub fn raise_own(s: &mut Scope<'_, '_>, own: Own<'_>) -> Result<Challenge> {
    let facts = s.facts;
    let action = facts.catalogue.action(own.action);
    let action = action.ok_or_else(|| Fault::internal(format!("no built-in action {}", own.action)))?;
    let subject = pairwise::name_at(s, own.relying_party_id, own.subject_id)?;
    let idempotency_key = base64url(&s.random::<16>());
    let text = |(name, value): (&str, &str)| (name.to_owned(), ParameterValue::Text(value.to_owned()));
    let parameters: BTreeMap<_, _> = own.parameters.into_iter().map(text).collect();
    raise(
        s,
        Raise {
            relying_party_id: own.relying_party_id,
            display_name: "Paraphe",
            subject_id: own.subject_id,
            subject,
            device_id: own.device_id,
            action,
            parameters: &parameters,
            locale: facts.config.operators.locale.as_str(),
            lifetime_s: own.lifetime_s.unwrap_or(action.lifetime().default_s),
            match_code: action.needs_match_code(),
            idempotency_key,
            content: [0; 32],
            quiet: false,
            purpose: own.purpose,
            enrolment: own.enrolment,
            replacement: own.replacement,
        },
    )
}

/// The same question, where it waits on that phone already. Asking again raises no other: it would say the same, be charged alike, and
/// take a share of the phone's. One by a key that is retired is shown by no phone, and is as if it were not there.
///
/// # Errors
/// Those of the store.
pub fn waiting(
    s: &mut Scope<'_, '_>,
    phone: DeviceId,
    is_same: impl Fn(&Purpose) -> bool,
) -> Result<Option<Challenge>> {
    let pending = store::challenge::pending_of_device(&mut s.rows, phone)?;
    let (now, keys) = (s.now, s.facts.keys.ring());
    let is_shown = |pending: &Challenge| {
        let kid = jws::unverified_kid::<statements::Challenge>(&pending.statement);
        kid.is_ok_and(|kid| keys.is_active_challenge(&kid))
    };
    let mut same = pending.into_iter().map(|pending| pending.record);
    Ok(same.find(|pending| pending.is_open(now) && is_same(&pending.purpose) && is_shown(pending)))
}

/// Ends what the daemon still asks on a phone and a new question takes the place of, unless a PIN was tried on it within the last 60 s: then
/// it fails by itself.
///
/// # Errors
/// Those of the store.
pub fn supersede(
    s: &mut Scope<'_, '_>,
    phone: &Device,
    is_same: impl Fn(&Purpose) -> bool,
    actor: &str,
) -> Result<()> {
    for pending in store::challenge::pending_of_device(&mut s.rows, phone.id)? {
        let free = phone.attempts.require_uncharged(pending.id, s.now).is_ok();
        if free && pending.is_open(s.now) && is_same(&pending.purpose) {
            let state = State::Superseded { at: s.now };
            challenge::conclude(s, pending, state, actor)?;
        }
    }
    Ok(())
}
