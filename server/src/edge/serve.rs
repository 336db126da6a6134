//! Serving: bind, accept, answer, and stop gracefully. Called by `lib.rs` with the finished routes.
//!
//! Stopping closes the listening socket first, lets requests in progress end for `limits.drain_timeout_ms`, then closes
//! what is left. Open watches are ended by their owners, who learn of the stop before this module does.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::layer::util::{Identity, Stack};

use super::Signals;
use super::admission::{AdmissionLayer, Recognise};
use super::deadline::DeadlineLayer;
use super::listener::Incoming;
use super::request_id::RequestIdLayer;
use super::tls::{Certificate, TlsError, server_config};
use crate::config::Config;

/// Requests in progress on one connection.
const MAX_STREAMS_PER_CONNECTION: u32 = 256;
const MAX_HEADERS_BYTES: u32 = 16 * 1_024;
/// A connection without a sign of life for this long is asked for one, and closed when none comes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What connections get to end themselves after they were told to close.
const CLOSING: Duration = Duration::from_secs(1);

/// Why the daemon does not serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Another process listens there.
    #[error(
        "{address} is in use: stop the process that listens there, or set another `listen` address or port"
    )]
    InUse {
        /// The configured address.
        address: SocketAddr,
    },
    /// The operating system does not let the daemon listen there.
    #[error(
        "cannot listen on {address} ({source}): set `listen` to an address of this machine and a port that the daemon's user may take"
    )]
    NotListening {
        /// The configured address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The certificate files are not right.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP server gave up.
    #[error("the server has stopped: {0}")]
    Transport(#[from] tonic::transport::Error),
}

impl ServeError {
    /// The stable name of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "listen.in_use",
            Self::NotListening { .. } => "listen.refused",
            Self::Tls(error) => error.code(),
            Self::Transport(_) => "listen.transport",
        }
    }
}

/// Serves `routes` until `shutdown` resolves and requests have ended. `on_listening` gets the address with the true port.
///
/// # Errors
/// `listen.in_use`, `listen.refused`, `tls.*`: before anything was accepted. `listen.transport` afterwards.
pub async fn serve(
    config: &Config,
    routes: Routes,
    recognise: Recognise,
    shutdown: impl Future<Output = ()>,
    on_listening: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let certificate = Certificate::load(&config.tls)?;
    let tls = TlsAcceptor::from(Arc::new(server_config(Arc::clone(&certificate))?));
    let (listener, address) = bind(config.listen).await?;
    let mut reloading = JoinSet::new();
    reloading.spawn(reload_on_hangup(certificate, Signals::of(SignalKind::hangup())));
    let (close, closing) = watch::channel(false);
    let incoming = Incoming::start(listener, tls, &config.limits, closing);
    on_listening(address);

    let (stop, stopping) = watch::channel(false);
    let begin_stop = async move {
        shutdown.await;
        stop.send_replace(true);
    };
    let serving = server(config, recognise)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, begin_stop);
    drained(serving, stopping, config.limits.drain_timeout(), close).await?;
    Ok(())
}

/// Waits for the server to end by itself, or closes its connections when `limit` has passed since the stop began.
async fn drained<E>(
    serving: impl Future<Output = Result<(), E>>,
    mut stopping: watch::Receiver<bool>,
    limit: Duration,
    close: watch::Sender<bool>,
) -> Result<(), E> {
    let mut serving = pin!(serving);
    let overdue = async {
        let _ = stopping.wait_for(|stop| *stop).await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        ended = &mut serving => return ended,
        () = overdue => tracing::warn!("connections are closed: limits.drain_timeout_ms has passed"),
    }
    close.send_replace(true);
    tokio::time::timeout(CLOSING, serving).await.unwrap_or(Ok(()))
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { address },
        _ => ServeError::NotListening { address, source },
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let actual = listener.local_addr().map_err(refused)?;
    Ok((listener, actual))
}

type Layers = Stack<DeadlineLayer, Stack<AdmissionLayer, Stack<RequestIdLayer, Identity>>>;

fn server(config: &Config, recognise: Recognise) -> Server<Layers> {
    Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(MAX_HEADERS_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(RequestIdLayer)
        .layer(AdmissionLayer::new(&config.limits, recognise))
        .layer(DeadlineLayer::new(config.limits.request_deadline()))
}

/// Reads the certificate files again at every SIGHUP.
async fn reload_on_hangup(certificate: Arc<Certificate>, mut hangups: Signals) {
    loop {
        hangups.next().await;
        match certificate.reload() {
            Ok(()) => tracing::info!("the TLS certificate was read again"),
            Err(error) => {
                tracing::error!(code = error.code(), %error, "the TLS certificate was not replaced");
            }
        }
    }
}
