//! The signed reply to every blinded PIN: `paraphe-evaluation+jwt`.

use std::sync::Arc;

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::DeviceId;
use paraphe_proto::jws;
use paraphe_proto::keys::Signer;
use paraphe_proto::oprf::{BlindedElement, OprfKey};
use paraphe_proto::statements::{self, EvaluationContext};
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1;
use tonic::{Response, Status};

use crate::app::Facts;
use crate::domain::fault::{self, Fault};

/// What an evaluation is made of, after the commit that allowed it.
pub(super) struct Evaluated<'a> {
    pub(super) context: EvaluationContext,
    pub(super) device_id: DeviceId,
    pub(super) epoch: u64,
    pub(super) key: &'a OprfKey,
    pub(super) element: &'a BlindedElement,
    pub(super) number: u64,
    pub(super) attempts_left: u32,
    pub(super) wait_s: i64,
    /// An activation's is the key of its offer.
    pub(super) signer: Arc<dyn Signer>,
}

impl Evaluated<'_> {
    /// Evaluates and signs.
    pub(super) fn sign(
        self,
        facts: &Facts,
        now: Timestamp,
    ) -> Result<Response<v1::EvaluationResponse>, Status> {
        let claims = statements::Evaluation {
            iss: facts.issuer().to_owned(),
            context: self.context,
            device_id: self.device_id,
            epoch: self.epoch,
            evaluation: self.number,
            element_sha256: B64(self.element.sha256()),
            evaluated: B64(*self.key.evaluate(self.element).as_bytes()),
            attempts_left: self.attempts_left,
            wait_s: u32::try_from(self.wait_s).unwrap_or(u32::MAX),
            restore_epoch: facts.restore_epoch,
            iat: now,
        };
        let sign = || jws::sign(&claims, &*self.signer);
        let signed = match facts.keys.on_token() {
            true => tokio::task::block_in_place(sign),
            false => sign(),
        };
        let signed = signed.map_err(Fault::from)?;
        Ok(Response::new(v1::EvaluationResponse {
            evaluation: signed.into_compact(),
        }))
    }
}

/// A blinded PIN as it was sent.
pub(super) fn element(bytes: &[u8]) -> Result<BlindedElement, Status> {
    BlindedElement::parse(bytes).map_err(|_| fault::ELEMENT_INVALID.fault().on("blinded_element").into())
}
