//! Credentials → [`Caller`]: self-signed tokens of backends and service accounts, client certificates (RFC 8705, section 2.2),
//! session tokens bound to a terminal's key (RFC 9449).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Request};
use paraphe_proto::encoding::hex;
use paraphe_proto::ids::OperatorId;
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jwt::{self, dpop};
use paraphe_proto::time::Timestamp;
use tonic::Status;

use super::Shared;
use super::caller::Caller;
use crate::app::session;
use crate::domain::digest::sha256;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::operator::{Credential, Operator};
use crate::edge::{CallerKey, PeerInfo};
use crate::store::{operator, relying_party};

/// Longest life of a self-signed token, seconds.
const TOKEN_LIFETIME_S: i64 = 300;
/// How long a DPoP proof's `jti` is remembered, seconds: longer than a proof is accepted.
const JTI_MEMORY_S: i64 = 130;
/// Entries that each memory holds at most.
const MEMORY: usize = 100_000;

/// What a request presents.
pub struct Presented {
    authorization: Option<String>,
    dpop: Option<String>,
    certificate: Option<[u8; 32]>,
}

impl Presented {
    /// Reads the headers and the connection.
    pub fn of<B>(request: &Request<B>) -> Self {
        Self {
            authorization: header(request.headers(), "authorization"),
            dpop: header(request.headers(), "dpop"),
            certificate: request
                .extensions()
                .get::<PeerInfo>()
                .and_then(|peer| peer.certificate_sha256),
        }
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?.to_owned();
    values.next().is_none().then_some(first)
}

/// Credentials that were verified: tokens until they expire, used proof ids until they are too old to be used again.
#[derive(Default)]
pub struct Credentials {
    tokens: Mutex<HashMap<[u8; 32], Token>>,
    proofs: Mutex<HashMap<[u8; 32], Timestamp>>,
    /// Rises with every change of an account, so that no caller outlives one.
    changes: AtomicU64,
}

/// A token that was verified.
struct Token {
    id: String,
    until: Timestamp,
    /// Its caller as read after so many changes; none for a session, whose state is read each time.
    caller: Option<(Caller, u64)>,
}

impl Credentials {
    /// The rate-limit key of a caller whose credential was verified before; `None` for everybody else.
    pub fn recognise(&self, headers: &HeaderMap) -> Option<CallerKey> {
        let digest = sha256(header(headers, "authorization")?.as_bytes());
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&digest).map(|token| sha256(token.id.as_bytes()))
    }

    /// Forgets tokens that have expired.
    pub fn forget(&self, now: Timestamp) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, token| now < token.until);
    }

    /// An account was made, changed or disabled: callers are read again.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// The id behind a token that was verified, and its caller if no account has changed since.
    fn known(&self, digest: &[u8; 32], now: Timestamp) -> Option<(String, Option<Caller>)> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(digest).filter(|token| now < token.until)?;
        let changes = self.changes.load(Ordering::Acquire);
        let caller = token.caller.as_ref().filter(|(_, read_at)| *read_at == changes);
        Some((token.id.clone(), caller.map(|(caller, _)| caller.clone())))
    }

    fn remember(&self, digest: [u8; 32], token: Token, now: Timestamp) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MEMORY {
            tokens.retain(|_, token| now < token.until);
        }
        if tokens.len() < MEMORY || tokens.contains_key(&digest) {
            tokens.insert(digest, token);
        }
    }

    fn use_proof(&self, thumbprint: &str, jti: &str, now: Timestamp) -> Result<()> {
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        if proofs.len() >= MEMORY {
            proofs.retain(|_, at| now.since_s(*at) < JTI_MEMORY_S);
        }
        let key = sha256(format!("{thumbprint}/{jti}").as_bytes());
        let used = proofs.get(&key).is_some_and(|at| now.since_s(*at) < JTI_MEMORY_S);
        if used || proofs.len() >= MEMORY {
            return fault::UNAUTHENTICATED.broken();
        }
        proofs.insert(key, now);
        Ok(())
    }
}

/// The caller behind what was presented.
///
/// # Errors
/// `caller.unauthenticated`, alike for every reason.
pub async fn caller(
    shared: &Shared,
    presented: Presented,
    path: &str,
) -> std::result::Result<Caller, Status> {
    let now = shared.now()?;
    let Some(authorization) = &presented.authorization else {
        let digest = presented
            .certificate
            .ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
        return by_certificate(shared, digest, now).await;
    };
    match authorization.split_once(' ') {
        Some(("Bearer", token)) => by_token(shared, token, now).await,
        Some(("DPoP", token)) => by_session(shared, token, presented.dpop.as_deref(), path, now).await,
        _ => Err(fault::UNAUTHENTICATED.fault().into()),
    }
}

async fn by_certificate(
    shared: &Shared,
    digest: [u8; 32],
    now: Timestamp,
) -> std::result::Result<Caller, Status> {
    let digest = hex(&digest);
    let find = move |s: &mut crate::app::Scope<'_, '_>| {
        let found = relying_party::by_certificate(&mut s.rows, &digest)?;
        found
            .map(|party| Caller::Backend(party.record))
            .ok_or_else(|| fault::UNAUTHENTICATED.fault())
    };
    shared.read("authenticate", now, find).await
}

async fn by_token(shared: &Shared, token: &str, now: Timestamp) -> std::result::Result<Caller, Status> {
    let digest = sha256(format!("Bearer {token}").as_bytes());
    let known = shared.credentials.known(&digest, now);
    if let Some((_, Some(caller))) = known {
        return Ok(caller);
    }
    let named = match known {
        Some((id, _)) => Some(id),
        None => jwt::unverified_issuer(token).ok(),
    };
    let id = named.ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
    let changes = shared.credentials.changes.load(Ordering::Acquire);
    let name = id.clone();
    let account = shared
        .read("authenticate", now, move |s| account_of(s, &name))
        .await?;
    // Verified anew whenever the account may have changed: its key may have, too.
    let issuer = shared.daemon.facts.issuer();
    let key = PublicKey::from_sec1(&account.key).map_err(Fault::internal)?;
    let claims = jwt::verify_client_jwt(token, &key, issuer, now, TOKEN_LIFETIME_S).map_err(refused)?;
    if claims.iss != claims.sub || claims.iss != id {
        return Err(fault::UNAUTHENTICATED.fault().into());
    }
    let verified = Token {
        id,
        until: claims.exp,
        caller: Some((account.caller.clone(), changes)),
    };
    shared.credentials.remember(digest, verified, now);
    Ok(account.caller)
}

struct Account {
    caller: Caller,
    key: [u8; 65],
}

fn account_of(s: &mut crate::app::Scope<'_, '_>, id: &str) -> Result<Account> {
    if let Ok(id) = id.parse::<OperatorId>() {
        let found = operator::load(&mut s.rows, id)?.filter(|operator| !operator.disabled);
        return match found.map(|found| found.record) {
            Some(Operator {
                credential: Credential::Key { public_key },
                ..
            }) => {
                let operator =
                    operator::load(&mut s.rows, id)?.ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
                Ok(Account {
                    caller: Caller::Operator(operator.record, None),
                    key: public_key.0,
                })
            }
            _ => fault::UNAUTHENTICATED.broken(),
        };
    }
    let found = relying_party::load(&mut s.rows, id)?.map(|party| party.record);
    match found.as_ref().and_then(|party| party.public_key).zip(found) {
        Some((key, party)) => Ok(Account {
            caller: Caller::Backend(party),
            key: key.0,
        }),
        None => fault::UNAUTHENTICATED.broken(),
    }
}

async fn by_session(
    shared: &Shared,
    token: &str,
    proof: Option<&str>,
    path: &str,
    now: Timestamp,
) -> std::result::Result<Caller, Status> {
    let proven = proven(shared, proof, path, Some(token), now)?;
    let (bearer, bound) = (token.to_owned(), proven.thumbprint.clone());
    let find = move |s: &mut crate::app::Scope<'_, '_>| session::authenticate(s, &bearer, &bound);
    let (operator, session) = shared.read("authenticate", now, find).await?;
    shared
        .credentials
        .use_proof(&proven.thumbprint, &proven.jti, now)?;
    let digest = sha256(format!("DPoP {token}").as_bytes());
    let verified = Token {
        id: operator.id.to_string(),
        until: session.expires_at,
        caller: None,
    };
    shared.credentials.remember(digest, verified, now);
    Ok(Caller::Operator(operator, Some(session)))
}

/// Thumbprint of the registered terminal behind a DPoP proof for this method; each proof counts once. A stranger's proofs are not
/// remembered, so that nobody can fill that memory.
///
/// # Errors
/// `caller.unauthenticated`.
pub async fn terminal(
    shared: &Shared,
    proof: Option<&str>,
    path: &str,
    now: Timestamp,
) -> std::result::Result<String, Status> {
    let proven = proven(shared, proof, path, None, now)?;
    let thumbprint = proven.thumbprint.clone();
    let find =
        move |s: &mut crate::app::Scope<'_, '_>| Ok(operator::terminal(&mut s.rows, &thumbprint)?.is_some());
    if !shared.read("authenticate", now, find).await? {
        return Err(fault::UNAUTHENTICATED.fault().into());
    }
    shared
        .credentials
        .use_proof(&proven.thumbprint, &proven.jti, now)?;
    Ok(proven.thumbprint)
}

fn proven(
    shared: &Shared,
    proof: Option<&str>,
    path: &str,
    token: Option<&str>,
    now: Timestamp,
) -> Result<dpop::DpopProof> {
    let proof = proof.ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
    let htu = dpop::htu(shared.daemon.facts.issuer(), path);
    dpop::verify(proof, &htu, token, now).map_err(refused)
}

/// The `dpop` metadata of a request whose RPC is open to anyone.
pub fn dpop_of<T>(request: &tonic::Request<T>) -> Option<String> {
    request
        .metadata()
        .get("dpop")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn refused(error: jwt::JwtError) -> Fault {
    fault::UNAUTHENTICATED.fault().caused_by(error)
}
