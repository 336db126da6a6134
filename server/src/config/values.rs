//! Values of the configuration that are more than a number: the issuer's URL, checks, log settings.
//!
//! Each is refused where it is read, so a value of these types is one that the rest of the daemon may rely on.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use tracing::level_filters::LevelFilter;

/// The issuer's name: `https://host` or `https://host:port` in lower case, without path, query or trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    /// The URL exactly as it stands in every statement.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host name without the port, e.g. for a development certificate.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.0.strip_prefix("https://").unwrap_or(&self.0);
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let canonical = format!("https://{authority}") == text
            && text.len() <= 200
            && !authority.as_str().contains('@')
            && !authority.host().is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase())
            && port_is_canonical(authority);
        canonical.then(|| Self(text.to_owned()))
    }
}

/// No port, or one that is not the default, without leading zeros.
fn port_is_canonical(authority: &http::uri::Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host());
    match (after_host, authority.port_u16()) {
        (Some(""), None) => true,
        (Some(text), Some(port)) => port != 443 && port != 0 && text == format!(":{port}"),
        _ => false,
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for IssuerUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not allowed; https://host or https://host:port is, in lower case, without path, query, trailing slash or the default port"
            ))
        })
    }
}

/// A check that a clerk makes on a person and their document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceCheck {
    /// The document is genuine by its visible security features.
    DocumentGenuine,
    /// The holder is the person in the picture.
    HolderLikeness,
    /// The document was looked at under ultraviolet light.
    Ultraviolet,
    /// The document's chip was read and its signature verified.
    Chip,
}

impl EvidenceCheck {
    /// Every check.
    pub const ALL: [Self; 4] = [
        Self::DocumentGenuine,
        Self::HolderLikeness,
        Self::Ultraviolet,
        Self::Chip,
    ];

    /// The check of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.as_str() == name)
    }

    /// Its name in the configuration and in error messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DocumentGenuine => "document_genuine",
            Self::HolderLikeness => "holder_likeness",
            Self::Ultraviolet => "ultraviolet",
            Self::Chip => "chip",
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines, one JSON object a line.
    Json,
}

/// Which of Paraphe's own log lines are written.
///
/// Libraries log at `warn` whatever this says: at finer levels some print headers, and with them credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    level: LevelFilter,
    modules: Vec<(String, LevelFilter)>,
}

impl LogFilter {
    /// The level for all of Paraphe.
    #[must_use]
    pub fn level(&self) -> LevelFilter {
        self.level
    }

    /// Levels for single modules, e.g. `("paraphe_server::edge", DEBUG)`.
    #[must_use]
    pub fn modules(&self) -> &[(String, LevelFilter)] {
        &self.modules
    }

    fn parse(text: &str) -> Option<Self> {
        let mut filter = Self::default();
        for (position, part) in text.split(',').map(str::trim).enumerate() {
            match part.split_once('=') {
                Some((module, level)) if is_own_module(module) => {
                    filter.modules.push((module.to_owned(), level_named(level)?));
                }
                None if position == 0 => filter.level = level_named(part)?,
                _ => return None,
            }
        }
        Some(filter)
    }
}

fn is_own_module(name: &str) -> bool {
    name.split("::")
        .next()
        .is_some_and(|krate| ["paraphe_server", "paraphe_proto", "paraphed"].contains(&krate))
}

fn level_named(name: &str) -> Option<LevelFilter> {
    ["off", "error", "warn", "info", "debug", "trace"]
        .contains(&name)
        .then(|| name.parse().ok())
        .flatten()
}

impl Default for LogFilter {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            modules: Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not allowed; a level (off, error, warn, info, debug, trace) is, and after a comma pairs such as paraphe_server::edge=debug"
            ))
        })
    }
}
