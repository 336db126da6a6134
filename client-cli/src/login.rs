//! Logging an operator in: the daemon raises a challenge on their phone, the terminal asks every second whether it was
//! approved.
//!
//! Callers: `paraphe login`, the demo. Protocol: section 1, operators.

use std::sync::Arc;
use std::time::Duration;

use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::v1::{
    BeginSessionRequest, BeginSessionResponse, CompleteSessionRequest, CompleteSessionResponse, State,
};

use crate::channel::Connection;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::words::state_name;

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A login that waits for the phone.
pub struct Login {
    connection: Connection,
    credentials: Credentials,
    /// The challenge and the code to type on the phone.
    pub begun: BeginSessionResponse,
}

impl Login {
    /// Raises the login challenge of `operator` from the terminal that holds `terminal_key`.
    ///
    /// # Errors
    /// What the daemon refuses; it looks the same for an unknown terminal and an unknown operator.
    pub async fn begin(
        connection: &Connection,
        terminal_key: Arc<SoftwareKey>,
        operator: &str,
    ) -> Result<Self> {
        let credentials = Credentials::Terminal {
            key: terminal_key,
            issuer: connection.issuer.clone(),
        };
        let request = BeginSessionRequest {
            operator: operator.to_owned(),
        };
        let begun = connection
            .session(credentials.clone())
            .begin(request)
            .await?
            .into_inner();
        Ok(Login {
            connection: connection.clone(),
            credentials,
            begun,
        })
    }

    /// Waits until the person has answered on the phone.
    ///
    /// # Errors
    /// [`Error::NotApproved`] for every answer but yes, and what the daemon refuses.
    pub async fn complete(self) -> Result<CompleteSessionResponse> {
        let mut client = self.connection.session(self.credentials.clone());
        loop {
            let request = CompleteSessionRequest {
                challenge_id: self.begun.challenge_id.clone(),
            };
            let reply = client.complete(request).await?.into_inner();
            match reply.state() {
                State::Pending | State::Unspecified => tokio::time::sleep(POLL_INTERVAL).await,
                State::Approved => return Ok(reply),
                other => return Err(Error::NotApproved(state_name(other))),
            }
        }
    }
}
