//! What can go wrong on the phone, as few kinds as an app can act on.
//!
//! Every call of this crate returns [`Error`]. An app switches on [`Error::advice`], shows the message and logs
//! [`Error::code`]. Invariant: no message carries a secret, a PIN or a match code. The protocol: sections 4 and 6.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::keystore::KeyStoreError;
use crate::state_file::StateError;

/// Why a call of the phone did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The PIN does not open the approval key. The attempt is charged; a right PIN gives it back.
    #[error("the PIN is wrong; {attempts_left} attempts left")]
    WrongPin {
        /// Attempts left before the device locks for good.
        attempts_left: u32,
        /// Seconds until the next attempt may be made.
        wait_s: u32,
    },
    /// What the person or the app gave cannot be used. Nothing was sent.
    #[error("{message}")]
    Invalid {
        /// Stable code, such as `match_code.malformed`.
        code: &'static str,
        /// A sentence that says what to do.
        message: String,
    },
    /// The daemon refused.
    #[error("{message}")]
    Refused {
        /// The daemon's stable code, such as `challenge.expired`; `server.refused` when it named none.
        code: String,
        /// The daemon's sentence that says what to do.
        message: String,
        /// The gRPC status code.
        status: Code,
        /// Seconds to wait before trying again, where the daemon named them.
        retry_after_s: Option<u64>,
    },
    /// No answer came. What was asked may have happened; asking again is safe.
    #[error("the service cannot be reached: {detail}")]
    Unreachable {
        /// What the transport said.
        detail: String,
    },
    /// An answer came that does not hold: a signature, a key or a binding is not as it must be. Nothing was shown or signed.
    #[error("the service's answer cannot be trusted: {detail}")]
    Untrusted {
        /// Stable code, such as `statement.unknown_key` or `evaluation.rolled_back`.
        code: &'static str,
        /// What did not hold.
        detail: String,
    },
    /// The phone's own file cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The secure chip refused.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
}

/// What an app does about an [`Error`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Advice {
    /// Ask the person to type it again, after so many seconds.
    Retype {
        /// Seconds; 0 for at once.
        wait_s: u64,
    },
    /// Make the same call again, after so many seconds.
    Retry {
        /// Seconds; 0 for at once.
        wait_s: u64,
    },
    /// Say that it was refused, and why. The same call would be refused again.
    Stop,
    /// Warn: somebody between the phone and the service may be cheating. Show and sign nothing.
    Distrust,
    /// The phone itself needs repair: free space, another backup, a new activation.
    Repair,
}

impl Error {
    /// The stable code, such as `pin.wrong`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::WrongPin { .. } => "pin.wrong",
            Self::Invalid { code, .. } | Self::Untrusted { code, .. } => code,
            Self::Refused { code, .. } => code,
            Self::Unreachable { .. } => "server.unreachable",
            Self::State(error) => error.code(),
            Self::KeyStore(error) => error.code(),
        }
    }

    /// What an app does about it.
    #[must_use]
    pub fn advice(&self) -> Advice {
        match self {
            Self::WrongPin { wait_s, .. } => Advice::Retype {
                wait_s: u64::from(*wait_s),
            },
            Self::Invalid { .. } => Advice::Retype { wait_s: 0 },
            Self::Refused {
                retry_after_s: Some(wait_s),
                ..
            } => Advice::Retry { wait_s: *wait_s },
            Self::Refused { .. } => Advice::Stop,
            Self::Unreachable { .. } => Advice::Retry { wait_s: 0 },
            Self::Untrusted { .. } => Advice::Distrust,
            Self::State(_) | Self::KeyStore(_) => Advice::Repair,
        }
    }

    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn untrusted(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Untrusted {
            code,
            detail: detail.into(),
        }
    }

    /// Whether the answer was lost, so that the same request must be made again rather than a new one.
    #[must_use]
    pub fn is_lost_reply(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A status with a reason is the daemon's word; one without comes from the way there.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone());
        let lost = matches!(
            status.code(),
            Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal
        );
        // A deadline says nothing of what was done before it.
        let cut_off = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
        if cut_off || (lost && reason.is_none()) {
            return Self::Unreachable {
                detail: status.message().to_owned(),
            };
        }
        Self::Refused {
            code: reason.unwrap_or_else(|| "server.refused".to_owned()),
            message: status.message().to_owned(),
            status: status.code(),
            retry_after_s: details
                .retry_info()
                .and_then(|info| info.retry_delay)
                .map(|delay| delay.as_secs() + u64::from(delay.subsec_nanos() > 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tonic_types::ErrorDetails;

    fn status(code: Code, reason: Option<&str>, retry: Option<Duration>) -> Status {
        let mut details = ErrorDetails::new();
        if let Some(reason) = reason {
            details.set_error_info(reason, "paraphe.v1", std::collections::HashMap::new());
        }
        if retry.is_some() {
            details.set_retry_info(retry);
        }
        Status::with_error_details(code, "Wait a minute.", details)
    }

    #[test]
    fn the_daemons_code_and_wait_reach_the_app() {
        let wait = Some(Duration::from_millis(59_001));
        let error = Error::from(status(Code::ResourceExhausted, Some("pin.wait"), wait));
        assert_eq!(error.code(), "pin.wait");
        assert_eq!(error.advice(), Advice::Retry { wait_s: 60 });
        assert_eq!(error.to_string(), "Wait a minute.");
    }

    #[test]
    fn a_refusal_without_a_wait_stops() {
        let error = Error::from(status(Code::FailedPrecondition, Some("challenge.expired"), None));
        assert_eq!(error.advice(), Advice::Stop);
        assert!(!error.is_lost_reply());
    }

    #[test]
    fn only_what_the_daemon_did_not_explain_counts_as_lost() {
        assert!(Error::from(status(Code::Unknown, None, None)).is_lost_reply());
        assert!(Error::from(status(Code::Unavailable, Some("server.stopping"), None)).is_lost_reply());
        let late = status(Code::DeadlineExceeded, Some("request.deadline_exceeded"), None);
        assert!(Error::from(late).is_lost_reply());
        assert!(!Error::from(status(Code::Internal, Some("internal"), None)).is_lost_reply());
        assert!(!Error::from(status(Code::Unauthenticated, None, None)).is_lost_reply());
    }
}
