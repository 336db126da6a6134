//! The life of a phone as the phone itself asks for it (protocol.md section 5).

use paraphe_proto::ids::DeviceId;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{self, SignedRequest};
use tonic::{Request, Response, Status};

use super::CompanionService;
use crate::app::newcomer::{self as newcomers, Newcomer};
use crate::app::{Scope, history, life};
use crate::domain::device::{ProvenPhone, State};
use crate::domain::fault;
use crate::rpc::{decode, encode};

impl CompanionService {
    pub(super) async fn seen(
        &self,
        request: Request<SignedRequest>,
        method: &'static str,
    ) -> Result<Response<v1::DeviceResponse>, Status> {
        let now = self.0.now()?;
        let proven = self.by_nonce::<v1::DeviceBody>(request, method, now).await?;
        let view = self
            .0
            .read("device", now, move |s| history::device(s, proven.phone.device_id))
            .await?;
        let blocked =
            view.blocked.into_iter().map(
                |(relying_party_id, display_name, since)| v1::BlockedRelyingParty {
                    relying_party_id,
                    display_name,
                    since: since.as_secs(),
                },
            );
        Ok(Response::new(v1::DeviceResponse {
            state: encode::device_state(view.state).into(),
            quarantined_until: encode::quarantined_until(view.state),
            attempts_left: view.attempts_left,
            wait_s: u32::try_from(view.wait_s).unwrap_or(0),
            blocked: blocked.collect(),
            frozen_since: view.frozen_since.map_or(0, Timestamp::as_secs),
            valid_until: view.valid_until.map_or(0, Timestamp::as_secs),
            replaced_at: view.replaced_at.map_or(0, Timestamp::as_secs),
            added_at: view.added_at.map_or(0, Timestamp::as_secs),
            attestation: view.attestation.map(encode::attestation),
            newcomers: view.newcomers.iter().map(newcomer).collect(),
            pin_rules: Some(encode::pin_rules(&self.0.daemon.facts.pin_policy())),
        }))
    }

    pub(super) async fn moved<B: prost::Message + Default + Send>(
        &self,
        request: Request<SignedRequest>,
        (name, method): (&'static str, &'static str),
        verb: fn(&mut Scope<'_, '_>, &ProvenPhone) -> fault::Result<State>,
    ) -> Result<Response<v1::MovedResponse>, Status> {
        let now = self.0.now()?;
        let phone = self.by_nonce::<B>(request, method, now).await?.phone;
        let state = self
            .settled(name, phone.device_id, now, move |s| verb(s, &phone))
            .await?;
        Ok(moved_to(state))
    }

    pub(super) async fn vetoing(
        &self,
        request: Request<SignedRequest>,
        method: &'static str,
    ) -> Result<Response<v1::MovedResponse>, Status> {
        let now = self.0.now()?;
        let proven = self.by_nonce::<v1::VetoBody>(request, method, now).await?;
        let phone = proven.phone;
        let which: Option<DeviceId> = match proven.body.device_id.as_str() {
            "" => None,
            named => Some(decode::id("device_id", "dev_", named)?),
        };
        let verb = move |s: &mut Scope<'_, '_>| newcomers::veto(s, &phone, which);
        let state = self.settled("veto", phone.device_id, now, verb).await?;
        Ok(moved_to(state))
    }

    pub(super) async fn resuming(
        &self,
        request: Request<SignedRequest>,
        method: &'static str,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let now = self.0.now()?;
        let phone = self.by_nonce::<v1::ResumeBody>(request, method, now).await?.phone;
        let raised = self
            .settled("resume", phone.device_id, now, move |s| life::resume(s, &phone))
            .await?;
        Ok(Response::new(v1::ResumeResponse {
            challenge_id: raised.id.to_string(),
        }))
    }
}

fn moved_to(state: State) -> Response<v1::MovedResponse> {
    Response::new(v1::MovedResponse {
        state: encode::device_state(state).into(),
    })
}

fn newcomer(new: &Newcomer) -> v1::Newcomer {
    v1::Newcomer {
        device_id: new.phone.id.to_string(),
        created_at: new.phone.created_at.as_secs(),
        counts_at: new.at.as_secs(),
        replaces_device_id: new.phone.replaces.map(|id| id.to_string()).unwrap_or_default(),
    }
}
