//! Stopping this phone, letting it go on, giving it up, and stopping one that would take its place.
//!
//! Called by the app. Invariant: what restores needs the PIN, what stops does not. The protocol: section 5.

use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::v1::{self, MovedResponse, ResumeBody, RevokeBody, SuspendBody, VetoBody};

use crate::connect::{Server, with_deadline};
use crate::device::DeviceState;
use crate::error::Error;
use crate::outcome::malformed;
use crate::phone::Phone;
use crate::request::method;

impl Phone {
    /// Stops this phone: it approves nothing until [`Phone::resume`]. What waits for it ends.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn suspend(&self, server: &Server) -> Result<DeviceState, Error> {
        let prover = self.prover()?;
        let request = prover
            .prove_fresh(server, method::SUSPEND, &SuspendBody {})
            .await?;
        moved(
            server
                .client()
                .suspend(with_deadline(request))
                .await?
                .into_inner(),
        )
    }

    /// Asks that this suspended phone may go on. It comes back as a challenge on this phone, to be approved with the PIN.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn resume(&self, server: &Server) -> Result<ChallengeId, Error> {
        let prover = self.prover()?;
        let request = prover.prove_fresh(server, method::RESUME, &ResumeBody {}).await?;
        let reply = server.client().resume(with_deadline(request)).await?;
        let challenge_id = reply.into_inner().challenge_id.parse();
        challenge_id.map_err(|_| malformed("the challenge has no id".to_owned()))
    }

    /// Gives this phone up for good; ask twice before.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn revoke(&self, server: &Server) -> Result<DeviceState, Error> {
        let prover = self.prover()?;
        let request = prover.prove_fresh(server, method::REVOKE, &RevokeBody {}).await?;
        moved(server.client().revoke(with_deadline(request)).await?.into_inner())
    }

    /// Says that a newer phone which is about to take the place of this one, or to count beside it, is not the owner's; the state that one
    /// is in now. `newcomer` is its id in [`Device::newcomers`](crate::Device::newcomers): the one that was shown, so that none that came
    /// meanwhile ends in its place. `None` means the only one there is.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn veto(&self, server: &Server, newcomer: Option<DeviceId>) -> Result<DeviceState, Error> {
        let prover = self.prover()?;
        let body = VetoBody {
            device_id: newcomer.map(|id| id.to_string()).unwrap_or_default(),
        };
        let request = prover.prove_fresh(server, method::VETO, &body).await?;
        moved(server.client().veto(with_deadline(request)).await?.into_inner())
    }
}

fn moved(wire: MovedResponse) -> Result<DeviceState, Error> {
    v1::DeviceState::try_from(wire.state)
        .unwrap_or_default()
        .try_into()
}
