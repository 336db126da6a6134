//! `[proofing.<name>]`: the identity-proofing providers whose signed results the channel `remote` accepts (protocol.md section 5).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::Error;

use super::error::ConfigError;

pub(super) const REMOTE_IS_CLOSED: &str = "the channel `remote` stays closed: nobody may sign its results; add a [proofing.<name>] section for each provider, or take out [channels.remote]";

/// Providers by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Proofing(pub BTreeMap<ProviderName, Provider>);

/// 2 to 32 characters of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProviderName(String);

impl ProviderName {
    /// The name as it stands in statements.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ProviderName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (2..=32).contains(&name.len()) && name.chars().all(allowed) {
            Ok(Self(name))
        } else {
            Err(D::Error::custom(
                "the name of a provider is 2 to 32 characters of a-z, 0-9 and -",
            ))
        }
    }
}

/// One provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its public keys, a JWK each; several while it changes from one to the next.
    pub public_key_files: Vec<PathBuf>,
}

impl Proofing {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (name, provider) in &self.0 {
            if provider.public_key_files.is_empty() {
                let key = format!("proofing.{}.public_key_files", name.as_str());
                return Err(ConfigError::conflict(
                    key,
                    "at least one file is needed".to_owned(),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.values().flat_map(|provider| &provider.public_key_files)
    }

    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.0
            .values_mut()
            .flat_map(|provider| &mut provider.public_key_files)
    }
}
