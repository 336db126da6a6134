//! The one error type of the command line and the exit codes that scripts rely on.
//!
//! Every command returns [`Error`]; `main` prints it once (as text, or as one JSON object with `--json`) and exits with
//! [`Error::exit`]. Invariant: each error has a stable code such as `pin.wrong`, or the code that the daemon sent.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Shown under `paraphe --help`; the numbers are part of the interface.
pub const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   any other failure
  2   the command line is wrong
  3   not logged in, or not permitted
  4   not found
  5   the present state forbids it, or a limit was reached
  6   invalid input
  7   the daemon cannot be reached, or did not answer in time
  8   the verdict is not `approved` (backend request --wait)
  9   verification failed, or the daemon's answer cannot be trusted
  10  wrong PIN

With --json every result is one JSON object on one line of standard output, and
an error is one JSON object on standard error:
{\"error\":{\"code\",\"message\",\"fields\",\"wait_s\"}}.";

/// Result of every command.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that contradict each other or are missing together.
    #[error("{0}")]
    Usage(String),
    /// A value that cannot be what it should be.
    #[error("{message}")]
    Invalid {
        /// Stable code, e.g. `parameter.syntax`.
        code: &'static str,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// Nobody is logged in on this terminal, or the session is over.
    #[error("{0}")]
    NotLoggedIn(String),
    /// Something that was named does not exist here.
    #[error("{0}")]
    NotFound(String),
    /// What was asked cannot be done in the present state.
    #[error("{message}")]
    Forbidden {
        /// Stable code.
        code: &'static str,
        /// What forbids it and what to do.
        message: String,
    },
    /// The daemon refused a call.
    #[error("{0}")]
    Daemon(Refusal),
    /// No connection, or no answer in time.
    #[error("{0}")]
    Unreachable(String),
    /// A final state other than `approved`.
    #[error("The verdict is `{0}`.")]
    NotApproved(&'static str),
    /// A check of `paraphe verify` failed.
    #[error("Verification failed at `{check}`: {why}")]
    Verification {
        /// Name of the check.
        check: &'static str,
        /// What did not hold.
        why: String,
    },
    /// What the daemon sent a phone does not hold; nothing was shown or signed.
    #[error("The daemon's answer cannot be trusted: {detail}.")]
    Untrusted {
        /// Stable code, e.g. `statement.signature`.
        code: &'static str,
        /// What did not hold.
        detail: String,
    },
    /// The PIN did not unlock the approval key.
    #[error("{}", wrong_pin(*attempts_left, *wait_s))]
    WrongPin {
        /// Attempts left before the phone locks.
        attempts_left: u32,
        /// Seconds until the next attempt.
        wait_s: u32,
    },
    /// A file could not be read or written.
    #[error("Cannot {action} {}: {source}.", path.display())]
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A step of the demo was not as it should be.
    #[error("demo failed at step {number} ({name}): {why}")]
    Demo {
        /// Number of the step, from 1.
        number: usize,
        /// Name of the step.
        name: &'static str,
        /// What was not as it should be.
        why: String,
    },
    /// Anything else.
    #[error("{message}")]
    Other {
        /// Stable code.
        code: &'static str,
        /// What happened and what to do.
        message: String,
    },
}

/// What the daemon said when it refused a call (google.rpc `ErrorInfo`, `BadRequest`, `RetryInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// gRPC status code.
    pub grpc: Code,
    /// Stable code such as `challenge.expired`; the gRPC code's name where the daemon sent none.
    pub code: String,
    /// The daemon's sentence.
    pub message: String,
    /// Fields that were refused, each with what is allowed.
    pub fields: Vec<FieldViolation>,
    /// Seconds to wait before trying again.
    pub wait_s: Option<u64>,
}

/// One refused field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldViolation {
    /// Path of the field, e.g. `parameters.price`.
    pub field: String,
    /// What is allowed.
    pub allowed: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        for violation in &self.fields {
            write!(f, "\n  field {}: {}", violation.field, violation.allowed)?;
        }
        if let Some(wait_s) = self.wait_s {
            write!(f, "\n  try again in {wait_s} s")?;
        }
        Ok(())
    }
}

/// A status with a code of its own is the daemon's word; one of these without comes from the way there.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let refusal = refusal(&status);
        let lost = matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
        );
        if lost && refusal.code == code_name(refusal.grpc) {
            return Error::Unreachable(unreachable(&status));
        }
        Error::Daemon(refusal)
    }
}

impl From<tonic::transport::Error> for Error {
    fn from(error: tonic::transport::Error) -> Self {
        Error::Unreachable(format!("The daemon cannot be reached: {}.", causes(&error)))
    }
}

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

fn refusal(status: &Status) -> Refusal {
    let details = status.get_error_details();
    Refusal {
        grpc: status.code(),
        code: details
            .error_info()
            .map_or_else(|| code_name(status.code()).to_owned(), |info| info.reason.clone()),
        message: status.message().to_owned(),
        fields: details
            .bad_request()
            .map(|bad| bad.field_violations.iter())
            .into_iter()
            .flatten()
            .map(|v| FieldViolation {
                field: v.field.clone(),
                allowed: v.description.clone(),
            })
            .collect(),
        wait_s: details
            .retry_info()
            .and_then(|retry| retry.retry_delay)
            .map(|delay| delay.as_secs()),
    }
}

fn unreachable(status: &Status) -> String {
    let what = match status.code() {
        Code::Unavailable => "The daemon cannot be reached",
        Code::DeadlineExceeded | Code::Cancelled => "The daemon did not answer in time",
        _ => "The connection to the daemon broke",
    };
    let cause = std::error::Error::source(status).map(causes);
    match cause
        .as_deref()
        .filter(|cause| !cause.is_empty())
        .unwrap_or(status.message())
    {
        "" => format!("{what}."),
        cause => format!("{what}: {}.", cause.trim_end_matches('.')),
    }
}

/// The error and what caused it, once each, separated by colons.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let sentence = error.to_string();
        if !text.contains(&sentence) {
            let separator = if text.is_empty() { "" } else { ": " };
            let _ = write!(text, "{separator}{sentence}");
        }
        next = error.source();
    }
    text
}

fn wrong_pin(attempts_left: u32, wait_s: u32) -> String {
    let mut text = match attempts_left {
        0 => "Wrong PIN. The phone is locked: a new identity check is needed.".to_owned(),
        1 => "Wrong PIN. One attempt is left; if it fails too, the phone locks.".to_owned(),
        left => format!("Wrong PIN. {left} attempts are left."),
    };
    if wait_s > 0 {
        let _ = write!(text, " The next one may be made in {wait_s} s.");
    }
    text
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

impl Error {
    /// An [`Error::File`], for `map_err`.
    pub fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { action, path, source }
    }

    /// An [`Error::Invalid`].
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Error {
        Error::Invalid {
            code,
            message: message.into(),
        }
    }

    /// An [`Error::Other`].
    pub fn other(code: &'static str, message: impl Into<String>) -> Error {
        Error::Other {
            code,
            message: message.into(),
        }
    }

    /// The stable code, e.g. `challenge.expired`.
    pub fn code(&self) -> &str {
        match self {
            Error::Usage(_) => "cli.usage",
            Error::Invalid { code, .. } | Error::Forbidden { code, .. } | Error::Other { code, .. } => code,
            Error::NotLoggedIn(_) => "cli.not_logged_in",
            Error::NotFound(_) => "cli.not_found",
            Error::Daemon(refusal) => &refusal.code,
            Error::Unreachable(_) => "daemon.unreachable",
            Error::NotApproved(_) => "verdict.not_approved",
            Error::Verification { .. } => "verify.failed",
            Error::Untrusted { code, .. } => code,
            Error::WrongPin { .. } => "pin.wrong",
            Error::File { .. } => "cli.file",
            Error::Demo { .. } => "demo.failed",
        }
    }

    /// The exit code, as documented by [`EXIT_CODES`].
    pub fn exit(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::NotLoggedIn(_) => 3,
            Error::NotFound(_) => 4,
            Error::Forbidden { .. } => 5,
            Error::Invalid { .. } => 6,
            Error::Unreachable(_) => 7,
            Error::NotApproved(_) => 8,
            Error::Verification { .. } | Error::Untrusted { .. } => 9,
            Error::WrongPin { .. } => 10,
            Error::File { .. } | Error::Demo { .. } | Error::Other { .. } => 1,
            Error::Daemon(refusal) => match refusal.grpc {
                Code::Unauthenticated | Code::PermissionDenied => 3,
                Code::NotFound => 4,
                Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted | Code::ResourceExhausted => 5,
                Code::InvalidArgument | Code::OutOfRange => 6,
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => 7,
                _ => 1,
            },
        }
    }

    /// The error as one JSON object.
    pub fn json(&self) -> String {
        let (fields, wait_s) = match self {
            Error::Daemon(refusal) => (refusal.fields.clone(), refusal.wait_s),
            Error::WrongPin { wait_s, .. } if *wait_s > 0 => (Vec::new(), Some(u64::from(*wait_s))),
            _ => (Vec::new(), None),
        };
        let message = match self {
            Error::Daemon(refusal) => refusal.message.clone(),
            other => other.to_string(),
        };
        serde_json::json!({ "error": { "code": self.code(), "message": message, "fields": fields, "wait_s": wait_s } })
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use std::time::Duration;

    use tonic_types::ErrorDetails;

    use super::*;

    fn refused(code: Code, reason: &str) -> Error {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, "paraphe.v1", std::collections::HashMap::new());
        Status::with_error_details(code, "No.", details).into()
    }

    #[test]
    fn every_grpc_code_has_its_documented_exit_code() {
        let expected = [
            (Code::Unauthenticated, 3),
            (Code::PermissionDenied, 3),
            (Code::NotFound, 4),
            (Code::FailedPrecondition, 5),
            (Code::AlreadyExists, 5),
            (Code::Aborted, 5),
            (Code::ResourceExhausted, 5),
            (Code::InvalidArgument, 6),
            (Code::OutOfRange, 6),
            (Code::Unavailable, 7),
            (Code::DeadlineExceeded, 7),
            (Code::Internal, 1),
        ];
        for (code, exit) in expected {
            assert_eq!(refused(code, "x.y").exit(), exit, "{code:?}");
            let bare: Error = Status::new(code, "No.").into();
            let exit = if code == Code::Internal { 7 } else { exit };
            assert_eq!(bare.exit(), exit, "{code:?} without details");
        }
    }

    #[test]
    fn own_errors_have_their_documented_exit_codes() {
        let exits = [
            (Error::Usage("u".into()), 2),
            (Error::NotLoggedIn("n".into()), 3),
            (Error::NotFound("n".into()), 4),
            (
                Error::Forbidden {
                    code: "a.b",
                    message: "f".into(),
                },
                5,
            ),
            (Error::invalid("a.b", "i"), 6),
            (Error::Unreachable("u".into()), 7),
            (Error::NotApproved("denied"), 8),
            (
                Error::Verification {
                    check: "signature",
                    why: "w".into(),
                },
                9,
            ),
            (
                Error::WrongPin {
                    attempts_left: 4,
                    wait_s: 0,
                },
                10,
            ),
            (
                Error::Demo {
                    number: 1,
                    name: "n",
                    why: "w".into(),
                },
                1,
            ),
        ];
        for (error, exit) in exits {
            assert_eq!(error.exit(), exit, "{error}");
            assert!(
                EXIT_CODES.contains(&format!("\n  {exit}  ")),
                "{exit} is not documented"
            );
        }
    }

    #[test]
    fn a_refusal_shows_sentence_field_what_is_allowed_and_wait() {
        let mut details = ErrorDetails::new();
        details.set_error_info(
            "parameter.missing",
            "paraphe.v1",
            std::collections::HashMap::new(),
        );
        details.add_bad_request_violation("parameters.price", "money, at most 10000.00 EUR");
        details.set_retry_info(Some(Duration::from_secs(60)));
        let status =
            Status::with_error_details(Code::InvalidArgument, "The parameter price is missing.", details);
        let error = Error::from(status);
        assert_eq!(
            error.to_string(),
            "The parameter price is missing.\n  field parameters.price: money, at most 10000.00 EUR\n  try again in 60 s"
        );
        let json: serde_json::Value = serde_json::from_str(&error.json()).unwrap();
        assert_eq!(json["error"]["code"], "parameter.missing");
        assert_eq!(json["error"]["message"], "The parameter price is missing.");
        assert_eq!(json["error"]["fields"][0]["field"], "parameters.price");
        assert_eq!(json["error"]["wait_s"], 60);
    }

    #[test]
    fn what_the_phone_says_keeps_its_code_and_gets_its_exit_code() {
        use paraphe_companion::Error as Phone;
        let cases: [(Phone, &str, u8); 5] = [
            (
                Phone::WrongPin {
                    attempts_left: 3,
                    wait_s: 0,
                },
                "pin.wrong",
                10,
            ),
            (
                Phone::Invalid {
                    code: "match_code.malformed",
                    message: "m".into(),
                },
                "match_code.malformed",
                6,
            ),
            (Phone::Unreachable { detail: "d".into() }, "daemon.unreachable", 7),
            (
                Phone::Untrusted {
                    code: "statement.signature",
                    detail: "d".into(),
                },
                "statement.signature",
                9,
            ),
            (
                Phone::Refused {
                    code: "challenge.expired".into(),
                    message: "m".into(),
                    status: Code::FailedPrecondition,
                    retry_after_s: None,
                },
                "challenge.expired",
                5,
            ),
        ];
        for (phone, code, exit) in cases {
            let error = Error::from(phone);
            assert_eq!((error.code(), error.exit()), (code, exit));
        }
    }

    #[test]
    fn a_wrong_pin_warns_before_the_last_attempt() {
        let text = |attempts_left, wait_s| {
            Error::WrongPin {
                attempts_left,
                wait_s,
            }
            .to_string()
        };
        assert_eq!(text(4, 0), "Wrong PIN. 4 attempts are left.");
        assert_eq!(
            text(2, 60),
            "Wrong PIN. 2 attempts are left. The next one may be made in 60 s."
        );
        assert!(text(1, 900).contains("One attempt is left; if it fails too, the phone locks."));
        assert!(text(0, 0).contains("locked"));
    }
}
