//! Refusing and reporting, which need no PIN.
//!
//! Called by the app with a [`Shown`]. Invariant: the refusal names the challenge that was shown and is signed by the
//! possession key, so a stranger cannot refuse in the person's name. The protocol: sections 3 and 6.

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::statements::{Freshness, Refusal, RefusalDecision};
use paraphe_proto::v1::{self, RefuseBody};

use crate::challenge::Shown;
use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::outcome::Receipt;
use crate::phone::Phone;
use crate::request::{Prover, method, resend, sign};

impl Phone {
    /// Says no.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`]; calling again is safe.
    pub async fn refuse(&self, server: &Server, shown: &Shown) -> Result<Receipt, Error> {
        self.decide(server, shown, RefusalDecision::Deny).await
    }

    /// Says "this is not me": the relying party is blocked for this person until the person lifts it.
    ///
    /// # Errors
    /// Like [`Phone::refuse`].
    pub async fn report(&self, server: &Server, shown: &Shown) -> Result<Receipt, Error> {
        self.decide(server, shown, RefusalDecision::NotMe).await
    }

    async fn decide(
        &self,
        server: &Server,
        shown: &Shown,
        decision: RefusalDecision,
    ) -> Result<Receipt, Error> {
        let prover = self.ready(server).await?;
        let refusal = prover.refuse(shown.sha256(), decision)?;
        let challenge_id = shown.challenge_id();
        let outcome = resend(|| send_refusal(server, &prover, challenge_id, &refusal)).await?;
        Receipt::new(shown, refusal, outcome)
    }
}

impl Prover {
    /// A refusal statement, compact JWS `paraphe-refusal+jwt`.
    ///
    /// # Errors
    /// `keystore.failed` when the possession key does not sign.
    pub fn refuse(&self, challenge_sha256: [u8; 32], decision: RefusalDecision) -> Result<String, Error> {
        let refusal = Refusal {
            iss: self.issuer.clone(),
            challenge_sha256: B64(challenge_sha256),
            decision,
            device_id: self.device_id,
            epoch: self.epoch,
        };
        sign(&refusal, &*self.key)
    }
}

/// Sends one refusal statement. Repeating it returns the first outcome.
///
/// # Errors
/// What the daemon refuses, or [`Error::Unreachable`].
pub async fn send_refusal(
    server: &Server,
    prover: &Prover,
    challenge_id: ChallengeId,
    refusal: &str,
) -> Result<v1::Outcome, Error> {
    let body = RefuseBody {
        challenge_id: challenge_id.to_string(),
        refusal: refusal.to_owned(),
    };
    let request = prover.prove(method::REFUSE, &body, Freshness::Challenge(challenge_id))?;
    let reply = server.client().refuse(with_deadline(request)).await?;
    Ok(reply.into_inner())
}
