//! `[attestation]`: whether secure hardware must vouch for a phone's possession key, and whose (protocol.md section 5).
//!
//! Read by `app::activation` (policy, level) and by `keys::attestation`, which turns the two sections into rules with their roots.

use std::path::PathBuf;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::error::ConfigError;
use crate::domain::attestation::{Environment, SecurityLevel};
use crate::domain::level::Acr;

/// `[attestation]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attestation {
    /// Whether an activation must bring an attestation. Default `off`.
    pub policy: AttestationPolicy,
    /// Highest level of a phone without a verified one: `eidas1` or `eidas2`; `eidas3` in a demonstration. Default `eidas2`.
    pub unattested_acr: Acr,
    /// Android's are accepted, under these rules.
    pub android: Option<Android>,
    /// Apple's are accepted, under these rules.
    pub apple: Option<Apple>,
}

impl Default for Attestation {
    fn default() -> Self {
        Self {
            policy: AttestationPolicy::Off,
            unattested_acr: Acr::Eidas2,
            android: None,
            apple: None,
        }
    }
}

/// Whether an activation must prove where its possession key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttestationPolicy {
    /// Attestations are not looked at; nothing claims a hardware key.
    Off,
    /// Verified where there is one; an activation with a wrong one is refused, one without is not.
    Recorded,
    /// An activation without a verified one is refused.
    Required,
}

/// `[attestation.android]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Android {
    /// PEM: the roots that Google publishes.
    pub root_certificates_file: PathBuf,
    /// JSON as Google publishes it: serial numbers that do not count any more. None by default.
    pub revocation_list_file: Option<PathBuf>,
    /// `trusted_environment` (default) or `strongbox`.
    #[serde(default, deserialize_with = "android_level")]
    pub min_security_level: SecurityLevel,
    /// The apps whose keys count, one or more.
    #[serde(deserialize_with = "not_empty")]
    pub apps: Vec<AndroidApp>,
}

/// `[[attestation.android.apps]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AndroidApp {
    /// Its package, e.g. `example.paraphe.app`.
    #[serde(deserialize_with = "package")]
    pub package: String,
    /// SHA-256 of each certificate that may sign it, one or more.
    #[serde(deserialize_with = "not_empty")]
    pub signing_certificates_sha256: Vec<Digest>,
}

/// `[attestation.apple]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apple {
    /// PEM: the App Attest root that Apple publishes.
    pub root_certificates_file: PathBuf,
    /// `production` (default) or `development`.
    #[serde(default)]
    pub environment: Environment,
    /// `<team id>.<bundle id>` of each app, one or more.
    #[serde(deserialize_with = "not_empty")]
    pub app_ids: Vec<AppId>,
}

/// A SHA-256: 64 hexadecimal digits, colons between them or not.
#[derive(Clone, Copy, Debug)]
pub struct Digest(pub [u8; 32]);

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.replace(':', "").as_bytes());
        let digest = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        digest.map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not allowed; a SHA-256 of 64 hexadecimal digits is, as `apksigner verify --print-certs` prints it"
            ))
        })
    }
}

/// An Apple App ID.
#[derive(Clone, Debug)]
pub struct AppId(pub String);

impl<'de> Deserialize<'de> for AppId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bundle = text.split_once('.').filter(|(team, _)| {
            team.len() == 10 && team.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        });
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        match bundle {
            Some((_, bundle)) if !bundle.is_empty() && bundle.bytes().all(plain) => Ok(Self(text)),
            _ => Err(D::Error::custom(format!(
                "{text:?} is not allowed; the team id of 10 characters A-Z and 0-9, a dot and the bundle id are, such as ABCDE12345.example.paraphe"
            ))),
        }
    }
}

fn package<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if text.contains('.') && text.split('.').all(part) {
        return Ok(text);
    }
    Err(D::Error::custom(format!(
        "{text:?} is not allowed; an Android package such as example.paraphe.app is"
    )))
}

fn android_level<'de, D: Deserializer<'de>>(from: D) -> Result<SecurityLevel, D::Error> {
    match String::deserialize(from)?.as_str() {
        "trusted_environment" => Ok(SecurityLevel::TrustedEnvironment),
        "strongbox" => Ok(SecurityLevel::Strongbox),
        other => Err(D::Error::custom(format!(
            "{other:?} is not allowed; \"trusted_environment\" and \"strongbox\" are"
        ))),
    }
}

fn not_empty<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(from)?;
    if list.is_empty() {
        return Err(D::Error::custom(
            "an empty list is not allowed; one entry or more is",
        ));
    }
    Ok(list)
}

impl Attestation {
    pub(super) fn check(&self, demonstration: bool) -> Result<(), ConfigError> {
        let nobody = self.android.is_none() && self.apple.is_none();
        if self.policy != AttestationPolicy::Off && nobody {
            return Err(ConfigError::conflict(
                "attestation.policy",
                "\"required\" and \"recorded\" need a section [attestation.android] or [attestation.apple]",
            ));
        }
        if self.unattested_acr == Acr::Eidas3 && !demonstration {
            return Err(ConfigError::conflict(
                "attestation.unattested_acr",
                "\"eidas1\" and \"eidas2\" are allowed, and \"eidas3\" only with profile.demonstration = true",
            ));
        }
        Ok(())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let android = self.android.iter().flat_map(|android| {
            let roots = (
                "attestation.android.root_certificates_file",
                &android.root_certificates_file,
            );
            let revoked = android.revocation_list_file.iter();
            std::iter::once(roots)
                .chain(revoked.map(|file| ("attestation.android.revocation_list_file", file)))
        });
        let apple = self.apple.iter();
        android.chain(apple.map(|apple| {
            (
                "attestation.apple.root_certificates_file",
                &apple.root_certificates_file,
            )
        }))
    }

    pub(super) fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let android = self.android.iter_mut().flat_map(|android| {
            std::iter::once(&mut android.root_certificates_file).chain(&mut android.revocation_list_file)
        });
        android.chain(
            self.apple
                .iter_mut()
                .map(|apple| &mut apple.root_certificates_file),
        )
    }
}
