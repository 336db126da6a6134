//! How a challenge ended, and what the phone keeps of its own answer.
//!
//! Made by `approve` and `refuse` from the daemon's reply. Invariant: a receipt is about the challenge that was shown.
//! The protocol: section 6, step 5.

use std::fmt;
use std::str::FromStr;

use paraphe_proto::ids::ChallengeId;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1;
use serde::Serialize;

use crate::challenge::Shown;
use crate::error::Error;

/// The final state of a challenge. There is exactly one, ever.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalState {
    /// Approved with the PIN.
    Approved,
    /// The person said no.
    Denied,
    /// The person said that it is not them.
    Reported,
    /// Nobody answered in time.
    Expired,
    /// The relying party took it back.
    Cancelled,
    /// A newer one took its place.
    Superseded,
    /// A wrong code, or the device locked.
    Failed,
}

impl FinalState {
    const ALL: [Self; 7] = [
        Self::Approved,
        Self::Denied,
        Self::Reported,
        Self::Expired,
        Self::Cancelled,
        Self::Superseded,
        Self::Failed,
    ];

    /// The state's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Reported => "reported",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for FinalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FinalState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| malformed(format!("`{text}` is no final state of a challenge")))
    }
}

/// What came of an answer, with the two statements that prove it.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// The challenge.
    pub challenge_id: ChallengeId,
    /// Its final state: what was answered now, or what it had become before. Look at it before you say `confirmed`.
    pub state: FinalState,
    /// When it was decided, by the daemon's clock.
    pub decided_at: Timestamp,
    /// PIN attempts left; back at the full number after a right PIN.
    pub attempts_left: u32,
    /// Compact JWS `paraphe-challenge+jwt`: what was shown.
    pub challenge: String,
    /// Compact JWS `paraphe-approval+jwt` or `paraphe-refusal+jwt`: what this phone signed.
    pub answer: String,
}

impl Receipt {
    pub(crate) fn new(shown: &Shown, answer: String, outcome: v1::Outcome) -> Result<Self, Error> {
        let challenge_id = shown.challenge_id();
        if outcome.challenge_id != challenge_id.to_string() {
            return Err(malformed("the reply is about another challenge".to_owned()));
        }
        Ok(Self {
            challenge_id,
            state: outcome.state.parse()?,
            decided_at: Timestamp::from_secs(outcome.decided_at),
            attempts_left: outcome.attempts_left,
            challenge: shown.compact().to_owned(),
            answer,
        })
    }
}

pub(crate) fn malformed(detail: String) -> Error {
    Error::untrusted("reply.malformed", detail)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use paraphe_proto::ids::DeviceId;

    use super::*;
    use crate::testing::{Issuer, challenge, rng};

    #[test]
    fn every_state_has_one_name() {
        for state in FinalState::ALL {
            assert_eq!(state.as_str().parse::<FinalState>().unwrap(), state);
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        let unknown = "pending".parse::<FinalState>();
        assert_eq!(unknown.unwrap_err().code(), "reply.malformed");
    }

    #[test]
    fn a_reply_about_another_challenge_makes_no_receipt() {
        let (issuer, device_id) = (Issuer::new(), DeviceId::random(&mut rng()));
        let compact = issuer.sign(&challenge(&device_id));
        let shown = Shown::verify(&issuer.keys(), &device_id, &compact).unwrap();
        let receipt = |challenge_id: ChallengeId| {
            let outcome = v1::Outcome {
                challenge_id: challenge_id.to_string(),
                state: "approved".to_owned(),
                ..Default::default()
            };
            Receipt::new(&shown, String::new(), outcome)
        };
        assert_eq!(receipt(shown.challenge_id()).unwrap().state, FinalState::Approved);
        let other = receipt(ChallengeId::random(&mut rng()));
        assert_eq!(other.unwrap_err().code(), "reply.malformed");
    }
}
