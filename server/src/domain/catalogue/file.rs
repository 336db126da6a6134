//! The shape of a catalogue file: what serde reads, before any rule is applied.
//!
//! Called by [`super::load`] only. Unknown keys are refused everywhere.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::CatalogueError;
use crate::domain::level::Acr;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    action: Vec<RawAction>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAction {
    pub(super) id: String,
    pub(super) kind: RawKind,
    pub(super) acr: Acr,
    #[serde(rename = "match")]
    pub(super) match_mode: RawMatch,
    #[serde(default)]
    pub(super) lifetime_s: RawLifetime,
    pub(super) session_acr_sufficient: Option<Acr>,
    #[serde(default)]
    pub(super) parameters: Vec<RawParameter>,
    pub(super) locales: BTreeMap<String, RawLocale>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawKind {
    Login,
    Transaction,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawMatch {
    None,
    EnterCode,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLifetime {
    pub(super) default: Option<u32>,
    pub(super) min: Option<u32>,
    pub(super) max: Option<u32>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum RawParameter {
    Text {
        name: String,
        max_chars: usize,
    },
    Money {
        name: String,
        currencies: Vec<String>,
        max_minor_units: i64,
    },
    Date {
        name: String,
    },
    Integer {
        name: String,
        min: i64,
        max: i64,
    },
    Enumeration {
        name: String,
        values: Vec<RawValue>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawValue {
    pub(super) value: String,
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLocale {
    pub(super) title: String,
    pub(super) rows: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRow {
    pub(super) label: String,
    pub(super) value: String,
}

impl RawParameter {
    pub(super) fn name(&self) -> &str {
        match self {
            RawParameter::Text { name, .. }
            | RawParameter::Money { name, .. }
            | RawParameter::Date { name }
            | RawParameter::Integer { name, .. }
            | RawParameter::Enumeration { name, .. } => name,
        }
    }
}

/// Reads the shape; an error says the line and the path of the key.
pub(super) fn read(toml_text: &str) -> Result<Vec<RawAction>, CatalogueError> {
    let refused = |path: String, error: &toml::de::Error| CatalogueError::File {
        path,
        line: error.span().map_or(1, |span| line_at(toml_text, span.start)),
        message: error.message().to_owned(),
    };
    let deserializer =
        toml::Deserializer::parse(toml_text).map_err(|error| refused("the file".to_owned(), &error))?;
    let file: File = serde_path_to_error::deserialize(deserializer)
        .map_err(|error| refused(error.path().to_string(), error.inner()))?;
    Ok(file.action)
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|it| *it == b'\n').count() + 1
}
