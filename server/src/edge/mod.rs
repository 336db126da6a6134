//! The edge: everything between a TCP connection and a gRPC handler, once for all methods.
//!
//! [`serve`] binds, accepts TLS connections within bounds and runs every request through the layers, outermost first:
//! [`request_id`] (span and one log line), [`admission`] (concurrency and rates), [`deadline`]. Handlers find the
//! connection's [`PeerInfo`] and the [`paraphe_proto::ids::RequestId`] in the request's extensions.
//! Invariant: work is refused before it is begun, and a refusal is a valid gRPC answer with a code and a wait.

pub mod admission;
pub mod deadline;
mod listener;
mod peer;
mod rate;
mod refusal;
pub mod request_id;
mod serve;
mod signal;
mod tls;

#[cfg(test)]
mod tests;

pub use admission::{CallerKey, Recognise, recognise_nobody};
pub use peer::PeerInfo;
pub use serve::{ServeError, serve};
pub use signal::{Signals, shutdown_signal};
pub use tls::TlsError;

/// A request as the layers see it.
type Request = http::Request<tonic::body::Body>;
/// An answer as the layers see it.
type Response = http::Response<tonic::body::Body>;
/// A layer's answer in the making.
type Answering<E> = futures_util::future::BoxFuture<'static, Result<Response, E>>;
