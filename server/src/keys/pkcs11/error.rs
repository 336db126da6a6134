//! What can be wrong with a token, each with a stable code and the configuration key to look at.

use std::path::PathBuf;

use thiserror::Error;

/// Why a token cannot be used.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The shared library does not load, or does not initialise.
    #[error(
        "keys.pkcs11.module: {path} cannot be used ({detail}): name the PKCS#11 library that came with the token"
    )]
    Module {
        /// The library.
        path: PathBuf,
        /// What the loader or the library said.
        detail: String,
    },
    /// No token, or more than one, of that label.
    #[error(
        "keys.pkcs11.token_label: {count} tokens are labelled {label:?}, one is needed; the module shows {shown}"
    )]
    Label {
        /// The label.
        label: String,
        /// How many have it.
        count: usize,
        /// The labels of those that are there.
        shown: String,
    },
    /// The file with the PIN.
    #[error("keys.pkcs11.pin_file: {path} {detail}")]
    PinFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what is allowed.
        detail: String,
    },
    /// The token does not take the PIN. It is not tried again: tokens lock after a few wrong ones.
    #[error(
        "keys.pkcs11.pin_file: the token refuses the PIN ({0}), which is not tried again: put the right one into the file and start again"
    )]
    Pin(String),
    /// One more wrong PIN would lock the token.
    #[error(
        "keys.pkcs11.pin_file: one more wrong PIN locks the token {0:?}, so none is tried: log in once by hand with the right one"
    )]
    FinalTry(String),
    /// A key that is not there, or is not what is needed.
    #[error("keys.pkcs11.{setting}: the key {label:?} {detail}")]
    Key {
        /// The configuration key that names it.
        setting: &'static str,
        /// Its label.
        label: String,
        /// What is wrong with it and what is allowed.
        detail: String,
    },
    /// The sealed file says that the keys are on a token.
    #[error(
        "keys.pkcs11: the section is missing, but the issuer keys of this deployment are on a token: put it back"
    )]
    SectionMissing,
    /// The sealed file has the keys.
    #[error(
        "keys.pkcs11: the issuer keys of this deployment are in {0}: take the section out; a new deployment may have them on a token"
    )]
    KeysInFile(PathBuf),
    /// A call to the token failed.
    #[error("keys.pkcs11: the token does not answer as it should ({0}): see that it is there and in order")]
    Failed(#[from] cryptoki::error::Error),
    /// What came back is not the signature that was asked for.
    #[error("keys.pkcs11: the token gave something that is not a signature by its key")]
    WrongSignature,
}

impl TokenError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Module { .. } => "keys.token_module",
            Self::Label { count: 0, .. } | Self::Failed(_) => "keys.token_away",
            Self::Label { .. } => "keys.token_label",
            Self::PinFile { .. } | Self::Pin(_) | Self::FinalTry(_) => "keys.token_pin",
            Self::Key { .. } | Self::WrongSignature => "keys.token_key",
            Self::SectionMissing | Self::KeysInFile(_) => "keys.token_section",
        }
    }
}
