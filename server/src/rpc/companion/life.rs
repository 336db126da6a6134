//! The life of a phone as the phone itself asks for it (protocol.md section 5).

use std::sync::Arc;

use paraphe_proto::v1::{self, SignedRequest};
use tonic::{Request, Response, Status};

use super::CompanionService;
use crate::app::{Scope, life};
use crate::domain::fault;
use crate::rpc::encode;

impl CompanionService {
    pub(super) async fn moved<B: prost::Message + Default + Send>(
        &self,
        request: Request<SignedRequest>,
        (name, method): (&'static str, &'static str),
        verb: fn(&mut Scope<'_, '_>, paraphe_proto::ids::DeviceId) -> fault::Result<life::Moved>,
    ) -> Result<Response<v1::MovedResponse>, Status> {
        let now = self.0.now()?;
        let id = self.by_nonce::<B>(request, method, now).await?.phone.device_id;
        let moved = self.settled(name, id, now, move |s| verb(s, id)).await?;
        let state = encode::device_state(moved.state).into();
        moved
            .ended
            .into_iter()
            .for_each(|ended| self.0.wake(&Arc::new(ended)));
        Ok(Response::new(v1::MovedResponse { state }))
    }

    pub(super) async fn resuming(
        &self,
        request: Request<SignedRequest>,
        method: &'static str,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let now = self.0.now()?;
        let id = self
            .by_nonce::<v1::ResumeBody>(request, method, now)
            .await?
            .phone
            .device_id;
        let raised = self
            .settled("resume", id, now, move |s| life::resume(s, id))
            .await?;
        let challenge_id = raised.id.to_string();
        self.0.wake(&Arc::new(raised));
        Ok(Response::new(v1::ResumeResponse { challenge_id }))
    }
}
