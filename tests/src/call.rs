//! What a refused call says: status, stable code, field, wait.

use std::fmt::Debug;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A refusal as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// gRPC status code.
    pub status: Code,
    /// Stable code in `ErrorInfo`, empty without one.
    pub code: String,
    /// The first field of `BadRequest`, empty without one.
    pub field: String,
    /// The wait of `RetryInfo`.
    pub retry_after: Option<Duration>,
    /// The sentence.
    pub message: String,
}

impl From<&Status> for Refusal {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        if let Some(info) = info {
            assert_eq!(info.domain, "paraphe.v1", "the domain of every code: {status:?}");
        }
        let fields = details.bad_request().map(|bad| bad.field_violations.as_slice());
        Self {
            status: status.code(),
            code: info.map(|info| info.reason.clone()).unwrap_or_default(),
            field: fields
                .and_then(|fields| fields.first())
                .map(|violation| violation.field.clone())
                .unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            message: status.message().to_owned(),
        }
    }
}

/// The refusal of a call that must be refused.
#[track_caller]
pub fn refusal<T: Debug>(reply: Result<T, Status>) -> Refusal {
    match reply {
        Ok(reply) => panic!("this call must be refused, it was answered: {reply:?}"),
        Err(status) => Refusal::from(&status),
    }
}

/// The stable code of a call that must be refused.
#[track_caller]
pub fn reason_of<T: Debug>(reply: Result<T, Status>) -> String {
    refusal(reply).code
}
