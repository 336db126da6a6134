//! `Admin`: for administrators and auditors. What a rule refuses is audited.

use std::sync::Arc;

use paraphe_proto::encoding::{from_hex, hex};
use paraphe_proto::v1::admin_server::Admin;
use paraphe_proto::v1::{self, Operator, RelyingParty, Terminal};
use tonic::{Request, Response, Status};

use super::{Shared, caller, decode, encode};
use crate::app::{Scope, operator, relying_party};
use crate::domain::challenge::State;
use crate::domain::fault::Fault;
use crate::domain::secret::Bytes;
use crate::domain::{operator as domain, relying_party as party};

/// The service.
pub struct AdminService(pub Arc<Shared>);

fn terminal(terminal: domain::Terminal) -> Terminal {
    Terminal {
        thumbprint: terminal.thumbprint,
        label: terminal.label,
        registered_at: terminal.registered_at.as_secs(),
    }
}

fn digest(text: &str) -> Result<Option<String>, Fault> {
    let bytes = from_hex(text).unwrap_or_default();
    match (text, bytes.len()) {
        ("", _) => Ok(None),
        (_, 32) => Ok(Some(hex(&bytes))),
        _ => Err(Fault::field(
            "certificate_sha256",
            "It must be 64 hexadecimal digits.",
        )),
    }
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn create_operator(
        &self,
        request: Request<v1::CreateOperatorRequest>,
    ) -> Result<Response<v1::CreateOperatorResponse>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let roles = decode::roles(&wire.roles)?;
        let (by, name) = (caller.clone(), wire.name.clone());
        let verb = move |s: &mut Scope<'_, '_>| operator::create_by(s, &by, &name, &roles);
        let target = wire.name.chars().take(64).collect();
        let (made, issued) = self
            .0
            .administer("create_operator", caller, target, self.0.now()?, verb)
            .await?;
        Ok(Response::new(v1::CreateOperatorResponse {
            operator: Some(encode::operator(&made)),
            activation: Some(encode::issued(issued, None)),
        }))
    }

    async fn create_service_account(
        &self,
        request: Request<v1::CreateServiceAccountRequest>,
    ) -> Result<Response<Operator>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let (roles, key) = (decode::roles(&wire.roles)?, decode::public_jwk(&wire.public_jwk)?);
        let (by, name) = (caller.id(), wire.name.clone());
        let verb = move |s: &mut Scope<'_, '_>| operator::create_service(s, &by, &name, &roles, &key);
        let target = wire.name.chars().take(64).collect();
        let made = self
            .0
            .administer("create_service_account", caller, target, self.0.now()?, verb)
            .await?;
        Ok(Response::new(encode::operator(&made)))
    }

    async fn list_operators(
        &self,
        _: Request<v1::ListOperatorsRequest>,
    ) -> Result<Response<v1::ListOperatorsResponse>, Status> {
        let all = self
            .0
            .read("list_operators", self.0.now()?, operator::list)
            .await?;
        Ok(Response::new(v1::ListOperatorsResponse {
            operators: all.iter().map(encode::operator).collect(),
        }))
    }

    async fn disable_operator(
        &self,
        request: Request<v1::DisableOperatorRequest>,
    ) -> Result<Response<Operator>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let id = decode::id("operator_id", "opr_", &wire.operator_id)?;
        let by = caller.id();
        let verb = move |s: &mut Scope<'_, '_>| operator::disable(s, &by, id);
        let now = self.0.now()?;
        let disabled = self
            .0
            .administer("disable_operator", caller, wire.operator_id, now, verb)
            .await?;
        Ok(Response::new(encode::operator(&disabled)))
    }

    async fn replace_operator_phone(
        &self,
        request: Request<v1::ReplaceOperatorPhoneRequest>,
    ) -> Result<Response<v1::CreateOperatorResponse>, Status> {
        let caller = caller::operator(&request)?;
        let (by, wire) = (caller.clone(), request.into_inner());
        let id = decode::id("operator_id", "opr_", &wire.operator_id)?;
        let reason = decode::reason(&wire.reason)?;
        let verb = move |s: &mut Scope<'_, '_>| operator::replace_phone(s, &by, id, &reason);
        let now = self.0.now()?;
        let done = self
            .0
            .administer("replace_operator_phone", caller, wire.operator_id, now, verb)
            .await?;
        Ok(Response::new(v1::CreateOperatorResponse {
            operator: Some(encode::operator(&done.operator)),
            activation: Some(encode::issued(done.issued, None)),
        }))
    }

    async fn register_terminal(
        &self,
        request: Request<v1::RegisterTerminalRequest>,
    ) -> Result<Response<Terminal>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let (by, target) = (caller.id(), wire.thumbprint.chars().take(64).collect());
        let verb =
            move |s: &mut Scope<'_, '_>| operator::register_terminal(s, &by, &wire.thumbprint, &wire.label);
        let made = self
            .0
            .operate("register_terminal", caller, target, self.0.now()?, verb)
            .await?;
        Ok(Response::new(terminal(made)))
    }

    async fn list_terminals(
        &self,
        _: Request<v1::ListTerminalsRequest>,
    ) -> Result<Response<v1::ListTerminalsResponse>, Status> {
        let all = self
            .0
            .read("list_terminals", self.0.now()?, operator::terminals)
            .await?;
        Ok(Response::new(v1::ListTerminalsResponse {
            terminals: all.into_iter().map(terminal).collect(),
        }))
    }

    async fn register_relying_party(
        &self,
        request: Request<v1::RegisterRelyingPartyRequest>,
    ) -> Result<Response<RelyingParty>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let now = self.0.now()?;
        let public_key = match wire.public_jwk.as_str() {
            "" => None,
            text => Some(Bytes(*decode::public_jwk(text)?.as_sec1())),
        };
        let asked = party::RelyingParty {
            certificate_sha256: digest(&wire.certificate_sha256)?,
            id: wire.relying_party_id,
            display_name: wire.display_name,
            public_key,
            may_identify: wire.may_identify,
            actions: wire.actions,
            registered_at: now,
        };
        let (by, target) = (caller.id(), asked.id.chars().take(64).collect());
        let verb = move |s: &mut Scope<'_, '_>| relying_party::register(s, &by, &asked);
        let made = self
            .0
            .administer("register_relying_party", caller, target, now, verb)
            .await?;
        Ok(Response::new(encode::relying_party(&made)))
    }

    async fn list_relying_parties(
        &self,
        _: Request<v1::ListRelyingPartiesRequest>,
    ) -> Result<Response<v1::ListRelyingPartiesResponse>, Status> {
        let all = self
            .0
            .read("list_relying_parties", self.0.now()?, relying_party::list)
            .await?;
        let relying_parties = all.iter().map(encode::relying_party).collect();
        Ok(Response::new(v1::ListRelyingPartiesResponse { relying_parties }))
    }

    async fn list_audit_entries(
        &self,
        request: Request<v1::ListAuditEntriesRequest>,
    ) -> Result<Response<v1::ListAuditEntriesResponse>, Status> {
        let wire = request.into_inner();
        let limit = match wire.page_size {
            0 => 100,
            size @ 1..=500 => i64::from(size),
            _ => return Err(Fault::field("page_size", "It must be 0 to 500.").into()),
        };
        let verb = move |s: &mut Scope<'_, '_>| relying_party::audit_entries(s, wire.after, limit);
        let page = self.0.read("list_audit_entries", self.0.now()?, verb).await?;
        let entries = page.into_iter().map(|entry| v1::AuditEntry {
            number: entry.number,
            at: entry.at.as_secs(),
            actor: entry.actor,
            verb: entry.verb,
            target: entry.target,
            outcome: entry.outcome,
        });
        Ok(Response::new(v1::ListAuditEntriesResponse {
            entries: entries.collect(),
        }))
    }

    async fn get_statements(
        &self,
        request: Request<v1::GetStatementsRequest>,
    ) -> Result<Response<v1::Statements>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let id = decode::id("challenge_id", "chl_", &wire.challenge_id)?;
        let by = caller.id();
        let verb = move |s: &mut Scope<'_, '_>| relying_party::statements(s, &by, id);
        let now = self.0.now()?;
        let found = self
            .0
            .operate("get_statements", caller, wire.challenge_id, now, verb)
            .await?;
        let root = self.0.daemon.facts.keys.root_public().to_jwk();
        let mut statements = v1::Statements {
            challenge: found.challenge.statement.clone(),
            activation: found.activation,
            attestation: found.attestation.map(encode::attestation),
            key_sets: found.key_sets,
            root_jwk: serde_json::to_string(&root).map_err(Fault::internal)?,
            enrolment: found.enrolment.map(|signed| v1::EnrolmentStatements {
                challenge: signed.challenge,
                enrolment: signed.enrolment,
                activation: signed.activation,
            }),
            ..Default::default()
        };
        match found.challenge.state {
            State::Approved {
                approval, assertion, ..
            } => {
                (statements.approval, statements.assertion) = (approval, assertion);
            }
            State::Failed {
                approval: Some(approval),
                ..
            } => statements.approval = approval,
            State::Denied { refusal, .. } | State::Reported { refusal, .. } => statements.refusal = refusal,
            _ => {}
        }
        Ok(Response::new(statements))
    }
}
