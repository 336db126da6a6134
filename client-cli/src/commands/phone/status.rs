//! What `paraphe phone status` prints.

use paraphe_companion::{Blocked, Device, DeviceState, Newcomer, Phone};
use paraphe_proto::time::Timestamp;
use serde::Serialize;

use super::command::Commands;
use crate::output::{View, facts, time_text};

/// The phone as the daemon sees it.
#[derive(Serialize)]
pub struct StatusView {
    device_id: String,
    #[serde(flatten)]
    device: Device,
    #[serde(skip)]
    commands: Commands,
}

impl StatusView {
    /// Puts together.
    pub fn new(phone: &Phone, device: Device, commands: &Commands) -> Self {
        Self {
            device_id: phone.device_id().to_string(),
            device,
            commands: commands.clone(),
        }
    }
}

impl View for StatusView {
    fn text(&self) -> String {
        let time = |at: Option<Timestamp>| at.map(time_text).unwrap_or_default();
        let counts = matches!(
            self.device.state,
            DeviceState::Quarantined | DeviceState::Active | DeviceState::Suspended
        );
        let attempts = match counts {
            true => self.device.attempts_left.to_string(),
            false => String::new(),
        };
        let used_up = counts && self.device.attempts_left == 0;
        let wait = match self.device.wait_s {
            seconds if seconds > 0 && !used_up => format!("{seconds} s"),
            _ => String::new(),
        };
        let attested = self.device.attestation.as_ref().map_or_else(
            || "no".to_owned(),
            |verified| format!("{}, {}", verified.security_level, verified.kind),
        );
        let rows = [
            ("phone", self.device_id.clone()),
            ("state", self.device.state.to_string()),
            ("quarantined until", time(self.device.quarantined_until)),
            ("PIN attempts left", attempts),
            ("next attempt in", wait),
            ("blocked", blocked_names(&self.device.blocked).join(", ")),
            ("frozen since", time(self.device.frozen_since)),
            ("valid until", time(self.device.valid_until)),
            ("replaced at", time(self.device.replaced_at)),
            ("another phone at", time(self.device.added_at)),
            ("key attested", attested),
        ];
        let newcomers = self.device.newcomers.iter();
        let newcomers = newcomers.map(|new| ("newer phone", newcomer(&self.device_id, new, &self.commands)));
        let table = facts(rows.into_iter().chain(newcomers));
        format!("{table}{}", self.what_it_means(used_up))
    }
}

impl StatusView {
    /// What the holder of such a phone may want to do; `used_up` where no PIN attempt is left.
    fn what_it_means(&self, used_up: bool) -> String {
        let said = match self.device.state {
            _ if used_up => {
                "Its last PIN attempt was made. Unless that PIN was right it locks, and its holder needs a new enrolment."
            }
            DeviceState::AwaitingConfirmation => {
                "It waits for somebody to type its six digits; where that is not done in time it is revoked."
            }
            DeviceState::Quarantined => "Until its quarantine is over it may only refuse.",
            DeviceState::Suspended => {
                let resume = self.commands.line("resume");
                return format!("It answers nothing until its PIN lets it go on: {resume}\n");
            }
            DeviceState::Locked => "Its PIN was wrong too often: its holder needs a new enrolment.",
            DeviceState::Revoked => "It has ended for good: its holder needs a new enrolment.",
            DeviceState::Replaced => "Another phone of its holder has taken its place.",
            DeviceState::Expired => {
                "The identity document behind it is no longer valid: its holder needs a new enrolment."
            }
            DeviceState::Active => return String::new(),
        };
        format!("{said}\n")
    }
}

/// Each with the id by which `lift` knows it.
pub(super) fn blocked_names(blocked: &[Blocked]) -> Vec<String> {
    let named = |blocked: &Blocked| format!("{} ({})", blocked.name, blocked.relying_party_id);
    blocked.iter().map(named).collect()
}

fn newcomer(own: &str, new: &Newcomer, commands: &Commands) -> String {
    let does = match new.replaces.map(|id| id.to_string()) {
        Some(id) if id == own => "takes the place of this one".to_owned(),
        Some(id) => format!("takes the place of {id}"),
        None => "counts beside this one".to_owned(),
    };
    let (id, at) = (new.device_id, time_text(new.counts_at));
    let veto = commands.line(&format!("veto --device {id}"));
    format!("{does} {at}; not you? {veto}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;

    fn text(change: impl FnOnce(&mut Device)) -> String {
        let mut device = Device {
            state: DeviceState::Suspended,
            quarantined_until: None,
            attempts_left: 1,
            wait_s: 869,
            blocked: Vec::new(),
            frozen_since: None,
            valid_until: None,
            replaced_at: None,
            added_at: None,
            attestation: None,
            newcomers: Vec::new(),
        };
        change(&mut device);
        let view = StatusView {
            device_id: "dev_x".to_owned(),
            device,
            commands: Commands::of(Some(Path::new("try/anna"))),
        };
        anstream::adapter::strip_str(&view.text()).to_string()
    }

    #[test]
    fn a_phone_without_attempts_is_not_invited_to_another() {
        let one_left = text(|_| {});
        assert!(one_left.contains("869 s"), "{one_left}");
        assert!(
            one_left.contains("paraphe phone --phone try/anna resume"),
            "{one_left}"
        );
        let none_left = text(|device| device.attempts_left = 0);
        assert!(
            none_left.contains("Its last PIN attempt was made."),
            "{none_left}"
        );
        assert!(
            !none_left.contains("869 s") && !none_left.contains("resume"),
            "{none_left}"
        );
    }

    #[test]
    fn what_is_blocked_stands_there_with_the_id_that_lift_takes() {
        let text = text(|device| {
            device.blocked = vec![Blocked {
                relying_party_id: "market".parse().unwrap(),
                name: "Course marketplace".to_owned(),
                since: Timestamp::from_secs(1),
            }];
        });
        assert!(text.contains("Course marketplace (market)"), "{text}");
    }
}
