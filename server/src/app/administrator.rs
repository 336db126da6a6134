//! Who could administer tomorrow: an administrator with an active phone to sign in with (protocol.md section 1).
//!
//! Called by `operator` before the phone of one ends, and by `paraphed restore`. A program counts for nothing here: it cannot create
//! operators nor give them phones.

use paraphe_proto::ids::OperatorId;

use super::Scope;
use super::activation::Issued;
use super::operator::{self as operators, phone_of};
use crate::config::ChannelName;
use crate::domain::fault::{self, Result};
use crate::domain::level::Acr;
use crate::domain::operator::{Operator, OperatorRole};
use crate::store::operator;

/// Whether this is an administrator who can sign in.
///
/// # Errors
/// Those of the store.
pub fn may_sign_in(s: &mut Scope<'_, '_>, one: &Operator) -> Result<bool> {
    Ok(one.may_administer() && phone_of(s, one, Acr::Eidas1)?.is_some())
}

fn is_there(s: &mut Scope<'_, '_>, besides: Option<OperatorId>) -> Result<bool> {
    for one in operators::list(s)? {
        if Some(one.id) != besides && may_sign_in(s, &one)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// # Errors
/// `operator.last_administrator` where nobody else could sign in and administer.
pub fn require_another(s: &mut Scope<'_, '_>, besides: OperatorId) -> Result<()> {
    match is_there(s, Some(besides))? {
        true => Ok(()),
        false => fault::OPERATOR_LAST.broken(),
    }
}

/// Whether this operator may be disabled: a person only while another administrator can sign in, also where their own phone is still to be
/// activated; a program unless it is all that is left.
///
/// # Errors
/// `operator.last_administrator`.
pub fn require_dispensable(s: &mut Scope<'_, '_>, one: &Operator) -> Result<()> {
    if !one.may_administer() {
        return Ok(());
    }
    if one.is_person() {
        return require_another(s, one.id);
    }
    let others = operators::list(s)?;
    match others
        .iter()
        .any(|other| other.id != one.id && other.may_administer())
    {
        true => Ok(()),
        false => fault::OPERATOR_LAST.broken(),
    }
}

/// The administrator that a restore issues where nobody is left who could sign in and administer; `None` where somebody is.
///
/// # Errors
/// Those of the store.
pub fn issue_if_none(s: &mut Scope<'_, '_>, actor: &str, epoch: u64) -> Result<Option<(Operator, Issued)>> {
    match is_there(s, None)? {
        true => Ok(None),
        false => issue(s, actor, &format!("restore-{epoch}")).map(Some),
    }
}

/// A new administrator of that name, or the next that is free, and the activation of their phone.
///
/// # Errors
/// Those of the store.
pub fn issue(s: &mut Scope<'_, '_>, actor: &str, wanted: &str) -> Result<(Operator, Issued)> {
    let roles = [OperatorRole::Administrator, OperatorRole::Auditor];
    let (mut name, mut tries) = (wanted.to_owned(), 1_u32);
    // Whoever made an operator of that name keeps nobody from being issued.
    while operator::by_name(&mut s.rows, &name)?.is_some() {
        tries = tries.saturating_add(1);
        name = format!("{wanted}.{tries}");
    }
    operators::create(s, actor, &name, &roles, ChannelName::Init)
}
