//! What the layers answer when they do not let a request through: a gRPC status to gRPC callers, a plain status to others.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::Response;
use crate::domain::fault;

/// The `domain` of every `ErrorInfo`.
const DOMAIN: &str = "paraphe.v1";

/// Why a layer stopped a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The caller sends more than its rate.
    RateLimited { wait: Duration },
    /// The daemon answers as many requests, or holds as many streams, as it may.
    Busy,
    /// The request took longer than its caller or the configuration allows.
    DeadlineExceeded,
}

/// Marks an answer as a refusal, so that floods of them are logged at `debug` only.
#[derive(Clone, Copy)]
pub(super) struct Refused;

impl Refusal {
    /// The stable code in `ErrorInfo`.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::RateLimited { .. } => fault::RATE_LIMITED.code,
            Self::Busy => "daemon.busy",
            Self::DeadlineExceeded => "request.deadline_exceeded",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::RateLimited { .. } => fault::RATE_LIMITED.text,
            Self::Busy => "The daemon is busy: wait and try again.",
            Self::DeadlineExceeded => {
                "The call took longer than its deadline and may still take effect: look at the outcome or repeat it with the same idempotency key."
            }
        }
    }

    fn wait(self) -> Option<Duration> {
        match self {
            Self::RateLimited { wait } => Some(wait.max(Duration::from_millis(1))),
            Self::Busy => Some(Duration::from_secs(1)),
            Self::DeadlineExceeded => None,
        }
    }

    fn status(self) -> Status {
        let code = match self {
            Self::RateLimited { .. } | Self::Busy => Code::ResourceExhausted,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
        };
        let mut details = ErrorDetails::with_error_info(self.code(), DOMAIN, []);
        if let Some(wait) = self.wait() {
            details.set_retry_info(Some(wait));
        }
        Status::with_error_details(code, self.text(), details)
    }

    /// The answer to a request with these headers.
    pub(super) fn answer(self, request: &HeaderMap) -> Response {
        let mut response = if is_grpc(request) {
            self.status().into_http()
        } else {
            self.plain()
        };
        response.extensions_mut().insert(Refused);
        response
    }

    fn plain(self) -> Response {
        let mut response = Response::new(Body::new(format!("{}\n", self.text())));
        *response.status_mut() = match self {
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        };
        if let Some(wait) = self.wait() {
            let seconds = wait.as_millis().div_ceil(1_000);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Whether the caller speaks gRPC and expects a status in trailers.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grpc() -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"))])
    }

    #[test]
    fn a_grpc_caller_gets_a_trailers_only_answer_with_code_and_wait() {
        let wait = Duration::from_millis(1_500);
        let response = Refusal::RateLimited { wait }.answer(&grpc());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("caller.rate_limited", "paraphe.v1")
        );
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(wait));
    }

    #[test]
    fn a_deadline_has_no_wait() {
        let response = Refusal::DeadlineExceeded.answer(&grpc());
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(
            status.get_error_details().error_info().unwrap().reason,
            "request.deadline_exceeded"
        );
        assert!(status.get_error_details().retry_info().is_none());
    }

    #[test]
    fn a_browser_gets_a_plain_status() {
        let wait = Duration::from_millis(1_500);
        let response = Refusal::RateLimited { wait }.answer(&HeaderMap::new());
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(
            Refusal::Busy.answer(&HeaderMap::new()).status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
}
