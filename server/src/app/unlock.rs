//! `Companion.Unlock`: the durable charge before the evaluation (protocol.md section 4, rule 1).

use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::oprf::OprfKey;

use super::{Scope, challenge};
use crate::domain::challenge::Purpose;
use crate::domain::device::{Cause, ProvenPhone};
use crate::domain::fault::{self, Fault, Result};
use crate::store::device;

/// What `Unlock` asks; the proof was checked before.
#[derive(Clone, Copy)]
pub struct UnlockCommand {
    /// The phone that proved itself.
    pub phone: ProvenPhone,
    /// For which challenge.
    pub challenge_id: ChallengeId,
    /// SHA-256 of the blinded element.
    pub element: [u8; 32],
}

/// What the evaluation is made and signed with, after the commit.
pub struct Unlocked {
    /// Key of the device's epoch.
    pub oprf_key: OprfKey,
    /// The PIN epoch.
    pub epoch: u64,
    /// Number of the evaluation.
    pub number: u64,
    /// Attempts left, this one counted.
    pub attempts_left: u32,
    /// Seconds until the next attempt.
    pub wait_s: i64,
}

/// Checks challenge, device, expiry and wait, numbers the evaluation, charges it and binds the element to the challenge.
///
/// # Errors
/// `challenge.*`, `device.*`; nothing is charged then.
pub fn unlock(s: &mut Scope<'_, '_>, cmd: &UnlockCommand) -> Result<Unlocked> {
    let limits = s.facts.attempt_limits();
    let mut phone = s.proven_phone(&cmd.phone)?;
    let challenge = challenge::of_device(s, phone.id, cmd.challenge_id);
    match &challenge {
        Ok(asked) if matches!(asked.purpose, Purpose::Resume) => phone.require_suspended()?,
        _ => phone.require_active()?,
    }
    challenge?.require_open(s.now)?;
    let charged = phone
        .attempts
        .clone()
        .charge(s.now, cmd.challenge_id, cmd.element, &limits)?;
    phone.attempts = charged.attempts;
    if charged.fresh {
        s.save_device(&mut phone, &Cause::asked())?;
    }
    let key = phone
        .oprf_key
        .as_ref()
        .ok_or_else(|| Fault::internal("an active device without OPRF key"))?;
    Ok(Unlocked {
        oprf_key: OprfKey::from_bytes(key.expose()).map_err(Fault::internal)?,
        epoch: phone.epoch,
        number: charged.number,
        attempts_left: phone.attempts.left(s.now, &limits),
        wait_s: phone.attempts.wait_s(s.now, &limits),
    })
}

/// A phone returned a later evaluation than the store knows: the store was rolled back undeclared. The phone approves nothing any
/// more, whoever holds its keys.
///
/// # Errors
/// Those of the store.
pub fn notice_rollback(s: &mut Scope<'_, '_>, device_id: DeviceId) -> Result<()> {
    if let Some(mut phone) = device::load(&mut s.rows, device_id)?
        && !phone.rollback_noticed
    {
        phone.rollback_noticed = true;
        s.save_device(&mut phone, &Cause::daemon("rollback"))?;
        s.audit(
            "paraphed",
            "notice_rollback",
            device_id,
            fault::ROLLBACK_NOTICED.code,
        )?;
    }
    Ok(())
}
