//! `[keys.pkcs11]`: a token that holds the issuer keys (protocol.md section 2). Read by `keys::pkcs11`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::ConfigError;

/// Bytes of a token's label (PKCS#11 v2.40, section 3.2, `CK_TOKEN_INFO`).
const TOKEN_LABEL_BYTES: usize = 32;
/// What is asked for as the label of a key.
const KEY_LABEL_BYTES: usize = 64;

/// Where the token is and what its keys are called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11 {
    /// The token's PKCS#11 module, a shared library.
    pub module: PathBuf,
    /// Label of the token, 1 to 32 bytes.
    pub token_label: String,
    /// A file with the user PIN of the token.
    pub pin_file: PathBuf,
    /// Label of the key that signs challenges, offers and evaluations, 1 to 64 bytes.
    pub challenge_key_label: String,
    /// Label of the key that signs assertions, 1 to 64 bytes, another one.
    pub assertion_key_label: String,
}

impl Pkcs11 {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let labels = [
            ("token_label", &self.token_label, TOKEN_LABEL_BYTES),
            ("challenge_key_label", &self.challenge_key_label, KEY_LABEL_BYTES),
            ("assertion_key_label", &self.assertion_key_label, KEY_LABEL_BYTES),
        ];
        for (key, label, most) in labels {
            if label.trim() != label || label.is_empty() || label.len() > most {
                return Err(ConfigError::conflict(
                    format!("keys.pkcs11.{key}"),
                    format!("{label:?} is not allowed; 1 to {most} bytes without space at either end are"),
                ));
            }
        }
        if self.challenge_key_label == self.assertion_key_label {
            return Err(ConfigError::conflict(
                "keys.pkcs11.assertion_key_label",
                "it is the same as keys.pkcs11.challenge_key_label; each use has a key of its own",
            ));
        }
        Ok(())
    }

    pub(super) fn files(&self) -> [(&'static str, &PathBuf); 2] {
        [
            ("keys.pkcs11.module", &self.module),
            ("keys.pkcs11.pin_file", &self.pin_file),
        ]
    }

    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        self.module = folder.join(&self.module);
        self.pin_file = folder.join(&self.pin_file);
    }
}
