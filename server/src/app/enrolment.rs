//! The clerk's signature under an enrolment: an activation is good once the clerk has approved it, with PIN, on their own phone
//! (protocol.md sections 3 and 5).
//!
//! Called by `case` when an activation is issued and by `answer` when the clerk's phone answers. Invariant: no person's activation
//! leaves `awaiting_signature` without a `paraphe-enrolment+jwt` over exactly what the challenge named.

use paraphe_proto::encoding::{B64, base64url};
use paraphe_proto::ids::{ActivationId, OperatorId};
use paraphe_proto::jws::Verified;
use paraphe_proto::statements::{self, Approval, Enrolled, Enrolment};

use super::own::{Own, raise_own};
use super::quota::{Quota, require_quota};
use super::request::supersede;
use super::{Scope, activation as activations, case, operator as operators, session};
use crate::domain::activation::{Signature, State};
use crate::domain::case::{Case, Evidence};
use crate::domain::challenge::{Challenge, Purpose};
use crate::domain::device::Cause;
use crate::domain::digest::sha256;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::level::Acr;
use crate::domain::operator::Operator;
use crate::domain::relying_party::DESK;
use crate::domain::secret::Bytes;
use crate::store::{activation, operator};

/// Action of the built-in catalogue.
const ACTION: &str = statements::ENROL_ACTION;

/// What a clerk is asked to sign.
pub struct Asking<'a> {
    /// The case.
    pub case: &'a Case,
    /// What it rests on.
    pub evidence: &'a Evidence,
    /// The activation that is good once this is signed.
    pub activation_id: ActivationId,
    /// Level that its phone will have.
    pub acr: Acr,
    /// Whether that takes the place of another.
    pub replaces: bool,
}

/// What asking the clerk led to.
pub struct Asked {
    /// The challenge on the clerk's phone.
    pub challenge: Challenge,
    /// What the activation waits for; taken by the activation.
    pub signature: Option<Signature>,
}

/// Raises the challenge that asks the clerk to sign.
///
/// # Errors
/// `operator.no_phone`, `enrolment.too_many`, `challenge.charged`.
pub fn ask(s: &mut Scope<'_, '_>, clerk: &Operator, asking: &Asking<'_>) -> Result<Asked> {
    let Asking {
        case,
        evidence,
        activation_id,
        acr,
        replaces,
    } = *asking;
    let Some(phone) = operators::phone_of(s, clerk, Acr::Eidas1)? else {
        return fault::OPERATOR_NO_PHONE.broken();
    };
    let figures = &s.facts.config.operators;
    let quota = Quota {
        per_10_min: figures.enrolments_per_10_min,
        per_day: figures.enrolments_per_day,
    };
    require_quota(s, phone.subject_id, DESK, quota, fault::ENROLMENTS_EXHAUSTED)?;
    // A clerk has one to sign at a time.
    supersede(s, phone.subject_id, DESK)?;
    let salt = s.random();
    let enrolled = enrolled(clerk, case, evidence, activation_id, acr, &salt);
    let checks = evidence.checks.join(", ");
    let birthplace = match evidence.birthplace.as_str() {
        "" => "–",
        known => known,
    };
    let document = format!(
        "{} {} {}",
        evidence.issuing_state,
        evidence.code,
        ending(&evidence.number)
    );
    let proofed = evidence.proofed.as_ref().map(|proofed| proofed.provider.as_str());
    let replaces = replaces.then_some("replaces a phone");
    let channel: Vec<&str> = [Some(case.channel.as_str()), proofed, replaces]
        .into_iter()
        .flatten()
        .collect();
    let channel = channel.join(", ");
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
                ("birthplace", birthplace),
                ("document", &document),
                ("checks", &checks),
                ("channel", &channel),
                ("level", acr.as_str()),
            ],
            lifetime_s: None,
            purpose: Purpose::Enrol {
                operator_id: clerk.id,
                activation_id,
            },
            enrolment: Some(enrolled),
            replacement: None,
        },
    )?;
    let signature = Signature {
        challenge_id: challenge.id,
        salt: Bytes(salt),
        statement: None,
    };
    Ok(Asked {
        challenge,
        signature: Some(signature),
    })
}

fn ending(number: &str) -> String {
    let skipped = number.chars().count().saturating_sub(4);
    format!("…{}", number.chars().skip(skipped).collect::<String>())
}

fn enrolled(
    clerk: &Operator,
    case: &Case,
    evidence: &Evidence,
    activation_id: ActivationId,
    acr: Acr,
    salt: &[u8; 32],
) -> Enrolled {
    let (person_sha256, evidence_sha256) = digests(evidence, salt);
    Enrolled {
        operator_id: clerk.id,
        activation_id,
        person_sha256: B64(person_sha256),
        evidence_sha256: B64(evidence_sha256),
        channel: case.channel.clone(),
        acr: acr.as_str().to_owned(),
    }
}

/// Digests of the person and of the evidence.
fn digests(evidence: &Evidence, salt: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
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
    let proofed = evidence.proofed.as_ref();
    let signed = proofed.map(|proofed| base64url(&sha256(&proofed.statement)));
    if let (Some(proofed), Some(signed)) = (proofed, &signed) {
        evidence_fields.extend(["proofing", &proofed.provider, signed]);
    }
    (
        statements::person_sha256(salt, &person.map(String::as_str)),
        statements::evidence_sha256(salt, &evidence_fields),
    )
}

/// The enrolment statement that came with an approval.
pub enum Statement {
    /// None came.
    Absent,
    /// One whose signature holds.
    Given(Box<Verified<Enrolment>>),
    /// One that is not the clerk's.
    Refused,
}

/// Whether the enrolment statement is there exactly where the challenge asks for one, and bound to it and to the approval.
///
/// # Errors
/// `enrolment.mismatch`; the PIN was right all the same.
pub fn require_bound(
    s: &Scope<'_, '_>,
    challenge: &Challenge,
    approval: &Approval,
    statement: &Statement,
) -> Result<()> {
    let asked = match challenge.purpose {
        Purpose::Enrol { .. } => {
            let keys = &s.facts.keys;
            keys.reopen_challenge(&challenge.statement, s.facts.issuer())?
                .enrolment
        }
        _ => None,
    };
    let bound = match (&asked, statement) {
        (None, Statement::Absent) => true,
        (Some(asked), Statement::Given(given)) => {
            let claims = given.claims();
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

/// Whether the clerk's yes still counts: the operator is a clerk, the activation waits for it, the evidence is what was shown.
///
/// # Errors
/// `caller.forbidden`, `activation.*`, `case.*`, `subject.ambiguous`; the PIN was right all the same.
pub fn require_signable(s: &mut Scope<'_, '_>, purpose: &Purpose, statement: &Statement) -> Result<()> {
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
    if !matches!(found.state, State::AwaitingSignature) {
        return fault::ACTIVATION_STATE.broken();
    }
    let (Some(case_id), Some(signature), Statement::Given(given)) =
        (found.case_id, &found.signature, statement)
    else {
        return fault::ACTIVATION_STATE.broken();
    };
    let (person, evidence) = digests(&case::nameable(s, case_id)?, &signature.salt.0);
    let signed = &given.claims().enrolled;
    if signed.person_sha256.0 != person || signed.evidence_sha256.0 != evidence {
        return fault::CASE_STATE.broken();
    }
    Ok(())
}

/// The activation counts from here.
///
/// # Errors
/// `activation.state`, `subject.ambiguous`; those of the store.
pub fn sign(s: &mut Scope<'_, '_>, id: ActivationId, statement: &Verified<Enrolment>) -> Result<()> {
    let found = activation::load(&mut s.rows, id)?;
    let found = found.ok_or_else(|| Fault::internal("an enrolment without its activation"))?;
    let clerk = statement.claims().enrolled.operator_id.to_string();
    let case_id = found
        .case_id
        .ok_or_else(|| Fault::internal("a signed activation without case"))?;
    let subject_id = case::issued(s, case_id, id, found.subject_id)?;
    activations::end_earlier(s, subject_id, id, &clerk)?;
    let mut signed =
        found.try_map(|activation| activation.sign(subject_id, statement.compact().to_owned()))?;
    s.rows.update(&mut signed)?;
    s.audit(&clerk, "sign_enrolment", id, "ok")
}

/// The operator did not ask for this: somebody acts in their name. Their sessions and approved logins end, and so does what was to be
/// signed.
///
/// # Errors
/// Those of the store.
pub fn disown(s: &mut Scope<'_, '_>, operator_id: OperatorId, asked: Option<ActivationId>) -> Result<()> {
    let actor = operator_id.to_string();
    session::end_all(s, operator_id)?;
    s.audit(&actor, "end_sessions", operator_id, "not_me")?;
    if let Some(id) = asked
        && let Some(found) = activation::load(&mut s.rows, id)?
        && matches!(found.state, State::AwaitingSignature)
    {
        // Nothing that waits for its signature has made a phone.
        activations::end(s, found, &actor, &Cause::daemon("not_confirmed"))?;
    }
    Ok(())
}
