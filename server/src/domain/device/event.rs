//! What happened to a phone, who did it and why, as its owner reads it (protocol.md section 5).
//!
//! Called by `app::device_event` for each phone that is written. Invariant: what happened is read off the phone itself, by comparing it
//! with what it was; so no transition goes untold, whoever makes it.

use paraphe_proto::ids::{DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Device, State};

/// What of a phone is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    state: State,
    epoch: u64,
    rollback_noticed: bool,
}

impl Mark {
    /// Where the phone is in its life.
    pub fn state(self) -> State {
        self.state
    }
}

impl Device {
    /// What its history tells of it.
    pub fn mark(&self) -> Mark {
        Mark {
            state: self.state,
            epoch: self.epoch,
            rollback_noticed: self.rollback_noticed,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It came into being.
    Enrolled,
    /// The six digits were right: it counts, after its quarantine.
    Confirmed,
    /// Its quarantine is over.
    QuarantineEnded,
    /// It answers nothing until it is resumed.
    Suspended,
    /// It goes on.
    Resumed,
    /// The last PIN attempt was wrong.
    Locked,
    /// It ended for good.
    Revoked,
    /// The old phone refused the one that would have taken its place.
    Vetoed,
    /// Another phone took its place.
    Replaced,
    /// The document behind it is no longer valid.
    Expired,
    /// Another PIN counts.
    PinChanged,
    /// It had seen more than the database knew: it approves nothing any more.
    RollbackNoticed,
}

impl What {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Confirmed => "confirmed",
            Self::QuarantineEnded => "quarantine_ended",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Locked => "locked",
            Self::Revoked => "revoked",
            Self::Vetoed => "vetoed",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::PinChanged => "pin_changed",
            Self::RollbackNoticed => "rollback_noticed",
        }
    }
}

/// Who did it: the role, never the name of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Whoever held the phone.
    OwnPhone,
    /// Whoever held the phone that it would have replaced.
    OldPhone,
    /// Whoever told the suspension code.
    Person,
    /// A clerk.
    Clerk,
    /// A supervisor.
    Supervisor,
    /// An administrator.
    Administrator,
    /// The daemon, by time or by what it noticed.
    Daemon,
}

impl Who {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnPhone => "own_phone",
            Self::OldPhone => "old_phone",
            Self::Person => "person",
            Self::Clerk => "clerk",
            Self::Supervisor => "supervisor",
            Self::Administrator => "administrator",
            Self::Daemon => "daemon",
        }
    }
}

/// Who writes a phone, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Who.
    pub who: Who,
    /// Why.
    pub why: String,
}

impl Cause {
    /// Somebody, for a reason.
    pub fn new(who: Who, why: impl Into<String>) -> Self {
        Self { who, why: why.into() }
    }

    /// The daemon, for a reason.
    pub fn daemon(why: impl Into<String>) -> Self {
        Self::new(Who::Daemon, why)
    }

    /// Whoever held the phone asked for it.
    pub fn asked() -> Self {
        Self::new(Who::OwnPhone, "asked")
    }

    /// The same in the audit trail.
    pub fn outcome(&self) -> String {
        match self.who {
            Who::OwnPhone | Who::OldPhone => self.who.as_str().to_owned(),
            Who::Supervisor | Who::Administrator => format!("reason: {}", self.why),
            Who::Person | Who::Clerk | Who::Daemon => self.why.clone(),
        }
    }

    /// Whoever held the phone gave its PIN.
    pub fn pin() -> Self {
        Self::new(Who::OwnPhone, "pin")
    }
}

/// One thing that happened to one phone of a person.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeviceEvent {
    /// Whose phone.
    pub subject_id: SubjectId,
    /// Rises by one among the events of a person.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Which phone.
    pub device_id: DeviceId,
    /// What happened.
    pub what: What,
    /// What the phone was from then on.
    pub state: State,
    /// Who did it.
    pub who: Who,
    /// Why.
    pub why: String,
}

/// What happened between the two, and who did each: `by` has done what time alone has not.
pub fn told(was: Option<Mark>, is: Mark, by: &Cause) -> Vec<(What, Cause)> {
    let mut told = Vec::new();
    if was.is_some_and(|was| is.epoch != was.epoch) {
        told.push((What::PinChanged, by.clone()));
    }
    if is.rollback_noticed && !was.is_some_and(|was| was.rollback_noticed) {
        told.push((What::RollbackNoticed, by.clone()));
    }
    if let Some(what) = moved(was.map(|was| was.state), is.state, by.who) {
        let cause = match what {
            What::Locked => Cause::daemon("attempts"),
            What::Expired => Cause::daemon("document"),
            What::QuarantineEnded => Cause::daemon("time"),
            _ => by.clone(),
        };
        told.push((what, cause));
    }
    told
}

fn moved(was: Option<State>, is: State, who: Who) -> Option<What> {
    let Some(was) = was else {
        return Some(What::Enrolled);
    };
    if was.as_str() == is.as_str() {
        return None;
    }
    Some(match (was, is) {
        (State::Suspended { .. }, State::Quarantined { .. } | State::Active) => What::Resumed,
        (State::Quarantined { .. }, State::Active) => What::QuarantineEnded,
        (_, State::Quarantined { .. } | State::Active) => What::Confirmed,
        (_, State::Suspended { .. }) => What::Suspended,
        (_, State::Locked { .. }) => What::Locked,
        (_, State::Revoked { .. }) if who == Who::OldPhone => What::Vetoed,
        (_, State::Revoked { .. }) => What::Revoked,
        (_, State::Replaced { .. }) => What::Replaced,
        (_, State::Expired { .. }) => What::Expired,
        (_, State::AwaitingConfirmation) => What::Enrolled,
    })
}

#[cfg(test)]
mod tests;
