//! `Companion.Answer` and `Companion.Refuse`: one transaction from the verified statement to the one final state
//! (protocol.md section 6.5), and the credit of section 4, rule 2.

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::jws::{self, Verified};
use paraphe_proto::statements::{self, Approval, Refusal, RefusalDecision};

use super::{Scope, challenge, enrolment, life, lift, pin_change, replacement};
use crate::domain::challenge::{Challenge, Purpose, State};
use crate::domain::device::{Cause, Device, ProvenPhone};
use crate::domain::digest::sha256;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::subject::Block;
use crate::store;
use crate::store::record::Stored;
use crate::store::subject;

/// Seconds that an assertion is good for.
const ASSERTION_LIFETIME_S: i64 = 60;

/// What the phone is told.
pub struct Outcome {
    /// The challenge in its final state.
    pub challenge: Challenge,
    /// PIN attempts left.
    pub attempts_left: u32,
    /// Why the approval did not count, although its PIN was right and credited.
    pub refused: Option<Fault>,
}

/// What the approval key signed; the signatures were checked before.
pub struct Signed {
    /// The approval.
    pub approval: Verified<Approval>,
    /// The enrolment, where the challenge asks a clerk to sign one.
    pub enrolment: enrolment::Statement,
}

/// `Answer`. The proof and the approval's signature were checked before.
///
/// # Errors
/// `approval.mismatch`, `evaluation.stale`, `device.*`, `challenge.not_found`; nothing is stored then. A right PIN whose challenge has
/// ended, or whose enrolment statement does not fit (`enrolment.mismatch`), is credited: the fault is in [`Outcome::refused`].
pub fn answer(
    s: &mut Scope<'_, '_>,
    proven: &ProvenPhone,
    id: ChallengeId,
    signed: &Signed,
) -> Result<Outcome> {
    let limits = s.facts.attempt_limits();
    let mut phone = s.proven_phone(proven)?;
    let challenge = challenge::of_device(s, phone.id, id)?;
    let claims = signed.approval.claims();
    if claims.challenge_sha256.0 != sha256(&challenge.statement)
        || claims.device_id != phone.id
        || claims.epoch != phone.epoch
    {
        return fault::APPROVAL_MISMATCH.broken();
    }
    let attempts_left = phone.attempts.left(s.now, &limits);
    if let State::Approved { .. }
    | State::Failed {
        approval: Some(_), ..
    } = challenge.state
    {
        return Ok(Outcome {
            challenge: challenge.record,
            attempts_left,
            refused: None,
        });
    }
    match challenge.purpose {
        Purpose::Resume => phone.require_suspended()?,
        _ => phone.require_active()?,
    }
    let credit = phone
        .attempts
        .clone()
        .credit(claims.evaluation, id, claims.element_sha256.0);
    phone.attempts = match (credit, challenge.require_open(s.now)) {
        (Ok(credited), _) => {
            phone.approved_at = Some(s.now);
            credited
        }
        // Repeated after it was credited: told what it was told before.
        (Err(_), Err(ended)) => return Err(ended),
        (Err(stale), Ok(())) => return Err(stale),
    };
    let right_code = challenge.matches(&claims.match_code);
    let open = challenge
        .require_open(s.now)
        .and_then(|()| enrolment::require_bound(s, &challenge, claims, &signed.enrolment));
    if open.is_ok() && !right_code {
        phone.wrong_codes = phone.wrong_codes.saturating_add(1);
    }
    s.save_device(&mut phone, &Cause::pin())?;
    let attempts_left = phone.attempts.left(s.now, &limits);
    let credited = |challenge: Stored<Challenge>, refused| Outcome {
        challenge: challenge.record,
        attempts_left,
        refused,
    };
    if let Err(refused) = open {
        return Ok(credited(challenge, Some(refused)));
    }
    if !right_code {
        replacement::wrong_digits(s, &challenge)?;
        return Ok(credited(fail(s, challenge, signed)?, None));
    }
    if let Err(fault) = require_purpose(s, &challenge, &phone, signed) {
        tracing::info!(challenge_id = %challenge.id, code = fault.code(), "what was approved can no longer be done");
        return Ok(credited(fail(s, challenge, signed)?, None));
    }
    Ok(credited(approve(s, challenge, &mut phone, signed)?, None))
}

/// Whether what an approval sets in motion can still be done.
fn require_purpose(
    s: &mut Scope<'_, '_>,
    challenge: &Challenge,
    phone: &Device,
    signed: &Signed,
) -> Result<()> {
    if s.facts.keys.is_voided(&challenge.statement, s.facts.issuer()) {
        return fault::CHALLENGE_FAILED.broken();
    }
    enrolment::require_signable(s, &challenge.purpose, &signed.enrolment)?;
    replacement::require_confirmable(s, phone, &challenge.purpose)
}

fn fail(s: &mut Scope<'_, '_>, challenge: Stored<Challenge>, signed: &Signed) -> Result<Stored<Challenge>> {
    let state = State::Failed {
        at: s.now,
        approval: Some(signed.approval.compact().to_owned()),
    };
    let actor = challenge.device_id.to_string();
    challenge::conclude(s, challenge, state, &actor)
}

fn approve(
    s: &mut Scope<'_, '_>,
    challenge: Stored<Challenge>,
    phone: &mut Stored<Device>,
    signed: &Signed,
) -> Result<Stored<Challenge>> {
    let approval = &signed.approval;
    let assertion_expires_at = s.now.plus_s(ASSERTION_LIFETIME_S);
    let assertion = mint(s, &challenge, phone, approval)?;
    let state = State::Approved {
        at: s.now,
        approval: approval.compact().to_owned(),
        assertion,
        assertion_expires_at,
    };
    let challenge = challenge::conclude(s, challenge, state, &phone.id.to_string())?;
    match (&challenge.purpose, &signed.enrolment) {
        (Purpose::Replace { activation_id }, _) => replacement::confirm(s, phone, *activation_id)?,
        (Purpose::Lift { relying_party_id }, _) => {
            lift::apply(s, challenge.subject_id, relying_party_id.as_deref())?;
        }
        (Purpose::Resume, _) => life::resumed(s, phone)?,
        (Purpose::ChangePin, _) => pin_change::open(s, phone, &challenge)?,
        (Purpose::Enrol { activation_id, .. }, enrolment::Statement::Given(statement)) => {
            enrolment::sign(s, *activation_id, statement)?;
        }
        _ => {}
    }
    Ok(challenge)
}

fn mint(
    s: &Scope<'_, '_>,
    challenge: &Challenge,
    phone: &Device,
    approval: &Verified<Approval>,
) -> Result<String> {
    let shown = s
        .facts
        .keys
        .reopen_challenge(&challenge.statement, s.facts.issuer())?;
    let display_sha256 = B64(shown.display.sha256());
    let claims = statements::Assertion {
        iss: s.facts.issuer().to_owned(),
        aud: challenge.relying_party_id.parse().map_err(Fault::internal)?,
        sub: challenge.subject,
        jti: paraphe_proto::encoding::base64url(&s.random::<16>()),
        txn: challenge.id,
        acr: phone.acr.as_str().to_owned(),
        amr: ["pin", phone.key_storage.amr(), "pop", "mfa"]
            .map(str::to_owned)
            .to_vec(),
        auth_time: s.now,
        iat: s.now,
        exp: s.now.plus_s(ASSERTION_LIFETIME_S),
        authorization_details: vec![statements::AuthorizationDetail {
            action: challenge.action.clone(),
            locale: shown.display.locale,
            title: shown.display.title,
            display_sha256,
            parameters: serde_json::from_str(&challenge.parameters).map_err(Fault::internal)?,
        }],
        challenge_sha256: B64(sha256(&challenge.statement)),
        approval_sha256: B64(approval.sha256()),
    };
    let signed = jws::sign(&claims, &*s.facts.keys.assertion())?;
    Ok(signed.compact().to_owned())
}

/// `Refuse`. The proof and the refusal's signature were checked before; no PIN is needed.
///
/// # Errors
/// `refusal.mismatch`, `device.*`, the code of another final state.
pub fn refuse(
    s: &mut Scope<'_, '_>,
    proven: &ProvenPhone,
    id: ChallengeId,
    refusal: &Verified<Refusal>,
) -> Result<Outcome> {
    let limits = s.facts.attempt_limits();
    let phone = s.proven_phone(proven)?;
    let challenge = challenge::of_device(s, phone.id, id);
    match &challenge {
        Ok(asked) if matches!(asked.purpose, Purpose::Resume) => phone.require_suspended()?,
        _ => phone.require_may_refuse()?,
    }
    let challenge = challenge?;
    let claims = refusal.claims();
    if claims.challenge_sha256.0 != sha256(&challenge.statement)
        || claims.device_id != phone.id
        || claims.epoch != phone.epoch
    {
        return fault::REFUSAL_MISMATCH.broken();
    }
    let attempts_left = phone.attempts.left(s.now, &limits);
    if let State::Denied { .. } | State::Reported { .. } = challenge.state {
        return Ok(Outcome {
            challenge: challenge.record,
            attempts_left,
            refused: None,
        });
    }
    challenge.require_open(s.now)?;
    let (at, compact) = (s.now, refusal.compact().to_owned());
    let state = match claims.decision {
        RefusalDecision::Deny => State::Denied { at, refusal: compact },
        RefusalDecision::NotMe => State::Reported { at, refusal: compact },
    };
    let challenge = challenge::conclude(s, challenge, state, &phone.id.to_string())?;
    replacement::refused(s, &challenge)?;
    if let RefusalDecision::NotMe = claims.decision {
        report(s, &challenge)?;
    }
    Ok(Outcome {
        challenge: challenge.record,
        attempts_left,
        refused: None,
    })
}

/// Blocks the relying party, freezes the person at the second report, and ends what they still ask.
fn report(s: &mut Scope<'_, '_>, challenge: &Challenge) -> Result<()> {
    tracing::warn!(challenge_id = %challenge.id, relying_party = %challenge.relying_party_id, "reported as not me");
    match challenge.purpose {
        Purpose::StepUp => {}
        Purpose::Login { operator_id, .. } => {
            return enrolment::disown(s, operator_id, None);
        }
        Purpose::Enrol {
            operator_id,
            activation_id,
        } => {
            return enrolment::disown(s, operator_id, Some(activation_id));
        }
        Purpose::Lift { .. } | Purpose::Resume | Purpose::ChangePin | Purpose::Replace { .. } => {
            return Ok(());
        }
    }
    let party = &challenge.relying_party_id;
    let mut blocks = subject::blocks(&mut s.rows, challenge.subject_id)?;
    if !blocks.iter().any(|known| known.relying_party_id == *party) {
        s.rows.insert(&Block {
            subject_id: challenge.subject_id,
            relying_party_id: party.clone(),
            since: s.now,
        })?;
        blocks = subject::blocks(&mut s.rows, challenge.subject_id)?;
    }
    let frozen = blocks.len() >= 2;
    if let Some(mut person) = subject::load(&mut s.rows, challenge.subject_id)?
        && frozen
        && person.frozen_at.is_none()
    {
        person.frozen_at = Some(s.now);
        s.rows.update(&mut person)?;
        s.audit("paraphed", "freeze", challenge.subject_id, "ok")?;
    }
    end_pending(s, challenge, frozen)
}

fn end_pending(s: &mut Scope<'_, '_>, reported: &Challenge, frozen: bool) -> Result<()> {
    for pending in store::challenge::pending_of_person(&mut s.rows, reported.subject_id, s.now)? {
        let concerned = frozen || pending.relying_party_id == reported.relying_party_id;
        if concerned && pending.is_open(s.now) && matches!(pending.purpose, Purpose::StepUp) {
            let state = State::Failed {
                at: s.now,
                approval: None,
            };
            challenge::conclude(s, pending, state, "paraphed")?;
        }
    }
    Ok(())
}
