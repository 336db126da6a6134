//! What a confirmation's calls and messages cost with nothing behind them: tonic over the same TLS, a backend that asks, phones
//! that listen, unlock and answer, and no cryptography, no rule and no database. A part of the bare server.
//!
//! A lower bound of the daemon's transport: no credentials in metadata, no admission, no deadline, no log.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, BoxStream, Service, http};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// Every message; its length is about that of the real one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Parcel {
    /// Whose confirmation it is.
    #[prost(uint32, tag = "1")]
    pub phone: u32,
    #[prost(bytes = "vec", tag = "2")]
    content: Vec<u8>,
}

impl Parcel {
    /// A message of this length.
    pub fn new(phone: u32, bytes: usize) -> Self {
        let content = vec![b'a'; bytes];
        Self { phone, content }
    }
}

/// The three calls of a confirmation and what they cause.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The backend asks; the phone hears of it.
    Request,
    /// The phone has its PIN evaluated.
    Unlock,
    /// It approves; the backend hears of it.
    Answer,
}

impl Step {
    const ALL: [Self; 3] = [Self::Request, Self::Unlock, Self::Answer];

    /// The path of its call.
    pub fn path(self) -> &'static str {
        match self {
            Self::Request => "/paraphe.bench.Transport/Request",
            Self::Unlock => "/paraphe.bench.Transport/Unlock",
            Self::Answer => "/paraphe.bench.Transport/Answer",
        }
    }

    /// Length of what is sent, bytes: about that of a purchase's real message.
    pub fn sent(self) -> usize {
        match self {
            Self::Request => 281,
            Self::Unlock => 640,
            Self::Answer => 1_296,
        }
    }

    fn answered(self) -> usize {
        match self {
            Self::Request => 48,
            Self::Unlock => 708,
            Self::Answer => 51,
        }
    }

    /// Whom it wakes, and with how many bytes.
    fn wakes(self, phone: u32) -> Option<(u32, usize)> {
        match self {
            Self::Request => Some((phone, 1_280)),
            Self::Unlock => None,
            Self::Answer => Some((BACKEND, 1_440)),
        }
    }
}

/// Path of the streams; whose it is, is in what is sent.
pub const WATCH: &str = "/paraphe.bench.Transport/Watch";
/// The listener that hears of answers.
pub const BACKEND: u32 = u32::MAX;

type Messages = UnboundedSender<Parcel>;

/// The service.
#[derive(Clone, Default)]
pub struct Transport(Arc<Mutex<HashMap<u32, Messages>>>);

impl Transport {
    fn open(&self, listener: u32) -> UnboundedReceiver<Parcel> {
        let (sender, messages) = unbounded_channel();
        // It is there: the client may ask.
        let _open = sender.send(Parcel::new(listener, 0));
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streams.insert(listener, sender);
        messages
    }

    fn wake(&self, listener: u32, message: Parcel) {
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get(&listener) {
            let _gone = stream.send(message);
        }
    }
}

impl NamedService for Transport {
    const NAME: &'static str = "paraphe.bench.Transport";
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Parcel, Parcel>::default());
            let path = request.uri().path();
            let step = Step::ALL.into_iter().find(|step| step.path() == path);
            Ok(match step {
                Some(step) => grpc.unary(Call(transport, step), request).await,
                None => grpc.server_streaming(Streams(transport), request).await,
            })
        })
    }
}

struct Call(Transport, Step);

impl Service<Request<Parcel>> for Call {
    type Response = Response<Parcel>;
    type Error = Status;
    type Future = std::future::Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Parcel>) -> Self::Future {
        let (Self(transport, step), phone) = (&*self, request.into_inner().phone);
        if let Some((listener, bytes)) = step.wakes(phone) {
            transport.wake(listener, Parcel::new(phone, bytes));
        }
        let answer = Parcel::new(phone, step.answered());
        std::future::ready(Ok(Response::new(answer)))
    }
}

struct Streams(Transport);

impl Service<Request<Parcel>> for Streams {
    type Response = Response<BoxStream<Parcel>>;
    type Error = Status;
    type Future = std::future::Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Parcel>) -> Self::Future {
        let messages = self.0.open(request.into_inner().phone);
        let messages = UnboundedReceiverStream::new(messages).map(Ok);
        std::future::ready(Ok(Response::new(Box::pin(messages))))
    }
}
