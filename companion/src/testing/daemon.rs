//! A daemon that lives in the test: it checks what a phone sends as the real one does, counts what it charges, and loses
//! replies on demand. It knows one activation and one device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use paraphe_proto::activation::{ActivationSecret, ActivationUri};
use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::keys::Signer as _;
use paraphe_proto::oprf::{BlindedElement, OprfKey};
use paraphe_proto::pin::PinPolicy;
use paraphe_proto::sas::{self, SasInput};
use paraphe_proto::statements::{
    Approval, Challenge, Evaluation, EvaluationContext, Freshness, Offer, PinChange, Proof,
};
use paraphe_proto::v1::companion_server::CompanionServer;
use paraphe_proto::v1::{DeviceState, FinishPinChangeBody, Outcome, SignedRequest};
use prost::Message;
use ring::digest::{SHA256, digest};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{ISS, Issuer, NOW, challenge, evaluation, rng};
use crate::{Invitation, Server};

mod service;

pub(crate) const SAS_NONCE: [u8; 32] = [5; 32];

pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) key_sets: Vec<String>,
    pub(crate) device_id: DeviceId,
    /// What `FinishActivation` opens the commitment with.
    pub(crate) sas_nonce: [u8; 32],
    pub(crate) pin_policy: PinPolicy,
    pub(crate) device_state: DeviceState,
    /// Replies to be lost, by RPC, after the work was done.
    pub(crate) lost: Vec<&'static str>,
    /// The number that the evaluation of an activation gets; 0 in an honest daemon.
    pub(crate) first_evaluation: u64,
    /// PIN epoch of the device.
    pub(crate) epoch: u64,
    /// The activation that the challenge of `ConfirmReplacement` names, where it is not the one that was asked about.
    pub(crate) other_activation: Option<ActivationId>,
    /// Code that `FinishPinChange` is refused with.
    pub(crate) refuse_pin_change: Option<&'static str>,
    /// The number that the evaluation of a PIN change gets; 0 in an honest daemon.
    pub(crate) pin_change_evaluation: u64,
    /// Charges since the device was made; also the number of the last evaluation.
    pub(crate) charges: u64,
    pub(crate) restore_epoch: u64,
    /// Compact challenges as a phone receives them.
    pub(crate) pending: Vec<String>,
    /// Approvals and refusals that counted, in order.
    pub(crate) answers: Vec<String>,
    secret: String,
    activation_id: ActivationId,
    offer: Option<String>,
    possession_key: Option<PublicKey>,
    approval_key: Option<PublicKey>,
    activation: Option<String>,
    oprf: OprfKey,
    /// The challenge of the PIN change that is open, and the keys of its elements.
    changing: Option<ChallengeId>,
    new_keys: HashMap<[u8; 32], OprfKey>,
    /// The statement that began the epoch.
    pin_changed: Option<String>,
    nonces: Vec<String>,
    evaluations: HashMap<(ChallengeId, [u8; 32]), Evaluation>,
    outcomes: HashMap<ChallengeId, Outcome>,
}

/// A handle on the daemon in the test.
#[derive(Clone)]
pub(crate) struct Daemon(Arc<Mutex<World>>);

impl Daemon {
    pub(crate) async fn start() -> (Self, Server) {
        let (issuer, secret) = (Issuer::new(), ActivationSecret::random(&mut rng()));
        let daemon = Self(Arc::new(Mutex::new(World {
            key_sets: vec![issuer.first_key_set()],
            issuer,
            device_id: DeviceId::random(&mut rng()),
            sas_nonce: SAS_NONCE,
            pin_policy: PinPolicy::default(),
            device_state: DeviceState::AwaitingConfirmation,
            lost: Vec::new(),
            first_evaluation: 0,
            epoch: 1,
            other_activation: None,
            refuse_pin_change: None,
            pin_change_evaluation: 0,
            charges: 0,
            restore_epoch: 0,
            pending: Vec::new(),
            answers: Vec::new(),
            secret: secret.code().to_string(),
            activation_id: secret.activation_id(),
            offer: None,
            possession_key: None,
            approval_key: None,
            activation: None,
            oprf: OprfKey::random(&mut rng()).unwrap(),
            changing: None,
            new_keys: HashMap::new(),
            pin_changed: None,
            nonces: Vec::new(),
            evaluations: HashMap::new(),
            outcomes: HashMap::new(),
        })));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = CompanionServer::new(daemon.clone());
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        let channel = Endpoint::from_shared(url.clone())
            .unwrap()
            .connect()
            .await
            .unwrap();
        (daemon, Server::over(url, channel))
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(crate) fn invitation(&self) -> Invitation {
        let world = self.world();
        let uri = ActivationUri {
            secret: ActivationSecret::from_code(&world.secret).unwrap(),
            issuer: ISS.to_owned(),
            root_key: world.issuer.root.public_key().clone(),
        };
        Invitation::from_uri(&uri.to_text()).unwrap()
    }

    /// Puts a challenge before the phone, and gives its compact JWS.
    pub(crate) fn ask(&self, change: impl FnOnce(&mut Challenge)) -> String {
        let mut world = self.world();
        let mut claims = challenge(&world.device_id);
        change(&mut claims);
        let compact = world.issuer.sign(&claims);
        world.pending.push(compact.clone());
        compact
    }

    /// The six digits as the daemon computes them.
    pub(crate) fn six_digits(&self) -> String {
        let world = self.world();
        let offer = jws::verify::<Offer>(world.offer.as_ref().unwrap(), world.issuer.key.public_key(), ISS);
        let offer = offer.unwrap();
        let input = SasInput {
            issuer: ISS,
            activation_id: &world.activation_id,
            device_id: &world.device_id,
            offer_sha256: &offer.sha256(),
            nonce: offer.claims().nonce.as_bytes(),
            possession_key: world.possession_key.as_ref().unwrap(),
            approval_key: world.approval_key.as_ref().unwrap(),
        };
        sas::compute(&input, &SAS_NONCE).to_string()
    }
}

fn refused(reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "paraphe.v1", HashMap::new());
    Status::with_error_details(Code::FailedPrecondition, "It was refused.", details)
}

impl World {
    /// Checks the proof as section 3 asks, and decodes the body.
    fn open<B: Message + Default>(
        &mut self,
        name: &str,
        request: Request<SignedRequest>,
        about: impl FnOnce(&B) -> Option<ChallengeId>,
    ) -> Result<B, Status> {
        let request = request.into_inner();
        let key = self
            .possession_key
            .clone()
            .ok_or_else(|| refused("device.unknown"))?;
        let proof =
            jws::verify::<Proof>(&request.proof, &key, ISS).map_err(|_| refused("proof.signature"))?;
        let claims = proof.claims();
        if claims.epoch != self.epoch {
            return Err(refused("caller.unauthenticated"));
        }
        let method = format!("/paraphe.v1.Companion/{name}");
        let body = B::decode(request.body.as_slice()).unwrap();
        let fresh = match (&claims.freshness, about(&body)) {
            (Freshness::Challenge(named), Some(asked)) => *named == asked,
            (Freshness::Nonce(nonce), None) => {
                let before = self.nonces.len();
                self.nonces.retain(|known| known != nonce);
                self.nonces.len() < before
            }
            _ => false,
        };
        let hash: [u8; 32] = digest(&SHA256, &request.body).as_ref().try_into().unwrap();
        let holds = claims.method == method
            && claims.device_id == self.device_id
            && claims.body_sha256 == B64(hash)
            && fresh;
        if holds {
            Ok(body)
        } else {
            Err(refused("proof.mismatch"))
        }
    }

    fn reply<T>(&mut self, name: &'static str, reply: T) -> Result<Response<T>, Status> {
        match self.lost.iter().position(|lost| *lost == name) {
            Some(index) => {
                self.lost.remove(index);
                Err(Status::unavailable("the connection broke"))
            }
            None => Ok(Response::new(reply)),
        }
    }

    fn offer(&self) -> Offer {
        Offer {
            iss: ISS.to_owned(),
            activation_id: self.activation_id,
            device_id: self.device_id,
            nonce: B64([3; 32]),
            pin_policy: self.pin_policy,
            sas_commitment: B64(sas::commitment(&SAS_NONCE)),
            keyset_version: self.key_sets.len() as u64,
            iat: NOW,
            exp: NOW.plus_s(600),
        }
    }

    fn evaluate(&mut self, challenge_id: ChallengeId, element: &BlindedElement) -> Evaluation {
        if let Some(known) = self.evaluations.get(&(challenge_id, element.sha256())) {
            return known.clone();
        }
        self.charges += 1;
        let context = EvaluationContext::Challenge(challenge_id);
        let mut claims = evaluation(context, self.device_id, &self.oprf, element);
        claims.epoch = self.epoch;
        claims.evaluation = self.charges;
        claims.restore_epoch = self.restore_epoch;
        claims.attempts_left = 5_u32.saturating_sub(u32::try_from(self.charges).unwrap());
        self.evaluations
            .insert((challenge_id, element.sha256()), claims.clone());
        claims
    }

    fn claims_of(&self, challenge_id: ChallengeId) -> (String, Challenge) {
        let claims = |compact: &String| {
            let keys = self.issuer.key.public_key();
            let verified = jws::verify::<Challenge>(compact, keys, ISS).ok()?;
            (verified.claims().challenge_id == challenge_id)
                .then(|| (compact.clone(), verified.into_claims()))
        };
        self.pending.iter().find_map(claims).unwrap()
    }

    /// The approval's bindings, as section 4 asks.
    fn approve(&mut self, challenge_id: ChallengeId, compact: &str) -> Result<&'static str, Status> {
        let key = self.approval_key.clone().unwrap();
        let approval =
            jws::verify::<Approval>(compact, &key, ISS).map_err(|_| refused("approval.signature"))?;
        let claims = approval.claims();
        let (challenge, _) = self.claims_of(challenge_id);
        let named = self.evaluations.values().find(|known| {
            known.evaluation == claims.evaluation
                && known.element_sha256 == claims.element_sha256
                && known.context == EvaluationContext::Challenge(challenge_id)
        });
        let hash: [u8; 32] = digest(&SHA256, challenge.as_bytes()).as_ref().try_into().unwrap();
        let holds = claims.challenge_sha256 == B64(hash)
            && claims.device_id == self.device_id
            && claims.epoch == self.epoch
            && claims.evaluation == self.charges
            && named.is_some();
        if !holds {
            return Err(refused("approval.mismatch"));
        }
        let asked = self.claims_of(challenge_id).1;
        if asked.new_pin_policy.is_some() {
            self.changing = Some(challenge_id);
            return Ok("approved");
        }
        Ok(if claims.match_code == super::CODE {
            "approved"
        } else {
            "failed"
        })
    }

    fn id_of(&self, compact: &str) -> ChallengeId {
        let verified = jws::verify::<Challenge>(compact, self.issuer.key.public_key(), ISS);
        verified.unwrap().claims().challenge_id
    }

    /// The key of the element that the statement names takes the place of the old one.
    fn move_epoch(&mut self, body: &FinishPinChangeBody) -> Result<(), Status> {
        let id: ChallengeId = body.challenge_id.parse().unwrap();
        if self.changing != Some(id) {
            return Err(refused("pin_change.not_open"));
        }
        let key = self.approval_key.clone().unwrap();
        let stated = jws::verify::<PinChange>(&body.pin_change, &key, ISS)
            .map_err(|_| refused("statement.refused"))?;
        let claims = stated.claims();
        assert_eq!((claims.device_id, claims.epoch), (self.device_id, self.epoch + 1));
        self.oprf = self.new_keys.remove(&claims.element_sha256.0).unwrap();
        self.new_keys.clear();
        self.epoch += 1;
        self.changing = None;
        self.pin_changed = Some(body.pin_change.clone());
        Ok(())
    }

    fn settle(&mut self, challenge_id: ChallengeId, state: &str, answer: &str) -> Outcome {
        self.answers.push(answer.to_owned());
        let outcome = Outcome {
            challenge_id: challenge_id.to_string(),
            state: state.to_owned(),
            decided_at: NOW.as_secs(),
            attempts_left: 5,
        };
        self.outcomes.insert(challenge_id, outcome.clone());
        outcome
    }
}
