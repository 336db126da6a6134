//! The RPCs of a replacement by the old phone (protocol.md section 5).

use paraphe_proto::ids::ActivationId;
use paraphe_proto::v1::{self, SignedRequest};
use tonic::{Request, Response, Status};

use super::CompanionService;
use crate::app::{Scope, replacement};
use crate::rpc::decode;

impl CompanionService {
    pub(super) async fn hand_out(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::ReplaceResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::ReplaceBody>(request, method!("Replace"), now)
            .await?;
        let phone = proven.phone;
        let verb = move |s: &mut Scope<'_, '_>| replacement::replace(s, &phone);
        let issued = self.settled("replace", phone.device_id, now, verb).await?;
        Ok(Response::new(v1::ReplaceResponse {
            activation_id: issued.id.to_string(),
            code: issued.code,
            uri: issued.uri,
            expires_at: issued.expires_at.as_secs(),
        }))
    }

    pub(super) async fn ask_replacement(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::ConfirmReplacementResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::ConfirmReplacementBody>(request, method!("ConfirmReplacement"), now)
            .await?;
        let phone = proven.phone;
        let id: ActivationId = decode::id("activation_id", "act_", &proven.body.activation_id)?;
        let verb = move |s: &mut Scope<'_, '_>| replacement::ask(s, &phone, id);
        let asked = self
            .settled("confirm_replacement", phone.device_id, now, verb)
            .await?;
        Ok(Response::new(v1::ConfirmReplacementResponse {
            challenge_id: asked.id.to_string(),
        }))
    }
}
