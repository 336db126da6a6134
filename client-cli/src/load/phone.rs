//! A phone in memory: what the companion crate does with a folder and a person, without either.
//!
//! Called by `stream`, `answer` and `confirmation`. Invariants: it verifies all that the daemon sends it, like every phone;
//! the last evaluation seen is returned in every later proof and never falls, so a daemon that forgot one is noticed. Each
//! call here is one send: trying again is the caller's. Protocol: sections 3 to 6.

use std::sync::{Arc, Mutex, PoisonError};

use paraphe_companion::state::Seen;
use paraphe_companion::{IssuerKeys, Server, Shown, protocol};
use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::oprf::{BlindState, BlindedElement};
use paraphe_proto::pin::WrappedKey;
use paraphe_proto::statements::{Evaluation, EvaluationContext, RefusalDecision};
use paraphe_proto::v1::{CompanionEvent, DeviceBody, FetchBody, LiftBody, Outcome, WatchBody};
use protocol::{Expected, Prover, method};
use tonic::Streaming;
use zeroize::Zeroizing;

use super::folder::PhoneLine;
use super::keys::SharedKey;
use crate::error::{Error, Result};

/// One phone with its owner's PIN.
pub struct LoadPhone {
    /// What messages call it.
    pub name: String,
    /// The device.
    pub device_id: DeviceId,
    /// What its owner types.
    pub pin: Zeroizing<String>,
    epoch: u64,
    key: SharedKey,
    device_secret: Zeroizing<[u8; 32]>,
    wrapped: WrappedKey,
    keys: Arc<IssuerKeys>,
    server: Server,
    seen: Mutex<Seen>,
}

impl LoadPhone {
    /// The phone of a line, on this connection.
    ///
    /// # Errors
    /// [`Error::Invalid`] `load.folder` when its keys cannot be read.
    pub fn new(line: &PhoneLine, keys: Arc<IssuerKeys>, server: Server) -> Result<Self> {
        let unusable = |what: &str| {
            Error::invalid(
                "load.folder",
                format!("The {what} of phone {} cannot be read.", line.name),
            )
        };
        let key = SoftwareKey::from_pkcs8_pem(&line.possession_key_pem);
        Ok(LoadPhone {
            name: line.name.clone(),
            device_id: line.device_id,
            pin: Zeroizing::new(line.pin.clone()),
            epoch: line.epoch,
            key: SharedKey(Arc::new(key.map_err(|_| unusable("possession key"))?)),
            device_secret: Zeroizing::new(*line.device_secret.as_bytes()),
            wrapped: serde_json::from_slice(&line.wrapped_key.0).map_err(|_| unusable("wrapped key"))?,
            keys,
            server,
            seen: Mutex::new(Seen::default()),
        })
    }

    fn prover(&self) -> Prover {
        Prover {
            issuer: self.keys.issuer().to_owned(),
            device_id: self.device_id,
            epoch: self.epoch,
            seen: *self.seen.lock().unwrap_or_else(PoisonError::into_inner),
            key: Box::new(self.key.clone()),
        }
    }

    /// Opens the stream of events.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn watch(&self) -> Result<Streaming<CompanionEvent>> {
        let prover = self.prover();
        let request = prover
            .prove_fresh(&self.server, method::WATCH, &WatchBody {})
            .await?;
        Ok(self.server.client().watch(request).await?.into_inner())
    }

    /// PIN attempts left, as the daemon counts them.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn attempts_left(&self) -> Result<u32> {
        let prover = self.prover();
        let request = prover
            .prove_fresh(&self.server, method::DEVICE, &DeviceBody {})
            .await?;
        Ok(self
            .server
            .client()
            .device(request)
            .await?
            .into_inner()
            .attempts_left)
    }

    /// The challenges that wait, as signed.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn fetch(&self) -> Result<Vec<String>> {
        let prover = self.prover();
        let request = prover
            .prove_fresh(&self.server, method::FETCH, &FetchBody {})
            .await?;
        let reply = self.server.client().fetch(request).await?.into_inner();
        Ok(reply
            .challenges
            .into_iter()
            .map(|pending| pending.challenge)
            .collect())
    }

    /// Reads a challenge as a person may see it.
    ///
    /// # Errors
    /// [`Error::Untrusted`].
    pub fn verify(&self, challenge: &str) -> Result<Shown> {
        Ok(Shown::verify(&self.keys, &self.device_id, challenge)?)
    }

    /// Has one blinded PIN evaluated.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn evaluate(&self, challenge_id: ChallengeId, element: &BlindedElement) -> Result<String> {
        Ok(protocol::request_evaluation(&self.server, &self.prover(), challenge_id, element).await?)
    }

    /// Verifies an evaluation and remembers it.
    ///
    /// # Errors
    /// [`Error::Untrusted`].
    pub fn accept(
        &self,
        evaluation: &str,
        challenge_id: ChallengeId,
        element: &BlindedElement,
    ) -> Result<Evaluation> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = Expected {
            context: EvaluationContext::Challenge(challenge_id),
            device_id: self.device_id,
            epoch: self.epoch,
            element_sha256: element.sha256(),
            seen: *seen,
        };
        let verified = protocol::check_evaluation(&self.keys, evaluation, &expected)?;
        *seen = protocol::seen(verified.claims());
        Ok(verified.claims().clone())
    }

    /// Takes the approval key out.
    ///
    /// # Errors
    /// [`Error::WrongPin`].
    pub fn unwrap(&self, blind: BlindState, evaluation: &Evaluation) -> Result<SoftwareKey> {
        let opened = protocol::unwrap_approval_key(&self.wrapped, &self.device_secret, blind, evaluation)?;
        Ok(opened)
    }

    /// The approval of what was shown.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn approval(
        &self,
        shown: &Shown,
        match_code: &str,
        key: &SoftwareKey,
        evaluation: &Evaluation,
    ) -> Result<String> {
        let issuer = self.keys.issuer().to_owned();
        let code = if shown.match_digits().is_some() {
            match_code
        } else {
            ""
        };
        Ok(protocol::approval_statement(
            issuer,
            key,
            shown.sha256(),
            code,
            evaluation,
        )?)
    }

    /// Sends an approval.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn answer(&self, challenge_id: ChallengeId, approval: &str) -> Result<Outcome> {
        Ok(protocol::send_approval(&self.server, &self.prover(), challenge_id, approval).await?)
    }

    /// The refusal of what was shown.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn refusal(&self, shown: &Shown, decision: RefusalDecision) -> Result<String> {
        Ok(self.prover().refuse(shown.sha256(), decision)?)
    }

    /// Sends a refusal.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn refuse(&self, challenge_id: ChallengeId, refusal: &str) -> Result<Outcome> {
        Ok(protocol::send_refusal(&self.server, &self.prover(), challenge_id, refusal).await?)
    }

    /// Asks to lift the block of a backend; the challenge comes to this phone.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn lift(&self, relying_party_id: &str) -> Result<ChallengeId> {
        let body = LiftBody {
            relying_party_id: relying_party_id.to_owned(),
        };
        let request = self
            .prover()
            .prove_fresh(&self.server, method::LIFT, &body)
            .await?;
        let reply = self.server.client().lift(request).await?.into_inner();
        reply.challenge_id.parse().map_err(|_| Error::Untrusted {
            code: "reply.malformed",
            detail: "the challenge has no id".to_owned(),
        })
    }
}
