//! The rules for key attestations with the files that they name: roots in PEM, Google's list of revoked certificates.
//!
//! Read once at start and by `check-config`. Nothing here is secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::config;
use crate::domain::attestation::{AndroidApp, AndroidRules, AppleRules, Root, Rules};

/// Why a file of the section `attestation` cannot be used.
#[derive(Debug, Error)]
pub enum AttestationFileError {
    /// Not there, or not for the daemon's user.
    #[error("{key} = {}: cannot be read ({source})", path.display())]
    Unreadable {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Something else is in it.
    #[error("{key} = {}: {message}", path.display())]
    Content {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong and what is allowed.
        message: String,
    },
}

impl AttestationFileError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        "config.attestation_file"
    }

    /// Whether the file is only not there yet.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// The rules of a configuration.
///
/// # Errors
/// [`AttestationFileError`].
pub fn read_attestation_rules(section: &config::Attestation) -> Result<Rules, AttestationFileError> {
    Ok(Rules {
        android: section.android.as_ref().map(android).transpose()?,
        apple: section.apple.as_ref().map(apple).transpose()?,
    })
}

fn android(section: &config::Android) -> Result<AndroidRules, AttestationFileError> {
    let app = |app: &config::AndroidApp| AndroidApp {
        package: app.package.clone(),
        signing_certificates: app
            .signing_certificates_sha256
            .iter()
            .map(|digest| digest.0)
            .collect(),
    };
    Ok(AndroidRules {
        roots: roots(
            "attestation.android.root_certificates_file",
            &section.root_certificates_file,
        )?,
        revoked: section
            .revocation_list_file
            .as_deref()
            .map(revoked)
            .transpose()?
            .unwrap_or_default(),
        min_security_level: section.min_security_level,
        apps: section.apps.iter().map(app).collect(),
    })
}

fn apple(section: &config::Apple) -> Result<AppleRules, AttestationFileError> {
    Ok(AppleRules {
        roots: roots(
            "attestation.apple.root_certificates_file",
            &section.root_certificates_file,
        )?,
        app_ids: section.app_ids.iter().map(|id| id.0.clone()).collect(),
        environment: section.environment,
    })
}

fn roots(key: &'static str, path: &Path) -> Result<Vec<Root>, AttestationFileError> {
    let pem = read(key, path)?;
    let wrong = |message| AttestationFileError::Content {
        key,
        path: path.to_owned(),
        message,
    };
    let mut roots = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let der = certificate.map_err(|error| wrong(format!("this is not PEM: {error:?}")))?;
        let number = roots.len().saturating_add(1);
        let root = Root::parse(&der).map_err(|why| wrong(format!("certificate {number}: {why}")))?;
        roots.push(root);
    }
    if roots.is_empty() {
        return Err(wrong(
            "no CERTIFICATE is in it; root certificates in PEM are allowed".to_owned(),
        ));
    }
    Ok(roots)
}

/// `{"entries": {"<serial number, hexadecimal>": {"status": "REVOKED", …}, …}}`; suspended ones do not count either.
#[derive(Deserialize)]
struct RevocationList {
    entries: BTreeMap<String, IgnoredAny>,
}

fn revoked(path: &Path) -> Result<BTreeSet<String>, AttestationFileError> {
    let key = "attestation.android.revocation_list_file";
    let wrong = |message| AttestationFileError::Content {
        key,
        path: path.to_owned(),
        message,
    };
    let list: RevocationList = serde_json::from_slice(&read(key, path)?)
        .map_err(|error| wrong(format!("this is not a list as Google publishes it: {error}")))?;
    let serial = |text: String| {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        plain
            .then(|| text.trim_start_matches('0').to_ascii_lowercase())
            .ok_or_else(|| wrong(format!("{text:?} is not a serial number; hexadecimal digits are")))
    };
    list.entries.into_keys().map(serial).collect()
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, AttestationFileError> {
    std::fs::read(path).map_err(|source| AttestationFileError::Unreadable {
        key,
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn self_signed(is_ca: rcgen::IsCa) -> String {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = is_ca;
        params
            .self_signed(&rcgen::KeyPair::generate().unwrap())
            .unwrap()
            .pem()
    }

    fn authority() -> String {
        self_signed(rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained))
    }

    fn file(folder: &tempfile::TempDir, text: &str) -> PathBuf {
        let path = folder.path().join("file");
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn every_root_of_a_file_is_read_and_what_is_none_is_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let both = format!("# from the maker\n{}{}", authority(), authority());
        assert_eq!(roots("the.key", &file(&folder, &both)).unwrap().len(), 2);
        let leaf = format!("{}{}", authority(), self_signed(rcgen::IsCa::NoCa));
        for (text, said) in [
            ("", "no CERTIFICATE is in it"),
            ("hello", "no CERTIFICATE is in it"),
            ("-----BEGIN CERTIFICATE-----\nAA", "this is not PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "certificate 1: it is not an X.509",
            ),
            (leaf.as_str(), "certificate 2: it is not a certificate authority"),
        ] {
            let error = roots("the.key", &file(&folder, text)).unwrap_err();
            let shown = error.to_string();
            assert!(shown.contains(said) && shown.contains("the.key = "), "{shown}");
            assert!(!error.is_missing());
        }
        let missing = roots("the.key", &folder.path().join("absent")).unwrap_err();
        assert!(missing.is_missing() && missing.code() == "config.attestation_file");
    }

    #[test]
    fn a_list_of_revoked_certificates_is_read_as_google_publishes_it() {
        let folder = tempfile::tempdir().unwrap();
        let list = r#"{"entries": {"0cAfe1": {"status": "REVOKED", "reason": "KEY_COMPROMISE"}, "7": {"status": "SUSPENDED"}}}"#;
        let read = revoked(&file(&folder, list)).unwrap();
        assert_eq!(read.into_iter().collect::<Vec<_>>(), ["7", "cafe1"]);
        for (text, said) in [
            ("[]", "not a list as Google publishes it"),
            ("{}", "`entries`"),
            (r#"{"entries": {"xyz": {}}}"#, "\"xyz\" is not a serial number"),
            (r#"{"entries": {"": {}}}"#, "hexadecimal digits are"),
        ] {
            let shown = revoked(&file(&folder, text)).unwrap_err().to_string();
            assert!(shown.contains(said), "{shown}");
        }
    }
}
