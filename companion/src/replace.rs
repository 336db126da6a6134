//! Letting a new phone take the place of this one, without a clerk.
//!
//! Called by the app of the old phone: [`Phone::replace`], then [`Phone::confirm_replacement`] and [`Phone::approve`] with the six
//! digits that the new phone shows. Invariant: what is approved names the activation that this phone was asked to confirm, and the
//! new phone's keys. The protocol: section 5.

use paraphe_proto::ids::{ActivationId, ChallengeId};
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{ConfirmReplacementBody, ReplaceBody};

use crate::challenge::Shown;
use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::outcome::malformed;
use crate::phone::Phone;
use crate::request::{Prover, method, resend};

/// The secret for the new phone. Show it on this phone's screen and nowhere else.
pub struct Invited {
    /// Names the activation; not secret.
    pub activation_id: ActivationId,
    /// For typing on the new phone.
    pub code: String,
    /// Content of the QR code.
    pub uri: String,
    /// Until when the new phone must be confirmed, by the daemon's clock.
    pub expires_at: Timestamp,
}

impl Phone {
    /// Hands out the secret with which a new phone is activated to take the place of this one. Asking again draws another one and ends
    /// the one before.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn replace(&self, server: &Server) -> Result<Invited, Error> {
        let prover = self.ready(server).await?;
        let request = prover
            .prove_fresh(server, method::REPLACE, &ReplaceBody {})
            .await?;
        let reply = server.client().replace(with_deadline(request)).await?;
        let reply = reply.into_inner();
        let activation_id = reply.activation_id.parse();
        Ok(Invited {
            activation_id: activation_id.map_err(|_| malformed("the activation has no id".to_owned()))?,
            code: reply.code,
            uri: reply.uri,
            expires_at: Timestamp::from_secs(reply.expires_at),
        })
    }

    /// Once the new phone shows its six digits: the challenge to show here. Approve it with those digits as its code, and the PIN. Wrong
    /// digits end the challenge as `failed`: ask again, three times in all.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`]; [`Error::Untrusted`] when its challenge does not hold.
    pub async fn confirm_replacement(
        &self,
        server: &Server,
        activation_id: ActivationId,
    ) -> Result<Shown, Error> {
        let prover = self.ready(server).await?;
        let challenge_id = resend(|| ask_replacement(server, &prover, activation_id)).await?;
        let pending = self.fetch(server).await?.into_iter();
        let mut shown = pending.filter_map(|pending| pending.challenge.ok());
        let shown = shown.find(|shown| shown.challenge_id() == challenge_id);
        let shown =
            shown.ok_or_else(|| malformed("the challenge of the replacement is missing".to_owned()))?;
        let named = shown.replacement().map(|replacement| replacement.activation_id);
        if named == Some(activation_id) {
            return Ok(shown);
        }
        let detail = "the challenge names another phone than the one that is to take the place of this one";
        Err(Error::untrusted("challenge.malformed", detail))
    }
}

/// Asks for the challenge that confirms the phone of an activation. Tests and load generators may use it.
///
/// # Errors
/// What the daemon refuses, or [`Error::Unreachable`].
pub async fn ask_replacement(
    server: &Server,
    prover: &Prover,
    activation_id: ActivationId,
) -> Result<ChallengeId, Error> {
    let body = ConfirmReplacementBody {
        activation_id: activation_id.to_string(),
    };
    let request = prover
        .prove_fresh(server, method::CONFIRM_REPLACEMENT, &body)
        .await?;
    let reply = server
        .client()
        .confirm_replacement(with_deadline(request))
        .await?;
    let challenge_id = reply.into_inner().challenge_id.parse();
    challenge_id.map_err(|_| malformed("the challenge has no id".to_owned()))
}
