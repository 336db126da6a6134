//! The way to the daemon: one HTTP/2 connection over TLS, made by the app and handed to every call.
//!
//! Invariant: no connection without TLS, and no authority that the app did not name. Nothing here is global.

use std::time::Duration;

use paraphe_proto::v1::companion_client::CompanionClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::error::Error;

/// Until a call must be answered. The daemon answers in milliseconds; a bad mobile network takes the rest.
const CALL_DEADLINE: Duration = Duration::from_secs(15);
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the daemon is and how its certificate is checked.
#[derive(Clone, Debug)]
pub struct Address {
    /// `https://host[:port]`.
    pub url: String,
    /// Certificates of the authorities to trust, PEM, one or many. This crate brings none and asks the system for none.
    pub ca_pem: Vec<u8>,
    /// The name that the certificate must carry where it is not the host of the URL.
    pub server_name: Option<String>,
}

/// A connection to the daemon. Cloning it is cheap and shares the connection, which mends itself.
#[derive(Clone, Debug)]
pub struct Server {
    url: String,
    channel: Channel,
}

impl Server {
    /// Connects now, so that a wrong address or certificate shows here.
    ///
    /// # Errors
    /// `server.address` when the address cannot be used, `server.unreachable` when nobody answers or the certificate is
    /// not one of a trusted authority for this name.
    pub async fn connect(address: &Address) -> Result<Self, Error> {
        let channel = endpoint(address)?
            .connect()
            .await
            .map_err(|error| Error::Unreachable {
                detail: causes(&error),
            })?;
        Ok(Self::over(address.url.clone(), channel))
    }

    /// Connects at the first call. Must run inside a Tokio runtime.
    ///
    /// # Errors
    /// `server.address` when the address cannot be used.
    pub fn connect_lazy(address: &Address) -> Result<Self, Error> {
        Ok(Self::over(address.url.clone(), endpoint(address)?.connect_lazy()))
    }

    /// Uses a connection that the app made its own way. `url` is what the phone remembers.
    #[must_use]
    pub fn over(url: String, channel: Channel) -> Self {
        Self { url, channel }
    }

    /// The URL it was made with.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The generated client, for what this crate does not wrap.
    #[must_use]
    pub fn client(&self) -> CompanionClient<Channel> {
        CompanionClient::new(self.channel.clone())
    }
}

/// A request with the deadline of a unary call.
pub(crate) fn with_deadline<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL_DEADLINE);
    request
}

fn endpoint(address: &Address) -> Result<Endpoint, Error> {
    let unusable = |message: &str| Error::invalid("server.address", message);
    if !address.url.starts_with("https://") {
        return Err(unusable("the daemon's address must begin with https://"));
    }
    if address.ca_pem.is_empty() {
        return Err(unusable("name the certificate authorities to trust (PEM)"));
    }
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&address.ca_pem));
    if let Some(name) = &address.server_name {
        tls = tls.domain_name(name);
    }
    Endpoint::from_shared(address.url.clone())
        .map_err(|_| unusable("the daemon's address is not a URL"))?
        .tls_config(tls)
        .map(|endpoint| {
            endpoint
                .connect_timeout(CONNECT_DEADLINE)
                .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
                .keep_alive_while_idle(false)
                .tcp_nodelay(true)
        })
        .map_err(|error| {
            unusable(&format!(
                "the address or the authorities cannot be used: {}",
                causes(&error)
            ))
        })
}

/// The message of an error and of what caused it: tonic's own says `transport error` and no more.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;

    fn code(url: &str, ca_pem: &[u8]) -> String {
        let address = Address {
            url: url.to_owned(),
            ca_pem: ca_pem.to_owned(),
            server_name: None,
        };
        endpoint(&address).err().unwrap().code().to_owned()
    }

    #[test]
    fn only_tls_with_a_named_authority_is_used() {
        assert_eq!(code("http://127.0.0.1:1", b"x"), "server.address");
        assert_eq!(code("https://127.0.0.1:1", b""), "server.address");
        assert_eq!(code("https://", b"x"), "server.address");
    }
}
