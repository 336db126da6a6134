//! A daemon that lives in the test: it checks what a phone sends as the real one does, counts what it charges, and loses
//! replies on demand. It knows one activation and one device.

use std::collections::HashMap;
use std::pin::Pin as Pinned;
use std::sync::{Arc, Mutex, MutexGuard};

use paraphe_proto::activation::{ActivationSecret, ActivationUri, verify_begin_mac};
use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::keys::Signer as _;
use paraphe_proto::oprf::{BlindedElement, OprfKey};
use paraphe_proto::pin::PinPolicy;
use paraphe_proto::sas::{self, SasInput};
use paraphe_proto::statements::{
    Approval, Challenge, Evaluation, EvaluationContext, Freshness, Offer, Proof, Refusal, RefusalDecision,
    verify_activation,
};
use paraphe_proto::v1::companion_event::Event;
use paraphe_proto::v1::companion_server::{Companion, CompanionServer};
use paraphe_proto::v1::*;
use prost::Message;
use ring::digest::{SHA256, digest};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{ISS, Issuer, NOW, challenge, evaluation, rng};
use crate::{Invitation, Server};

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
            && claims.epoch == 1
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
            && claims.evaluation == self.charges
            && named.is_some();
        if !holds {
            return Err(refused("approval.mismatch"));
        }
        Ok(if claims.match_code == super::CODE {
            "approved"
        } else {
            "failed"
        })
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

fn about(text: &str) -> Option<ChallengeId> {
    Some(text.parse().unwrap())
}

#[tonic::async_trait]
impl Companion for Daemon {
    type WatchStream = Pinned<Box<dyn Stream<Item = Result<CompanionEvent, Status>> + Send>>;

    async fn nonce(&self, _: Request<NonceRequest>) -> Result<Response<NonceResponse>, Status> {
        let mut world = self.world();
        let nonce = ChallengeId::random(&mut rng()).to_string();
        world.nonces.push(nonce.clone());
        world.reply(
            "Nonce",
            NonceResponse {
                nonce,
                expires_at: NOW.plus_s(60).as_secs(),
            },
        )
    }

    async fn key_sets(&self, request: Request<KeySetsRequest>) -> Result<Response<KeySetsResponse>, Status> {
        let mut world = self.world();
        let after = usize::try_from(request.into_inner().after_version).unwrap();
        let statements = world.key_sets.iter().skip(after).cloned().collect();
        world.reply("KeySets", KeySetsResponse { statements })
    }

    async fn begin_activation(
        &self,
        request: Request<BeginActivationRequest>,
    ) -> Result<Response<BeginActivationResponse>, Status> {
        let mut world = self.world();
        let request = request.into_inner();
        let key = PublicKey::from_sec1(&request.possession_key).unwrap();
        let mac_key = ActivationSecret::from_code(&world.secret).unwrap().mac_key();
        if !verify_begin_mac(&request.mac, &mac_key, ISS, &world.activation_id, &key) {
            return Err(refused("activation.unknown"));
        }
        if world.possession_key.as_ref().is_some_and(|known| *known != key) {
            return Err(refused("activation.used"));
        }
        world.possession_key = Some(key);
        let offer = world.offer();
        let offer = match world.offer.clone() {
            Some(offer) => offer,
            None => world.issuer.sign(&offer),
        };
        world.offer = Some(offer.clone());
        world.reply("BeginActivation", BeginActivationResponse { offer })
    }

    async fn evaluate_activation(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<EvaluationResponse>, Status> {
        let mut world = self.world();
        let body: EvaluateActivationBody = world.open("EvaluateActivation", request, |_| None)?;
        let element = BlindedElement::parse(&body.blinded_element).unwrap();
        let context = EvaluationContext::Activation(world.activation_id);
        let mut claims = evaluation(context, world.device_id, &world.oprf, &element);
        claims.evaluation = 0;
        let evaluation = world.issuer.sign(&claims);
        world.reply("EvaluateActivation", EvaluationResponse { evaluation })
    }

    async fn finish_activation(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<FinishActivationResponse>, Status> {
        let mut world = self.world();
        let body: FinishActivationBody = world.open("FinishActivation", request, |_| None)?;
        if world
            .activation
            .as_ref()
            .is_some_and(|known| *known != body.activation)
        {
            return Err(refused("activation.used"));
        }
        let possession_key = world.possession_key.clone().unwrap();
        let (_, inner) = verify_activation(&body.activation, &possession_key, ISS)
            .map_err(|_| refused("activation.signature"))?;
        assert_eq!(inner.claims().device_id, world.device_id);
        world.approval_key = Some(inner.claims().approval_key.clone());
        world.activation = Some(body.activation);
        let sas_nonce = world.sas_nonce.to_vec();
        world.reply(
            "FinishActivation",
            FinishActivationResponse {
                sas_nonce,
                confirmation_required: true,
            },
        )
    }

    async fn device(&self, request: Request<SignedRequest>) -> Result<Response<DeviceResponse>, Status> {
        let mut world = self.world();
        let DeviceBody {} = world.open("Device", request, |_| None)?;
        let state = world.device_state.into();
        world.reply(
            "Device",
            DeviceResponse {
                state,
                attempts_left: 5,
                ..Default::default()
            },
        )
    }

    async fn watch(&self, request: Request<SignedRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let mut world = self.world();
        let WatchBody {} = world.open("Watch", request, |_| None)?;
        let pending = world.pending.iter().map(|challenge| {
            Event::Pending(PendingChallenge {
                challenge: challenge.clone(),
                quiet: false,
            })
        });
        let events: Vec<_> = pending
            .chain([Event::CaughtUp(CaughtUp {})])
            .map(|event| Ok(CompanionEvent { event: Some(event) }))
            .chain([Err(Status::unavailable("the daemon stops"))])
            .collect();
        Ok(Response::new(Box::pin(
            tokio_stream::iter(events).map(|event| event),
        )))
    }

    async fn fetch(&self, request: Request<SignedRequest>) -> Result<Response<FetchResponse>, Status> {
        let mut world = self.world();
        let FetchBody {} = world.open("Fetch", request, |_| None)?;
        let pending = |challenge: &String| PendingChallenge {
            challenge: challenge.clone(),
            quiet: true,
        };
        let challenges = world.pending.iter().map(pending).collect();
        world.reply("Fetch", FetchResponse { challenges })
    }

    async fn unlock(&self, request: Request<SignedRequest>) -> Result<Response<EvaluationResponse>, Status> {
        let mut world = self.world();
        let body: UnlockBody =
            world.open("Unlock", request, |body: &UnlockBody| about(&body.challenge_id))?;
        let challenge_id = body.challenge_id.parse().unwrap();
        if world.outcomes.contains_key(&challenge_id) {
            return Err(refused("challenge.decided"));
        }
        let element = BlindedElement::parse(&body.blinded_element).unwrap();
        let claims = world.evaluate(challenge_id, &element);
        let evaluation = world.issuer.sign(&claims);
        world.reply("Unlock", EvaluationResponse { evaluation })
    }

    async fn answer(&self, request: Request<SignedRequest>) -> Result<Response<Outcome>, Status> {
        let mut world = self.world();
        let body: AnswerBody =
            world.open("Answer", request, |body: &AnswerBody| about(&body.challenge_id))?;
        let challenge_id = body.challenge_id.parse().unwrap();
        let outcome = match world.outcomes.get(&challenge_id) {
            Some(outcome) => outcome.clone(),
            None => {
                let state = world.approve(challenge_id, &body.approval)?;
                world.settle(challenge_id, state, &body.approval)
            }
        };
        world.reply("Answer", outcome)
    }

    async fn refuse(&self, request: Request<SignedRequest>) -> Result<Response<Outcome>, Status> {
        let mut world = self.world();
        let body: RefuseBody =
            world.open("Refuse", request, |body: &RefuseBody| about(&body.challenge_id))?;
        let key = world.possession_key.clone().unwrap();
        let refusal = jws::verify::<Refusal>(&body.refusal, &key, ISS).unwrap();
        let state = match refusal.claims().decision {
            RefusalDecision::Deny => "denied",
            RefusalDecision::NotMe => "reported",
        };
        let outcome = world.settle(body.challenge_id.parse().unwrap(), state, &body.refusal);
        world.reply("Refuse", outcome)
    }

    async fn lift(&self, request: Request<SignedRequest>) -> Result<Response<LiftResponse>, Status> {
        let mut world = self.world();
        let body: LiftBody = world.open("Lift", request, |_| None)?;
        assert_eq!(body.relying_party_id, "courses");
        let challenge_id = ChallengeId::random(&mut rng()).to_string();
        world.reply("Lift", LiftResponse { challenge_id })
    }

    async fn history(&self, request: Request<SignedRequest>) -> Result<Response<HistoryResponse>, Status> {
        let mut world = self.world();
        let body: HistoryBody = world.open("History", request, |_| None)?;
        let next = if body.page_token.is_empty() { "2" } else { "" };
        let entry = HistoryEntry {
            title: "Acheter une formation".to_owned(),
            ..Default::default()
        };
        world.reply(
            "History",
            HistoryResponse {
                entries: vec![entry],
                next_page_token: next.to_owned(),
            },
        )
    }
}
