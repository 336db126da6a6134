//! `Companion.Lift`: a person lifts a block or a freeze by an approval with PIN; support never can (protocol.md section 6).

use std::collections::BTreeMap;

use paraphe_proto::ids::{DeviceId, SubjectId};

use super::raise::{Raise, raise};
use super::{Scope, pairwise};
use crate::domain::catalogue::ParameterValue;
use crate::domain::challenge::{Challenge, Purpose};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::relying_party::DAEMON;
use crate::store::{challenge, device, relying_party, subject};

/// Actions of the built-in catalogue.
const ONE: &str = "paraphe.lift";
const EVERYTHING: &str = "paraphe.lift_everything";

/// Raises the challenge on the asking phone.
///
/// # Errors
/// `lift.nothing`, `device.not_active`, `request.too_many`.
pub fn lift(s: &mut Scope<'_, '_>, device_id: DeviceId, relying_party_id: Option<&str>) -> Result<Challenge> {
    let Some(mut phone) = device::load(&mut s.rows, device_id)? else {
        return fault::UNAUTHENTICATED.broken();
    };
    phone.settle(s.now, &s.facts.attempt_limits());
    phone.require_active()?;
    let blocks = subject::blocks(&mut s.rows, phone.subject_id)?;
    let frozen =
        subject::load(&mut s.rows, phone.subject_id)?.is_some_and(|person| person.frozen_at.is_some());
    let (id, parameters) = match relying_party_id {
        Some(id) if blocks.iter().any(|block| block.relying_party_id == id) => {
            let party = relying_party::load(&mut s.rows, id)?;
            let name = party.map_or(id.to_owned(), |party| party.display_name.clone());
            (
                ONE,
                BTreeMap::from([("what".to_owned(), ParameterValue::Text(name))]),
            )
        }
        None if frozen || !blocks.is_empty() => (EVERYTHING, BTreeMap::new()),
        _ => return fault::LIFT_NOTHING.broken(),
    };
    let recent = s.now.plus_s(-600);
    let count = challenge::count_since(&mut s.rows, phone.subject_id, recent, Some(DAEMON))?;
    if count >= i64::from(s.facts.config.operators.requests_per_10_min) {
        return Err(fault::REQUESTS_EXHAUSTED.fault().retry_after(600));
    }
    let facts = s.facts;
    let action = facts
        .catalogue
        .action(id)
        .ok_or_else(|| Fault::internal("no built-in lift action"))?;
    let name = pairwise::name_at(s, DAEMON, phone.subject_id)?;
    let key = paraphe_proto::encoding::base64url(&s.random::<16>());
    raise(
        s,
        Raise {
            relying_party_id: DAEMON,
            display_name: "Paraphe",
            subject_id: phone.subject_id,
            subject: name,
            device_id,
            action,
            parameters: &parameters,
            locale: "fr",
            lifetime_s: action.lifetime().default_s,
            match_code: false,
            idempotency_key: key,
            content: [0; 32],
            quiet: false,
            purpose: Purpose::Lift {
                relying_party_id: relying_party_id.map(str::to_owned),
            },
        },
    )
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
