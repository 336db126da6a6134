//! Enrolment cases: open, record evidence, countersign, issue the activation (protocol.md section 5).

use paraphe_proto::activation::ActivationSecret;
use paraphe_proto::ids::{ActivationId, CaseId, OperatorId, SubjectId};
use paraphe_proto::time::Timestamp;

use super::activation::{self, Issue, Issued};
use super::enrolment::{Asked, Asking};
use super::evidence::{self, RecordCommand};
use super::room::{self, Replacing};
use super::{Scope, enrolment, pairwise};
use crate::config::ChannelName;
use crate::domain::case::{Case, Evidence, State};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::identity::PivotIdentity;
use crate::domain::operator::Operator;
use crate::domain::subject::{StoredIdentity, Subject};
use crate::store::record::Stored;
use crate::store::{case, subject};

/// `OpenCase`.
///
/// # Errors
/// `channel.unknown`.
pub fn open(s: &mut Scope<'_, '_>, clerk: OperatorId, channel: &str) -> Result<Case> {
    let name = ChannelName::from_name(channel).filter(|name| name.is_public());
    let profile = name.and_then(|name| s.facts.config.channels.profile(name));
    let profile = profile.ok_or_else(|| {
        let open = s.facts.config.channels.iter().map(|(name, _)| name);
        let open: Vec<&str> = open
            .filter(|name| name.is_public())
            .map(|name| name.as_str())
            .collect();
        let detail = format!("Open are: {}.", open.join(", "));
        fault::CHANNEL_UNKNOWN.fault().on("channel").because(detail)
    })?;
    let case = Case {
        id: CaseId::random(&mut s.rng()),
        channel: channel.to_owned(),
        opened_by: clerk,
        opened_at: s.now,
        two_people: profile.second_clerk,
        state: State::Open,
    };
    s.rows.insert(&case)?;
    s.audit(&clerk.to_string(), "open_case", case.id, "ok")?;
    Ok(case)
}

/// `RecordEvidence`.
///
/// # Errors
/// `mrz.refused`, `document.expired`, `evidence.checks_missing`, `proofing.*`, `subject.ambiguous`, `case.*`; nothing is stored then.
pub fn record(s: &mut Scope<'_, '_>, clerk: OperatorId, cmd: &RecordCommand) -> Result<Case> {
    let found = of_clerk(s, clerk, cmd.case_id)?;
    let evidence = if cmd.accepted {
        let examined = evidence::examine(s, &found, cmd)?;
        known_person(s, &examined).map_err(|fault| fault.on("birthplace"))?;
        Some(examined)
    } else {
        None
    };
    let mut recorded = found.try_map(|case| case.record(evidence))?;
    s.rows.update(&mut recorded)?;
    s.audit(
        &clerk.to_string(),
        "record_evidence",
        cmd.case_id,
        recorded.state.as_str(),
    )?;
    Ok(recorded.record)
}

/// `Countersign`.
///
/// # Errors
/// `case.own`, `case.state`, `case.not_found`.
pub fn countersign(s: &mut Scope<'_, '_>, by: OperatorId, id: CaseId) -> Result<Case> {
    let found = case::load(&mut s.rows, id)?.ok_or_else(|| fault::CASE_NOT_FOUND.fault())?;
    evidence::require_proofed(s, &found)?;
    let mut signed = found.try_map(|case| case.countersign(by))?;
    s.rows.update(&mut signed)?;
    s.audit(&by.to_string(), "countersign", id, "ok")?;
    Ok(signed.record)
}

/// `IssueActivation`: the secret, and the challenge on the clerk's phone that makes it good.
///
/// # Errors
/// `case.*`, `subject.already_enrolled`, `subject.too_many_phones`, `replacement.*`, `operator.no_phone`, `enrolment.too_many`.
pub fn issue(
    s: &mut Scope<'_, '_>,
    clerk: &Operator,
    id: CaseId,
    replacing: Option<Replacing>,
) -> Result<(Issued, Asked)> {
    let found = of_clerk(s, clerk.id, id)?;
    let evidence = found.issuable()?;
    evidence::require_proofed(s, &found)?;
    let subject_id = match known_person(s, evidence).map_err(|fault| fault.on("case_id"))? {
        Some(id) => id,
        None => SubjectId::random(&mut s.rng()),
    };
    let channel = ChannelName::from_name(&found.channel).ok_or_else(|| fault::CHANNEL_UNKNOWN.fault())?;
    let profile = s.facts.config.channels.profile(channel);
    let acr = profile.ok_or_else(|| fault::CHANNEL_UNKNOWN.fault())?.acr;
    let replacing_at = replacing.map(|replacing| (acr, replacing.which));
    room::require(s, subject_id, None, replacing_at)?;
    let secret = ActivationSecret::random(&mut s.rng());
    let asking = Asking {
        case: &found,
        evidence,
        activation_id: secret.activation_id(),
        acr,
        replaces: replacing.is_some(),
    };
    let mut asked = enrolment::ask(s, clerk, &asking)?;
    let issue = Issue {
        subject_id,
        case_id: Some(id),
        channel,
        issued_by: &clerk.id.to_string(),
        signature: asked.signature.take(),
        replaces: replacing.is_some(),
        replaced: replacing.and_then(|replacing| replacing.which),
        vouched_by: None,
    };
    let issued = activation::issue(s, secret, issue)?;
    Ok((issued, asked))
}

fn document_of(evidence: &Evidence) -> String {
    format!("{} {}", evidence.issuing_state, evidence.number)
}

/// The subject behind the evidence, if there is one: the same birthplace, the same document, or an earlier one that the person still has
/// makes the same person; a name and a birth date alone do not.
///
/// # Errors
/// `subject.ambiguous` where namesakes are known and nothing tells them apart, `subject.no_such_document`.
fn known_person(s: &mut Scope<'_, '_>, evidence: &Evidence) -> Result<Option<SubjectId>> {
    let identity = identity_of(evidence)?;
    let (document, earlier) = (document_of(evidence), evidence.previous_document.as_str());
    let (mut namesakes, mut of_unknown_birthplace) = (false, false);
    for known in pairwise::of_identity(s, &identity)? {
        let stored = known.identity.as_ref();
        let born = stored.map_or("", |stored| stored.birthplace.as_str());
        let shown = stored.map_or("", |stored| stored.document.as_str());
        let same_birthplace = !born.is_empty() && Some(born) == identity.birthplace();
        if same_birthplace || shown == document || (!earlier.is_empty() && shown == earlier) {
            return Ok(Some(known.id));
        }
        namesakes = true;
        of_unknown_birthplace |= born.is_empty();
    }
    if !earlier.is_empty() {
        return Err(fault::NO_SUCH_DOCUMENT.fault());
    }
    let untold = of_unknown_birthplace && !evidence.another_person;
    if namesakes && (identity.birthplace().is_none() || untold) {
        return Err(fault::SUBJECT_AMBIGUOUS.fault());
    }
    Ok(None)
}

/// The evidence of a case whose person can still be told from their namesakes.
///
/// # Errors
/// `subject.ambiguous`, `case.*`.
pub fn nameable(s: &mut Scope<'_, '_>, id: CaseId) -> Result<Evidence> {
    let found = case::load(&mut s.rows, id)?.ok_or_else(|| fault::CASE_NOT_FOUND.fault())?;
    let evidence = found.issuable()?.clone();
    evidence::require_proofed(s, &found)?;
    known_person(s, &evidence)?;
    Ok(evidence)
}

/// The activation of a case is out, now that it is signed. Its person is known from now on, under `new_id` if they were not; nobody
/// becomes known before.
///
/// # Errors
/// `subject.ambiguous`, `case.*`; those of the store.
pub fn issued(
    s: &mut Scope<'_, '_>,
    id: CaseId,
    activation_id: ActivationId,
    new_id: SubjectId,
) -> Result<SubjectId> {
    let found = case::load(&mut s.rows, id)?.ok_or_else(|| fault::CASE_NOT_FOUND.fault())?;
    let subject_id = person_of(s, found.issuable()?, new_id)?;
    let mut out = found.try_map(|case| case.issue(activation_id, subject_id))?;
    s.rows.update(&mut out)?;
    Ok(subject_id)
}

/// When the document behind a case is no longer valid; `None` without one, and for a specimen.
///
/// # Errors
/// Those of the store.
pub fn valid_until(s: &mut Scope<'_, '_>, id: Option<CaseId>) -> Result<Option<Timestamp>> {
    let Some(id) = id else { return Ok(None) };
    let found = case::load(&mut s.rows, id)?;
    Ok(found.and_then(|case| case.evidence().and_then(Evidence::valid_until)))
}

fn person_of(s: &mut Scope<'_, '_>, evidence: &Evidence, new_id: SubjectId) -> Result<SubjectId> {
    let (identity, document) = (identity_of(evidence)?, document_of(evidence));
    if let Some(known) = known_person(s, evidence)? {
        renew(s, known, &identity, document)?;
        return Ok(known);
    }
    let lookup = s.facts.keys.lookup_hash(&identity.lookup_text());
    s.rows.insert(&Subject {
        id: new_id,
        lookup: Some(serde_bytes::ByteBuf::from(lookup.to_vec())),
        identity: Some(StoredIdentity {
            family_name: identity.family_name().to_owned(),
            given_names: identity.given_names().to_owned(),
            birth_date: identity.birth_date().to_owned(),
            birthplace: identity.birthplace().unwrap_or_default().to_owned(),
            document,
        }),
        frozen_at: None,
        created_at: s.now,
    })?;
    Ok(new_id)
}

/// What a person showed last is what they are known by next time.
fn renew(s: &mut Scope<'_, '_>, id: SubjectId, shown: &PivotIdentity, document: String) -> Result<()> {
    let Some(mut person) = subject::load(&mut s.rows, id)? else {
        return Ok(());
    };
    if let Some(stored) = &mut person.identity {
        stored.document = document;
        if let (true, Some(birthplace)) = (stored.birthplace.is_empty(), shown.birthplace()) {
            birthplace.clone_into(&mut stored.birthplace);
        }
    }
    Ok(s.rows.update(&mut person)?)
}

fn identity_of(evidence: &Evidence) -> Result<PivotIdentity> {
    PivotIdentity::parse(
        &evidence.family_name,
        &evidence.given_names,
        &evidence.birth_date,
        &evidence.birthplace,
    )
    .map_err(Fault::internal)
}

/// `GetCase`, for the clerk who opened it; for supervisors, and for every clerk while the case waits for a second person.
///
/// # Errors
/// `case.not_found`.
pub fn view(s: &mut Scope<'_, '_>, clerk: OperatorId, id: CaseId, any: bool) -> Result<Case> {
    let found = case::load(&mut s.rows, id)?;
    let may_see = |case: &Case| {
        any || case.opened_by == clerk || (case.two_people && matches!(case.state, State::Verified(_)))
    };
    let found = found
        .filter(|case| may_see(case))
        .ok_or_else(|| fault::CASE_NOT_FOUND.fault())?;
    Ok(found.record)
}

fn of_clerk(s: &mut Scope<'_, '_>, clerk: OperatorId, id: CaseId) -> Result<Stored<Case>> {
    let found = case::load(&mut s.rows, id)?;
    found
        .filter(|case| case.opened_by == clerk)
        .ok_or_else(|| fault::CASE_NOT_FOUND.fault())
}
