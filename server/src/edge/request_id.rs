//! Request ids: one span per request and one log line when its answer has been sent, at `debug` when it was what was asked for.
//!
//! The outermost layer. Every line logged meanwhile carries `request_id` and `method`; the caller gets the id in
//! `x-request-id`, and may quote it. Invariant: nothing that the caller sent is logged: a path is named only if it is ours.

use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use paraphe_proto::ids::RequestId;
#[expect(
    clippy::disallowed_types,
    reason = "a request id is drawn where the request enters"
)]
use rand_core::OsRng;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument, Span};

use super::refusal::{Refused, is_grpc};
use super::{Answering, Request, Response};

/// The header that tells the caller its request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Paths beside Paraphe's own methods that are named in the log.
const OTHER_PATHS: [&str; 6] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/.well-known/jwks.json",
    "/healthz",
];

/// The layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestIdLayer;

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestIdService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestIdService { inner }
    }
}

/// The service that the layer makes.
#[derive(Clone, Debug)]
pub struct RequestIdService<S> {
    inner: S,
}

impl<S> Service<Request> for RequestIdService<S>
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

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = RequestId::random(&mut OsRng);
        let span = tracing::info_span!("request", request_id = %id, method = method_of(&request));
        let mut end = End::new(span.clone(), is_grpc(request.headers()));
        request.extensions_mut().insert(id);
        let answering = span.in_scope(|| self.inner.call(request)).instrument(span);
        async move {
            let mut response = answering.await?;
            if let Ok(value) = HeaderValue::try_from(id.to_string()) {
                response.headers_mut().insert(REQUEST_ID, value);
            }
            end.begin(&response);
            Ok(response.map(|body| watched(body, end)))
        }
        .boxed()
    }
}

fn method_of(request: &Request) -> &'static str {
    let path = request.uri().path();
    paraphe_proto::access::method(path)
        .map(|method| method.path)
        .or_else(|| OTHER_PATHS.into_iter().find(|known| *known == path))
        .unwrap_or("unknown")
}

/// Hands the body on and keeps `end` until the body is gone, which is when the request has ended.
fn watched(body: Body, mut end: End) -> Body {
    Body::new(body.map_frame(move |frame| {
        if let Some(trailers) = frame.trailers_ref() {
            end.read_status(trailers);
        }
        frame
    }))
}

/// Logs the end of a request when dropped, whichever way the request ended.
struct End {
    span: Span,
    started: Instant,
    grpc: bool,
    outcome: Option<String>,
    refused: bool,
}

impl End {
    fn new(span: Span, grpc: bool) -> Self {
        Self {
            span,
            started: Instant::now(),
            grpc,
            outcome: None,
            refused: false,
        }
    }

    /// Whether the answer is what was asked for: the audit trail has it where it matters, a log line for each would drown the others.
    fn is_ordinary(&self) -> bool {
        matches!(self.outcome.as_deref(), Some("Ok" | "200"))
    }

    fn begin(&mut self, response: &Response) {
        self.refused = response.extensions().get::<Refused>().is_some();
        if self.grpc {
            self.read_status(response.headers());
        } else {
            self.outcome = Some(response.status().as_u16().to_string());
        }
    }

    /// A gRPC status stands in the headers of an answer without messages, and in the trailers of any other.
    fn read_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.outcome = Some(format!("{:?}", tonic::Code::from_bytes(status.as_bytes())));
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _inside = self.span.enter();
        // Without a status the caller went away, or its connection did.
        let status = self.outcome.as_deref().unwrap_or("gone");
        let latency_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.refused {
            tracing::debug!(status, latency_ms, "refused");
        } else if self.is_ordinary() {
            tracing::debug!(status, latency_ms, "answered");
        } else {
            tracing::info!(status, latency_ms, "answered");
        }
    }
}

#[cfg(test)]
#[path = "request_id_tests.rs"]
mod tests;
