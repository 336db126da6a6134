//! A client's own connection, and what the clients make of a refusal. Invariant: a reply is lost or it is the daemon's word.

use paraphe_companion::{Address, Error, Server};
use paraphe_proto::v1;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use crate::daemon::{Daemon, ISSUER};
use crate::world::{Account, now};

/// Why a call brought nothing.
#[derive(Debug)]
pub enum Trouble {
    /// No reply, or "try again": the outcome is unknown.
    Lost(String),
    /// The daemon said what it must not say.
    Wrong(String),
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        let reason = crate::world::code(&status);
        let lost = matches!(
            status.code(),
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded
        );
        if lost || reason.is_empty() || reason == "store.overloaded" {
            return Self::Lost(format!("{status:?}"));
        }
        Self::Wrong(format!("{:?} {reason}", status.code()))
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        if error.is_lost_reply() || error.code() == "store.overloaded" {
            return Self::Lost(format!("{error:?}"));
        }
        Self::Wrong(format!("{}: {error}", error.code()))
    }
}

/// Where the daemon listens now, and the backends' tokens.
#[derive(Clone)]
pub struct Place {
    address: Address,
    tokens: Vec<String>,
}

impl Place {
    pub fn of(daemon: &Daemon, backends: &[Account]) -> Self {
        Self {
            address: Address {
                url: daemon.url.clone(),
                ca_pem: std::fs::read(daemon.path("ca.pem")).unwrap(),
                server_name: None,
            },
            tokens: backends
                .iter()
                .map(|backend| backend.token(ISSUER, now(), 250))
                .collect(),
        }
    }

    /// A connection of one's own.
    pub fn connect(&self) -> Link {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.address.ca_pem));
        let endpoint = Endpoint::from_shared(self.address.url.clone()).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect_lazy();
        Link {
            server: Server::over(self.address.url.clone(), channel.clone()),
            step_up: v1::step_up_client::StepUpClient::new(channel),
            tokens: self.tokens.clone(),
        }
    }
}

pub struct Link {
    pub server: Server,
    step_up: v1::step_up_client::StepUpClient<Channel>,
    tokens: Vec<String>,
}

impl Link {
    fn signed<T>(&self, backend: usize, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.tokens[backend]);
        request
            .metadata_mut()
            .insert("authorization", bearer.parse().unwrap());
        request
    }

    pub async fn request(
        &self,
        backend: usize,
        message: v1::RequestRequest,
    ) -> Result<v1::RequestResponse, Status> {
        let request = self.signed(backend, message);
        Ok(self.step_up.clone().request(request).await?.into_inner())
    }

    pub async fn cancel(&self, backend: usize, challenge_id: &str) -> Result<v1::Verdict, Status> {
        let challenge_id = challenge_id.to_owned();
        let request = self.signed(backend, v1::CancelRequest { challenge_id });
        Ok(self.step_up.clone().cancel(request).await?.into_inner())
    }

    pub async fn get(&self, backend: usize, challenge_id: &str) -> Result<v1::Verdict, Status> {
        let challenge_id = challenge_id.to_owned();
        let request = self.signed(backend, v1::GetRequest { challenge_id });
        Ok(self.step_up.clone().get(request).await?.into_inner())
    }

    pub async fn watch(
        &self,
        backend: usize,
        cursor: String,
    ) -> Result<tonic::Streaming<v1::Verdict>, Status> {
        let request = self.signed(backend, v1::WatchRequest { cursor });
        Ok(self.step_up.clone().watch(request).await?.into_inner())
    }
}
