//! The only place that turns a fault into a gRPC status.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::domain::fault::{Fault, Kind};

/// Domain of every `ErrorInfo`.
pub const DOMAIN: &str = "paraphe.v1";

/// Code, sentence, and the details: `ErrorInfo` with the stable code, `BadRequest` with the field, `RetryInfo` with the wait.
/// Causes are logged, not sent.
pub fn status(fault: Fault) -> Status {
    let code = match fault.rule.kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Exists => Code::AlreadyExists,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Late => Code::DeadlineExceeded,
        Kind::Internal => Code::Internal,
    };
    match (&fault.cause, code) {
        (Some(cause), Code::Internal) => tracing::error!(code = fault.code(), cause, "failed"),
        (cause, _) => tracing::info!(code = fault.code(), cause, field = fault.field, "refused"),
    }
    let mut details = ErrorDetails::with_error_info(fault.code(), DOMAIN, []);
    if let Some(field) = &fault.field {
        let description = fault.detail.clone().unwrap_or_else(|| fault.rule.text.to_owned());
        details.add_bad_request_violation(field.clone(), description);
    }
    let hint = fault
        .retry_after_s
        .or((fault.rule.kind == Kind::Exhausted).then_some(1));
    if let Some(seconds) = hint {
        details.set_retry_info(Some(Duration::from_secs(seconds)));
    }
    Status::with_error_details(code, fault.to_string(), details)
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        status(fault)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use crate::domain::fault::page;

    #[test]
    fn the_page_of_errors_is_the_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        if std::env::var_os("PARAPHE_WRITE_DOCS").is_some() {
            std::fs::write(path, page()).expect("docs/errors.md is written");
        }
        let published = std::fs::read_to_string(path).expect("docs/errors.md");
        assert_eq!(published, page(), "run the tests once with PARAPHE_WRITE_DOCS=1");
    }
}
