//! `Companion.Lift`: a person lifts a block or a freeze by an approval with PIN; support never can (protocol.md section 6).

use paraphe_proto::ids::SubjectId;

use super::Scope;
use super::own::{Own, raise_own, waiting};
use super::quota::require_share;
use crate::domain::challenge::{Challenge, Purpose};
use crate::domain::device::ProvenPhone;
use crate::domain::fault::{self, Result};
use crate::domain::relying_party::DAEMON;
use crate::store::{relying_party, subject};

/// Actions of the built-in catalogue.
const ONE: &str = "paraphe.lift";
const EVERYTHING: &str = "paraphe.lift_everything";

/// Raises the challenge on the asking phone, or finds the one that waits there.
///
/// # Errors
/// `lift.nothing`, `device.not_active`, `request.too_many`.
pub fn lift(
    s: &mut Scope<'_, '_>,
    proven: &ProvenPhone,
    relying_party_id: Option<&str>,
) -> Result<Challenge> {
    let phone = s.proven_phone(proven)?;
    phone.require_active()?;
    let blocks = subject::blocks(&mut s.rows, phone.subject_id)?;
    let frozen =
        subject::load(&mut s.rows, phone.subject_id)?.is_some_and(|person| person.frozen_at.is_some());
    let (action, name) = match relying_party_id {
        Some(id) if blocks.iter().any(|block| block.relying_party_id == id) => {
            let party = relying_party::load(&mut s.rows, id)?;
            (
                ONE,
                Some(party.map_or(id.to_owned(), |party| party.display_name.clone())),
            )
        }
        None if frozen || !blocks.is_empty() => (EVERYTHING, None),
        Some(_) => return nothing("That relying party is not blocked."),
        None => return nothing("Nothing is blocked or frozen."),
    };
    let same = |purpose: &Purpose| matches!(purpose, Purpose::Lift { relying_party_id: of } if of.as_deref() == relying_party_id);
    if let Some(waiting) = waiting(s, phone.id, same)? {
        return Ok(waiting);
    }
    require_share(s, &phone, fault::REQUESTS_EXHAUSTED)?;
    raise_own(
        s,
        Own {
            relying_party_id: DAEMON,
            action,
            subject_id: phone.subject_id,
            device_id: phone.id,
            parameters: name.iter().map(|name| ("what", name.as_str())).collect(),
            lifetime_s: None,
            purpose: Purpose::Lift {
                relying_party_id: relying_party_id.map(str::to_owned),
            },
            enrolment: None,
            replacement: None,
        },
    )
}

fn nothing<T>(detail: &str) -> Result<T> {
    Err(fault::LIFT_NOTHING.fault().because(detail))
}

/// A new proofing lifts what the person had blocked before, like an approval with PIN.
///
/// # Errors
/// Those of the store.
pub fn proofed(s: &mut Scope<'_, '_>, subject_id: SubjectId) -> Result<()> {
    let frozen = subject::load(&mut s.rows, subject_id)?.is_some_and(|person| person.frozen_at.is_some());
    if frozen || !subject::blocks(&mut s.rows, subject_id)?.is_empty() {
        apply(s, subject_id, None)?;
    }
    Ok(())
}

/// Lifts, once the challenge is approved.
///
/// # Errors
/// Those of the store.
pub fn apply(s: &mut Scope<'_, '_>, subject_id: SubjectId, relying_party_id: Option<&str>) -> Result<()> {
    for block in subject::blocks(&mut s.rows, subject_id)? {
        if relying_party_id.is_none_or(|id| id == block.relying_party_id) {
            s.rows.delete(block)?;
        }
    }
    if relying_party_id.is_none()
        && let Some(mut person) = subject::load(&mut s.rows, subject_id)?
        && person.frozen_at.is_some()
    {
        person.frozen_at = None;
        s.rows.update(&mut person)?;
    }
    s.audit("paraphed", "lift", subject_id, "ok")
}
