//! Concluding, reading and cancelling challenges.

use std::sync::Arc;

use paraphe_proto::ids::{ChallengeId, DeviceId};

use super::Scope;
use crate::domain::challenge::{Challenge, State};
use crate::domain::fault::{self, Result};
use crate::store::record::Stored;
use crate::store::{challenge, device};

/// Moves a challenge to its one final state, numbers the verdict, audits it, and tells those who wait for it.
///
/// # Errors
/// Those of [`Challenge::decide`].
pub fn conclude(
    s: &mut Scope<'_, '_>,
    stored: Stored<Challenge>,
    state: State,
    actor: &str,
) -> Result<Stored<Challenge>> {
    let mut stored = stored.try_map(|challenge| challenge.decide(s.now, state))?;
    let number = challenge::next_verdict_number(&mut s.rows, &stored.relying_party_id)?;
    stored.verdict_number = Some(number);
    s.rows.update(&mut stored)?;
    s.audit(actor, stored.state.as_str(), stored.id, "ok")?;
    s.announce(Arc::new(stored.record.clone()));
    Ok(stored)
}

/// A challenge of this relying party; alike for missing ones and those of others.
///
/// # Errors
/// `challenge.not_found`.
pub fn of_relying_party(
    s: &mut Scope<'_, '_>,
    relying_party_id: &str,
    id: ChallengeId,
) -> Result<Stored<Challenge>> {
    let found = challenge::load(&mut s.rows, id)?;
    let own = found.filter(|found| found.relying_party_id == relying_party_id);
    own.ok_or_else(|| fault::CHALLENGE_NOT_FOUND.fault())
}

/// A challenge of this phone; alike for missing ones and those of others.
///
/// # Errors
/// `challenge.not_found`.
pub fn of_device(s: &mut Scope<'_, '_>, device_id: DeviceId, id: ChallengeId) -> Result<Stored<Challenge>> {
    let found = challenge::load(&mut s.rows, id)?;
    let own = found.filter(|found| found.device_id == device_id);
    own.ok_or_else(|| fault::CHALLENGE_NOT_FOUND.fault())
}

/// `Get`.
///
/// # Errors
/// `challenge.not_found`.
pub fn get(s: &mut Scope<'_, '_>, relying_party_id: &str, id: ChallengeId) -> Result<Challenge> {
    Ok(of_relying_party(s, relying_party_id, id)?.record)
}

/// `Cancel`: a repeated call finds it cancelled.
///
/// # Errors
/// `challenge.not_found`, `challenge.charged`, the code of another final state.
pub fn cancel(s: &mut Scope<'_, '_>, relying_party_id: &str, id: ChallengeId) -> Result<Challenge> {
    let found = of_relying_party(s, relying_party_id, id)?;
    if matches!(found.state, State::Cancelled { .. }) {
        return Ok(found.record);
    }
    found.require_open(s.now)?;
    if let Some(phone) = device::load(&mut s.rows, found.device_id)? {
        phone.attempts.require_uncharged(id, s.now)?;
    }
    let at = s.now;
    Ok(conclude(s, found, State::Cancelled { at }, relying_party_id)?.record)
}

/// One page of verdicts after a number.
///
/// # Errors
/// Those of the store.
pub fn verdicts(s: &mut Scope<'_, '_>, relying_party_id: &str, after: u64) -> Result<Vec<Challenge>> {
    let page = challenge::verdicts_after(&mut s.rows, relying_party_id, after, VERDICT_PAGE)?;
    Ok(page.into_iter().map(|stored| stored.record).collect())
}

/// Verdicts read at a time.
pub const VERDICT_PAGE: i64 = 100;

/// Everything that waits for this phone.
///
/// # Errors
/// Those of the store.
pub fn pending(s: &mut Scope<'_, '_>, device_id: DeviceId) -> Result<Vec<Challenge>> {
    let pending = challenge::pending_of_device(&mut s.rows, device_id)?;
    let now = s.now;
    Ok(pending
        .into_iter()
        .map(|stored| stored.record)
        .filter(|challenge| challenge.is_open(now))
        .collect())
}
