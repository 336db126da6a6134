//! What the daemon, or the way to it, says no with. Wire rules: google.rpc `ErrorInfo`, `BadRequest`, `RetryInfo`.

use std::fmt::Write as _;

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::Error;

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
        for violation in self
            .fields
            .iter()
            .filter(|violation| violation.allowed != self.message)
        {
            write!(f, "\n  field {}", violation.field)?;
            if !self.message.contains(&violation.allowed) {
                write!(f, ": {}", violation.allowed)?;
            }
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
            .map(|delay| delay.as_secs() + u64::from(delay.subsec_nanos() > 0)),
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
