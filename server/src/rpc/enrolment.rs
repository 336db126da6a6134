//! `Enrolment`: for clerks (protocol.md section 5). What a rule refuses is audited.

use std::sync::Arc;

use paraphe_proto::ids::{ActivationId, CaseId};
use paraphe_proto::sas::Sas;
use paraphe_proto::v1::enrolment_server::Enrolment;
use paraphe_proto::v1::{self, Activation, Case};
use tonic::{Request, Response, Status};

use super::{Shared, caller, decode, encode};
use crate::app::evidence::RecordCommand;
use crate::app::room::Replacing;
use crate::app::session::require_still;
use crate::app::suspension::{Told, suspend_by_code};
use crate::app::{activation, case, life};
use crate::domain::fault::Fault;
use crate::domain::operator::OperatorRole;

/// The longest statement there is (protocol.md section 3).
const MAX_PROOFING_BYTES: usize = 8_192;

/// The service.
pub struct EnrolmentService(pub Arc<Shared>);

fn case_id(text: &str) -> Result<CaseId, Status> {
    Ok(decode::id("case_id", "cas_", text)?)
}

fn activation_id(text: &str) -> Result<ActivationId, Status> {
    Ok(decode::id("activation_id", "act_", text)?)
}

fn replacing(replaces: bool, which: &str) -> Result<Option<Replacing>, Status> {
    match (replaces, which) {
        (true, "") => Ok(Some(Replacing { which: None })),
        (true, id) => {
            let id = decode::id("replaced_device_id", "dev_", id)?;
            Ok(Some(Replacing { which: Some(id) }))
        }
        (false, "") => Ok(None),
        (false, _) => {
            let allowed = "It must be empty unless the new phone replaces one.";
            Err(Fault::field("replaced_device_id", allowed).into())
        }
    }
}

#[tonic::async_trait]
impl Enrolment for EnrolmentService {
    async fn open_case(&self, request: Request<v1::OpenCaseRequest>) -> Result<Response<Case>, Status> {
        let caller = caller::operator(&request)?;
        let clerk = caller.operator.id;
        let channel = request.into_inner().channel;
        let (now, target) = (self.0.now()?, channel.chars().take(32).collect());
        let verb = move |s: &mut crate::app::Scope<'_, '_>| case::open(s, clerk, &channel);
        let opened = self.0.operate("open_case", caller, target, now, verb).await?;
        Ok(Response::new(encode::case(&opened)))
    }

    async fn record_evidence(
        &self,
        request: Request<v1::RecordEvidenceRequest>,
    ) -> Result<Response<Case>, Status> {
        let caller = caller::operator(&request)?;
        let clerk = caller.operator.id;
        let wire = request.into_inner();
        if wire.mrz.len() > 512 {
            return Err(Fault::field("mrz", "It must be at most 512 bytes.").into());
        }
        if wire.proofing.len() > MAX_PROOFING_BYTES {
            return Err(Fault::field("proofing", "It must be at most 8192 bytes.").into());
        }
        let cmd = RecordCommand {
            case_id: case_id(&wire.case_id)?,
            checks: decode::checks(&wire.checks)?,
            mrz: wire.mrz,
            birthplace: wire.birthplace,
            accepted: wire.accepted,
            proofing: wire.proofing,
            previous_document: decode::previous_document(&wire.previous_document)?,
            another_person: wire.another_person,
        };
        let (now, target) = (self.0.now()?, wire.case_id);
        let verb = move |s: &mut crate::app::Scope<'_, '_>| case::record(s, clerk, &cmd);
        let recorded = self
            .0
            .operate("record_evidence", caller, target, now, verb)
            .await?;
        Ok(Response::new(encode::case(&recorded)))
    }

    async fn countersign(&self, request: Request<v1::CountersignRequest>) -> Result<Response<Case>, Status> {
        let caller = caller::operator(&request)?;
        let by = caller.operator.id;
        let wire = request.into_inner();
        let (now, id) = (self.0.now()?, case_id(&wire.case_id)?);
        let verb = move |s: &mut crate::app::Scope<'_, '_>| case::countersign(s, by, id);
        let signed = self
            .0
            .operate("countersign", caller, wire.case_id, now, verb)
            .await?;
        Ok(Response::new(encode::case(&signed)))
    }

    async fn issue_activation(
        &self,
        request: Request<v1::IssueActivationRequest>,
    ) -> Result<Response<v1::IssueActivationResponse>, Status> {
        let caller = caller::operator(&request)?;
        let (clerk, wire) = (caller.operator.clone(), request.into_inner());
        let (now, id) = (self.0.now()?, case_id(&wire.case_id)?);
        let replacing = replacing(wire.replaces, &wire.replaced_device_id)?;
        let verb = move |s: &mut crate::app::Scope<'_, '_>| case::issue(s, &clerk, id, replacing);
        let (issued, asked) = self
            .0
            .operate("issue_activation", caller, wire.case_id, now, verb)
            .await?;
        let response = encode::issued(issued, Some(&asked.challenge));
        Ok(Response::new(response))
    }

    async fn get_activation(
        &self,
        request: Request<v1::GetActivationRequest>,
    ) -> Result<Response<Activation>, Status> {
        let actor = caller::operator(&request)?.id();
        let id = activation_id(&request.into_inner().activation_id)?;
        let verb = move |s: &mut crate::app::Scope<'_, '_>| activation::view(s, &actor, id);
        let view = self.0.read("get_activation", self.0.now()?, verb).await?;
        Ok(Response::new(encode::activation(&view)))
    }

    async fn confirm_activation(
        &self,
        request: Request<v1::ConfirmActivationRequest>,
    ) -> Result<Response<Activation>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let (now, id) = (self.0.now()?, activation_id(&wire.activation_id)?);
        let digits = Sas::parse(&wire.code)
            .map_err(|_| Fault::field("code", "It must be the six digits that the phone shows."))?;
        let by = caller.id();
        let verb = move |s: &mut crate::app::Scope<'_, '_>| activation::confirm(s, &by, id, &digits);
        let view = self
            .0
            .operate("confirm_activation", caller, wire.activation_id, now, verb)
            .await?;
        let reply = encode::activation(&view);
        match view.refused {
            Some(fault) => Err(fault.into()),
            None => Ok(Response::new(reply)),
        }
    }

    async fn suspend_device(
        &self,
        request: Request<v1::SuspendDeviceRequest>,
    ) -> Result<Response<v1::DeviceStateName>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let (now, identity) = (self.0.now()?, decode::identity(wire.identity)?);
        let code = decode::suspension_code(&wire.suspension_code)?;
        let verb = move |s: &mut crate::app::Scope<'_, '_>| {
            require_still(s, &caller)?;
            suspend_by_code(s, &caller.id(), &identity, &code)
        };
        match self.0.write("suspend_device", now, verb).await? {
            Told::Suspended(state) => Ok(Response::new(encode::device_state_name(state))),
            Told::Refused(fault) => Err(fault.into()),
        }
    }

    async fn revoke_device(
        &self,
        request: Request<v1::RevokeDeviceRequest>,
    ) -> Result<Response<v1::RevokeDeviceResponse>, Status> {
        let caller = caller::operator(&request)?;
        let wire = request.into_inner();
        let (now, identity) = (self.0.now()?, decode::identity(wire.identity)?);
        let reason = decode::reason(&wire.reason)?;
        let target = self.0.daemon.facts.keys.person_mark(&identity.lookup_text());
        let by = caller.id();
        let verb = move |s: &mut crate::app::Scope<'_, '_>| life::revoke(s, &by, &identity, &reason);
        let moved = self.0.operate("revoke_device", caller, target, now, verb).await?;
        let revoked = u32::try_from(moved.len()).unwrap_or(u32::MAX);
        Ok(Response::new(v1::RevokeDeviceResponse { revoked }))
    }

    async fn get_case(&self, request: Request<v1::GetCaseRequest>) -> Result<Response<Case>, Status> {
        let operator = caller::operator(&request)?.operator;
        let id = case_id(&request.into_inner().case_id)?;
        let any = operator.roles.contains(&OperatorRole::Supervisor);
        let verb = move |s: &mut crate::app::Scope<'_, '_>| case::view(s, operator.id, id, any);
        let found = self.0.read("get_case", self.0.now()?, verb).await?;
        Ok(Response::new(encode::case(&found)))
    }
}
