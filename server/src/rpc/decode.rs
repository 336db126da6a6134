//! Wire → commands: each mistake names its field and what is allowed.

use std::collections::BTreeMap;
use std::str::FromStr;

use paraphe_proto::v1;
use paraphe_proto::v1::parameter_value::Kind;

use crate::app::pairwise::Person;
use crate::config::EvidenceCheck;
use crate::domain::catalogue::ParameterValue;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::identity::PivotIdentity;
use crate::domain::operator::OperatorRole;
use crate::domain::text::PlainText;

/// An id of the right form.
///
/// # Errors
/// `field.invalid` with the field and its form.
pub fn id<T: FromStr>(field: &str, prefix: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| {
        Fault::field(
            field,
            format!("It must be `{prefix}` and 26 characters of a-z 2-7."),
        )
    })
}

/// A pairwise subject. A malformed one is not told from an unknown one.
///
/// # Errors
/// `subject.not_found`.
pub fn subject(text: &str) -> Result<paraphe_proto::ids::PairwiseSubject> {
    text.parse()
        .map_err(|_| fault::SUBJECT_NOT_FOUND.fault().on("subject"))
}

/// A civil identity.
///
/// # Errors
/// `field.invalid` with the field.
pub fn identity(identity: Option<v1::PivotIdentity>) -> Result<PivotIdentity> {
    let identity = identity.ok_or_else(|| Fault::field("identity", "It must say who the person is."))?;
    PivotIdentity::parse(
        &identity.family_name,
        &identity.given_names,
        &identity.birth_date,
        &identity.birthplace,
    )
    .map_err(|error| Fault::field(format!("identity.{}", error.field()), error.to_string()))
}

/// The ten digits of a suspension code.
///
/// # Errors
/// `field.invalid`.
pub fn suspension_code(text: &str) -> Result<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit()) {
        Ok(digits)
    } else {
        Err(Fault::field("suspension_code", "It must be ten digits."))
    }
}

/// Issuing state and number of an earlier document, or nothing.
///
/// # Errors
/// `field.invalid`.
pub fn previous_document(text: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ';
    if text.len() <= 40 && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(Fault::field(
            "previous_document",
            "It must be the issuing state and the number in capitals, e.g. `FRA 12AB34567`.",
        ))
    }
}

/// Why an operator does something, for the audit trail.
///
/// # Errors
/// `field.invalid`.
pub fn reason(text: &str) -> Result<String> {
    let plain = PlainText::parse(text, 200).map_err(|error| Fault::field("reason", format!("{error}.")))?;
    Ok(plain.as_str().to_owned())
}

/// How a backend names a person.
///
/// # Errors
/// `field.invalid` with the field.
pub fn person(person: Option<v1::check_request::Person>) -> Result<Person> {
    match person {
        Some(v1::check_request::Person::Subject(text)) => Ok(Person::Subject(subject(&text)?)),
        Some(v1::check_request::Person::Identity(named)) => identity(Some(named)).map(Person::Identity),
        None => Err(Fault::field(
            "person",
            "Name the person by `subject` or by `identity`.",
        )),
    }
}

/// The parameters of a request; which are needed is the catalogue's to say.
///
/// # Errors
/// `parameter.refused` for one without a value.
pub fn parameters(
    wire: impl IntoIterator<Item = (String, v1::ParameterValue)>,
) -> Result<BTreeMap<String, ParameterValue>> {
    let value = |name: &str, kind: Option<Kind>| match kind {
        Some(Kind::Text(text)) => Ok(ParameterValue::Text(text)),
        Some(Kind::Money(money)) => Ok(ParameterValue::Money {
            minor_units: money.minor_units,
            currency: money.currency,
        }),
        Some(Kind::Date(date)) => Ok(ParameterValue::Date(date)),
        Some(Kind::Integer(integer)) => Ok(ParameterValue::Integer(integer)),
        Some(Kind::Enumeration(chosen)) => Ok(ParameterValue::Enumeration(chosen)),
        None => Err(fault::PARAMETER_REFUSED
            .fault()
            .on(format!("parameters.{}", name.escape_debug()))
            .because("It has no value.")),
    };
    wire.into_iter()
        .map(|(name, wire)| Ok((name.clone(), value(&name, wire.kind)?)))
        .collect()
}

/// Whether a match code is asked for; `None` for the catalogue's choice.
///
/// # Errors
/// `field.invalid`.
pub fn match_code(wire: i32) -> Result<Option<bool>> {
    match v1::Match::try_from(wire) {
        Ok(v1::Match::Unspecified) => Ok(None),
        Ok(v1::Match::None) => Ok(Some(false)),
        Ok(v1::Match::EnterCode) => Ok(Some(true)),
        Err(_) => Err(Fault::field(
            "match",
            "It must be MATCH_NONE or MATCH_ENTER_CODE.",
        )),
    }
}

/// The checks that a clerk made.
///
/// # Errors
/// `field.invalid`.
pub fn checks(wire: &[i32]) -> Result<Vec<EvidenceCheck>> {
    wire.iter()
        .map(|check| match v1::Check::try_from(*check) {
            Ok(v1::Check::DocumentGenuine) => Ok(EvidenceCheck::DocumentGenuine),
            Ok(v1::Check::HolderLikeness) => Ok(EvidenceCheck::HolderLikeness),
            Ok(v1::Check::Ultraviolet) => Ok(EvidenceCheck::Ultraviolet),
            Ok(v1::Check::Chip) => Ok(EvidenceCheck::Chip),
            Ok(v1::Check::Unspecified) | Err(_) => {
                Err(Fault::field("checks", "Each must be a named value of `Check`."))
            }
        })
        .collect()
}

/// The roles of an operator.
///
/// # Errors
/// `field.invalid`.
pub fn roles(wire: &[i32]) -> Result<Vec<OperatorRole>> {
    let mut roles = Vec::new();
    for role in wire {
        let role = match v1::Role::try_from(*role) {
            Ok(v1::Role::Clerk) => OperatorRole::Clerk,
            Ok(v1::Role::Supervisor) => OperatorRole::Supervisor,
            Ok(v1::Role::Support) => OperatorRole::Support,
            Ok(v1::Role::Auditor) => OperatorRole::Auditor,
            Ok(v1::Role::Administrator) => OperatorRole::Administrator,
            _ => {
                let allowed = "Each must be CLERK, SUPERVISOR, SUPPORT, AUDITOR or ADMINISTRATOR.";
                return Err(Fault::field("roles", allowed));
            }
        };
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    Ok(roles)
}

/// A public JWK in JSON.
///
/// # Errors
/// `field.invalid`.
pub fn public_jwk(text: &str) -> Result<paraphe_proto::jwk::PublicKey> {
    let allowed = "It must be a public P-256 key as a JWK in JSON, at most 1 KiB";
    if text.len() > 1024 {
        return Err(Fault::field("public_jwk", format!("{allowed}.")));
    }
    paraphe_proto::jwk::PublicKey::from_jwk_json(text)
        .map_err(|error| Fault::field("public_jwk", format!("{allowed}: {error}.")))
}
