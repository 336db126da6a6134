//! What a call proves its caller with: a backend's or service account's JWT, or an operator's session on a terminal.
//!
//! Used by [`crate::channel`] as an interceptor: it sees which method is called, signs for exactly that, and touches nothing
//! else. Protocol: section 1; RFC 9449 for terminals.

use std::sync::{Arc, Mutex, PoisonError};

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
/// Life of a token that is used again, and how long it is.
const REUSED_LIFETIME_S: i64 = 260;
const REUSED_FOR_S: i64 = 200;

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
    /// An account that calls often: one token for many calls.
    Reusing(Arc<ReusedToken>),
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
                let claims = account_claims(id, now, TOKEN_LIFETIME_S);
                let token = jwt::sign_client_jwt(&**key, &claims, issuer).map_err(no_signature)?;
                Ok(Headers {
                    authorization: Some(format!("Bearer {token}")),
                    dpop: None,
                })
            }
            Credentials::Reusing(token) => Ok(Headers {
                authorization: Some(format!("Bearer {}", token.at(now)?)),
                dpop: None,
            }),
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

/// A self-signed token that is sent until it is 200 s old: the daemon verifies it once.
pub struct ReusedToken {
    id: String,
    key: Arc<SoftwareKey>,
    issuer: String,
    signed: Mutex<Option<(String, Timestamp)>>,
}

impl ReusedToken {
    /// The tokens of the account `id`, for the daemon at `issuer`.
    pub fn new(id: String, key: Arc<SoftwareKey>, issuer: String) -> Arc<Self> {
        Arc::new(ReusedToken {
            id,
            key,
            issuer,
            signed: Mutex::new(None),
        })
    }

    fn at(&self, now: Timestamp) -> Result<String, Status> {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, since)) = &*signed
            && (0..REUSED_FOR_S).contains(&now.since_s(*since))
        {
            return Ok(token.clone());
        }
        let claims = account_claims(&self.id, now, REUSED_LIFETIME_S);
        let token = jwt::sign_client_jwt(&*self.key, &claims, &self.issuer).map_err(no_signature)?;
        *signed = Some((token.clone(), now));
        Ok(token)
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

fn account_claims(id: &str, now: Timestamp, lifetime_s: i64) -> ClientJwt {
    ClientJwt {
        iss: id.to_owned(),
        sub: id.to_owned(),
        iat: now,
        exp: now.plus_s(lifetime_s),
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
    fn a_reused_token_is_signed_anew_before_it_expires_or_when_the_clock_went_back() {
        let key = Arc::new(SoftwareKey::generate(&mut edge::random()).unwrap());
        let token = ReusedToken::new("market".into(), key, "https://paraphe.example".into());
        let at = |seconds| token.at(Timestamp::from_secs(seconds)).unwrap();
        let first = at(1000);
        assert_eq!(at(1000 + REUSED_FOR_S - 1), first);
        let second = at(1000 + REUSED_FOR_S);
        assert_ne!(second, first);
        assert_ne!(at(1000), second);
    }
}
