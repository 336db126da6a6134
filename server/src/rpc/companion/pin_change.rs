//! The RPCs of a PIN change (protocol.md section 4, rule 5).

use paraphe_proto::jws;
use paraphe_proto::statements::{EvaluationContext, PinChange};
use paraphe_proto::v1::{self, SignedRequest};
use tonic::{Request, Response, Status};

use super::evaluation::{Evaluated, element};
use super::{CompanionService, challenge_id, statement_refused};
use crate::app::Scope;
use crate::app::pin_change::{self, Finished};
use crate::domain::fault;

impl CompanionService {
    pub(super) async fn raise_pin_change(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::ChangePinResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::ChangePinBody>(request, method!("ChangePin"), now)
            .await?;
        let phone = proven.phone;
        let verb = move |s: &mut Scope<'_, '_>| pin_change::change_pin(s, &phone);
        let raised = self.settled("change_pin", phone.device_id, now, verb).await?;
        Ok(Response::new(v1::ChangePinResponse {
            challenge_id: raised.id.to_string(),
        }))
    }

    pub(super) async fn evaluate_new_pin(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::EvaluationResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::EvaluatePinChangeBody>(request, method!("EvaluatePinChange"), now)
            .await?;
        let (phone, id) = (proven.phone, challenge_id(&proven.body.challenge_id)?);
        let element = element(&proven.body.blinded_element)?;
        let digest = element.sha256();
        let verb = move |s: &mut Scope<'_, '_>| pin_change::evaluate(s, &phone, id, &digest);
        let evaluated = self.0.read("evaluate_pin_change", now, verb).await?;
        let evaluated = Evaluated {
            context: EvaluationContext::Challenge(id),
            device_id: phone.device_id,
            epoch: evaluated.epoch,
            key: &evaluated.oprf_key,
            element: &element,
            number: 0,
            attempts_left: evaluated.attempts_left,
            wait_s: evaluated.wait_s,
            signer: self.0.daemon.facts.keys.challenge(),
        };
        evaluated.sign(&self.0.daemon.facts, now)
    }

    pub(super) async fn move_epoch(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::FinishPinChangeResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::FinishPinChangeBody>(request, method!("FinishPinChange"), now)
            .await?;
        let (phone, id) = (proven.phone, challenge_id(&proven.body.challenge_id)?);
        let key = proven
            .approval_key
            .ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
        let issuer = self.0.daemon.facts.issuer();
        let stated = jws::verify::<PinChange>(&proven.body.pin_change, &key, issuer)
            .map_err(|error| statement_refused("pin_change", error))?;
        let verb = move |s: &mut Scope<'_, '_>| pin_change::finish(s, &phone, id, &stated);
        let finished = self
            .settled("finish_pin_change", phone.device_id, now, verb)
            .await?;
        self.0.known_phones.forget(phone.device_id);
        match finished {
            Finished::Epoch(epoch) => Ok(Response::new(v1::FinishPinChangeResponse { epoch })),
            Finished::Refused(fault) => Err(fault.into()),
        }
    }
}
