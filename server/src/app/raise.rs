//! Raising one challenge on one phone: render, sign, store (protocol.md sections 3 and 6).
//!
//! Called by `request` for backends, by `own` for the daemon itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use paraphe_proto::challenge::device_handle;
use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ChallengeId, DeviceId, PairwiseSubject, SubjectId};
use paraphe_proto::{jws, statements};
use rand_core::RngCore;

use super::Scope;
use crate::domain::catalogue::{Action, Display, ParameterValue};
use crate::domain::challenge::{Challenge, Purpose, State};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::secret::Bytes;
use crate::store::challenge;

/// Everything about a challenge but what the daemon draws.
pub struct Raise<'a> {
    /// Who asks.
    pub relying_party_id: &'a str,
    /// Name that people see.
    pub display_name: &'a str,
    /// The person.
    pub subject_id: SubjectId,
    /// Their subject at this relying party.
    pub subject: PairwiseSubject,
    /// The phone.
    pub device_id: DeviceId,
    /// What is asked.
    pub action: &'a Action,
    /// Its parameters.
    pub parameters: &'a BTreeMap<String, ParameterValue>,
    /// Locale of the document.
    pub locale: &'a str,
    /// Seconds it lives.
    pub lifetime_s: i64,
    /// Whether a match code is drawn.
    pub match_code: bool,
    /// The relying party's own key.
    pub idempotency_key: String,
    /// SHA-256 of the request.
    pub content: [u8; 32],
    /// Listed, but nobody is woken.
    pub quiet: bool,
    /// What an approval sets in motion.
    pub purpose: Purpose,
    /// What the phone signs a statement of its own over, besides the approval.
    pub enrolment: Option<statements::Enrolled>,
    /// The phone that would take the place of the one that is asked.
    pub replacement: Option<Vouched>,
}

/// A new phone that the old one's holder is asked to vouch for.
pub struct Vouched {
    /// What the challenge says of it.
    pub phone: statements::Replacement,
    /// What it shows: typed instead of a code that would be drawn.
    pub digits: String,
}

/// Renders, signs and stores, and tells those who wait for it.
///
/// # Errors
/// `parameter.refused`, `action.locale_unknown`; those of the store.
pub fn raise(s: &mut Scope<'_, '_>, raise: Raise<'_>) -> Result<Challenge> {
    let checked = raise.action.check(raise.parameters).map_err(|error| {
        let field = error
            .parameter()
            .map_or("parameters".to_owned(), |name| format!("parameters.{name}"));
        fault::PARAMETER_REFUSED
            .fault()
            .on(field)
            .because(error.to_string())
    })?;
    let display = raise
        .action
        .render(raise.locale, &checked)
        .map_err(|error| match error.code() {
            "action.locale_unknown" => fault::ACTION_LOCALE
                .fault()
                .on("locale")
                .because(error.to_string()),
            _ => Fault::internal(error),
        })?;
    let id = ChallengeId::random(&mut s.rng());
    let match_code = match &raise.replacement {
        Some(vouched) => Some(vouched.digits.clone()),
        None => {
            let digits = s.facts.config.match_code.digits;
            raise.match_code.then(|| draw_code(&mut s.rng(), digits))
        }
    };
    let claims = claims(s, &raise, id, display, match_code.as_deref())?;
    let signed = jws::sign(&claims, &*s.facts.keys.challenge())?;
    let challenge = Challenge {
        id,
        relying_party_id: raise.relying_party_id.to_owned(),
        subject_id: raise.subject_id,
        subject: raise.subject,
        device_id: raise.device_id,
        idempotency_key: raise.idempotency_key,
        content: Bytes(raise.content),
        action: raise.action.id().to_owned(),
        transaction: raise.action.is_transaction(),
        acr: raise.action.acr(),
        parameters: checked.to_json().to_string(),
        statement: signed.compact().to_owned(),
        match_code,
        quiet: raise.quiet,
        purpose: raise.purpose,
        created_at: s.now,
        subject_number: challenge::next_subject_number(&mut s.rows, raise.subject_id)?,
        expires_at: claims.exp,
        verdict_number: None,
        state: State::Pending,
    };
    s.rows.insert(&challenge)?;
    s.audit(raise.relying_party_id, "request", id, "ok")?;
    s.announce(Arc::new(challenge.clone()));
    Ok(challenge)
}

fn claims(
    s: &Scope<'_, '_>,
    raise: &Raise<'_>,
    id: ChallengeId,
    display: Display,
    match_code: Option<&str>,
) -> Result<statements::Challenge> {
    let (mode, digits) = match match_code {
        Some(code) => (
            statements::MatchMode::EnterCode,
            u8::try_from(code.len()).map_err(Fault::internal)?,
        ),
        None => (statements::MatchMode::None, 0),
    };
    let rows = display.rows.into_iter();
    Ok(statements::Challenge {
        iss: s.facts.issuer().to_owned(),
        challenge_id: id,
        device_handle: B64(device_handle(&raise.device_id, &id)),
        relying_party: statements::RelyingParty {
            id: raise.relying_party_id.parse().map_err(Fault::internal)?,
            name: raise.display_name.to_owned(),
        },
        action: raise.action.id().to_owned(),
        display: statements::Display {
            locale: display.locale,
            title: display.title,
            rows: rows
                .map(|(label, value)| statements::DisplayRow { label, value })
                .collect(),
        },
        match_rule: statements::MatchRule { mode, digits },
        enrolment: raise.enrolment.clone(),
        new_pin_policy: matches!(raise.purpose, Purpose::ChangePin).then(|| s.facts.pin_policy()),
        replacement: raise.replacement.as_ref().map(|vouched| vouched.phone.clone()),
        nonce: B64(s.random()),
        iat: s.now,
        exp: s.now.plus_s(raise.lifetime_s),
    })
}

fn draw_code(rng: &mut impl RngCore, digits: u8) -> String {
    let number = rng.next_u64() % 10u64.saturating_pow(u32::from(digits));
    format!("{number:0width$}", width = usize::from(digits))
}
