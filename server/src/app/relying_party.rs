//! Relying parties and what auditors read: the audit trail and the statements behind a verdict.

use paraphe_proto::ids::{ChallengeId, RelyingPartyId};

use super::Scope;
use crate::domain::challenge::{Challenge, State};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::relying_party::{DAEMON, RelyingParty};
use crate::domain::text::PlainText;
use crate::store::audit::{self, Entry};
use crate::store::{challenge, device, meta, relying_party};

/// Registers a relying party that was decoded and checked.
///
/// # Errors
/// `relying_party.exists`, `action.unknown`, `field.invalid`.
pub fn register(s: &mut Scope<'_, '_>, actor: &str, party: &RelyingParty) -> Result<RelyingParty> {
    if party.id.parse::<RelyingPartyId>().is_err() || party.id == DAEMON || party.id.starts_with("opr") {
        let allowed =
            "It must be 2 to 32 characters of a-z 0-9 -, neither `paraphe` nor beginning with `opr`.";
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
    let activation = match found.state {
        State::Pending => String::new(),
        _ => phone.map(|phone| phone.activation.clone()).unwrap_or_default(),
    };
    Ok(Statements {
        challenge: found.record,
        activation,
        key_sets,
    })
}
