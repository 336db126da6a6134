//! The connection to the daemon: one TLS channel, one client per gRPC service.
//!
//! Callers: every command that talks to the daemon, and the demo. Invariant: nothing is sent without TLS, the certificate
//! is checked against the authority that was named, and no call waits for ever.

use std::path::{Path, PathBuf};
use std::time::Duration;

use paraphe_proto::v1::admin_client::AdminClient;
use paraphe_proto::v1::enrolment_client::EnrolmentClient;
use paraphe_proto::v1::session_client::SessionClient;
use paraphe_proto::v1::step_up_client::StepUpClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::credentials::Credentials;
use crate::error::{Error, Result, causes};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the answer of one call; a stream may stay open longer.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A channel whose calls carry the caller's credentials.
pub type AuthenticatedChannel = InterceptedService<Channel, Credentials>;

/// Where the daemon is and what it is called.
#[derive(Clone)]
pub struct Server {
    /// `https://host:port`
    pub url: String,
    /// PEM file of the authority that signed its TLS certificate.
    pub ca_file: PathBuf,
    /// Issuer URL: the audience of every credential.
    pub issuer: String,
}

impl Server {
    /// The daemon that the options name.
    ///
    /// # Errors
    /// [`Error::Usage`] when the server or the authority is missing or the URL is not `https://host[:port]`.
    pub fn from_options(url: Option<&str>, ca_file: Option<&Path>, issuer: Option<&str>) -> Result<Self> {
        let url = url.ok_or_else(|| {
            Error::Usage("Which daemon? Give --server URL or set PARAPHE_SERVER.".to_owned())
        })?;
        let url = url.trim_end_matches('/');
        if !url.starts_with("https://") {
            return Err(Error::Usage(format!(
                "{url} is refused: the daemon is reached over https:// only."
            )));
        }
        let ca_file = ca_file.ok_or_else(|| {
            Error::Usage(
                "No certificate authority is built in: give --ca FILE (PEM) or set PARAPHE_CA. `paraphed init` names the file.".to_owned(),
            )
        })?;
        let issuer = issuer.unwrap_or(url).trim_end_matches('/');
        Ok(Server {
            url: url.to_owned(),
            ca_file: ca_file.to_owned(),
            issuer: issuer.to_owned(),
        })
    }

    /// A TLS channel; it connects at once.
    ///
    /// # Errors
    /// [`Error::File`] for the authority's file, [`Error::Usage`] for a URL that is none, [`Error::Unreachable`].
    pub async fn channel(&self) -> Result<Channel> {
        let url = &self.url;
        self.endpoint()?
            .connect()
            .await
            .map_err(|error| Error::Unreachable(format!("No connection to {url}: {}.", causes(&error))))
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Server::channel`].
    pub async fn connect(&self) -> Result<Connection> {
        Ok(Connection {
            channel: self.channel().await?,
            issuer: self.issuer.clone(),
        })
    }

    fn endpoint(&self) -> Result<Endpoint> {
        let pem = std::fs::read(&self.ca_file).map_err(Error::file("read", &self.ca_file))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        let usage = |error: &dyn std::error::Error| {
            Error::Usage(format!(
                "{} with {}: {}.",
                self.url,
                self.ca_file.display(),
                causes(error)
            ))
        };
        Ok(Endpoint::from_shared(self.url.clone())
            .map_err(|error| usage(&error))?
            .tls_config(tls)
            .map_err(|error| usage(&error))?
            .user_agent(concat!("paraphe/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| usage(&error))?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE))
    }
}

/// An open connection.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    /// Issuer URL of the daemon.
    pub issuer: String,
}

impl Connection {
    /// The channel itself, for calls without credentials.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// `Session` as this caller.
    pub fn session(&self, credentials: Credentials) -> SessionClient<AuthenticatedChannel> {
        SessionClient::with_interceptor(self.channel(), credentials)
    }

    /// `Enrolment` as this caller.
    pub fn enrolment(&self, credentials: Credentials) -> EnrolmentClient<AuthenticatedChannel> {
        EnrolmentClient::with_interceptor(self.channel(), credentials)
    }

    /// `Admin` as this caller.
    pub fn admin(&self, credentials: Credentials) -> AdminClient<AuthenticatedChannel> {
        AdminClient::with_interceptor(self.channel(), credentials)
    }

    /// `StepUp` as this caller.
    pub fn step_up(&self, credentials: Credentials) -> StepUpClient<AuthenticatedChannel> {
        StepUpClient::with_interceptor(self.channel(), credentials)
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    #[test]
    fn plain_http_and_missing_options_are_refused_with_what_to_give() {
        let ca = Some(Path::new("ca.pem"));
        let refused = |url, ca, says: &str| {
            let error = Server::from_options(url, ca, None).err().unwrap();
            assert_eq!(error.exit(), 2);
            assert!(error.to_string().contains(says), "{error}");
        };
        refused(None, ca, "--server");
        refused(Some("http://127.0.0.1:8443"), ca, "https://");
        refused(Some("https://127.0.0.1:8443"), None, "--ca FILE");
    }

    #[test]
    fn the_issuer_is_the_server_unless_it_was_named() {
        let ca = Some(Path::new("ca.pem"));
        let server = Server::from_options(Some("https://localhost:8443/"), ca, None).unwrap();
        assert_eq!(
            (server.url.as_str(), server.issuer.as_str()),
            ("https://localhost:8443", "https://localhost:8443")
        );
        let server = Server::from_options(
            Some("https://localhost:8443"),
            ca,
            Some("https://paraphe.example/"),
        )
        .unwrap();
        assert_eq!(server.issuer, "https://paraphe.example");
    }

    #[tokio::test]
    async fn an_unreachable_daemon_is_exit_code_seven() {
        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, "").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Server::from_options(Some(&url), Some(&ca_file), None)
            .unwrap()
            .channel()
            .await
            .err()
            .unwrap();
        assert_eq!(error.exit(), 7, "{error}");
    }
}
