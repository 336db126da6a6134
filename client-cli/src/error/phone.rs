//! What the software phone says no with, as errors of the command line.

use super::{Error, Refusal};

impl From<paraphe_companion::Error> for Error {
    fn from(error: paraphe_companion::Error) -> Self {
        use paraphe_companion::Error as Phone;
        match error {
            Phone::WrongPin {
                attempts_left,
                wait_s,
            } => Error::WrongPin {
                attempts_left,
                wait_s,
            },
            Phone::Invalid { code, message } => Error::Invalid {
                code,
                message: sentence(&message),
            },
            Phone::Refused {
                code,
                message,
                status,
                retry_after_s,
            } => Error::Daemon(Refusal {
                grpc: status,
                code,
                message,
                fields: Vec::new(),
                wait_s: retry_after_s,
            }),
            Phone::Unreachable { detail } => {
                Error::Unreachable(format!("The daemon cannot be reached: {detail}."))
            }
            Phone::Untrusted { code, detail } => Error::Untrusted { code, detail },
            Phone::State(error) => Error::other(error.code(), sentence(&error.to_string())),
            Phone::KeyStore(error) => error.into(),
        }
    }
}

impl From<paraphe_companion::KeyStoreError> for Error {
    fn from(error: paraphe_companion::KeyStoreError) -> Self {
        Error::other(error.code(), sentence(&error.to_string()))
    }
}

/// A message of the companion crate as a sentence: capital letter, full stop.
fn sentence(message: &str) -> String {
    let mut characters = message.trim_end_matches('.').chars();
    let first = characters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}
