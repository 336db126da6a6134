//! `StepUp`: for backends (protocol.md section 6).

use std::sync::Arc;

use paraphe_proto::v1::step_up_server::StepUp;
use paraphe_proto::v1::{
    CancelRequest, CheckRequest, CheckResponse, Decision, GetRequest, RequestRequest, RequestResponse,
    Verdict, WatchRequest,
};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Shared, caller, decode, encode, expire, watch};
use crate::app::challenge;
use crate::app::request::{self, CheckCommand, RequestCommand, require_token};
use crate::domain::challenge::State;
use crate::domain::fault::Fault;

/// The service.
pub struct StepUpService(pub Arc<Shared>);

#[tonic::async_trait]
impl StepUp for StepUpService {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let relying_party = caller::backend(&request)?;
        let wire = request.into_inner();
        let session_acr = match wire.session_acr.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|fault: Fault| fault.on("session_acr"))?),
        };
        let person = decode::person(wire.person)?;
        let cmd = CheckCommand {
            relying_party,
            person,
            action: wire.action,
            session_acr,
        };
        let (now, facts) = (self.0.now()?, Arc::clone(&self.0.daemon.facts));
        let (decision, subject) = self
            .0
            .write("check", now, move |s| request::check(s, &cmd))
            .await?;
        let (decision, channels) = match decision {
            request::Decision::Allowed => (Decision::Allowed, Vec::new()),
            request::Decision::StepUpRequired => (Decision::StepUpRequired, Vec::new()),
            request::Decision::Refused => (Decision::Refused, Vec::new()),
            request::Decision::EnrolmentRequired => {
                let open = facts.config.channels.iter().filter(|(name, _)| name.is_public());
                (
                    Decision::EnrolmentRequired,
                    open.map(|(name, _)| name.as_str().to_owned()).collect(),
                )
            }
        };
        let subject = subject.map(|subject| subject.to_string()).unwrap_or_default();
        Ok(Response::new(CheckResponse {
            decision: decision.into(),
            subject,
            channels,
        }))
    }

    async fn request(&self, request: Request<RequestRequest>) -> Result<Response<RequestResponse>, Status> {
        let relying_party = caller::backend(&request)?;
        let wire = request.into_inner();
        require_token("idempotency_key", &wire.idempotency_key, 64)?;
        let cmd = RequestCommand {
            relying_party,
            content: content(&wire),
            subject: decode::subject(&wire.subject)?,
            parameters: decode::parameters(wire.parameters)?,
            lifetime_s: (wire.lifetime_s > 0).then_some(i64::from(wire.lifetime_s)),
            match_code: decode::match_code(wire.r#match)?,
            idempotency_key: wire.idempotency_key,
            action: wire.action,
            locale: wire.locale,
        };
        let now = self.0.now()?;
        let challenge = self
            .0
            .write("request", now, move |s| request::request(s, &cmd))
            .await?;
        Ok(Response::new(RequestResponse {
            challenge_id: challenge.id.to_string(),
            match_code: challenge.match_code.clone().unwrap_or_default(),
            expires_at: challenge.expires_at.as_secs(),
            state: encode::state(&challenge.state).into(),
        }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Verdict>, Status> {
        let party = caller::backend(&request)?;
        let id = decode::id("challenge_id", "chl_", &request.into_inner().challenge_id)?;
        let now = self.0.now()?;
        let party_id = party.id.clone();
        let mut found = self
            .0
            .read("get", now, move |s| challenge::get(s, &party_id, id))
            .await?;
        if matches!(found.state, State::Pending) && now >= found.expires_at {
            expire::all(&self.0, now).await?;
            found = self
                .0
                .read("get", now, move |s| challenge::get(s, &party.id, id))
                .await?;
        }
        Ok(Response::new(encode::verdict(&found, now)))
    }

    type WatchStream = watch::Messages<Verdict>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let party = caller::backend(&request)?;
        let cursor = request.into_inner().cursor;
        let stream = watch::verdicts(Arc::clone(&self.0), party.id, &cursor).await?;
        Ok(Response::new(stream))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<Verdict>, Status> {
        let party = caller::backend(&request)?;
        let id = decode::id("challenge_id", "chl_", &request.into_inner().challenge_id)?;
        let now = self.0.now()?;
        let cancelled = self
            .0
            .write("cancel", now, move |s| challenge::cancel(s, &party.id, id))
            .await?;
        Ok(Response::new(encode::verdict(&cancelled, now)))
    }
}

fn content(wire: &RequestRequest) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let without = RequestRequest {
        idempotency_key: String::new(),
        parameters: Default::default(),
        ..wire.clone()
    };
    context.update(&without.encode_length_delimited_to_vec());
    let sorted: std::collections::BTreeMap<_, _> = wire.parameters.iter().collect();
    for (name, value) in sorted {
        context.update(&name.encode_length_delimited_to_vec());
        context.update(&value.encode_length_delimited_to_vec());
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
