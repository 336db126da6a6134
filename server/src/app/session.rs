//! Operator sessions: a login is a challenge on the operator's own phone, the token is bound to the terminal's key
//! (protocol.md section 1).
//!
//! Invariants: what an operator does is stored only while they are enabled and the session that let them in is there; a login becomes a
//! session only while the phone that approved it is active.

use paraphe_proto::encoding::{base64url, hex};
use paraphe_proto::ids::{ChallengeId, DeviceId, OperatorId};

use super::Scope;
use super::operator::phone_of;
use super::own::{Own, raise_own, supersede};
use super::quota::require_share;
use crate::domain::challenge::{Challenge, Purpose, State};
use crate::domain::fault::{self, Result};
use crate::domain::level::Acr;
use crate::domain::operator::{Acting, Credential, Operator, Session};
use crate::domain::relying_party::DAEMON;
use crate::store::{challenge, device, operator};

/// Action of the built-in catalogue.
const ACTION: &str = "paraphe.login";
/// For how long an approved login may be redeemed, seconds.
const REDEEM_S: i64 = 120;

/// Raises the login challenge, in the place of one that this terminal asked before. `terminal` is the thumbprint of the key that signed the
/// DPoP proof.
///
/// # Errors
/// `caller.unauthenticated`, alike for an unknown terminal, an unknown or disabled operator and one without phone;
/// `login.too_many`.
pub fn begin(s: &mut Scope<'_, '_>, name: &str, terminal: &str) -> Result<Challenge> {
    let Some(terminal) = operator::terminal(&mut s.rows, terminal)? else {
        return fault::UNAUTHENTICATED.broken();
    };
    let Some(operator) = operator::by_name(&mut s.rows, name)? else {
        return fault::UNAUTHENTICATED.broken();
    };
    let phone = phone_of(s, &operator, Acr::Eidas1)?;
    let Some(phone) = phone.filter(|_| !operator.disabled) else {
        return fault::UNAUTHENTICATED.broken();
    };
    require_share(s, &phone, fault::LOGIN_EXHAUSTED)?;
    let is_one = |purpose: &Purpose| matches!(purpose, Purpose::Login { terminal: at, .. } if *at == terminal.thumbprint);
    supersede(s, &phone, is_one, &operator.id.to_string())?;
    raise_own(
        s,
        Own {
            relying_party_id: DAEMON,
            action: ACTION,
            subject_id: phone.subject_id,
            device_id: phone.id,
            parameters: vec![("operator", &operator.name), ("terminal", &terminal.label)],
            lifetime_s: Some(i64::from(s.facts.config.operators.login_lifetime_s)),
            purpose: Purpose::Login {
                operator_id: operator.id,
                terminal: terminal.thumbprint.clone(),
                redeemed: false,
            },
            enrolment: None,
            replacement: None,
        },
    )
}

/// What `Complete` answers.
pub enum Completed {
    /// Not approved, or not yet.
    Waiting(Challenge),
    /// The token, given once.
    Token {
        /// For `authorization: DPoP`.
        token: String,
        /// The session.
        session: Session,
        /// Whose.
        operator: Operator,
    },
}

/// Gives the session token once the challenge is approved, to the same terminal, once.
///
/// # Errors
/// `challenge.not_found`; `caller.unauthenticated` once redeemed, and when the operator was disabled or the phone stopped meanwhile.
pub fn complete(s: &mut Scope<'_, '_>, id: ChallengeId, terminal: &str) -> Result<Completed> {
    let found = challenge::load(&mut s.rows, id)?;
    let Some(mut found) = found else {
        return fault::CHALLENGE_NOT_FOUND.broken();
    };
    let (operator_id, redeemed) = match &found.purpose {
        Purpose::Login {
            operator_id,
            terminal: bound,
            redeemed,
        } if bound == terminal => (*operator_id, *redeemed),
        _ => return fault::CHALLENGE_NOT_FOUND.broken(),
    };
    let State::Approved { at, .. } = found.state else {
        return Ok(Completed::Waiting(found.record));
    };
    let operator = operator::load(&mut s.rows, operator_id)?.filter(|operator| !operator.disabled);
    let in_time = !redeemed && s.now.since_s(at) <= REDEEM_S && is_active(s, found.device_id)?;
    let Some(operator) = operator.filter(|_| in_time) else {
        return fault::UNAUTHENTICATED.broken();
    };
    found.purpose = Purpose::Login {
        operator_id,
        terminal: terminal.to_owned(),
        redeemed: true,
    };
    s.rows.update(&mut found)?;
    let token = base64url(&s.random::<32>());
    let session = Session {
        id: token_id(&token),
        operator_id,
        terminal: terminal.to_owned(),
        expires_at: s.now.plus_s(i64::from(s.facts.config.session.lifetime_s)),
    };
    s.rows.insert(&session)?;
    s.audit(&operator_id.to_string(), "begin_session", terminal, "ok")?;
    Ok(Completed::Token {
        token,
        session,
        operator: operator.record,
    })
}

/// The operator behind a token that is used with the key of this terminal.
///
/// # Errors
/// `caller.unauthenticated`.
pub fn authenticate(s: &mut Scope<'_, '_>, token: &str, terminal: &str) -> Result<(Operator, Session)> {
    let session = operator::session(&mut s.rows, &token_id(token))?;
    let session = session.filter(|session| session.terminal == terminal && s.now < session.expires_at);
    let Some(session) = session else {
        return fault::UNAUTHENTICATED.broken();
    };
    let operator = operator::load(&mut s.rows, session.operator_id)?.filter(|operator| !operator.disabled);
    let Some(operator) = operator else {
        return fault::UNAUTHENTICATED.broken();
    };
    Ok((operator.record, session.record))
}

fn is_active(s: &mut Scope<'_, '_>, id: DeviceId) -> Result<bool> {
    let Some(mut phone) = device::load(&mut s.rows, id)? else {
        return Ok(false);
    };
    phone.settle(s.now, &s.facts.attempt_limits());
    Ok(phone.require_active().is_ok())
}

/// Another call may have ended the caller's session, or disabled them, since they were let in.
///
/// # Errors
/// `caller.unauthenticated`.
pub fn require_still(s: &mut Scope<'_, '_>, by: &Acting) -> Result<()> {
    let enabled = operator::load(&mut s.rows, by.operator.id)?.is_some_and(|known| !known.disabled);
    let signed_in = match &by.session {
        Some(session) => operator::session(&mut s.rows, &session.id)?.is_some(),
        None => true,
    };
    match enabled && signed_in {
        true => Ok(()),
        false => fault::UNAUTHENTICATED.broken(),
    }
}

/// Ends all sessions of an operator; a login that was approved and not redeemed becomes none.
///
/// # Errors
/// Those of the store.
pub fn end_all(s: &mut Scope<'_, '_>, id: OperatorId) -> Result<()> {
    for session in operator::sessions_of(&mut s.rows, id)? {
        s.rows.delete(session)?;
    }
    let found = operator::load(&mut s.rows, id)?.map(|found| found.record.credential);
    let Some(Credential::Phone { subject_id }) = found else {
        return Ok(());
    };
    let since = s.now.plus_s(-(challenge::TEN_MINUTES_S + REDEEM_S));
    for mut approved in challenge::approved_since(&mut s.rows, subject_id, DAEMON, since)? {
        if let Purpose::Login { redeemed, .. } = &mut approved.purpose {
            *redeemed = true;
            s.rows.update(&mut approved)?;
        }
    }
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// Those of the store.
pub fn end(s: &mut Scope<'_, '_>, id: &str, actor: OperatorId) -> Result<()> {
    if let Some(session) = operator::session(&mut s.rows, id)? {
        s.rows.delete(session)?;
    }
    s.audit(&actor.to_string(), "end_session", actor, "ok")
}

fn token_id(token: &str) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref())
}
