//! Who calls: the layer that authenticates and checks roles before any handler runs (protocol.md section 1).
//!
//! Invariant: a handler whose RPC names operator or backend roles finds a [`Caller`] that holds one of them. RPCs for phones and
//! for anyone pass; a phone proves itself inside its body (`proof`). Before a caller is authenticated every failure looks alike.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use paraphe_proto::access::{self, Method};
use paraphe_proto::v1::Role;
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::Shared;
use crate::domain::fault::{self, Result};
use crate::domain::operator::{Acting, Operator, OperatorRole, Session};
use crate::domain::relying_party::RelyingParty;

/// An authenticated caller.
#[derive(Clone)]
pub enum Caller {
    /// A relying party.
    Backend(RelyingParty),
    /// An operator with their session; a service account has none.
    Operator(Operator, Option<Session>),
}

impl Caller {
    /// Whether the caller may use this RPC.
    pub fn may(&self, method: &Method) -> bool {
        match self {
            Self::Backend(_) => method.roles.contains(&Role::Backend),
            Self::Operator(operator, _) => operator
                .roles
                .iter()
                .any(|role| method.roles.contains(&wire_role(*role))),
        }
    }

    /// The id in the audit trail.
    pub fn id(&self) -> String {
        match self {
            Self::Backend(party) => party.id.clone(),
            Self::Operator(operator, _) => operator.id.to_string(),
        }
    }
}

/// The wire's name of an operator role.
pub fn wire_role(role: OperatorRole) -> Role {
    match role {
        OperatorRole::Clerk => Role::Clerk,
        OperatorRole::Supervisor => Role::Supervisor,
        OperatorRole::Support => Role::Support,
        OperatorRole::Auditor => Role::Auditor,
        OperatorRole::Administrator => Role::Administrator,
    }
}

/// The relying party behind a request that `StepUp` allows.
///
/// # Errors
/// `caller.unauthenticated` where the layer let something else through.
pub fn backend<T>(request: &tonic::Request<T>) -> Result<RelyingParty> {
    match request.extensions().get::<Caller>() {
        Some(Caller::Backend(party)) => Ok(party.clone()),
        _ => fault::UNAUTHENTICATED.broken(),
    }
}

/// The operator behind a request.
///
/// # Errors
/// `caller.unauthenticated` where the layer let something else through.
pub fn operator<T>(request: &tonic::Request<T>) -> Result<Acting> {
    match request.extensions().get::<Caller>() {
        Some(Caller::Operator(operator, session)) => Ok(Acting {
            operator: operator.clone(),
            session: session.clone(),
        }),
        _ => fault::UNAUTHENTICATED.broken(),
    }
}

/// Puts [`CallerService`] around the routes.
#[derive(Clone)]
pub struct CallerLayer(pub Arc<Shared>);

impl<S> Layer<S> for CallerLayer {
    type Service = CallerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallerService {
            inner,
            shared: Arc::clone(&self.0),
        }
    }
}

/// Authenticates, checks roles, then calls the handler.
#[derive(Clone)]
pub struct CallerService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B> Service<Request<B>> for CallerService<S>
where
    S: Service<Request<B>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            match admit(&shared, &mut request).await {
                Ok(()) => inner.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

async fn admit<B>(shared: &Shared, request: &mut Request<B>) -> std::result::Result<(), Status> {
    let Some(method) = access::method(request.uri().path()) else {
        return Ok(());
    };
    if method
        .roles
        .iter()
        .any(|role| matches!(role, Role::Anyone | Role::Phone))
    {
        return Ok(());
    }
    let (parts, path) = (super::authenticate::Presented::of(request), method.path);
    let caller = super::authenticate::caller(shared, parts, path).await?;
    if !caller.may(method) {
        if let (Caller::Operator(..), Ok(now)) = (&caller, shared.now()) {
            let fault = fault::FORBIDDEN.fault();
            shared
                .audit_refusal(method.path, caller.id(), String::new(), now, &fault)
                .await;
        }
        return Err(fault::FORBIDDEN.fault().into());
    }
    request.extensions_mut().insert(caller);
    Ok(())
}
