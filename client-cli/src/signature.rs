//! Waiting for a clerk's own phone to sign an enrolment: the terminal asks every second where the activation stands.
//!
//! Callers: `paraphe clerk activate`, the demo. Protocol: section 5.

use std::time::Duration;

use paraphe_proto::v1::GetActivationRequest;
use paraphe_proto::v1::enrolment_client::EnrolmentClient;

use crate::channel::AuthenticatedChannel;
use crate::error::{Error, Result};

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Returns once the enrolment is signed and the activation is good.
///
/// # Errors
/// [`Error::NotApproved`] for every answer but yes, and what the daemon refuses.
pub async fn signed(client: &mut EnrolmentClient<AuthenticatedChannel>, activation_id: &str) -> Result<()> {
    loop {
        let request = GetActivationRequest {
            activation_id: activation_id.to_owned(),
        };
        let state = client.get_activation(request).await?.into_inner().state;
        match state.as_str() {
            "awaiting_signature" => tokio::time::sleep(POLL_INTERVAL).await,
            "unsigned" => return Err(Error::NotApproved("unsigned")),
            "expired" => return Err(Error::NotApproved("expired")),
            "revoked" => return Err(Error::NotApproved("revoked")),
            _ => return Ok(()),
        }
    }
}
