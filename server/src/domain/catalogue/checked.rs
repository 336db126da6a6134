//! Parameters that were found right for one action.
//!
//! Called by [`super::Action`]. Invariant: a [`CheckedParameters`] holds exactly the parameters of its action, each within
//! the catalogue's limits, with text that is [`PlainText`]. Protocol, section 6, step 2.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thiserror::Error;
use time::Date;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::format::{Currency, Locale};
use super::parameters::{Kind, Parameter, ParameterValue};
use crate::domain::text::{PlainText, TextError};

/// `YYYY-MM-DD` of a calendar with four digits of year.
const ISO_DATE: &[FormatItem<'static>] = format_description!("[year repr:full sign:automatic]-[month]-[day]");

/// A value within its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Checked {
    Text(PlainText),
    Money {
        minor_units: i64,
        currency: &'static Currency,
    },
    Date(Date),
    Integer(i64),
    Enumeration(String),
}

/// Parameters that [`super::Action::check`] found right for one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedParameters {
    action: String,
    values: BTreeMap<String, Checked>,
}

/// Why parameters are refused. The text says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParameterError {
    /// A parameter that the action needs is not there.
    #[error("the parameter `{parameter}` is missing; {allowed}")]
    Missing {
        /// Its name.
        parameter: String,
        /// What it may be.
        allowed: String,
    },
    /// A parameter that the action does not have.
    #[error("the action has no parameter `{parameter}`; it takes {known}")]
    Unknown {
        /// Its name.
        parameter: String,
        /// Those it has.
        known: String,
    },
    /// Of another kind.
    #[error("the parameter `{parameter}` is of kind {found}; {allowed}")]
    Kind {
        /// Its name.
        parameter: String,
        /// The kind that was sent.
        found: &'static str,
        /// What it may be.
        allowed: String,
    },
    /// Text that cannot be shown safely, or too much of it.
    #[error("the parameter `{parameter}`: {source}")]
    Text {
        /// Its name.
        parameter: String,
        /// What is wrong.
        source: TextError,
    },
    /// A value outside the limits.
    #[error("the parameter `{parameter}` is out of range; {allowed}")]
    Range {
        /// Its name.
        parameter: String,
        /// What it may be.
        allowed: String,
    },
    /// A value that is not one of those allowed: a currency, a date that does not exist, an enumeration.
    #[error("the parameter `{parameter}` has a value that is not allowed; {allowed}")]
    Value {
        /// Its name.
        parameter: String,
        /// What it may be.
        allowed: String,
    },
}

impl ParameterError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            ParameterError::Missing { .. } => "parameter.missing",
            ParameterError::Unknown { .. } => "parameter.unknown",
            ParameterError::Kind { .. } => "parameter.kind",
            ParameterError::Text {
                source: TextError::TooLong { .. },
                ..
            } => "parameter.too_long",
            ParameterError::Text { .. } => "parameter.text",
            ParameterError::Range { .. } => "parameter.range",
            ParameterError::Value { .. } => "parameter.value",
        }
    }

    /// The parameter that is wrong.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            ParameterError::Missing { parameter, .. }
            | ParameterError::Unknown { parameter, .. }
            | ParameterError::Kind { parameter, .. }
            | ParameterError::Text { parameter, .. }
            | ParameterError::Range { parameter, .. }
            | ParameterError::Value { parameter, .. } => Some(parameter),
        }
    }
}

impl CheckedParameters {
    /// Checks `given` against the parameters of `action`; the first that is wrong, in the catalogue's order, is named.
    pub(super) fn check(
        action: &str,
        parameters: &[Parameter],
        given: &BTreeMap<String, ParameterValue>,
    ) -> Result<CheckedParameters, ParameterError> {
        if let Some(unknown) = given
            .keys()
            .find(|name| parameters.iter().all(|it| it.name != **name))
        {
            let names: Vec<_> = parameters.iter().map(|it| format!("`{}`", it.name)).collect();
            let known = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            return Err(ParameterError::Unknown {
                parameter: unknown.clone(),
                known,
            });
        }
        let mut values = BTreeMap::new();
        for parameter in parameters {
            let value = given
                .get(&parameter.name)
                .ok_or_else(|| ParameterError::Missing {
                    parameter: parameter.name.clone(),
                    allowed: parameter.kind.allowed(),
                })?;
            values.insert(parameter.name.clone(), parameter.check(value)?);
        }
        Ok(CheckedParameters {
            action: action.to_owned(),
            values,
        })
    }

    /// The action that they were checked for.
    pub(super) fn action(&self) -> &str {
        &self.action
    }

    /// The parameters as they stand in `authorization_details` of an assertion: text, dates and enumerations as strings,
    /// integers as numbers, money as `{"currency": "EUR", "minor_units": 149900}`; names in alphabetical order.
    pub fn to_json(&self) -> Value {
        self.values
            .iter()
            .map(|(name, value)| (name.clone(), value.to_json()))
            .collect()
    }

    /// Each value as people of `locale` read it.
    pub(super) fn written(&self, locale: Locale, parameters: &[Parameter]) -> BTreeMap<String, String> {
        let kind = |name: &str| parameters.iter().find(|it| it.name == name).map(|it| &it.kind);
        self.values
            .iter()
            .map(|(name, value)| (name.clone(), value.written(locale, kind(name))))
            .collect()
    }
}

impl Parameter {
    fn check(&self, value: &ParameterValue) -> Result<Checked, ParameterError> {
        let parameter = || self.name.clone();
        let allowed = || self.kind.allowed();
        let out_of_range = || ParameterError::Range {
            parameter: parameter(),
            allowed: allowed(),
        };
        let not_allowed = || ParameterError::Value {
            parameter: parameter(),
            allowed: allowed(),
        };
        match (&self.kind, value) {
            (Kind::Text { max_chars }, ParameterValue::Text(text)) => PlainText::parse(text, *max_chars)
                .map(Checked::Text)
                .map_err(|source| ParameterError::Text {
                    parameter: parameter(),
                    source,
                }),
            (
                Kind::Money {
                    currencies,
                    max_minor_units,
                },
                ParameterValue::Money {
                    minor_units,
                    currency,
                },
            ) => {
                let currency = currencies
                    .iter()
                    .find(|it| it.code == currency)
                    .ok_or_else(not_allowed)?;
                let within = (0..=*max_minor_units).contains(minor_units);
                let checked = Checked::Money {
                    minor_units: *minor_units,
                    currency,
                };
                within.then_some(checked).ok_or_else(out_of_range)
            }
            (Kind::Date, ParameterValue::Date(text)) => {
                iso_date(text).map(Checked::Date).ok_or_else(not_allowed)
            }
            (Kind::Integer { min, max }, ParameterValue::Integer(value)) => (min..=max)
                .contains(&value)
                .then_some(Checked::Integer(*value))
                .ok_or_else(out_of_range),
            (Kind::Enumeration { values }, ParameterValue::Enumeration(value)) => {
                let listed = values.iter().any(|it| it.value == *value);
                listed
                    .then(|| Checked::Enumeration(value.clone()))
                    .ok_or_else(not_allowed)
            }
            _ => Err(ParameterError::Kind {
                parameter: parameter(),
                found: value.kind(),
                allowed: allowed(),
            }),
        }
    }
}

impl Checked {
    fn to_json(&self) -> Value {
        match self {
            Checked::Text(text) => json!(text.as_str()),
            Checked::Money {
                minor_units,
                currency,
            } => {
                json!({ "currency": currency.code, "minor_units": minor_units })
            }
            Checked::Date(date) => json!(date.to_string()),
            Checked::Integer(value) => json!(value),
            Checked::Enumeration(value) => json!(value),
        }
    }

    fn written(&self, locale: Locale, kind: Option<&Kind>) -> String {
        match (self, kind) {
            (Checked::Text(text), _) => text.as_str().to_owned(),
            (
                Checked::Money {
                    minor_units,
                    currency,
                },
                _,
            ) => locale.money(*minor_units, currency),
            (Checked::Date(date), _) => locale.date(*date),
            (Checked::Integer(value), _) => locale.integer(*value),
            (Checked::Enumeration(value), Some(Kind::Enumeration { values })) => {
                let label = values
                    .iter()
                    .find(|it| it.value == *value)
                    .and_then(|it| it.labels.get(&locale));
                label.map_or_else(|| value.clone(), |it| it.as_str().to_owned())
            }
            (Checked::Enumeration(value), _) => value.clone(),
        }
    }
}

fn iso_date(text: &str) -> Option<Date> {
    let exact = text.len() == 10 && text.bytes().all(|it| it.is_ascii_digit() || it == b'-');
    Date::parse(text, ISO_DATE)
        .ok()
        .filter(|date| exact && date.year() >= 1000)
}
