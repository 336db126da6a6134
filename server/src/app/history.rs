//! `Companion.History`, `DeviceEvents` and `Device`: what a person sees of their own past and phone.

use std::collections::BTreeMap;

use paraphe_proto::ids::{DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;

use super::newcomer::{self, Newcomer};
use super::{Scope, device_event as device_events};
use crate::domain::attestation::VerifiedAttestation;
use crate::domain::challenge::Challenge;
use crate::domain::device::{DeviceEvent, State as DeviceState};
use crate::domain::fault::{self, Result};
use crate::store::record::Stored;
use crate::store::{challenge, device, device_event, relying_party, subject};

/// One page of the past, newest first, before the number `before`; and whether there are more.
///
/// # Errors
/// `device.*` for a phone that is not active: the past is the person's, and one in quarantine may not be theirs.
pub fn history(
    s: &mut Scope<'_, '_>,
    device_id: DeviceId,
    before: u64,
    size: i64,
) -> Result<(Vec<Challenge>, bool)> {
    let (person, since) = reader(s, device_id)?;
    let page = challenge::history(&mut s.rows, person, since, before, size.saturating_add(1))?;
    Ok(cut(page, size))
}

/// One page of what happened to the person's phones.
pub struct EventsPage {
    /// Newest first.
    pub events: Vec<DeviceEvent>,
    /// Events of this page that were taken out of the database, or changed there.
    pub missing: usize,
    /// The number that the next page ends before, if there is one.
    pub next: Option<u64>,
}

/// What happened to the person's phones, newest first, before the number `before`. Numbers have no gaps: what is not there is missed.
///
/// # Errors
/// As [`history`].
pub fn device_events(
    s: &mut Scope<'_, '_>,
    device_id: DeviceId,
    before: u64,
    size: usize,
) -> Result<EventsPage> {
    let (person, since) = reader(s, device_id)?;
    let to = device_events::newest_event(s, person)?.min(before.saturating_sub(1));
    // One more than the page holds.
    let from = to.saturating_sub(size as u64).max(1);
    let known = device_event::numbered(&mut s.rows, person, from, to)?;
    let mut known: BTreeMap<u64, DeviceEvent> = known
        .into_iter()
        .map(|stored| (stored.number, stored.record))
        .collect();
    let mut page: Vec<_> = (from..=to).rev().map(|number| known.remove(&number)).collect();
    let too_old = |event: &Option<DeviceEvent>| event.as_ref().is_some_and(|event| event.at < since);
    page.truncate(page.iter().position(too_old).unwrap_or(page.len()));
    let next = (page.len() > size).then(|| from.saturating_add(1));
    page.truncate(size);
    let missing = page.iter().filter(|event| event.is_none()).count();
    device_events::alarm(device_id, missing);
    Ok(EventsPage {
        events: page.into_iter().flatten().collect(),
        missing,
        next,
    })
}

/// Whose past the phone may read, and since when.
fn reader(s: &mut Scope<'_, '_>, device_id: DeviceId) -> Result<(SubjectId, Timestamp)> {
    let Some(mut phone) = device::load(&mut s.rows, device_id)? else {
        return fault::UNAUTHENTICATED.broken();
    };
    phone.settle(s.now, &s.facts.attempt_limits());
    phone.require_active()?;
    let kept_s = i64::from(s.facts.config.retention.history_days).saturating_mul(86_400);
    Ok((phone.subject_id, s.now.plus_s(-kept_s)))
}

fn cut<R>(mut page: Vec<Stored<R>>, size: i64) -> (Vec<R>, bool) {
    let more = i64::try_from(page.len()).is_ok_and(|count| count > size);
    page.truncate(usize::try_from(size).unwrap_or(0));
    (page.into_iter().map(|stored| stored.record).collect(), more)
}

/// The device as the daemon sees it.
pub struct DeviceView {
    /// Where it is in its life.
    pub state: DeviceState,
    /// PIN attempts left.
    pub attempts_left: u32,
    /// Seconds until the next.
    pub wait_s: i64,
    /// Relying parties that the person blocked: id, name, since when.
    pub blocked: Vec<(String, String, Timestamp)>,
    /// Since when all confirmations are frozen.
    pub frozen_since: Option<Timestamp>,
    /// When it ends with the document behind it.
    pub valid_until: Option<Timestamp>,
    /// When another phone takes its place.
    pub replaced_at: Option<Timestamp>,
    /// When another phone counts beside it.
    pub added_at: Option<Timestamp>,
    /// Those that it may veto.
    pub newcomers: Vec<Newcomer>,
    /// What was verified of its possession key.
    pub attestation: Option<VerifiedAttestation>,
}

/// `Device`; a phone that is not active learns of itself and nothing of the person.
///
/// # Errors
/// Those of the store.
pub fn device(s: &mut Scope<'_, '_>, device_id: DeviceId) -> Result<DeviceView> {
    let limits = s.facts.attempt_limits();
    let Some(mut phone) = device::load(&mut s.rows, device_id)? else {
        return fault::UNAUTHENTICATED.broken();
    };
    phone.settle(s.now, &limits);
    let mut view = DeviceView {
        state: phone.state,
        attempts_left: 0,
        wait_s: 0,
        blocked: Vec::new(),
        frozen_since: None,
        valid_until: None,
        replaced_at: None,
        added_at: None,
        newcomers: Vec::new(),
        attestation: None,
    };
    if phone.require_may_wait().is_err() {
        return Ok(view);
    }
    view.attempts_left = phone.attempts.left(s.now, &limits);
    view.wait_s = phone.attempts.wait_s(s.now, &limits);
    view.valid_until = phone.valid_until;
    let newcomers = newcomer::newcomers(s, &phone)?;
    let first = |replacing: bool| {
        let mut like = newcomers
            .iter()
            .filter(|new| (new.phone.replaces == Some(phone.id)) == replacing);
        like.next().map(|new| new.at)
    };
    (view.replaced_at, view.added_at) = (first(true), first(false));
    view.attestation = phone.key_storage.attestation().cloned();
    if phone.require_active().is_err() {
        return Ok(view);
    }
    view.newcomers = newcomers;
    let mut blocked = Vec::new();
    for block in subject::blocks(&mut s.rows, phone.subject_id)? {
        let party = relying_party::load(&mut s.rows, &block.relying_party_id)?;
        let name = party.map_or(block.relying_party_id.clone(), |party| party.display_name.clone());
        blocked.push((block.relying_party_id.clone(), name, block.since));
    }
    view.blocked = blocked;
    view.frozen_since = subject::load(&mut s.rows, phone.subject_id)?.and_then(|person| person.frozen_at);
    Ok(view)
}
