//! The bare server that the daemon is held against: tonic over the same TLS settings. Idle streams are of one message that stays open
//! (`grpc.health.v1.Health/Watch`), confirmations those of `transport`. The bench starts itself again in this mode.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::deployment::Deployment;
use crate::transport::Transport;
use crate::{Result, process};

/// First argument of the mode; the second is the folder with the certificate.
pub const MODE: &str = "--bare-server";

/// The bare server while it runs.
pub struct Bare {
    child: Child,
    /// `https://localhost:PORT`.
    pub url: String,
}

impl Bare {
    /// Starts it with the certificate of a deployment.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn start(deployment: &Deployment) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(MODE)
            .arg(deployment.path(""))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut port = String::new();
        let said = child.stdout.take().ok_or("no standard output")?;
        BufReader::new(said).read_line(&mut port)?;
        Ok(Self {
            child,
            url: format!("https://localhost:{}", port.trim()),
        })
    }

    /// Resident memory, bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident(&self) -> Result<u64> {
        process::resident(self.child.id())
    }
}

impl Bare {
    /// User and system time so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        process::cpu(self.child.id())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The mode itself: serves until it is killed.
///
/// # Errors
/// When it cannot listen.
pub fn serve(folder: &Path) -> Result<()> {
    let tls = TlsAcceptor::from(Arc::new(settings(folder)?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr()?.port())?;
        out.flush()?;
        let (ready, connections) = mpsc::channel(64);
        tokio::spawn(accept(listener, tls, ready));
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter
            .set_service_status("", tonic_health::ServingStatus::Serving)
            .await;
        Server::builder()
            .add_service(health)
            .add_service(Transport::default())
            .serve_with_incoming(ReceiverStream::new(connections))
            .await?;
        Ok(())
    })
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    ready: mpsc::Sender<std::io::Result<TlsStream<TcpStream>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            let _best_effort = stream.set_nodelay(true);
            let _gone = ready.send(tls.accept(stream).await).await;
        });
    }
}

fn settings(folder: &Path) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(folder.join("tls-certificate.pem"))?
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("tls-private-key.pem"))?;
    let mut settings = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(settings)
}
