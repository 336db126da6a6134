//! What a call proves its caller with: a backend's or service account's JWT, or an operator's session on a terminal.
//!
//! Used by [`crate::channel`] as an interceptor: it sees which method is called, signs for exactly that, and touches nothing
//! else. Protocol: section 1; RFC 9449 for terminals.

use std::sync::Arc;

use paraphe_proto::encoding::hex;
use paraphe_proto::jwt::{self, ClientJwt};
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::time::Timestamp;
use rand_core::RngCore as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{GrpcMethod, Request, Status};

use crate::edge;

/// Life of a self-signed token; the daemon takes at most 300 s.
const TOKEN_LIFETIME_S: i64 = 120;

/// Who calls.
#[derive(Clone)]
pub enum Credentials {
    /// A backend or a service account: `authorization: Bearer <self-signed JWT>`.
    Account {
        /// Relying party id or operator id.
        id: String,
        /// Its registered key.
        key: Arc<SoftwareKey>,
        /// Issuer URL of the daemon.
        issuer: String,
    },
    /// A terminal on which nobody is logged in yet: `dpop: <proof>`.
    Terminal {
        /// The terminal's registered key.
        key: Arc<SoftwareKey>,
        /// Issuer URL of the daemon.
        issuer: String,
    },
    /// An operator: `authorization: DPoP <token>` and `dpop: <proof>`.
    Session {
        /// The terminal's registered key.
        key: Arc<SoftwareKey>,
        /// Issuer URL of the daemon.
        issuer: String,
        /// The session token.
        token: String,
    },
}

impl Credentials {
    fn headers(&self, method_path: &str, now: Timestamp) -> Result<Headers, Status> {
        match self {
            Credentials::Account { id, key, issuer } => {
                let token =
                    jwt::sign_client_jwt(&**key, &account_claims(id, now), issuer).map_err(no_signature)?;
                Ok(Headers {
                    authorization: Some(format!("Bearer {token}")),
                    dpop: None,
                })
            }
            Credentials::Terminal { key, issuer } => {
                let proof = jwt::dpop::sign(&**key, method_path, issuer, None, now, &token_id())
                    .map_err(no_signature)?;
                Ok(Headers {
                    authorization: None,
                    dpop: Some(proof),
                })
            }
            Credentials::Session { key, issuer, token } => {
                let proof = jwt::dpop::sign(&**key, method_path, issuer, Some(token), now, &token_id())
                    .map_err(no_signature)?;
                Ok(Headers {
                    authorization: Some(format!("DPoP {token}")),
                    dpop: Some(proof),
                })
            }
        }
    }
}

struct Headers {
    authorization: Option<String>,
    dpop: Option<String>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let method = request
            .extensions()
            .get::<GrpcMethod<'static>>()
            .ok_or_else(|| Status::unauthenticated("The call does not say which method it is for."))?;
        let path = format!("/{}/{}", method.service(), method.method());
        let headers = self.headers(&path, edge::now())?;
        for (name, value) in [("authorization", headers.authorization), ("dpop", headers.dpop)] {
            if let Some(value) = value {
                request.metadata_mut().insert(name, sensitive(&value)?);
            }
        }
        Ok(request)
    }
}

fn account_claims(id: &str, now: Timestamp) -> ClientJwt {
    ClientJwt {
        iss: id.to_owned(),
        sub: id.to_owned(),
        iat: now,
        exp: now.plus_s(TOKEN_LIFETIME_S),
        jti: Some(token_id()),
    }
}

fn sensitive(value: &str) -> Result<MetadataValue<Ascii>, Status> {
    let mut value = MetadataValue::try_from(value)
        .map_err(|_| Status::unauthenticated("The credentials are not ASCII."))?;
    value.set_sensitive(true);
    Ok(value)
}

fn no_signature(error: impl std::fmt::Display) -> Status {
    Status::unauthenticated(format!("The credentials could not be signed: {error}."))
}

/// A `jti`: 16 random bytes in hexadecimal.
fn token_id() -> String {
    let mut bytes = [0_u8; 16];
    edge::random().fill_bytes(&mut bytes);
    hex(&bytes)
}
