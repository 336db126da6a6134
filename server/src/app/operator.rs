//! Operators and terminals, managed by administrators.

use paraphe_proto::activation::ActivationSecret;
use paraphe_proto::ids::{OperatorId, SubjectId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::time::Timestamp;

use super::activation::{self, Issue, Issued};
use super::request::phone_for;
use super::{Scope, administrator, life, session};
use crate::config::ChannelName;
use crate::domain::device::{Cause, Device, Who};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::level::Acr;
use crate::domain::operator::{Acting, Credential, Operator, OperatorRole, Terminal};
use crate::domain::secret::Bytes;
use crate::domain::subject::Subject;
use crate::store::record::Stored;
use crate::store::{device, operator, subject};

/// Creates an operator who signs in with a phone, and the activation of that phone.
///
/// # Errors
/// `operator.exists`, `field.invalid`.
pub fn create(
    s: &mut Scope<'_, '_>,
    actor: &str,
    name: &str,
    roles: &[OperatorRole],
    channel: ChannelName,
) -> Result<(Operator, Issued)> {
    require_new(s, name, roles)?;
    let subject_id = SubjectId::random(&mut s.rng());
    let created_at = s.now;
    s.rows.insert(&Subject {
        id: subject_id,
        lookup: None,
        identity: None,
        frozen_at: None,
        created_at,
    })?;
    let operator = insert(s, actor, name, roles, Credential::Phone { subject_id })?;
    let issued = hand_out(s, actor, subject_id, channel)?;
    Ok((operator, issued))
}

/// `CreateOperator`: [`create`], by an administrator who has signed in. A program makes nobody who could sign in.
///
/// # Errors
/// `caller.program`, `operator.exists`, `field.invalid`.
pub fn create_by(
    s: &mut Scope<'_, '_>,
    by: &Acting,
    name: &str,
    roles: &[OperatorRole],
) -> Result<(Operator, Issued)> {
    require_new(s, name, roles)?;
    by.require_person()?;
    create(s, &by.id(), name, roles, ChannelName::Operator)
}

/// The activation of an operator's phone.
fn hand_out(
    s: &mut Scope<'_, '_>,
    actor: &str,
    subject_id: SubjectId,
    channel: ChannelName,
) -> Result<Issued> {
    let secret = ActivationSecret::random(&mut s.rng());
    let issue = Issue {
        subject_id,
        case_id: None,
        channel,
        issued_by: actor,
        signature: None,
        replaces: false,
        replaced: None,
        vouched_by: None,
    };
    activation::issue(s, secret, issue)
}

/// What giving an operator another phone led to.
pub struct Rephoned {
    /// The operator.
    pub operator: Operator,
    /// The secret, shown once.
    pub issued: Issued,
}

/// `ReplaceOperatorPhone`: the operator's phones and sessions end at once, and what they handed out and nobody has used, since the phone may
/// be in other hands; a new one may be activated under the same name.
///
/// # Errors
/// `caller.program`, `operator.own`, `operator.not_found`, `operator.disabled`, `operator.no_person`, `operator.last_administrator`.
pub fn replace_phone(s: &mut Scope<'_, '_>, by: &Acting, id: OperatorId, why: &str) -> Result<Rephoned> {
    by.require_person()?;
    let (mut found, subject_id) = rephonable(s, by, id).map_err(|fault| fault.on("operator_id"))?;
    let (actor, cause) = (by.id(), Cause::new(Who::Administrator, why));
    session::end_all(s, id)?;
    found.phones_replaced = found.phones_replaced.saturating_add(1);
    s.rows.update(&mut found)?;
    for mut phone in device::alive_of_subject(&mut s.rows, subject_id)? {
        phone.revoke(s.now);
        life::keep(s, phone, &actor, "revoke_device", &cause)?;
    }
    let issued = hand_out(s, &actor, subject_id, ChannelName::Operator)?;
    s.audit(&actor, "replace_operator_phone", id, &cause.outcome())?;
    Ok(Rephoned {
        operator: found.record,
        issued,
    })
}

/// The operator who may be given another phone, and whose it is.
fn rephonable(s: &mut Scope<'_, '_>, by: &Acting, id: OperatorId) -> Result<(Stored<Operator>, SubjectId)> {
    if by.operator.id == id {
        return fault::OPERATOR_OWN.broken();
    }
    let found = operator::load(&mut s.rows, id)?;
    let found = found.ok_or_else(|| fault::OPERATOR_NOT_FOUND.fault())?;
    let Credential::Phone { subject_id } = found.credential else {
        return fault::OPERATOR_NO_PERSON.broken();
    };
    if found.disabled {
        return fault::OPERATOR_DISABLED.broken();
    }
    if administrator::may_sign_in(s, &found)? {
        administrator::require_another(s, id)?;
    }
    Ok((found, subject_id))
}

/// Creates an account for a program.
///
/// # Errors
/// `operator.exists`, `field.invalid`.
pub fn create_service(
    s: &mut Scope<'_, '_>,
    actor: &str,
    name: &str,
    roles: &[OperatorRole],
    key: &PublicKey,
) -> Result<Operator> {
    require_new(s, name, roles)?;
    insert(
        s,
        actor,
        name,
        roles,
        Credential::Key {
            public_key: Bytes(*key.as_sec1()),
        },
    )
}

fn insert(
    s: &mut Scope<'_, '_>,
    actor: &str,
    name: &str,
    roles: &[OperatorRole],
    credential: Credential,
) -> Result<Operator> {
    let operator = Operator {
        id: OperatorId::random(&mut s.rng()),
        name: name.to_owned(),
        roles: roles.to_vec(),
        credential,
        disabled: false,
        phones_replaced: 0,
        created_at: s.now,
    };
    s.rows.insert(&operator)?;
    s.audit(actor, "create_operator", operator.id, "ok")?;
    Ok(operator)
}

fn require_new(s: &mut Scope<'_, '_>, name: &str, roles: &[OperatorRole]) -> Result<()> {
    let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    if name.len() < 2 || name.len() > 64 || !name.chars().all(safe) {
        return Err(Fault::field(
            "name",
            "It must be 2 to 64 characters of a-z 0-9 . -.",
        ));
    }
    if roles.is_empty() {
        return Err(Fault::field(
            "roles",
            "Name at least one of CLERK, SUPERVISOR, SUPPORT, AUDITOR, ADMINISTRATOR.",
        ));
    }
    if operator::by_name(&mut s.rows, name)?.is_some() {
        return Err(fault::OPERATOR_EXISTS.fault().on("name"));
    }
    Ok(())
}

/// The operator's own active phone at this level; a service account has none.
///
/// # Errors
/// Those of the store.
pub fn phone_of(s: &mut Scope<'_, '_>, operator: &Operator, acr: Acr) -> Result<Option<Stored<Device>>> {
    let Credential::Phone { subject_id } = operator.credential else {
        return Ok(None);
    };
    let person =
        subject::load(&mut s.rows, subject_id)?.ok_or_else(|| Fault::internal("operator without subject"))?;
    phone_for(s, &person, acr)
}

/// All operators, by name.
///
/// # Errors
/// Those of the store.
pub fn list(s: &mut Scope<'_, '_>) -> Result<Vec<Operator>> {
    Ok(operator::list(&mut s.rows)?
        .into_iter()
        .map(|stored| stored.record)
        .collect())
}

/// Disables an operator and ends their sessions. Repeating it finds them disabled.
///
/// # Errors
/// `operator.not_found`, `operator.last_administrator`.
pub fn disable(s: &mut Scope<'_, '_>, actor: &str, id: OperatorId) -> Result<Operator> {
    let found = operator::load(&mut s.rows, id)?;
    let mut found = found.ok_or_else(|| fault::OPERATOR_NOT_FOUND.fault().on("operator_id"))?;
    administrator::require_dispensable(s, &found).map_err(|fault| fault.on("operator_id"))?;
    found.disabled = true;
    s.rows.update(&mut found)?;
    session::end_all(s, id)?;
    s.audit(actor, "disable_operator", id, "ok")?;
    Ok(found.record)
}

/// Registers a terminal.
///
/// # Errors
/// `terminal.exists`, `field.invalid`.
pub fn register_terminal(
    s: &mut Scope<'_, '_>,
    actor: &str,
    thumbprint: &str,
    label: &str,
) -> Result<Terminal> {
    let bytes = paraphe_proto::encoding::from_base64url(thumbprint).unwrap_or_default();
    if bytes.len() != 32 {
        return Err(Fault::field(
            "thumbprint",
            "It must be the 43 characters that `paraphe terminal` prints.",
        ));
    }
    let label = crate::domain::text::PlainText::parse(label, 64)
        .map_err(|error| Fault::field("label", format!("It must be 1 to 64 plain characters: {error}.")))?;
    if operator::terminal(&mut s.rows, thumbprint)?.is_some() {
        return Err(fault::TERMINAL_EXISTS.fault().on("thumbprint"));
    }
    let registered_at: Timestamp = s.now;
    let terminal = Terminal {
        thumbprint: thumbprint.to_owned(),
        label: label.into_string(),
        registered_at,
    };
    s.rows.insert(&terminal)?;
    s.audit(actor, "register_terminal", thumbprint, "ok")?;
    Ok(terminal)
}

/// All terminals.
///
/// # Errors
/// Those of the store.
pub fn terminals(s: &mut Scope<'_, '_>) -> Result<Vec<Terminal>> {
    Ok(operator::terminals(&mut s.rows)?
        .into_iter()
        .map(|stored| stored.record)
        .collect())
}
