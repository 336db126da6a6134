//! The clerk's signature under an enrolment: an activation is good once the clerk has approved it, with PIN, on their own phone
//! (protocol.md sections 3 and 5).
//!
//! Called by `case` when an activation is issued and by `answer` when the clerk's phone answers. Invariant: no person's activation
//! leaves `awaiting_signature` without a `paraphe-enrolment+jwt` over exactly what the challenge named.

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::ActivationId;
use paraphe_proto::jws::Verified;
use paraphe_proto::statements::{self, Approval, Enrolled, Enrolment};

use super::own::{Own, Quota, raise_own, require_quota};
use super::{Scope, operator as operators};
use crate::domain::activation::{Signature, State};
use crate::domain::case::{Case, Evidence};
use crate::domain::challenge::{Challenge, Purpose};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::level::Acr;
use crate::domain::operator::Operator;
use crate::domain::relying_party::DESK;
use crate::domain::secret::Bytes;
use crate::store::{activation, operator};

/// Action of the built-in catalogue.
const ACTION: &str = "paraphe.enrol";

/// Raises the challenge that asks the clerk to sign.
///
/// # Errors
/// `operator.no_phone`, `enrolment.too_many`.
pub fn ask(
    s: &mut Scope<'_, '_>,
    clerk: &Operator,
    case: &Case,
    evidence: &Evidence,
    activation_id: ActivationId,
    acr: Acr,
) -> Result<(Challenge, Signature)> {
    let Some(phone) = operators::phone_of(s, clerk, Acr::Eidas1)? else {
        return fault::OPERATOR_NO_PHONE.broken();
    };
    let figures = &s.facts.config.operators;
    let quota = Quota {
        per_10_min: figures.enrolments_per_10_min,
        per_day: figures.enrolments_per_day,
    };
    require_quota(s, phone.subject_id, DESK, quota, fault::ENROLMENTS_EXHAUSTED)?;
    let salt = s.random();
    let enrolled = enrolled(case, evidence, activation_id, acr, &salt);
    let document = format!(
        "{} {} {}",
        evidence.issuing_state,
        evidence.code,
        ending(&evidence.number)
    );
    let challenge = raise_own(
        s,
        Own {
            relying_party_id: DESK,
            action: ACTION,
            subject_id: phone.subject_id,
            device_id: phone.id,
            parameters: vec![
                ("family_name", &evidence.family_name),
                ("given_names", &evidence.given_names),
                ("birth_date", &evidence.birth_date),
                ("document", &document),
                ("channel", &case.channel),
            ],
            lifetime_s: None,
            purpose: Purpose::Enrol {
                operator_id: clerk.id,
                activation_id,
            },
            enrolment: Some(enrolled),
        },
    )?;
    let signature = Signature {
        challenge_id: challenge.id,
        salt: Bytes(salt),
        statement: None,
    };
    Ok((challenge, signature))
}

fn ending(number: &str) -> String {
    let skipped = number.chars().count().saturating_sub(4);
    format!("…{}", number.chars().skip(skipped).collect::<String>())
}

fn enrolled(
    case: &Case,
    evidence: &Evidence,
    activation_id: ActivationId,
    acr: Acr,
    salt: &[u8; 32],
) -> Enrolled {
    let person = [
        &evidence.family_name,
        &evidence.given_names,
        &evidence.birth_date,
        &evidence.birthplace,
    ];
    let document = [
        &evidence.format,
        &evidence.code,
        &evidence.issuing_state,
        &evidence.number,
        &evidence.nationality,
        &evidence.sex,
        &evidence.expiry_date,
    ];
    let recorded_at = evidence.recorded_at.as_secs().to_string();
    let mut evidence_fields: Vec<&str> = document.map(String::as_str).to_vec();
    evidence_fields.push(&recorded_at);
    evidence_fields.extend(evidence.checks.iter().map(String::as_str));
    Enrolled {
        activation_id,
        person_sha256: B64(statements::person_sha256(salt, &person.map(String::as_str))),
        evidence_sha256: B64(statements::evidence_sha256(salt, &evidence_fields)),
        channel: case.channel.clone(),
        acr: acr.as_str().to_owned(),
    }
}

/// Whether the enrolment statement is there exactly where the challenge asks for one, and bound to it and to the approval.
///
/// # Errors
/// `enrolment.mismatch`; nothing is credited then.
pub fn require_bound(
    s: &Scope<'_, '_>,
    challenge: &Challenge,
    approval: &Approval,
    statement: Option<&Verified<Enrolment>>,
) -> Result<()> {
    let asked = match challenge.purpose {
        Purpose::Enrol { .. } => {
            let keys = &s.facts.keys;
            keys.reopen_challenge(&challenge.statement, s.facts.issuer())?
                .enrolment
        }
        _ => None,
    };
    let bound = match (&asked, statement.map(Verified::claims)) {
        (None, None) => true,
        (Some(asked), Some(claims)) => {
            claims.enrolled == *asked
                && claims.challenge_sha256 == approval.challenge_sha256
                && claims.device_id == approval.device_id
                && claims.epoch == approval.epoch
                && claims.evaluation == approval.evaluation
        }
        _ => false,
    };
    if bound {
        Ok(())
    } else {
        fault::ENROLMENT_MISMATCH.broken()
    }
}

/// Whether the clerk's yes still counts: the operator is a clerk, the activation waits for it.
///
/// # Errors
/// `caller.forbidden`, `activation.*`; the PIN was right all the same.
pub fn require_signable(s: &mut Scope<'_, '_>, purpose: &Purpose) -> Result<()> {
    let Purpose::Enrol {
        operator_id,
        activation_id,
    } = purpose
    else {
        return Ok(());
    };
    let clerk = operator::load(&mut s.rows, *operator_id)?;
    if !clerk.is_some_and(|clerk| clerk.may_enrol()) {
        return fault::FORBIDDEN.broken();
    }
    let found = activation::load(&mut s.rows, *activation_id)?;
    let found = found.ok_or_else(|| fault::ACTIVATION_NOT_FOUND.fault())?;
    found.require_alive(s.now)?;
    match found.state {
        State::AwaitingSignature => Ok(()),
        _ => fault::ACTIVATION_STATE.broken(),
    }
}

/// The activation counts from here.
///
/// # Errors
/// `activation.state`; those of the store.
pub fn sign(s: &mut Scope<'_, '_>, id: ActivationId, statement: &Verified<Enrolment>) -> Result<()> {
    let found = activation::load(&mut s.rows, id)?;
    let found = found.ok_or_else(|| Fault::internal("an enrolment without its activation"))?;
    let mut signed = found.try_map(|activation| activation.sign(statement.compact().to_owned()))?;
    s.rows.update(&mut signed)?;
    s.audit(
        &statement.claims().device_id.to_string(),
        "sign_enrolment",
        id,
        "ok",
    )
}
