//! The accept loop: TCP, then TLS within a time limit, then a connection for the HTTP server. Used by [`super::serve`] only.
//!
//! Invariant: at most `max_connections` are open, those in a handshake included; one more is closed at once, so that its
//! client learns of it instead of waiting in a queue.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::PeerInfo;
use super::admission::Occasionally;
use crate::config::Limits;

/// A connection after its handshake. It ends when its client, the HTTP server or the daemon's end of draining ends it.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: PeerInfo,
    closed: BoxFuture<'static, ()>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.closed.as_mut().poll(context).is_ready() {
            // Once ready it stays so.
            self.closed = std::future::ready(()).boxed();
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Connections as they come. Dropping it closes the listening socket and abandons handshakes.
pub(super) struct Incoming {
    ready: mpsc::Receiver<Connection>,
    _accepting: JoinSet<()>,
}

impl Incoming {
    /// Accepts on `listener` until dropped. Connections end at once when `close` becomes true.
    pub(super) fn start(
        listener: TcpListener,
        tls: TlsAcceptor,
        limits: &Limits,
        close: watch::Receiver<bool>,
    ) -> Self {
        let (sender, ready) = mpsc::channel(64);
        let shaker = Handshaker {
            tls,
            timeout: limits.handshake_timeout(),
            close,
            ready: sender,
        };
        let places = Arc::new(Semaphore::new(limits.max_connections));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, places, shaker));
        Self {
            ready,
            _accepting: accepting,
        }
    }
}

impl tokio_stream::Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

async fn accept(listener: TcpListener, places: Arc<Semaphore>, shaker: Handshaker) {
    let refused = Occasionally::default();
    let mut handshakes = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = handshakes.join_next() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                handshakes.spawn(shaker.clone().shake(stream, address, place));
            }
            Err(_) => {
                if let Some(refused) = refused.count() {
                    tracing::warn!(
                        refused,
                        "connections were refused: limits.max_connections are open"
                    );
                }
            }
        }
    }
}

/// A client that has gone again is no trouble; running out of file descriptors is, and accepting at once would spin.
async fn pause_after(error: &io::Error) {
    if !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    ) {
        tracing::error!(%error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[derive(Clone)]
struct Handshaker {
    tls: TlsAcceptor,
    timeout: Duration,
    close: watch::Receiver<bool>,
    ready: mpsc::Sender<Connection>,
}

impl Handshaker {
    async fn shake(mut self, stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        // Answers are small and complete: waiting to fill a segment only adds latency.
        let _ = stream.set_nodelay(true);
        let stream = match tokio::time::timeout(self.timeout, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        let peer = PeerInfo::new(address, stream.get_ref().1.peer_certificates());
        let closed = async move {
            let _ = self.close.wait_for(|close| *close).await;
        };
        let connection = Connection {
            stream,
            peer,
            closed: closed.boxed(),
            _place: place,
        };
        let _ = self.ready.send(connection).await;
    }
}
