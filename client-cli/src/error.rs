//! The one error type of the command line and the exit codes that scripts rely on.
//!
//! Every command returns [`Error`]; `main` prints it once (as text, or as one JSON object with `--json`) and exits with
//! [`Error::exit`]. Invariant: each error has a stable code such as `pin.wrong`, or the code that the daemon sent.

mod daemon;
mod phone;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tonic::Code;

pub use daemon::{Refusal, causes};

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
  141 standard output was closed by its reader; nothing is said

With --json every result is one JSON object on one line of standard output, and
an error is one JSON object on standard error:
{\"error\":{\"code\",\"message\",\"fields\",\"wait_s\"}}.";

/// 128 + SIGPIPE, as a shell says it. Not 0: that would stand for a verdict that nobody has read.
const OUTPUT_CLOSED: u8 = 141;

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
    /// Another error, with what the person may look at or do.
    #[error("{error}\n  {advice}")]
    Advised {
        /// What stopped the command.
        error: Box<Error>,
        /// One sentence or question, for people only.
        advice: &'static str,
    },
    /// Whoever read standard output went away.
    #[error("Standard output was closed.")]
    OutputClosed,
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
    #[error("{}Cannot {action} {}: {source}.", option.map(|option| format!("{option}: ")).unwrap_or_default(), path.display())]
    File {
        /// The option that named it.
        option: Option<&'static str>,
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

fn wrong_pin(attempts_left: u32, wait_s: u32) -> String {
    let mut text = match attempts_left {
        0 => "Wrong PIN. The phone is locked: a new identity check is needed.".to_owned(),
        1 => "Wrong PIN. One attempt is left; if it fails too, the phone locks.".to_owned(),
        left => format!("Wrong PIN. {left} attempts are left."),
    };
    if wait_s > 0 && attempts_left > 0 {
        let _ = write!(text, " The next one may be made in {wait_s} s.");
    }
    text
}

impl Error {
    /// An [`Error::File`], for `map_err`.
    pub fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File {
            option: None,
            action,
            path,
            source,
        }
    }

    /// This error of a file with the option that named the file.
    #[must_use]
    pub fn of_option(self, named: &'static str) -> Error {
        match self {
            Error::File {
                action, path, source, ..
            } => Error::File {
                option: Some(named),
                action,
                path,
                source,
            },
            Error::Invalid { code, message } if code.starts_with("file.") => Error::Invalid {
                code,
                message: format!("{named}: {message}"),
            },
            other => other,
        }
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

    /// This error with advice, where it has this code.
    #[must_use]
    pub fn advised(self, code: &str, advice: &'static str) -> Error {
        if self.code() != code {
            return self;
        }
        Error::Advised {
            error: Box::new(self),
            advice,
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
            Error::Advised { error, .. } => error.code(),
            Error::OutputClosed => "cli.output",
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
            Error::OutputClosed => OUTPUT_CLOSED,
            Error::Advised { error, .. } => error.exit(),
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
            Error::Advised { error, .. } => return error.json(),
            Error::Daemon(refusal) => (refusal.fields.clone(), refusal.wait_s),
            Error::WrongPin {
                attempts_left: 1..,
                wait_s: wait_s @ 1..,
            } => (Vec::new(), Some(u64::from(*wait_s))),
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
