//! Admission: how many requests and streams are held at once, and how fast one caller may send.
//!
//! The second layer. A caller whose credentials were verified lately has a rate of its own; everybody else shares the rate
//! of their address, so that a stranger gains nothing by making up credentials. Refusals are early, cheap and say when to
//! come back. Connections are bounded by `listener`.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::HeaderMap;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::rate::KeyedRate;
use super::refusal::Refusal;
use super::{Answering, PeerInfo, Request, Response};
use crate::config::Limits;

/// Names a caller whose credentials were verified, e.g. a digest of its id.
pub type CallerKey = [u8; 32];

/// Tells whose verified credentials a request carries, without any work worth attacking: from a cache, never by verifying.
pub type Recognise = Arc<dyn Fn(&HeaderMap, &PeerInfo) -> Option<CallerKey> + Send + Sync>;

/// Counts every request against its address.
#[must_use]
pub fn recognise_nobody() -> Recognise {
    Arc::new(|_, _| None)
}

/// The layer; clones share their counts.
#[derive(Clone)]
pub struct AdmissionLayer(Arc<Admission>);

/// Calls that begin something. They are refused first: half of the places is kept for those that finish what was begun, so that an
/// overloaded daemon goes on completing confirmations instead of starting more of them.
const BEGINNINGS: [&str; 4] = [
    "/paraphe.v1.StepUp/Request",
    "/paraphe.v1.StepUp/Check",
    "/paraphe.v1.Session/Begin",
    "/paraphe.v1.Companion/BeginActivation",
];

struct Admission {
    requests: Arc<Semaphore>,
    /// Places that no beginning may take.
    kept: usize,
    streams: Arc<Semaphore>,
    callers: KeyedRate,
    addresses: KeyedRate,
    recognise: Recognise,
    refused: Occasionally,
}

impl AdmissionLayer {
    /// A layer within `limits`.
    #[must_use]
    pub fn new(limits: &Limits, recognise: Recognise) -> Self {
        Self(Arc::new(Admission {
            requests: Arc::new(Semaphore::new(limits.max_concurrent_requests)),
            kept: limits.max_concurrent_requests / 2,
            streams: Arc::new(Semaphore::new(limits.max_open_streams)),
            callers: KeyedRate::new(limits.requests_per_second_per_caller, limits.caller_burst),
            addresses: KeyedRate::new(
                limits.anonymous_requests_per_second_per_address,
                limits.anonymous_burst,
            ),
            recognise,
            refused: Occasionally::default(),
        }))
    }
}

impl Admission {
    /// A place for the request until its answer has been sent.
    fn admit(&self, request: &Request) -> Result<OwnedSemaphorePermit, Refusal> {
        self.check_rate(request)
            .map_err(|wait| Refusal::RateLimited { wait })?;
        let method = paraphe_proto::access::method(request.uri().path());
        let places = match method {
            Some(method) if method.server_streaming => &self.streams,
            _ => &self.requests,
        };
        let begins = method.is_some_and(|method| BEGINNINGS.contains(&method.path));
        if begins && places.available_permits() <= self.kept {
            return Err(Refusal::Busy);
        }
        Arc::clone(places).try_acquire_owned().map_err(|_| Refusal::Busy)
    }

    fn check_rate(&self, request: &Request) -> Result<(), Duration> {
        let Some(peer) = request.extensions().get::<PeerInfo>() else {
            return self.addresses.check([0; 32]);
        };
        if let Some(caller) = (self.recognise)(request.headers(), peer) {
            return self.callers.check(caller);
        }
        let mut address = [0; 32];
        for (to, from) in address.iter_mut().zip(peer.network()) {
            *to = from;
        }
        self.addresses.check(address)
    }

    fn refuse(&self, refusal: Refusal, request: &HeaderMap) -> Response {
        if let Some(refused) = self.refused.count() {
            tracing::warn!(refused, latest = refusal.code(), "requests were refused");
        }
        refusal.answer(request)
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = AdmissionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AdmissionService {
            admission: Arc::clone(&self.0),
            inner,
        }
    }
}

/// The service that the layer makes.
#[derive(Clone)]
pub struct AdmissionService<S> {
    admission: Arc<Admission>,
    inner: S,
}

impl<S> Service<Request> for AdmissionService<S>
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
        match self.admission.admit(&request) {
            Ok(place) => {
                let answering = self.inner.call(request);
                async move { Ok(hold(answering.await?, place)) }.boxed()
            }
            Err(refusal) => {
                let refused = self.admission.refuse(refusal, request.headers());
                std::future::ready(Ok(refused)).boxed()
            }
        }
    }
}

/// Keeps the place until the last byte of the answer was handed on, or the caller has gone.
fn hold(response: Response, place: OwnedSemaphorePermit) -> Response {
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &place;
            frame
        }))
    })
}

/// Counts events of which only some are worth a log line: the first, then a sum every ten seconds.
#[derive(Default)]
pub(super) struct Occasionally(Mutex<(Option<Instant>, u64)>);

impl Occasionally {
    /// How many there were since the last line, when it is time for another one.
    pub(super) fn count(&self) -> Option<u64> {
        let mut state = self.0.lock().ok()?;
        let (since, count) = &mut *state;
        *count += 1;
        if since.is_some_and(|since| since.elapsed() < Duration::from_secs(10)) {
            return None;
        }
        *since = Some(Instant::now());
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
