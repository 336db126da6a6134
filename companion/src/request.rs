//! Requests that carry a proof: `{ bytes body; string proof }`.
//!
//! Called by everything that speaks for an activated phone. Invariant: the proof names the method, the device, the PIN
//! epoch, the hash of exactly the bytes that are sent, and either one challenge or one server nonce. There are no bearer
//! sessions. The protocol: section 3.

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::DeviceId;
use paraphe_proto::jws;
use paraphe_proto::keys::Signer;
use paraphe_proto::statements::{Freshness, Proof};
use paraphe_proto::v1::{NonceRequest, SignedRequest};
use prost::Message;

use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::state::Seen;

/// Sends of one request within one call. Further ones are the app's, which can wait for the network.
const SENDS: usize = 2;

/// The full gRPC method names that phones call with a proof.
pub mod method {
    /// Evaluates the blinded PIN of an activation.
    pub const EVALUATE_ACTIVATION: &str = "/paraphe.v1.Companion/EvaluateActivation";
    /// Ends the phone's part of an activation.
    pub const FINISH_ACTIVATION: &str = "/paraphe.v1.Companion/FinishActivation";
    /// The device as the daemon sees it.
    pub const DEVICE: &str = "/paraphe.v1.Companion/Device";
    /// The stream of events.
    pub const WATCH: &str = "/paraphe.v1.Companion/Watch";
    /// The pending challenges, once.
    pub const FETCH: &str = "/paraphe.v1.Companion/Fetch";
    /// Charges an attempt and evaluates the blinded PIN.
    pub const UNLOCK: &str = "/paraphe.v1.Companion/Unlock";
    /// Approves.
    pub const ANSWER: &str = "/paraphe.v1.Companion/Answer";
    /// Refuses or reports.
    pub const REFUSE: &str = "/paraphe.v1.Companion/Refuse";
    /// Asks to lift a block or a freeze.
    pub const LIFT: &str = "/paraphe.v1.Companion/Lift";
    /// Stops this phone.
    pub const SUSPEND: &str = "/paraphe.v1.Companion/Suspend";
    /// Asks that it may go on.
    pub const RESUME: &str = "/paraphe.v1.Companion/Resume";
    /// Gives it up.
    pub const REVOKE: &str = "/paraphe.v1.Companion/Revoke";
    /// Stops the phone that would take its place.
    pub const VETO: &str = "/paraphe.v1.Companion/Veto";
    /// Hands out the secret of a phone that takes its place.
    pub const REPLACE: &str = "/paraphe.v1.Companion/Replace";
    /// Asks whether that phone may.
    pub const CONFIRM_REPLACEMENT: &str = "/paraphe.v1.Companion/ConfirmReplacement";
    /// What was asked and answered.
    pub const HISTORY: &str = "/paraphe.v1.Companion/History";
    /// What happened to the person's phones.
    pub const DEVICE_EVENTS: &str = "/paraphe.v1.Companion/DeviceEvents";

    /// Asks for a PIN change.
    pub const CHANGE_PIN: &str = "/paraphe.v1.Companion/ChangePin";
    /// Evaluates the blinded new PIN.
    pub const EVALUATE_PIN_CHANGE: &str = "/paraphe.v1.Companion/EvaluatePinChange";
    /// Moves the PIN epoch.
    pub const FINISH_PIN_CHANGE: &str = "/paraphe.v1.Companion/FinishPinChange";

    #[cfg(test)]
    pub(crate) const ALL: [&str; 20] = [
        EVALUATE_ACTIVATION,
        FINISH_ACTIVATION,
        DEVICE,
        WATCH,
        FETCH,
        UNLOCK,
        ANSWER,
        REFUSE,
        LIFT,
        SUSPEND,
        RESUME,
        REVOKE,
        VETO,
        REPLACE,
        CONFIRM_REPLACEMENT,
        HISTORY,
        DEVICE_EVENTS,
        CHANGE_PIN,
        EVALUATE_PIN_CHANGE,
        FINISH_PIN_CHANGE,
    ];
}

/// Speaks for one device: what its proofs say, and the possession key that signs them.
pub struct Prover {
    /// The issuer's URL.
    pub issuer: String,
    /// The device.
    pub device_id: DeviceId,
    /// PIN epoch.
    pub epoch: u64,
    /// The last evaluation seen.
    pub seen: Seen,
    /// The possession key.
    pub key: Box<dyn Signer>,
}

impl Prover {
    /// A request with exactly these body bytes.
    ///
    /// # Errors
    /// `keystore.failed` when the possession key does not sign.
    pub fn prove_bytes(
        &self,
        method: &str,
        body: Vec<u8>,
        freshness: Freshness,
    ) -> Result<SignedRequest, Error> {
        let proof = Proof {
            iss: self.issuer.clone(),
            method: method.to_owned(),
            device_id: self.device_id,
            epoch: self.epoch,
            body_sha256: B64(sha256(&body)),
            freshness,
            seen_evaluation: self.seen.evaluation,
            seen_restore_epoch: self.seen.restore_epoch,
        };
        let proof = sign(&proof, &*self.key)?;
        Ok(SignedRequest { body, proof })
    }

    /// A request with this message as its body.
    ///
    /// # Errors
    /// Like [`Prover::prove_bytes`].
    pub fn prove(
        &self,
        method: &str,
        body: &impl Message,
        freshness: Freshness,
    ) -> Result<SignedRequest, Error> {
        self.prove_bytes(method, body.encode_to_vec(), freshness)
    }

    /// A request under a fresh server nonce.
    ///
    /// # Errors
    /// Like [`Prover::prove_bytes`], or when the nonce cannot be had.
    pub async fn prove_fresh(
        &self,
        server: &Server,
        method: &str,
        body: &impl Message,
    ) -> Result<SignedRequest, Error> {
        let body = body.encode_to_vec();
        let nonce = nonce(server).await?;
        self.prove_bytes(method, body, Freshness::Nonce(nonce))
    }
}

/// A fresh server nonce.
///
/// # Errors
/// When the daemon refuses or does not answer.
pub async fn nonce(server: &Server) -> Result<String, Error> {
    let send = || async {
        let reply = server.client().nonce(with_deadline(NonceRequest {})).await?;
        Ok(reply.into_inner().nonce)
    };
    resend(send).await
}

/// Signs one of the phone's statements and gives its compact JWS.
pub(crate) fn sign<S: jws::Statement>(statement: &S, key: &dyn Signer) -> Result<String, Error> {
    jws::sign(statement, key)
        .map(jws::Signed::into_compact)
        .map_err(|error| crate::keystore::KeyStoreError::Failed(error.to_string()).into())
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// Sends again when the reply was lost: a connection that died while the phone slept shows only at the first use.
pub(crate) async fn resend<T, F>(mut send: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut sends = 1;
    loop {
        match send().await {
            Err(error) if error.is_lost_reply() && sends < SENDS => sends += 1,
            verdict => return verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use paraphe_proto::access;
    use paraphe_proto::v1::Role;

    use super::method;

    #[test]
    fn every_method_name_is_an_rpc_for_phones() {
        for path in method::ALL {
            let roles = access::method(path).map(|method| method.roles);
            assert_eq!(roles, Some([Role::Phone].as_slice()), "{path}");
        }
    }
}
