//! The RPCs of the daemon that lives in the test.

use std::pin::Pin as Pinned;

use paraphe_proto::activation::{ActivationSecret, verify_begin_mac};
use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::oprf::{BlindedElement, OprfKey};
use paraphe_proto::statements::{
    CHANGE_PIN_ACTION, CHANGE_PIN_RELYING_PARTY, EvaluationContext, MatchMode, MatchRule, REPLACE_ACTION,
    REPLACE_RELYING_PARTY, Refusal, RefusalDecision, Replacement, verify_activation,
};
use paraphe_proto::v1::companion_event::Event;
use paraphe_proto::v1::companion_server::Companion;
use paraphe_proto::v1::{self, *};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{Daemon, refused};
use crate::testing::{ISS, NOW, evaluation, rng};

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
        claims.evaluation = world.first_evaluation;
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
        let policy = world.pin_policy;
        world.reply(
            "Device",
            DeviceResponse {
                state,
                attempts_left: 5,
                pin_rules: Some(PinRules {
                    min_length: policy.min_length.into(),
                    max_length: policy.max_length.into(),
                    refuse_repeats: policy.refuse_repeats,
                    refuse_runs: policy.refuse_runs,
                    refuse_dates: policy.refuse_dates,
                }),
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
        Ok(Response::new(Box::pin(tokio_stream::iter(events))))
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

    async fn suspend(&self, request: Request<SignedRequest>) -> Result<Response<MovedResponse>, Status> {
        let mut world = self.world();
        world.open::<SuspendBody>("Suspend", request, |_| None)?;
        let state = v1::DeviceState::Suspended.into();
        world.reply("Suspend", MovedResponse { state })
    }

    async fn resume(&self, request: Request<SignedRequest>) -> Result<Response<ResumeResponse>, Status> {
        let mut world = self.world();
        world.open::<ResumeBody>("Resume", request, |_| None)?;
        let challenge_id = ChallengeId::random(&mut rng()).to_string();
        world.reply("Resume", ResumeResponse { challenge_id })
    }

    async fn revoke(&self, request: Request<SignedRequest>) -> Result<Response<MovedResponse>, Status> {
        let mut world = self.world();
        world.open::<RevokeBody>("Revoke", request, |_| None)?;
        let state = v1::DeviceState::Revoked.into();
        world.reply("Revoke", MovedResponse { state })
    }

    async fn veto(&self, request: Request<SignedRequest>) -> Result<Response<MovedResponse>, Status> {
        let mut world = self.world();
        world.open::<VetoBody>("Veto", request, |_| None)?;
        let state = v1::DeviceState::Revoked.into();
        world.reply("Veto", MovedResponse { state })
    }

    async fn replace(&self, request: Request<SignedRequest>) -> Result<Response<ReplaceResponse>, Status> {
        let mut world = self.world();
        let ReplaceBody {} = world.open("Replace", request, |_| None)?;
        let reply = ReplaceResponse {
            activation_id: ActivationId::from_bytes([7; 16]).to_string(),
            code: "typed".to_owned(),
            uri: "scanned".to_owned(),
            expires_at: NOW.plus_s(600).as_secs(),
        };
        world.reply("Replace", reply)
    }

    async fn confirm_replacement(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<ConfirmReplacementResponse>, Status> {
        let body: ConfirmReplacementBody = self.world().open("ConfirmReplacement", request, |_| None)?;
        let asked = body.activation_id.parse().unwrap();
        let activation_id = self.world().other_activation.unwrap_or(asked);
        let compact = self.ask(|claims| {
            claims.relying_party.id = REPLACE_RELYING_PARTY.parse().unwrap();
            claims.action = REPLACE_ACTION.to_owned();
            claims.replacement = Some(Replacement {
                activation_id,
                device_id: DeviceId::random(&mut rng()),
                activation_sha256: B64([1; 32]),
            });
        });
        let mut world = self.world();
        let challenge_id = world.id_of(&compact).to_string();
        world.reply("ConfirmReplacement", ConfirmReplacementResponse { challenge_id })
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

    async fn device_events(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<DeviceEventsResponse>, Status> {
        let mut world = self.world();
        let body: DeviceEventsBody = world.open("DeviceEvents", request, |_| None)?;
        let next = if body.page_token.is_empty() { "2" } else { "" };
        let event = DeviceEvent {
            event: "suspended".to_owned(),
            ..Default::default()
        };
        world.reply(
            "DeviceEvents",
            DeviceEventsResponse {
                events: vec![event],
                next_page_token: next.to_owned(),
                missing: 1,
            },
        )
    }

    async fn change_pin(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<ChangePinResponse>, Status> {
        let ChangePinBody {} = self.world().open("ChangePin", request, |_| None)?;
        let policy = self.world().pin_policy;
        let compact = self.ask(|claims| {
            claims.relying_party.id = CHANGE_PIN_RELYING_PARTY.parse().unwrap();
            claims.action = CHANGE_PIN_ACTION.to_owned();
            claims.match_rule = MatchRule {
                mode: MatchMode::None,
                digits: 0,
            };
            claims.new_pin_policy = Some(policy);
        });
        let mut world = self.world();
        let challenge_id = world.id_of(&compact).to_string();
        world.reply("ChangePin", ChangePinResponse { challenge_id })
    }

    async fn evaluate_pin_change(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<EvaluationResponse>, Status> {
        let mut world = self.world();
        let body: EvaluatePinChangeBody = world.open("EvaluatePinChange", request, |_| None)?;
        let id: ChallengeId = body.challenge_id.parse().unwrap();
        if world.changing != Some(id) {
            return Err(refused("pin_change.not_open"));
        }
        let element = BlindedElement::parse(&body.blinded_element).unwrap();
        let key = || OprfKey::random(&mut rng()).unwrap();
        let device_id = world.device_id;
        let key = world.new_keys.entry(element.sha256()).or_insert_with(key);
        let mut claims = evaluation(EvaluationContext::Challenge(id), device_id, key, &element);
        claims.epoch = world.epoch + 1;
        claims.evaluation = world.pin_change_evaluation;
        let evaluation = world.issuer.sign(&claims);
        world.reply("EvaluatePinChange", EvaluationResponse { evaluation })
    }

    async fn finish_pin_change(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<FinishPinChangeResponse>, Status> {
        let mut world = self.world();
        let body: FinishPinChangeBody = world.open("FinishPinChange", request, |_| None)?;
        if let Some(code) = world.refuse_pin_change {
            return Err(refused(code));
        }
        if world.pin_changed.as_ref() != Some(&body.pin_change) {
            world.move_epoch(&body)?;
        }
        let epoch = world.epoch;
        world.reply("FinishPinChange", FinishPinChangeResponse { epoch })
    }
}
