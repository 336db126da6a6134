//! `Companion`: for phones (protocol.md sections 3 to 6). OPRF evaluation and signing happen after the commit.

use std::sync::Arc;

use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::statements::{self, Approval, Enrolment, EvaluationContext, Refusal};
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::companion_server::Companion;
use paraphe_proto::v1::{self, SignedRequest};
use tonic::{Request, Response, Status};

use self::evaluation::{Evaluated, element};
use super::proof::{self, Bound, Proven};
use super::{Shared, decode, encode, status, watch};
use crate::app;
use crate::app::unlock::UnlockCommand;
use crate::app::{activation, answer, challenge, enrolment, lift, unlock};
use crate::domain::fault::{self, Fault};
use crate::store::meta;

mod life;

/// The service.
pub struct CompanionService(pub Arc<Shared>);

macro_rules! method {
    ($name:literal) => {
        concat!("/paraphe.v1.Companion/", $name)
    };
}

mod evaluation;
mod past;
mod pin_change;
mod replacement;

impl CompanionService {
    async fn by_nonce<B: prost::Message + Default>(
        &self,
        request: Request<SignedRequest>,
        method: &str,
        now: Timestamp,
    ) -> Result<Proven<B>, Status> {
        proof::device(&self.0, request.into_inner(), method, Bound::Nonce, now).await
    }

    /// One transaction in a phone's name; a rollback that the phone has noticed is stored.
    async fn settled<T: Send + 'static>(
        &self,
        name: &'static str,
        device_id: DeviceId,
        now: Timestamp,
        verb: impl FnMut(&mut crate::app::Scope<'_, '_>) -> fault::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        match self.0.daemon.write(name, now, verb).await {
            Ok(done) => Ok(done),
            Err(fault) => Err(proof::settle(&self.0, device_id, now, fault).await),
        }
    }
}

fn challenge_id(text: &str) -> Result<ChallengeId, Status> {
    Ok(decode::id("challenge_id", "chl_", text)?)
}

fn statement_refused(field: &str, error: jws::StatementError) -> Status {
    status::status(
        fault::STATEMENT_REFUSED
            .fault()
            .on(field)
            .because(format!("{error}.")),
    )
}

#[tonic::async_trait]
impl Companion for CompanionService {
    async fn nonce(&self, _: Request<v1::NonceRequest>) -> Result<Response<v1::NonceResponse>, Status> {
        let (nonce, expires_at) = self.0.nonces.draw(self.0.now()?, &mut crate::entropy::system());
        Ok(Response::new(v1::NonceResponse {
            nonce,
            expires_at: expires_at.as_secs(),
        }))
    }

    async fn key_sets(
        &self,
        request: Request<v1::KeySetsRequest>,
    ) -> Result<Response<v1::KeySetsResponse>, Status> {
        let after = request.into_inner().after_version;
        let load = move |s: &mut crate::app::Scope<'_, '_>| Ok(meta::key_sets_after(&mut s.rows, after)?);
        let statements = self.0.read("key_sets", self.0.now()?, load).await?;
        Ok(Response::new(v1::KeySetsResponse { statements }))
    }

    async fn begin_activation(
        &self,
        request: Request<v1::BeginActivationRequest>,
    ) -> Result<Response<v1::BeginActivationResponse>, Status> {
        let wire = request.into_inner();
        let id: ActivationId = wire
            .activation_id
            .parse()
            .map_err(|_| fault::ACTIVATION_NOT_FOUND.fault().on("activation_id"))?;
        let key = PublicKey::from_sec1(&wire.possession_key).map_err(|_| {
            Fault::field(
                "possession_key",
                "It must be a P-256 point, 65 uncompressed bytes.",
            )
        })?;
        let begin = move |s: &mut crate::app::Scope<'_, '_>| activation::begin(s, id, &key, &wire.mac);
        let offer = self.0.write("begin_activation", self.0.now()?, begin).await?;
        Ok(Response::new(v1::BeginActivationResponse { offer }))
    }

    async fn evaluate_activation(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::EvaluationResponse>, Status> {
        let now = self.0.now()?;
        let (proven, id) = proof::activating::<v1::EvaluateActivationBody>(
            &self.0,
            request.into_inner(),
            method!("EvaluateActivation"),
            |body| &body.activation_id,
            now,
        )
        .await?;
        let element = element(&proven.body.blinded_element)?;
        let digest = element.sha256();
        let verb = move |s: &mut crate::app::Scope<'_, '_>| activation::evaluate(s, id, digest);
        let (key, offer) = self.0.write("evaluate_activation", now, verb).await?;
        let facts = &self.0.daemon.facts;
        let evaluated = Evaluated {
            context: EvaluationContext::Activation(id),
            device_id: proven.phone.device_id,
            epoch: proven.phone.epoch,
            key: &key,
            element: &element,
            number: 0,
            attempts_left: facts.attempt_limits().max_failures,
            wait_s: 0,
            signer: facts.keys.challenge_after(&offer),
        };
        evaluated.sign(&self.0.daemon.facts, now)
    }

    async fn finish_activation(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::FinishActivationResponse>, Status> {
        let now = self.0.now()?;
        let (proven, id) = proof::activating::<v1::FinishActivationBody>(
            &self.0,
            request.into_inner(),
            method!("FinishActivation"),
            |body| &body.activation_id,
            now,
        )
        .await?;
        let outer = proven.body.activation;
        let issuer = self.0.daemon.facts.issuer();
        let (_, inner) = statements::verify_activation(&outer, &proven.possession_key, issuer)
            .map_err(|error| statement_refused("activation", error))?;
        let key_storage = activation::key_storage(&self.0.daemon.facts, inner.claims(), now);
        let stated = activation::Stated {
            outer,
            inner,
            key_storage,
        };
        let verb = move |s: &mut crate::app::Scope<'_, '_>| activation::finish(s, id, &stated);
        let finished = self.0.write("finish_activation", now, verb).await?;
        Ok(Response::new(v1::FinishActivationResponse {
            sas_nonce: finished.sas_nonce.to_vec(),
            confirmation_required: finished.confirmation_required,
        }))
    }

    async fn device(&self, request: Request<SignedRequest>) -> Result<Response<v1::DeviceResponse>, Status> {
        self.seen(request, method!("Device")).await
    }

    type WatchStream = watch::Messages<v1::CompanionEvent>;

    async fn watch(&self, request: Request<SignedRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::WatchBody>(request, method!("Watch"), now)
            .await?;
        Ok(Response::new(watch::pending(
            Arc::clone(&self.0),
            proven.phone.device_id,
        )?))
    }

    async fn fetch(&self, request: Request<SignedRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::FetchBody>(request, method!("Fetch"), now)
            .await?;
        let pending = self
            .0
            .read("fetch", now, move |s| {
                challenge::pending(s, proven.phone.device_id)
            })
            .await?;
        let challenges = pending.iter().map(encode::pending).collect();
        Ok(Response::new(v1::FetchResponse { challenges }))
    }

    async fn unlock(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::EvaluationResponse>, Status> {
        let now = self.0.now()?;
        let bound = Bound::Challenge(&|body: &v1::UnlockBody| body.challenge_id.as_str());
        let proven = proof::device(&self.0, request.into_inner(), method!("Unlock"), bound, now).await?;
        let element = element(&proven.body.blinded_element)?;
        let cmd = UnlockCommand {
            phone: proven.phone,
            challenge_id: challenge_id(&proven.body.challenge_id)?,
            element: element.sha256(),
        };
        let verb = move |s: &mut crate::app::Scope<'_, '_>| unlock::unlock(s, &cmd);
        let unlocked = self.settled("unlock", proven.phone.device_id, now, verb).await?;
        let evaluated = Evaluated {
            context: EvaluationContext::Challenge(cmd.challenge_id),
            device_id: proven.phone.device_id,
            epoch: unlocked.epoch,
            key: &unlocked.oprf_key,
            element: &element,
            number: unlocked.number,
            attempts_left: unlocked.attempts_left,
            wait_s: unlocked.wait_s,
            signer: self.0.daemon.facts.keys.challenge(),
        };
        evaluated.sign(&self.0.daemon.facts, now)
    }

    async fn answer(&self, request: Request<SignedRequest>) -> Result<Response<v1::Outcome>, Status> {
        let now = self.0.now()?;
        let bound = Bound::Challenge(&|body: &v1::AnswerBody| body.challenge_id.as_str());
        let proven = proof::device(&self.0, request.into_inner(), method!("Answer"), bound, now).await?;
        let id = challenge_id(&proven.body.challenge_id)?;
        let key = proven
            .approval_key
            .ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
        let approval = jws::verify::<Approval>(&proven.body.approval, &key, self.0.daemon.facts.issuer())
            .map_err(|error| statement_refused("approval", error))?;
        let enrolment = self.enrolment(&proven.body.enrolment, &key);
        let signed = answer::Signed { approval, enrolment };
        let phone = proven.phone;
        let verb = move |s: &mut crate::app::Scope<'_, '_>| answer::answer(s, &phone, id, &signed);
        let outcome = self.settled("answer", proven.phone.device_id, now, verb).await?;
        match outcome.refused {
            Some(fault) => Err(fault.into()),
            None => Ok(Response::new(encode::outcome(&outcome))),
        }
    }

    async fn refuse(&self, request: Request<SignedRequest>) -> Result<Response<v1::Outcome>, Status> {
        let now = self.0.now()?;
        let bound = Bound::Challenge(&|body: &v1::RefuseBody| body.challenge_id.as_str());
        let proven = proof::device(&self.0, request.into_inner(), method!("Refuse"), bound, now).await?;
        let id = challenge_id(&proven.body.challenge_id)?;
        let issuer = self.0.daemon.facts.issuer();
        let refusal = jws::verify::<Refusal>(&proven.body.refusal, &proven.possession_key, issuer)
            .map_err(|error| statement_refused("refusal", error))?;
        let phone = proven.phone;
        let verb = move |s: &mut crate::app::Scope<'_, '_>| answer::refuse(s, &phone, id, &refusal);
        let outcome = self.settled("refuse", proven.phone.device_id, now, verb).await?;
        Ok(Response::new(encode::outcome(&outcome)))
    }

    async fn lift(&self, request: Request<SignedRequest>) -> Result<Response<v1::LiftResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::LiftBody>(request, method!("Lift"), now)
            .await?;
        let device_id = proven.phone.device_id;
        let party = Some(proven.body.relying_party_id).filter(|id| !id.is_empty());
        let verb = move |s: &mut crate::app::Scope<'_, '_>| lift::lift(s, &proven.phone, party.as_deref());
        let raised = self.settled("lift", device_id, now, verb).await?;
        Ok(Response::new(v1::LiftResponse {
            challenge_id: raised.id.to_string(),
        }))
    }

    async fn suspend(&self, request: Request<SignedRequest>) -> Result<Response<v1::MovedResponse>, Status> {
        let named = ("suspend", method!("Suspend"));
        self.moved::<v1::SuspendBody>(request, named, app::life::suspend_own)
            .await
    }

    async fn resume(&self, request: Request<SignedRequest>) -> Result<Response<v1::ResumeResponse>, Status> {
        self.resuming(request, method!("Resume")).await
    }

    async fn revoke(&self, request: Request<SignedRequest>) -> Result<Response<v1::MovedResponse>, Status> {
        let named = ("revoke", method!("Revoke"));
        self.moved::<v1::RevokeBody>(request, named, app::life::revoke_own)
            .await
    }

    async fn veto(&self, request: Request<SignedRequest>) -> Result<Response<v1::MovedResponse>, Status> {
        self.vetoing(request, method!("Veto")).await
    }

    async fn replace(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::ReplaceResponse>, Status> {
        self.hand_out(request).await
    }

    async fn confirm_replacement(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::ConfirmReplacementResponse>, Status> {
        self.ask_replacement(request).await
    }

    async fn history(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        self.past(request).await
    }

    async fn device_events(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::DeviceEventsResponse>, Status> {
        self.past_of_phones(request).await
    }

    async fn change_pin(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::ChangePinResponse>, Status> {
        self.raise_pin_change(request).await
    }

    async fn evaluate_pin_change(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::EvaluationResponse>, Status> {
        self.evaluate_new_pin(request).await
    }

    async fn finish_pin_change(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::FinishPinChangeResponse>, Status> {
        self.move_epoch(request).await
    }
}

impl CompanionService {
    fn enrolment(&self, compact: &str, key: &PublicKey) -> enrolment::Statement {
        if compact.is_empty() {
            return enrolment::Statement::Absent;
        }
        match jws::verify::<Enrolment>(compact, key, self.0.daemon.facts.issuer()) {
            Ok(given) => enrolment::Statement::Given(Box::new(given)),
            Err(_) => enrolment::Statement::Refused,
        }
    }
}
