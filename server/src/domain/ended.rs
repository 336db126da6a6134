//! What must stay ended when an older database is put back: the facts that the security journal keeps (protocol.md section 4, rule 6).
//!
//! Named by every stored record through `store::record::Record::ended`, written to the journal with the transaction that changes it,
//! carried out again by `app::restore`. Invariant: nothing here names a person; ids are opaque.

use paraphe_proto::ids::{CaseId, DeviceId, OperatorId, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How a device ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceEnd {
    /// Too many wrong PINs.
    Locked,
    /// Revoked.
    Revoked,
    /// Another phone took its place.
    Replaced,
    /// It waits for its PIN.
    Suspended,
    /// It has seen more than the store knew, and approves nothing any more.
    RollbackNoticed,
}

/// A fact whose loss would bring back what was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A device has ended, its PIN epoch has moved, or its last PIN attempt was made.
    Device {
        /// Which.
        id: DeviceId,
        /// How; `None` where it has not.
        end: Option<DeviceEnd>,
        /// Its PIN epoch: the OPRF keys of earlier ones are destroyed.
        pin_epoch: u64,
        /// Its last PIN attempt was made, and is not credited.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last_try: bool,
    },
    /// An operator or a service account was disabled.
    Operator {
        /// Which.
        id: OperatorId,
    },
    /// A person has blocked a relying party.
    Block {
        /// Who blocked.
        subject_id: SubjectId,
        /// Who is blocked.
        relying_party_id: String,
        /// Since when.
        since: Timestamp,
    },
    /// All confirmations of a person are frozen.
    Frozen {
        /// Whose.
        subject_id: SubjectId,
        /// Since when.
        since: Timestamp,
    },
    /// A clerk turned an enrolment case down.
    Case {
        /// Which.
        id: CaseId,
    },
}

/// One entry of the security journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Something ended.
    Ended(Ended),
    /// It is over: a person lifted their block or freeze.
    Lifted(Ended),
    /// A declared restore began under this epoch.
    RestoreEpoch(u64),
    /// The daemon was serving then: at each start, and once an hour.
    At(Timestamp),
}

impl Event {
    /// Whether it holds although its transaction never came through: an end does; a lift does not, nor does a PIN epoch that moved and whose
    /// key is lost with its transaction, so that the one before goes on; nor a last attempt, which was answered to nobody.
    pub fn ends_something(&self) -> bool {
        match self {
            Self::Ended(Ended::Device { end, .. }) => end.is_some(),
            Self::Ended(_) => true,
            Self::Lifted(_) | Self::RestoreEpoch(_) | Self::At(_) => false,
        }
    }
}

/// What a change of a record says to the journal.
pub fn change(before: Option<&Ended>, after: Option<Ended>) -> Option<Event> {
    match (before, after) {
        (before, Some(after)) if before != Some(&after) => Some(Event::Ended(after)),
        (Some(before), None) => Some(Event::Lifted(before.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_ends_what_was_to_end_and_moves_no_epoch() {
        let device = |end| {
            Event::Ended(Ended::Device {
                id: DeviceId::from_bytes([1; 16]),
                end,
                pin_epoch: 2,
                last_try: true,
            })
        };
        assert!(device(Some(DeviceEnd::Locked)).ends_something());
        assert!(!device(None).ends_something());
        let case = Ended::Case {
            id: CaseId::from_bytes([1; 16]),
        };
        assert!(Event::Ended(case.clone()).ends_something());
        assert!(!Event::Lifted(case).ends_something());
    }

    #[test]
    fn an_event_of_before_last_attempts_were_noted_reads_and_is_written_as_ever() {
        let event = Event::Ended(Ended::Device {
            id: DeviceId::from_bytes([1; 16]),
            end: Some(DeviceEnd::Locked),
            pin_epoch: 1,
            last_try: false,
        });
        let written = serde_json::to_string(&event).unwrap_or_default();
        let earlier = "{\"ended\":{\"device\":{\"id\":\"dev_aeaqcaibaeaqcaibaeaqcaibae\",\"end\":\"locked\",\"pin_epoch\":1}}}";
        assert_eq!(written, earlier);
        assert_eq!(serde_json::from_str::<Event>(earlier).ok(), Some(event));
    }

    #[test]
    fn only_what_changed_is_said() {
        let ended = |byte| Ended::Operator {
            id: OperatorId::from_bytes([byte; 16]),
        };
        assert_eq!(change(None, None), None);
        assert_eq!(change(None, Some(ended(1))), Some(Event::Ended(ended(1))));
        assert_eq!(change(Some(&ended(1)), Some(ended(1))), None);
        assert_eq!(
            change(Some(&ended(1)), Some(ended(2))),
            Some(Event::Ended(ended(2)))
        );
        assert_eq!(change(Some(&ended(1)), None), Some(Event::Lifted(ended(1))));
    }
}
