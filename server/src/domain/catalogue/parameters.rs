//! The typed parameters of an action: the values that backends send, and what the catalogue allows of them.
//!
//! Made by [`super::limits`], applied by [`super::checked`]. Protocol, section 6, step 2.

use std::collections::BTreeMap;

use super::format::{Currency, Locale};
use crate::domain::text::PlainText;

/// The value of one parameter as a backend sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    /// Text.
    Text(String),
    /// An amount.
    Money {
        /// Units of the smallest denomination.
        minor_units: i64,
        /// ISO 4217 code.
        currency: String,
    },
    /// `YYYY-MM-DD`.
    Date(String),
    /// A whole number.
    Integer(i64),
    /// One of the values that the catalogue lists.
    Enumeration(String),
}

impl ParameterValue {
    /// The kind's name in the catalogue and in the API.
    pub fn kind(&self) -> &'static str {
        match self {
            ParameterValue::Text(_) => "text",
            ParameterValue::Money { .. } => "money",
            ParameterValue::Date(_) => "date",
            ParameterValue::Integer(_) => "integer",
            ParameterValue::Enumeration(_) => "enumeration",
        }
    }
}

/// One parameter of an action.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a parameter may be.
#[derive(Debug)]
pub(super) enum Kind {
    Text {
        max_chars: usize,
    },
    Money {
        currencies: Vec<&'static Currency>,
        max_minor_units: i64,
    },
    Date,
    Integer {
        min: i64,
        max: i64,
    },
    Enumeration {
        values: Vec<EnumerationValue>,
    },
}

/// One value of an enumeration and what people see of it.
#[derive(Debug)]
pub(super) struct EnumerationValue {
    pub(super) value: String,
    pub(super) labels: BTreeMap<Locale, PlainText>,
}

impl Kind {
    /// What is allowed, as the end of a sentence.
    pub(super) fn allowed(&self) -> String {
        match self {
            Kind::Text { max_chars } => format!("expected text of 1 to {max_chars} characters"),
            Kind::Money {
                currencies,
                max_minor_units,
            } => {
                let codes: Vec<_> = currencies.iter().map(|it| it.code).collect();
                format!(
                    "expected money of 0 to {max_minor_units} minor units in {}",
                    codes.join(", ")
                )
            }
            Kind::Date => "expected a date, YYYY-MM-DD, that exists".to_owned(),
            Kind::Integer { min, max } => format!("expected an integer from {min} to {max}"),
            Kind::Enumeration { values } => {
                let values: Vec<_> = values.iter().map(|it| format!("`{}`", it.value)).collect();
                format!("expected the enumeration value {}", values.join(" or "))
            }
        }
    }

    /// Values at the limits of the kind: each must be renderable. A text tries to be a template itself.
    pub(super) fn samples(&self) -> Vec<ParameterValue> {
        match self {
            Kind::Text { max_chars } => {
                let tricky = "{ $x }${x}\\\"";
                vec![ParameterValue::Text(
                    tricky.chars().cycle().take(*max_chars).map(solid).collect(),
                )]
            }
            Kind::Money {
                currencies,
                max_minor_units,
            } => currencies
                .iter()
                .map(|it| ParameterValue::Money {
                    minor_units: *max_minor_units,
                    currency: it.code.to_owned(),
                })
                .collect(),
            Kind::Date => vec![ParameterValue::Date("2028-02-29".to_owned())],
            Kind::Integer { min, max } => vec![ParameterValue::Integer(*min), ParameterValue::Integer(*max)],
            Kind::Enumeration { values } => values
                .iter()
                .map(|it| ParameterValue::Enumeration(it.value.clone()))
                .collect(),
        }
    }

    /// The most bytes that a value takes on the screen of `locale`, in UTF-8.
    pub(super) fn longest_bytes(&self, locale: Locale) -> usize {
        match self {
            Kind::Text { max_chars } => max_chars.saturating_mul(4),
            Kind::Money {
                currencies,
                max_minor_units,
            } => currencies
                .iter()
                .map(|it| locale.money(*max_minor_units, it).len())
                .max()
                .unwrap_or(0),
            Kind::Date => "24 septembre 2026".len(),
            Kind::Integer { min, max } => locale.integer(*min).len().max(locale.integer(*max).len()),
            Kind::Enumeration { values } => values
                .iter()
                .filter_map(|it| it.labels.get(&locale))
                .map(|it| it.as_str().len())
                .max()
                .unwrap_or(0),
        }
    }
}

/// A space may stand at the end of a sample of any length, so samples have none.
fn solid(character: char) -> char {
    if character == ' ' { '_' } else { character }
}
