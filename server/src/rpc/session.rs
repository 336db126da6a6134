//! `Session`: operators sign in with their own phone (protocol.md section 1).

use std::sync::Arc;

use paraphe_proto::v1::session_server::Session;
use paraphe_proto::v1::{self, State};
use tonic::{Request, Response, Status};

use super::authenticate::{dpop_of, terminal};
use super::{Shared, caller, decode, encode};
use crate::app::session::{self, Completed};
use crate::domain::fault::Fault;
use crate::domain::operator::Acting;

/// The service.
pub struct SessionService(pub Arc<Shared>);

#[tonic::async_trait]
impl Session for SessionService {
    async fn begin(
        &self,
        request: Request<v1::BeginSessionRequest>,
    ) -> Result<Response<v1::BeginSessionResponse>, Status> {
        let now = self.0.now()?;
        let proof = dpop_of(&request);
        let key = terminal(&self.0, proof.as_deref(), "/paraphe.v1.Session/Begin", now).await?;
        let name = request.into_inner().operator;
        if name.len() > 64 {
            return Err(Fault::field("operator", "It must be at most 64 characters.").into());
        }
        let verb = move |s: &mut crate::app::Scope<'_, '_>| session::begin(s, &name, &key);
        let raised = self.0.write("begin_session", now, verb).await?;
        Ok(Response::new(v1::BeginSessionResponse {
            challenge_id: raised.id.to_string(),
            match_code: raised.match_code.clone().unwrap_or_default(),
            expires_at: raised.expires_at.as_secs(),
        }))
    }

    async fn complete(
        &self,
        request: Request<v1::CompleteSessionRequest>,
    ) -> Result<Response<v1::CompleteSessionResponse>, Status> {
        let now = self.0.now()?;
        let proof = dpop_of(&request);
        let key = terminal(&self.0, proof.as_deref(), "/paraphe.v1.Session/Complete", now).await?;
        let id = decode::id("challenge_id", "chl_", &request.into_inner().challenge_id)?;
        let verb = move |s: &mut crate::app::Scope<'_, '_>| session::complete(s, id, &key);
        let response = match self.0.write("complete_session", now, verb).await? {
            Completed::Waiting(challenge) => {
                let state = if challenge.is_open(now) || challenge.state.decided_at().is_some() {
                    encode::state(&challenge.state)
                } else {
                    State::Expired
                };
                v1::CompleteSessionResponse {
                    state: state.into(),
                    ..Default::default()
                }
            }
            Completed::Token {
                token,
                session,
                operator,
            } => v1::CompleteSessionResponse {
                state: State::Approved.into(),
                token,
                expires_at: session.expires_at.as_secs(),
                roles: encode::roles(&operator),
            },
        };
        Ok(Response::new(response))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let Acting { operator, session } = caller::operator(&request)?;
        Ok(Response::new(v1::WhoAmIResponse {
            operator_id: operator.id.to_string(),
            roles: encode::roles(&operator),
            name: operator.name,
            expires_at: session.map_or(0, |session| session.expires_at.as_secs()),
        }))
    }

    async fn end(
        &self,
        request: Request<v1::EndSessionRequest>,
    ) -> Result<Response<v1::EndSessionResponse>, Status> {
        let Acting { operator, session } = caller::operator(&request)?;
        if let Some(session) = session {
            let verb = move |s: &mut crate::app::Scope<'_, '_>| session::end(s, &session.id, operator.id);
            self.0.write("end_session", self.0.now()?, verb).await?;
        }
        Ok(Response::new(v1::EndSessionResponse {}))
    }
}
