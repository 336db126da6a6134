//! The edge as a whole: a real listener on loopback and clients that speak TLS and HTTP/1.1 to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::routing::get;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::service::Routes;

use super::tls::Certificate;
use super::*;
use crate::config::Config;

fn self_signed() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn key_of(pair: &CertifiedKey<KeyPair>) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap()
}

fn write_tls(folder: &Path, pair: &CertifiedKey<KeyPair>) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(folder.join("tls.pem"), pair.cert.pem()).unwrap();
    let key = folder.join("tls.key");
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn config(folder: &Path, limits: &str) -> Config {
    let text = format!(
        "issuer = \"https://localhost\"\nlisten = \"127.0.0.1:0\"\nactions_file = \"a\"\n[store]\npath = \"s\"\n[keys]\n\
         master_key_file = \"m\"\nissuer_keys_file = \"i\"\nroot_public_key_file = \"r\"\n[tls]\n\
         certificate_file = \"tls.pem\"\nprivate_key_file = \"tls.key\"\n[limits]\n{limits}\n"
    );
    Config::parse(&text, folder).unwrap()
}

async fn show_peer(Extension(peer): Extension<PeerInfo>) -> String {
    assert!(peer.address.ip().is_loopback());
    format!("certificate {:?}", peer.certificate_sha256)
}

async fn answer_after_300_ms() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "late"
}

async fn answer_never() -> &'static str {
    std::future::pending().await
}

struct Daemon {
    address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
    server: CertificateDer<'static>,
    config: Config,
    _folder: tempfile::TempDir,
}

impl Daemon {
    async fn start(limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = self_signed();
        write_tls(folder.path(), &pair);
        let config = config(folder.path(), limits);
        let router = axum::Router::new()
            .route("/peer", get(show_peer))
            .route("/late", get(answer_after_300_ms))
            .route("/never", get(answer_never));
        let mut routes = Routes::default();
        *routes.axum_router_mut() = std::mem::take(routes.axum_router_mut()).merge(router);
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, listening) = oneshot::channel();
        let running = config.clone();
        let served = tokio::spawn(async move {
            let shutdown = async { stopped.await.unwrap_or(()) };
            let tell = |address| told.send(address).unwrap();
            serve(&running, routes, recognise_nobody(), shutdown, tell).await
        });
        Self {
            address: listening.await.unwrap(),
            stop: Some(stop),
            served,
            server: pair.cert.der().clone(),
            config,
            _folder: folder,
        }
    }

    async fn connect(&self, client: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, tcp).await
    }

    fn client(&self) -> ClientConfig {
        self.client_with(|builder| builder.with_no_client_auth())
    }

    fn client_with(
        &self,
        finish: impl FnOnce(rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>) -> ClientConfig,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.server.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        finish(builder.with_root_certificates(roots))
    }

    fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn get(&self, path: &str) -> String {
        let stream = self.connect(self.client()).await.unwrap();
        exchange(stream, &format!("GET {path}"), "").await.unwrap()
    }
}

async fn exchange(mut stream: TlsStream<TcpStream>, line: &str, headers: &str) -> std::io::Result<String> {
    let request = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_client_certificate_is_known_by_its_digest_and_not_asked_for() {
    let daemon = Daemon::start("").await;
    assert!(daemon.get("/peer").await.ends_with("certificate None"));
    let pair = self_signed();
    let client = daemon.client_with(|builder| {
        let chain = vec![pair.cert.der().clone()];
        builder.with_client_auth_cert(chain, key_of(&pair)).unwrap()
    });
    let stream = daemon.connect(client).await.unwrap();
    let answer = exchange(stream, "GET /peer", "").await.unwrap();
    let digest = ::ring::digest::digest(&::ring::digest::SHA256, pair.cert.der());
    assert!(
        answer.ends_with(&format!("certificate Some({:?})", digest.as_ref())),
        "{answer}"
    );
}

/// Shows a certificate of somebody else.
#[derive(Debug)]
struct Thief(Arc<rustls::sign::CertifiedKey>);

impl ResolvesClientCert for Thief {
    fn resolve(
        &self,
        hints: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        assert!(hints.is_empty(), "no authorities are named");
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_does_not_get_in() {
    let daemon = Daemon::start("").await;
    let (victim, thief) = (self_signed(), self_signed());
    let own = ring::default_provider()
        .key_provider
        .load_private_key(key_of(&thief))
        .unwrap();
    let stolen = rustls::sign::CertifiedKey::new(vec![victim.cert.der().clone()], own);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut roots = RootCertStore::empty();
        roots.add(daemon.server.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(Thief(Arc::new(stolen.clone()))));
        let answer = match daemon.connect(client).await {
            Ok(stream) => exchange(stream, "GET /peer", "").await,
            Err(error) => Err(error),
        };
        assert!(answer.is_err(), "{version:?}: {answer:?}");
    }
}

#[tokio::test]
async fn http_2_is_preferred_to_http_1() {
    let daemon = Daemon::start("").await;
    for (offered, taken) in [(vec!["http/1.1", "h2"], "h2"), (vec!["http/1.1"], "http/1.1")] {
        let mut client = daemon.client();
        client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = daemon.connect(client).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(taken.as_bytes()));
    }
}

#[tokio::test]
async fn a_port_in_use_is_a_named_error_that_says_what_to_do() {
    let daemon = Daemon::start("").await;
    let mut config = daemon.config.clone();
    config.listen = daemon.address;
    let never = std::future::pending();
    let error = serve(&config, Routes::default(), recognise_nobody(), never, |_| ())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "listen.in_use");
    let text = error.to_string();
    assert!(
        text.contains(&daemon.address.to_string()) && text.contains("stop the process"),
        "{text}"
    );
    config.listen = "192.0.2.1:1".parse().unwrap();
    let error = serve(
        &config,
        Routes::default(),
        recognise_nobody(),
        std::future::pending(),
        |_| (),
    )
    .await
    .unwrap_err();
    assert_eq!(error.code(), "listen.refused");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once_and_the_place_is_given_back() {
    let daemon = Daemon::start("max_connections = 1").await;
    let held = daemon.connect(daemon.client()).await.unwrap();
    assert!(daemon.connect(daemon.client()).await.is_err());
    drop(held);
    let started = Instant::now();
    while daemon.connect(daemon.client()).await.is_err() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the place was not given back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_closed() {
    let daemon = Daemon::start("handshake_timeout_ms = 200").await;
    let mut silent = TcpStream::connect(daemon.address).await.unwrap();
    let started = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_u8()).await;
    assert!(ended.expect("closed by the daemon").is_err());
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn stopping_answers_what_is_in_progress_and_takes_nothing_new() {
    let mut daemon = Daemon::start("").await;
    let stream = daemon.connect(daemon.client()).await.unwrap();
    let late = tokio::spawn(exchange(stream, "GET /late", ""));
    tokio::time::sleep(Duration::from_millis(100)).await;
    daemon.begin_stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(
        TcpStream::connect(daemon.address).await.is_err(),
        "the listening socket is closed"
    );
    assert!(late.await.unwrap().unwrap().ends_with("late"));
    daemon.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_has_a_limit_and_closes_what_is_left() {
    let mut daemon = Daemon::start("drain_timeout_ms = 200\nrequest_deadline_ms = 60000").await;
    let stream = daemon.connect(daemon.client()).await.unwrap();
    let never = tokio::spawn(exchange(stream, "GET /never", ""));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    daemon.begin_stop();
    daemon.served.await.unwrap().unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let answer = tokio::time::timeout(Duration::from_secs(5), never)
        .await
        .expect("closed");
    assert!(!answer.unwrap().is_ok_and(|answer| answer.contains("200")));
}

#[tokio::test]
async fn the_layers_are_in_place() {
    let daemon = Daemon::start(
        "anonymous_burst = 3\nanonymous_requests_per_second_per_address = 1\nrequest_deadline_ms = 100",
    )
    .await;
    let post = async |path: &str| {
        let stream = daemon.connect(daemon.client()).await.unwrap();
        let headers = "content-type: application/grpc\r\ncontent-length: 0\r\n";
        exchange(stream, &format!("POST {path}"), headers).await.unwrap()
    };
    let unknown = post("/paraphe.v1.Nothing/AtAll").await;
    assert!(
        unknown.contains("grpc-status: 12") && unknown.contains("x-request-id: req_"),
        "{unknown}"
    );
    assert!(daemon.get("/never").await.starts_with("HTTP/1.1 504 "));
    assert!(daemon.get("/peer").await.starts_with("HTTP/1.1 200 "));
    let refused = post("/paraphe.v1.Companion/Nonce").await;
    assert!(
        refused.contains("grpc-status: 8") && refused.contains("x-request-id: req_"),
        "{refused}"
    );
    assert!(daemon.get("/peer").await.starts_with("HTTP/1.1 429 "));
}

#[test]
fn certificate_files_are_read_again_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (self_signed(), self_signed());
    write_tls(folder.path(), &first);
    let tls = config(folder.path(), "").tls;
    let certificate = Certificate::load(&tls).unwrap();
    assert_eq!(certificate.shown(), *first.cert.der());
    write_tls(folder.path(), &second);
    certificate.reload().unwrap();
    assert_eq!(certificate.shown(), *second.cert.der());
    std::fs::write(&tls.certificate_file, first.cert.pem()).unwrap();
    assert_eq!(certificate.reload().unwrap_err().code(), "tls.mismatch");
    std::fs::write(&tls.certificate_file, "nothing").unwrap();
    assert_eq!(certificate.reload().unwrap_err().code(), "tls.malformed");
    std::fs::remove_file(&tls.certificate_file).unwrap();
    assert_eq!(certificate.reload().unwrap_err().code(), "tls.unreadable");
    assert_eq!(certificate.shown(), *second.cert.der());
}

#[test]
fn a_private_key_that_everybody_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    write_tls(folder.path(), &self_signed());
    let tls = config(folder.path(), "").tls;
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&tls.private_key_file, readable).unwrap();
    let error = Certificate::load(&tls).unwrap_err();
    assert_eq!(error.code(), "tls.key_exposed");
    assert!(error.to_string().contains("tls.key"), "{error}");
}
