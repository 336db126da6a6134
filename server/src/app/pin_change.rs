//! `Companion.ChangePin`, `EvaluatePinChange`, `FinishPinChange`: the old PIN approves, then the epoch moves in one transaction
//! (protocol.md section 4, rule 5).

use paraphe_proto::ids::ChallengeId;
use paraphe_proto::jws::Verified;
use paraphe_proto::oprf::OprfKey;
use paraphe_proto::statements::{self, CHANGE_PIN_ACTION};

use super::Scope;
use super::own::{Own, raise_own, waiting};
use super::quota::require_share;
use crate::domain::challenge::{Challenge, Purpose};
use crate::domain::device::{Cause, Device, ProvenPhone};
use crate::domain::digest::sha256;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::pin_change::{Open, PinChange};
use crate::domain::relying_party::DAEMON;
use crate::domain::secret::{Bytes, Secret};
use crate::store::record::Stored;

/// `ChangePin`: raises the challenge on the asking phone, or finds the one that waits there.
///
/// # Errors
/// `device.*`, `request.too_many`.
pub fn change_pin(s: &mut Scope<'_, '_>, proven: &ProvenPhone) -> Result<Challenge> {
    let phone = s.proven_phone(proven)?;
    phone.require_active()?;
    if let Some(waiting) = waiting(s, phone.id, |purpose| matches!(purpose, Purpose::ChangePin))? {
        return Ok(waiting);
    }
    require_share(s, &phone, fault::REQUESTS_EXHAUSTED)?;
    raise_own(
        s,
        Own {
            relying_party_id: DAEMON,
            action: CHANGE_PIN_ACTION,
            subject_id: phone.subject_id,
            device_id: phone.id,
            parameters: Vec::new(),
            lifetime_s: None,
            purpose: Purpose::ChangePin,
            enrolment: None,
            replacement: None,
        },
    )
}

/// Opens the change, once the challenge is approved under the old epoch. One that was open before is over.
///
/// # Errors
/// Those of the store.
pub fn open(s: &mut Scope<'_, '_>, phone: &mut Stored<Device>, approved: &Challenge) -> Result<()> {
    phone.pin_change = Some(PinChange::Open(Open {
        challenge_id: approved.id,
        challenge: Bytes(sha256(&approved.statement)),
        approved_at: s.now,
        seed: Secret::new(s.random()),
    }));
    s.save_device(phone, &Cause::pin())
}

/// What the evaluation is made and signed with.
pub struct Evaluated {
    /// The key of this one element.
    pub oprf_key: OprfKey,
    /// The PIN epoch that it would begin.
    pub epoch: u64,
    /// Attempts left under the old epoch.
    pub attempts_left: u32,
    /// Seconds until the next attempt.
    pub wait_s: i64,
}

/// `EvaluatePinChange`: stores nothing and charges nothing, since no PIN is wrapped under the key of a new element.
///
/// # Errors
/// `device.*`, `pin_change.not_open`, `pin_change.expired`.
pub fn evaluate(
    s: &mut Scope<'_, '_>,
    proven: &ProvenPhone,
    id: ChallengeId,
    element: &[u8; 32],
) -> Result<Evaluated> {
    let limits = s.facts.attempt_limits();
    let phone = s.proven_phone(proven)?;
    phone.require_active()?;
    let open = PinChange::open_for(phone.pin_change.as_ref(), id)?;
    open.require_in_time(s.now)?;
    Ok(Evaluated {
        oprf_key: open.key_of(element)?,
        epoch: phone.epoch.saturating_add(1),
        attempts_left: phone.attempts.left(s.now, &limits),
        wait_s: phone.attempts.wait_s(s.now, &limits),
    })
}

/// What `FinishPinChange` led to.
pub enum Finished {
    /// This PIN epoch counts.
    Epoch(u64),
    /// It came too late, and the change was given up for good, so that no call that is still under way can finish it.
    Refused(Fault),
}

/// `FinishPinChange`: the key of the element that the statement names takes the place of the old one. Repeating it answers alike.
///
/// # Errors
/// `device.*`, `pin_change.not_open`, `pin_change.mismatch`.
pub fn finish(
    s: &mut Scope<'_, '_>,
    proven: &ProvenPhone,
    id: ChallengeId,
    stated: &Verified<statements::PinChange>,
) -> Result<Finished> {
    let mut phone = s.proven_phone(proven)?;
    if phone
        .pin_change
        .as_ref()
        .is_some_and(|change| change.is_done(id, stated.compact()))
    {
        return Ok(Finished::Epoch(phone.epoch));
    }
    phone.require_active()?;
    let open = PinChange::open_for(phone.pin_change.as_ref(), id)?;
    if let Err(late) = open.require_in_time(s.now) {
        phone.pin_change = None;
        s.save_device(&mut phone, &Cause::pin())?;
        return Ok(Finished::Refused(late));
    }
    let claims = stated.claims();
    let epoch = phone.epoch.saturating_add(1);
    if claims.challenge_sha256.0 != open.challenge.0 || claims.device_id != phone.id || claims.epoch != epoch
    {
        return fault::PIN_CHANGE_MISMATCH.broken();
    }
    let key = open.key_of(&claims.element_sha256.0)?;
    let done = PinChange::Done {
        challenge_id: id,
        statement: stated.compact().to_owned(),
    };
    phone.begin_epoch(Secret::new(*key.to_bytes()), done);
    s.save_device(&mut phone, &Cause::pin())?;
    s.audit(&phone.id.to_string(), "change_pin", phone.id, "ok")?;
    Ok(Finished::Epoch(epoch))
}
