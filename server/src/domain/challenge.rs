//! One challenge from request to its one final state (protocol.md section 6).
//!
//! Called by `app::request`, `app::unlock`, `app::answer` and `app::expiry`. Invariant: only `Pending` has transitions, each of
//! which takes the challenge and gives back one in a final state.

use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId, OperatorId, PairwiseSubject, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::{self, Fault, Result};
use super::level::Acr;
use super::secret::Bytes;

/// Where a challenge is.
#[derive(Clone, Serialize, Deserialize)]
pub enum State {
    /// Waits for the person.
    Pending,
    /// Approved by PIN.
    Approved {
        /// When.
        at: Timestamp,
        /// The approval statement, compact JWS.
        approval: String,
        /// The assertion for the backend, compact JWS.
        assertion: String,
        /// When the assertion expires.
        assertion_expires_at: Timestamp,
    },
    /// Refused.
    Denied {
        /// When.
        at: Timestamp,
        /// The refusal statement, compact JWS.
        refusal: String,
    },
    /// "This is not me".
    Reported {
        /// When.
        at: Timestamp,
        /// The refusal statement, compact JWS.
        refusal: String,
    },
    /// Nobody answered in time.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Withdrawn by the backend.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// A newer request took its place.
    Superseded {
        /// When.
        at: Timestamp,
    },
    /// A wrong match code, or the device ended.
    Failed {
        /// When.
        at: Timestamp,
        /// The approval with the wrong code; `None` when the device ended.
        approval: Option<String>,
    },
}

impl State {
    /// The name in the database and on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Reported { .. } => "reported",
            Self::Expired { .. } => "expired",
            Self::Cancelled { .. } => "cancelled",
            Self::Superseded { .. } => "superseded",
            Self::Failed { .. } => "failed",
        }
    }

    /// When it became final.
    pub fn decided_at(&self) -> Option<Timestamp> {
        match self {
            Self::Pending => None,
            Self::Approved { at, .. }
            | Self::Denied { at, .. }
            | Self::Reported { at, .. }
            | Self::Expired { at }
            | Self::Cancelled { at }
            | Self::Superseded { at }
            | Self::Failed { at, .. } => Some(*at),
        }
    }
}

/// What an approval sets in motion besides the verdict.
#[derive(Clone, Serialize, Deserialize)]
pub enum Purpose {
    /// A backend asked.
    StepUp,
    /// An operator signs in on a terminal; `redeemed` once the session token was given out.
    Login {
        /// Who.
        operator_id: OperatorId,
        /// RFC 7638 thumbprint of the terminal's key.
        terminal: String,
        /// Whether the token was given out.
        redeemed: bool,
    },
    /// The person lifts the block of one relying party, or the freeze and all blocks.
    Lift {
        /// The relying party; `None` for everything.
        relying_party_id: Option<String>,
    },
    /// The person lets their suspended phone go on.
    Resume,
    /// The person changes the PIN of this phone.
    ChangePin,
    /// The person lets another phone take the place of this one.
    Replace {
        /// The activation that made the other phone.
        activation_id: ActivationId,
    },
    /// A clerk signs an enrolment.
    Enrol {
        /// Who.
        operator_id: OperatorId,
        /// The activation that is good once it is signed.
        activation_id: ActivationId,
    },
}

/// A challenge as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Challenge {
    /// Its id.
    pub id: ChallengeId,
    /// Who asks.
    pub relying_party_id: String,
    /// The person.
    pub subject_id: SubjectId,
    /// Their subject at this relying party.
    pub subject: PairwiseSubject,
    /// The phone it is for.
    pub device_id: DeviceId,
    /// The relying party's own key.
    pub idempotency_key: String,
    /// SHA-256 of the request without its key.
    pub content: Bytes<32>,
    /// Action id.
    pub action: String,
    /// Whether it is a transaction (one pending at a time) or a login.
    pub transaction: bool,
    /// Level that the action needs.
    pub acr: Acr,
    /// The parameters as JSON, for `authorization_details`.
    pub parameters: String,
    /// The signed challenge, compact JWS.
    pub statement: String,
    /// What the person must enter; `None` without a match code.
    pub match_code: Option<String>,
    /// Listed, but nobody is woken.
    pub quiet: bool,
    /// What an approval sets in motion.
    pub purpose: Purpose,
    /// When it was asked.
    pub created_at: Timestamp,
    /// Rises by one per person: the order of their history within one second.
    pub subject_number: u64,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Number of the verdict among those of the relying party; set with the final state.
    pub verdict_number: Option<u64>,
    /// Where it is.
    pub state: State,
}

impl Challenge {
    /// Whether it waits for an answer and its time is not over.
    pub fn is_open(&self, now: Timestamp) -> bool {
        matches!(self.state, State::Pending) && now < self.expires_at
    }

    /// The final state of one that nobody can answer any more.
    pub fn cut_short(&self, now: Timestamp) -> State {
        match self.is_open(now) {
            true => State::Failed {
                at: now,
                approval: None,
            },
            false => State::Expired { at: now },
        }
    }

    /// # Errors
    /// The code of the final state it has reached, or `challenge.expired`.
    pub fn require_open(&self, now: Timestamp) -> Result<()> {
        match &self.state {
            State::Pending if now < self.expires_at => Ok(()),
            State::Pending | State::Expired { .. } => fault::CHALLENGE_EXPIRED.broken(),
            State::Cancelled { .. } => fault::CHALLENGE_CANCELLED.broken(),
            State::Superseded { .. } => fault::CHALLENGE_SUPERSEDED.broken(),
            State::Failed { .. } => fault::CHALLENGE_FAILED.broken(),
            State::Approved { .. } | State::Denied { .. } | State::Reported { .. } => {
                fault::CHALLENGE_ANSWERED.broken()
            }
        }
    }

    /// Moves to a final state.
    ///
    /// # Errors
    /// The fault of [`Self::require_open`]; `Expired` needs its time to be over instead.
    pub fn decide(mut self, now: Timestamp, state: State) -> Result<Self> {
        match (&self.state, &state) {
            (State::Pending, State::Expired { .. }) if now >= self.expires_at => {}
            (_, State::Expired { .. } | State::Pending) => {
                return Err(Fault::internal("a challenge was decided out of turn"));
            }
            _ => self.require_open(now)?,
        }
        self.state = state;
        Ok(self)
    }

    /// Whether `code` is what the backend's page shows. Constant time.
    pub fn matches(&self, code: &str) -> bool {
        use subtle::ConstantTimeEq;
        let expected = self.match_code.as_deref().unwrap_or("");
        expected.as_bytes().ct_eq(code.as_bytes()).into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    pub(crate) fn pending() -> Challenge {
        Challenge {
            id: ChallengeId::from_bytes([1; 16]),
            relying_party_id: "market".into(),
            subject_id: SubjectId::from_bytes([2; 16]),
            subject: PairwiseSubject::from_bytes([3; 32]),
            device_id: DeviceId::from_bytes([4; 16]),
            idempotency_key: "k".into(),
            content: Bytes([0; 32]),
            action: "course.buy".into(),
            transaction: true,
            acr: Acr::Eidas2,
            parameters: "{}".into(),
            statement: "a.b.c".into(),
            match_code: Some("123456".into()),
            quiet: false,
            purpose: Purpose::StepUp,
            created_at: at(0),
            subject_number: 1,
            expires_at: at(300),
            verdict_number: None,
            state: State::Pending,
        }
    }

    fn finals(now: Timestamp) -> Vec<State> {
        vec![
            State::Approved {
                at: now,
                approval: String::new(),
                assertion: String::new(),
                assertion_expires_at: now,
            },
            State::Denied {
                at: now,
                refusal: String::new(),
            },
            State::Reported {
                at: now,
                refusal: String::new(),
            },
            State::Expired { at: now },
            State::Cancelled { at: now },
            State::Superseded { at: now },
            State::Failed {
                at: now,
                approval: None,
            },
        ]
    }

    proptest! {
        #[test]
        fn exactly_one_final_state(first in 0usize..7, second in 0usize..7, t1 in 0i64..600, t2 in 0i64..600) {
            let state = finals(at(t1)).swap_remove(first);
            let expires = matches!(state, State::Expired { .. });
            let decided = pending().decide(at(t1), state);
            prop_assert_eq!(decided.is_ok(), expires == (t1 >= 300));
            if let Ok(decided) = decided {
                prop_assert!(decided.decide(at(t2), finals(at(t2)).swap_remove(second)).is_err());
            }
        }
    }

    #[test]
    fn an_absent_match_code_is_matched_by_nothing_typed() {
        let mut challenge = pending();
        assert!(challenge.matches("123456"));
        assert!(!challenge.matches("12345"));
        assert!(!challenge.matches(""));
        challenge.match_code = None;
        assert!(challenge.matches(""));
        assert!(!challenge.matches("123456"));
    }
}
