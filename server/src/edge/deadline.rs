//! Deadlines: a request ends when its caller has stopped waiting, and at the configured limit in any case.
//!
//! The innermost layer. It bounds the time until the answer begins, which for a unary method is all of it, and which covers
//! a caller who sends its request slowly, but not the time that it stood in line for its place (`admission`). A server stream then lives as
//! long as it likes; its caller's `grpc-timeout` is the caller's own business. tonic's own timeout sits outside and would answer CANCELLED.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use http::HeaderMap;
use tower_layer::Layer;
use tower_service::Service;

use super::refusal::Refusal;
use super::{Answering, Request, Response};

/// The layer.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer {
    longest: Duration,
}

impl DeadlineLayer {
    /// A layer that gives no request more than `longest`.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { longest }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService {
            longest: self.longest,
            inner,
        }
    }
}

/// The service that the layer makes.
#[derive(Clone, Debug)]
pub struct DeadlineService<S> {
    longest: Duration,
    inner: S,
}

impl<S> Service<Request> for DeadlineService<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Answering<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let deadline = tokio::time::sleep(self.time_for(&request));
        let headers = request.headers().clone();
        let answering = self.inner.call(request);
        async move {
            tokio::select! {
                biased;
                answer = answering => answer,
                () = deadline => Ok(Refusal::DeadlineExceeded.answer(&headers)),
            }
        }
        .boxed()
    }
}

impl<S> DeadlineService<S> {
    fn time_for(&self, request: &Request) -> Duration {
        let method = paraphe_proto::access::method(request.uri().path());
        if method.is_some_and(|method| method.server_streaming) {
            return self.longest;
        }
        asked_for(request.headers()).map_or(self.longest, |asked| asked.min(self.longest))
    }
}

/// The caller's `grpc-timeout`: one to eight digits and a unit (gRPC over HTTP/2, "Timeout"). Anything else is not one.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;
    use tonic::body::Body;
    use tonic::{Code, Status};
    use tower::{ServiceExt, service_fn};

    use super::*;

    fn timeout(text: &'static str) -> Option<Duration> {
        let value = HeaderValue::from_static(text);
        asked_for(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), value)]))
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(timeout("1H"), Some(Duration::from_secs(3_600)));
        assert_eq!(timeout("2M"), Some(Duration::from_secs(120)));
        assert_eq!(timeout("3S"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(timeout("5u"), Some(Duration::from_micros(5)));
        assert_eq!(timeout("6n"), Some(Duration::from_nanos(6)));
        for bad in [
            "",
            "S",
            "1",
            "+1S",
            "-1S",
            "1.5S",
            "1s",
            "123456789S",
            " 1S",
            "1 S",
            "1€",
        ] {
            let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), value)]);
            assert_eq!(asked_for(&headers), None, "{bad:?}");
        }
        assert_eq!(asked_for(&HeaderMap::new()), None);
    }

    const UNARY: &str = "/paraphe.v1.Companion/Nonce";
    const STREAM: &str = "/paraphe.v1.Companion/Watch";
    const NEVER: Duration = Duration::from_secs(60);

    /// Calls a method whose answer takes `takes`: the status it ends with, if any, and when.
    async fn call(path: &str, asked: &'static str, takes: Duration) -> (Option<Code>, Duration) {
        let inner = service_fn(move |_: Request| async move {
            tokio::time::sleep(takes).await;
            Ok::<_, std::convert::Infallible>(Response::new(Body::empty()))
        });
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().unwrap();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-timeout", HeaderValue::from_static(asked));
        let started = std::time::Instant::now();
        let layer = DeadlineLayer::new(Duration::from_millis(200));
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        let status = Status::from_header_map(response.headers());
        (status.map(|status| status.code()), started.elapsed())
    }

    #[tokio::test]
    async fn the_earlier_of_caller_and_configuration_ends_a_request() {
        let (code, after) = call(UNARY, "30m", NEVER).await;
        assert_eq!(code, Some(Code::DeadlineExceeded));
        assert!(after < Duration::from_millis(190), "{after:?}");
        let (code, after) = call(UNARY, "1H", NEVER).await;
        assert_eq!(code, Some(Code::DeadlineExceeded));
        assert!(after >= Duration::from_millis(200), "{after:?}");
        assert_eq!(call(UNARY, "1S", Duration::from_millis(5)).await.0, None);
    }

    #[tokio::test]
    async fn a_stream_is_exempt_from_its_caller_s_timeout_but_must_begin_in_time() {
        assert_eq!(call(STREAM, "1m", Duration::from_millis(50)).await.0, None);
        assert_eq!(call(STREAM, "1H", NEVER).await.0, Some(Code::DeadlineExceeded));
    }
}
