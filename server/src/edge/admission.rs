//! Admission: how many requests and streams are held at once, and how fast one caller may send.
//!
//! The second layer. A caller whose credentials were verified lately has a rate of its own; everybody else shares the rate
//! of their address, so that a stranger gains nothing by making up credentials. Refusals are early, cheap and say when to
//! come back. Where there is no place a request stands in line for a while first: callers who would come back at once wait
//! instead, and take neither the daemon's time nor their own. Connections are bounded by `listener`.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::HeaderMap;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tower::ServiceExt as _;
use tower_layer::Layer;
use tower_service::Service;

use super::deadline;
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

/// Calls that begin something. They wait and are refused first: most places are kept for those that finish what was begun, so that an
/// overloaded daemon goes on completing confirmations instead of starting more of them.
const BEGINNINGS: [&str; 2] = ["/paraphe.v1.StepUp/Request", "/paraphe.v1.StepUp/Check"];
/// Those that anybody may send, as slowly as they like: they have a share of their own, so that no stranger keeps a backend waiting.
const ARRIVALS: [&str; 2] = [
    "/paraphe.v1.Session/Begin",
    "/paraphe.v1.Companion/BeginActivation",
];

/// One in so many places may be taken by a beginning, and one by an arrival.
const SHARE: usize = 8;
/// How long a request stands in line before it is refused.
const PATIENCE: Duration = Duration::from_secs(2);
/// Requests in line for each place; one more is refused at once.
const IN_LINE: usize = 16;
/// The longest line, whatever the number of places.
const LONGEST_LINE: usize = 8_192;

struct Admission {
    requests: Arc<Semaphore>,
    beginnings: Share,
    arrivals: Share,
    streams: Arc<Semaphore>,
    line: Semaphore,
    callers: KeyedRate,
    addresses: KeyedRate,
    recognise: Recognise,
    refused: Occasionally,
}

impl AdmissionLayer {
    /// A layer within `limits`.
    #[must_use]
    pub fn new(limits: &Limits, recognise: Recognise) -> Self {
        let in_line = limits.max_concurrent_requests.saturating_mul(IN_LINE);
        let line = || Semaphore::new(in_line.min(LONGEST_LINE));
        let share = || Share {
            places: Arc::new(Semaphore::new(limits.max_concurrent_requests.div_ceil(SHARE))),
            line: line(),
        };
        Self(Arc::new(Admission {
            requests: Arc::new(Semaphore::new(limits.max_concurrent_requests)),
            beginnings: share(),
            arrivals: share(),
            streams: Arc::new(Semaphore::new(limits.max_open_streams)),
            line: line(),
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
    /// A place for the request until its answer has been sent, if there is one now.
    fn admit(&self, kind: Kind) -> Option<Place> {
        let of = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let share = match self.share(kind) {
            Some(share) => Some(of(&share.places)?),
            None => None,
        };
        Some(Place {
            _share: share,
            _place: of(self.places(kind))?,
        })
    }

    /// A place that becomes free within `patience`; a stream stays too long for others to wait for its place.
    async fn stand_in_line(&self, kind: Kind, patience: Duration) -> Result<Place, Refusal> {
        if let Kind::Stream = kind {
            return Err(Refusal::Busy);
        }
        let waiting = async {
            let of = |places: &Arc<Semaphore>| Arc::clone(places).acquire_owned();
            let share = match self.share(kind) {
                Some(share) => Some(of(&share.places).await.ok()?),
                None => None,
            };
            Some(Place {
                _share: share,
                _place: of(self.places(kind)).await.ok()?,
            })
        };
        let line = self.share(kind).map_or(&self.line, |share| &share.line);
        let _in_line = line.try_acquire().map_err(|_| Refusal::Busy)?;
        let place = tokio::time::timeout(patience, waiting).await;
        place.ok().flatten().ok_or(Refusal::Busy)
    }

    fn places(&self, kind: Kind) -> &Arc<Semaphore> {
        match kind {
            Kind::Stream => &self.streams,
            Kind::Beginning | Kind::Arrival | Kind::Other => &self.requests,
        }
    }

    fn share(&self, kind: Kind) -> Option<&Share> {
        match kind {
            Kind::Beginning => Some(&self.beginnings),
            Kind::Arrival => Some(&self.arrivals),
            Kind::Stream | Kind::Other => None,
        }
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

/// What a request needs a place for.
#[derive(Clone, Copy)]
enum Kind {
    Stream,
    Beginning,
    Arrival,
    Other,
}

impl Kind {
    fn of(request: &Request) -> Self {
        match paraphe_proto::access::method(request.uri().path()) {
            Some(method) if method.server_streaming => Self::Stream,
            Some(method) if BEGINNINGS.contains(&method.path) => Self::Beginning,
            Some(method) if ARRIVALS.contains(&method.path) => Self::Arrival,
            _ => Self::Other,
        }
    }
}

/// Those of the places that one kind may take, and where it stands for them: however many wait, they take nobody else's place in line.
struct Share {
    places: Arc<Semaphore>,
    line: Semaphore,
}

/// The place of a request, until this is dropped.
struct Place {
    _share: Option<OwnedSemaphorePermit>,
    _place: OwnedSemaphorePermit,
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
    S: Service<Request, Response = Response> + Clone + Send + 'static,
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
        if let Err(wait) = self.admission.check_rate(&request) {
            let refused = self
                .admission
                .refuse(Refusal::RateLimited { wait }, request.headers());
            return std::future::ready(Ok(refused)).boxed();
        }
        let kind = Kind::of(&request);
        if let Some(place) = self.admission.admit(kind) {
            let answering = self.inner.call(request);
            return async move { Ok(hold(answering.await?, place)) }.boxed();
        }
        let (admission, inner) = (Arc::clone(&self.admission), self.inner.clone());
        async move {
            let patience =
                deadline::asked_for(request.headers()).map_or(PATIENCE, |asked| asked.min(PATIENCE));
            match admission.stand_in_line(kind, patience).await {
                Ok(place) => Ok(hold(inner.oneshot(request).await?, place)),
                Err(refusal) => Ok(admission.refuse(refusal, request.headers())),
            }
        }
        .boxed()
    }
}

/// Keeps the place until the last byte of the answer was handed on, or the caller has gone.
fn hold(response: Response, place: Place) -> Response {
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
