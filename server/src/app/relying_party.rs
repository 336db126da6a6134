//! Relying parties and what auditors read: the audit trail and the statements behind a verdict.

use paraphe_proto::ids::{ActivationId, ChallengeId, RelyingPartyId};

use super::Scope;
use crate::domain::attestation::VerifiedAttestation;
use crate::domain::challenge::{Challenge, State};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::relying_party::{RelyingParty, is_own};
use crate::domain::text::PlainText;
use crate::store::audit::{self, Entry};
use crate::store::{activation, challenge, device, meta, relying_party};

/// Registers a relying party that was decoded and checked.
///
/// # Errors
/// `relying_party.exists`, `action.unknown`, `field.invalid`.
pub fn register(s: &mut Scope<'_, '_>, actor: &str, party: &RelyingParty) -> Result<RelyingParty> {
    if party.id.parse::<RelyingPartyId>().is_err() || is_own(&party.id) || party.id.starts_with("opr") {
        let allowed = "It must be 2 to 32 characters of a-z 0-9 -, neither `paraphe` nor `paraphe-desk` nor beginning with `opr`.";
        return Err(Fault::field("relying_party_id", allowed));
    }
    PlainText::parse(&party.display_name, 64).map_err(|error| {
        Fault::field(
            "display_name",
            format!("It must be 1 to 64 plain characters: {error}."),
        )
    })?;
    if party.public_key.is_none() && party.certificate_sha256.is_none() {
        return Err(Fault::field(
            "public_jwk",
            "Register a key, a certificate or both.",
        ));
    }
    let own = |id: &&String| s.facts.catalogue.action(id).is_none() || id.starts_with("paraphe.");
    if let Some(unknown) = party.actions.iter().find(own) {
        return Err(fault::ACTION_UNKNOWN
            .fault()
            .on("actions")
            .because(format!("`{unknown}` is not.")));
    }
    let taken = match &party.certificate_sha256 {
        Some(digest) => relying_party::by_certificate(&mut s.rows, digest)?.is_some(),
        None => false,
    };
    if taken || relying_party::load(&mut s.rows, &party.id)?.is_some() {
        return Err(fault::RELYING_PARTY_EXISTS.fault().on("relying_party_id"));
    }
    let party = RelyingParty {
        registered_at: s.now,
        ..party.clone()
    };
    s.rows.insert(&party)?;
    s.audit(actor, "register_relying_party", &party.id, "ok")?;
    Ok(party)
}

/// All relying parties, by id.
///
/// # Errors
/// Those of the store.
pub fn list(s: &mut Scope<'_, '_>) -> Result<Vec<RelyingParty>> {
    Ok(relying_party::list(&mut s.rows)?
        .into_iter()
        .map(|stored| stored.record)
        .collect())
}

/// Audit entries after a number.
///
/// # Errors
/// Those of the store.
pub fn audit_entries(s: &mut Scope<'_, '_>, after: u64, limit: i64) -> Result<Vec<Entry>> {
    Ok(audit::after(&mut s.rows, after, limit)?
        .into_iter()
        .map(|stored| stored.record)
        .collect())
}

/// The signed statements behind one verdict.
pub struct Statements {
    /// The challenge with its answer.
    pub challenge: Challenge,
    /// The activation statement of the device that answered.
    pub activation: String,
    /// All key sets, in order.
    pub key_sets: Vec<String>,
    /// How that device came to be enrolled, where a clerk signed for it.
    pub enrolment: Option<SignedEnrolment>,
    /// What was verified of that device's possession key.
    pub attestation: Option<VerifiedAttestation>,
}

/// A clerk's signature under an enrolment, each a compact JWS.
pub struct SignedEnrolment {
    /// The challenge that the clerk's phone showed.
    pub challenge: String,
    /// The enrolment statement.
    pub enrolment: String,
    /// The activation statement of the clerk's phone.
    pub activation: String,
}

/// `GetStatements`.
///
/// # Errors
/// `challenge.not_found`.
pub fn statements(s: &mut Scope<'_, '_>, actor: &str, id: ChallengeId) -> Result<Statements> {
    let found = challenge::load(&mut s.rows, id)?;
    let found = found.ok_or_else(|| fault::CHALLENGE_NOT_FOUND.fault().on("challenge_id"))?;
    let phone = device::load(&mut s.rows, found.device_id)?;
    let key_sets = meta::key_sets_after(&mut s.rows, 0)?;
    s.audit(actor, "get_statements", id, "ok")?;
    let answered = phone.filter(|_| !matches!(found.state, State::Pending));
    let enrolment = match answered.as_ref().and_then(|phone| phone.activation_id) {
        Some(id) => signed_enrolment(s, id)?,
        None => None,
    };
    let attestation = answered
        .as_ref()
        .and_then(|phone| phone.key_storage.attestation());
    Ok(Statements {
        challenge: found.record,
        attestation: attestation.cloned(),
        activation: answered.map(|phone| phone.activation.clone()).unwrap_or_default(),
        key_sets,
        enrolment,
    })
}

fn signed_enrolment(s: &mut Scope<'_, '_>, id: ActivationId) -> Result<Option<SignedEnrolment>> {
    let found = activation::load(&mut s.rows, id)?;
    let Some(signature) = found.and_then(|found| found.record.signature) else {
        return Ok(None);
    };
    let Some(enrolment) = signature.statement else {
        return Ok(None);
    };
    let Some(asked) = challenge::load(&mut s.rows, signature.challenge_id)? else {
        return Ok(None);
    };
    let clerk = device::load(&mut s.rows, asked.device_id)?;
    Ok(Some(SignedEnrolment {
        challenge: asked.statement.clone(),
        enrolment,
        activation: clerk.map(|phone| phone.activation.clone()).unwrap_or_default(),
    }))
}
