//! What a case rests on: the document and the checks, typed by a clerk, or signed by an identity-proofing provider where the channel is
//! `remote` (protocol.md section 5).
//!
//! Called by `case::record`. Invariant: in the channel `remote` nothing is taken from the clerk but a yes or a no.

use paraphe_proto::ids::CaseId;
use paraphe_proto::jws::{self, StatementError, Verified};
use paraphe_proto::statements::{Proofing, ProofingOutcome};
use time::Date;

use super::Scope;
use crate::config::{ChannelName, EvidenceCheck};
use crate::domain::case::{Case, Evidence, Proofed};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::identity::PivotIdentity;
use crate::domain::mrz::{self, MrzDocument};

/// Longest life of a provider's statement, in seconds.
const LONGEST_S: i64 = 7 * 86_400;
/// How far a provider's clock may be ahead, in seconds.
const SKEW_S: i64 = 30;

/// What `RecordEvidence` says.
#[derive(Clone)]
pub struct RecordCommand {
    /// Which case.
    pub case_id: CaseId,
    /// The machine-readable zone as typed.
    pub mrz: String,
    /// The checks that passed.
    pub checks: Vec<EvidenceCheck>,
    /// INSEE COG code; empty when not known.
    pub birthplace: String,
    /// `false` rejects the case.
    pub accepted: bool,
    /// `paraphe-proofing+jwt`; empty in every channel but `remote`.
    pub proofing: String,
    /// Issuing state and number of an earlier document of the same person; empty when not told.
    pub previous_document: String,
    /// The clerk says that this is none of the namesakes that are known.
    pub another_person: bool,
}

/// What was seen, whoever saw it.
struct Seen {
    mrz: String,
    /// The field of the request that the machine-readable zone stands in.
    field: &'static str,
    checks: Vec<EvidenceCheck>,
    birthplace: String,
    proofed: Option<Proofed>,
}

/// The evidence that a command brings for a case.
///
/// # Errors
/// `mrz.refused`, `document.expired`, `evidence.checks_missing`, `proofing.*`, `field.invalid`.
pub fn examine(s: &Scope<'_, '_>, case: &Case, cmd: &RecordCommand) -> Result<Evidence> {
    let channel = ChannelName::from_name(&case.channel);
    let seen = match channel {
        Some(ChannelName::Remote) => seen_by_provider(s, case, cmd)?,
        _ => seen_by_clerk(cmd)?,
    };
    let document = read(s, &seen)?;
    PivotIdentity::of_document(&document, &seen.birthplace).map_err(|error| {
        let field = match (error.field(), &seen.proofed) {
            ("birthplace", None) => "birthplace",
            _ => seen.field,
        };
        Fault::field(field, error.to_string())
    })?;
    let profile = channel.and_then(|name| s.facts.config.channels.profile(name));
    let needed = profile
        .map(|profile| profile.checks.as_slice())
        .unwrap_or_default();
    let missing: Vec<&str> = needed
        .iter()
        .filter(|check| !seen.checks.contains(check))
        .map(|check| check.as_str())
        .collect();
    if !missing.is_empty() {
        let detail = format!("Missing: {}.", missing.join(", "));
        let field = if seen.proofed.is_some() {
            "proofing"
        } else {
            "checks"
        };
        return Err(fault::CHECKS_MISSING.fault().on(field).because(detail));
    }
    Ok(Evidence {
        format: document.format.as_str().to_owned(),
        code: document.code.clone(),
        issuing_state: document.issuing_state.clone(),
        number: document.number.clone(),
        family_name: document.family_name.clone(),
        given_names: document.given_names.clone(),
        birth_date: document.birth_date.clone(),
        sex: document.sex.as_str().to_owned(),
        nationality: document.nationality.clone(),
        expiry_date: document.expiry_date.clone(),
        birthplace: seen.birthplace,
        checks: seen
            .checks
            .iter()
            .map(|check| check.as_str().to_owned())
            .collect(),
        recorded_at: s.now,
        proofed: seen.proofed,
        previous_document: cmd.previous_document.clone(),
        another_person: cmd.another_person,
    })
}

fn seen_by_clerk(cmd: &RecordCommand) -> Result<Seen> {
    if !cmd.proofing.is_empty() {
        return Err(Fault::field(
            "proofing",
            "It must be empty: only the channel `remote` rests on a provider's statement.".to_owned(),
        ));
    }
    Ok(Seen {
        mrz: cmd.mrz.clone(),
        field: "mrz",
        checks: cmd.checks.clone(),
        birthplace: cmd.birthplace.clone(),
        proofed: None,
    })
}

fn seen_by_provider(s: &Scope<'_, '_>, case: &Case, cmd: &RecordCommand) -> Result<Seen> {
    let typed = [
        ("mrz", cmd.mrz.is_empty()),
        ("checks", cmd.checks.is_empty()),
        ("birthplace", cmd.birthplace.is_empty()),
    ];
    if let Some((field, _)) = typed.iter().find(|(_, empty)| !empty) {
        return Err(Fault::field(
            *field,
            "It must be empty: in the channel `remote` it comes from the provider's statement.".to_owned(),
        ));
    }
    if cmd.proofing.is_empty() {
        return Err(fault::PROOFING_MISSING.fault().on("proofing"));
    }
    let proofing = verified(s, case, &cmd.proofing)?;
    let claims = proofing.claims();
    let checks: Option<Vec<_>> = claims
        .checks
        .iter()
        .map(|name| EvidenceCheck::from_name(name))
        .collect();
    Ok(Seen {
        mrz: claims.mrz.clone(),
        field: "proofing",
        checks: checks.ok_or_else(|| refused("It names a check that this version does not know."))?,
        birthplace: claims.birthplace.clone(),
        proofed: Some(Proofed {
            provider: claims.provider.clone(),
            statement: cmd.proofing.clone(),
        }),
    })
}

/// A case of the channel `remote` rests on the word of a provider that is still trusted, also one of before that was asked for.
///
/// # Errors
/// `proofing.missing`, `proofing.refused`.
pub fn require_proofed(s: &Scope<'_, '_>, case: &Case) -> Result<()> {
    let is_remote = ChannelName::from_name(&case.channel) == Some(ChannelName::Remote);
    match case.evidence() {
        Some(evidence) if is_remote => match &evidence.proofed {
            Some(proofed) if s.facts.proofing.trusts(&proofed.provider) => Ok(()),
            Some(_) => Err(refused("Its provider is no longer trusted: open another case.")),
            None => fault::PROOFING_MISSING.broken(),
        },
        _ => Ok(()),
    }
}

fn refused(detail: &str) -> Fault {
    fault::PROOFING_REFUSED.fault().on("proofing").because(detail)
}

/// The statement of a provider that is registered, for this case, in its time, and good.
fn verified(s: &Scope<'_, '_>, case: &Case, compact: &str) -> Result<Verified<Proofing>> {
    let mut signer = None;
    let proofing: Verified<Proofing> = jws::verify_with(compact, s.facts.issuer(), |kid| {
        let (name, key) = s.facts.proofing.by_thumbprint(kid)?;
        signer = Some(name);
        Some(key.clone())
    })
    .map_err(|error| match error {
        StatementError::Key => refused("No registered provider has the key that it names."),
        other => refused(&format!("It is refused: {other}.")),
    })?;
    let claims = proofing.claims();
    if signer != Some(claims.provider.as_str()) {
        return Err(refused(
            "It names another provider than the one whose key signed it.",
        ));
    }
    if claims.case_id != case.id {
        return Err(refused("It is for another case."));
    }
    let lasts_s = claims.exp.since_s(claims.iat);
    if claims.iat.since_s(s.now) > SKEW_S || s.now >= claims.exp || !(1..=LONGEST_S).contains(&lasts_s) {
        return Err(refused(
            "Its time is over, not come yet, or longer than 7 days: ask the provider for another.",
        ));
    }
    if claims.outcome == ProofingOutcome::Failed {
        return Err(refused(
            "The provider found that it does not hold: reject the case.",
        ));
    }
    Ok(proofing)
}

fn read(s: &Scope<'_, '_>, seen: &Seen) -> Result<MrzDocument> {
    let today = today(s)?;
    let document = mrz::parse(&seen.mrz, today).map_err(|error| {
        fault::MRZ_REFUSED
            .fault()
            .on(seen.field)
            .because(error.to_string())
    })?;
    let specimen = s.facts.config.profile.demonstration && document.issuing_state == "UTO";
    if document.expiry_date < today.to_string() && !specimen {
        return Err(fault::DOCUMENT_EXPIRED
            .fault()
            .on(seen.field)
            .because(format!("On {}.", document.expiry_date)));
    }
    Ok(document)
}

fn today(s: &Scope<'_, '_>) -> Result<Date> {
    let now = time::OffsetDateTime::from_unix_timestamp(s.now.as_secs()).map_err(Fault::internal)?;
    Ok(now.date())
}
