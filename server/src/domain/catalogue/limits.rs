//! The parameters that a catalogue file may define, and the limits it may set.
//!
//! Called by [`super::load`] only.

use std::collections::{BTreeMap, BTreeSet};

use super::error::CatalogueError;
use super::file::{RawParameter, RawValue};
use super::format::{Currency, Locale};
use super::load::is_id;
use super::parameters::{EnumerationValue, Kind, Parameter};
use crate::domain::text::PlainText;

/// Of one text parameter.
const MOST_CHARS: usize = 500;
/// Of one amount, as in step_up.proto.
const MOST_MINOR_UNITS: i64 = 1_000_000_000_000;
/// Integers beyond are not exact in every JSON reader (RFC 8259, section 6).
const MOST_EXACT: i64 = (1 << 53) - 1;

/// The parameters of one action, in the order of the file.
pub(super) fn parameters(
    id: &str,
    raw: &[RawParameter],
    locales: &[Locale],
) -> Result<Vec<Parameter>, CatalogueError> {
    let mut seen = BTreeSet::new();
    raw.iter()
        .map(|raw| {
            let name = raw.name().to_owned();
            let refused = |why: String| CatalogueError::Parameter {
                action: id.to_owned(),
                parameter: name.clone(),
                why,
            };
            if !is_name(&name) {
                return Err(refused(
                    "a name is 1 to 32 characters of a-z 0-9 _ and begins with a letter".to_owned(),
                ));
            }
            if !seen.insert(name.clone()) {
                return Err(refused("it is defined twice; remove one".to_owned()));
            }
            let kind = kind(raw, locales).map_err(refused)?;
            Ok(Parameter { name, kind })
        })
        .collect()
}

fn is_name(name: &str) -> bool {
    let safe = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
    name.len() <= 32
        && name.bytes().next().is_some_and(|it| it.is_ascii_lowercase())
        && name.bytes().all(safe)
}

fn kind(raw: &RawParameter, locales: &[Locale]) -> Result<Kind, String> {
    match raw {
        RawParameter::Text { max_chars, .. } if (1..=MOST_CHARS).contains(max_chars) => Ok(Kind::Text {
            max_chars: *max_chars,
        }),
        RawParameter::Text { .. } => Err(format!("max_chars must be from 1 to {MOST_CHARS}")),
        RawParameter::Money {
            currencies,
            max_minor_units,
            ..
        } => money(currencies, *max_minor_units),
        RawParameter::Date { .. } => Ok(Kind::Date),
        RawParameter::Integer { min, max, .. } if -MOST_EXACT <= *min && min <= max && *max <= MOST_EXACT => {
            Ok(Kind::Integer { min: *min, max: *max })
        }
        RawParameter::Integer { .. } => Err(format!("it must be -{MOST_EXACT} ≤ min ≤ max ≤ {MOST_EXACT}")),
        RawParameter::Enumeration { values, .. } => enumeration(values, locales),
    }
}

fn money(codes: &[String], max_minor_units: i64) -> Result<Kind, String> {
    if !(1..=MOST_MINOR_UNITS).contains(&max_minor_units) {
        return Err(format!("max_minor_units must be from 1 to {MOST_MINOR_UNITS}"));
    }
    let unknown = |code: &String| {
        format!(
            "the currency {code:?} is not known; known are {}",
            Currency::known()
        )
    };
    let currencies: Vec<_> = codes
        .iter()
        .map(|code| Currency::of(code).ok_or_else(|| unknown(code)))
        .collect::<Result<_, _>>()?;
    if currencies.is_empty() {
        return Err("currencies must name at least one".to_owned());
    }
    Ok(Kind::Money {
        currencies,
        max_minor_units,
    })
}

fn enumeration(raw: &[RawValue], locales: &[Locale]) -> Result<Kind, String> {
    let mut values: Vec<EnumerationValue> = Vec::with_capacity(raw.len());
    for it in raw {
        let value = &it.value;
        if !is_id(value) || values.iter().any(|earlier| earlier.value == *value) {
            return Err(format!(
                "the value {value:?} is there twice, or is not of a-z 0-9 . _ -"
            ));
        }
        let mut labels = BTreeMap::new();
        for locale in locales {
            let label = it.labels.get(locale.as_str());
            let label =
                label.ok_or_else(|| format!("the value {value:?} has no label in the locale {locale}"))?;
            let label = PlainText::parse(label, 100).map_err(|error| {
                format!("the label of the value {value:?} in the locale {locale}: {error}")
            })?;
            labels.insert(*locale, label);
        }
        if it.labels.len() != locales.len() {
            return Err(format!(
                "the value {value:?} has a label in a locale that the action does not have"
            ));
        }
        values.push(EnumerationValue {
            value: value.clone(),
            labels,
        });
    }
    if values.is_empty() {
        return Err("values must name at least one".to_owned());
    }
    Ok(Kind::Enumeration { values })
}
