//! What `paraphe phone` prints.

use paraphe_companion::{Device, DeviceState, Newcomer, Phone, Receipt, Shown};
use paraphe_proto::statements::Display;
use paraphe_proto::time::Timestamp;
use serde::Serialize;

use crate::handset;
use crate::output::{View, facts, time_text};

/// A phone that was just activated.
#[derive(Serialize)]
pub struct ActivatedView {
    /// dev_…
    pub device_id: String,
    /// To be read to the person who enrols; none where nobody needs to type them.
    pub six_digits: Option<String>,
}

impl View for ActivatedView {
    fn text(&self) -> String {
        let device = facts([("phone", self.device_id.clone())]);
        match &self.six_digits {
            Some(digits) => format!("{device}{}\n", handset::digits_screen("Phone", digits)),
            None => format!("{device}This phone is activated; nobody needs to type anything.\n"),
        }
    }
}

/// A phone whose PIN was changed.
#[derive(Serialize)]
pub struct PinChangedView {
    device_id: String,
    epoch: u64,
}

impl PinChangedView {
    /// What there is to say of it.
    pub fn new(phone: &Phone) -> Self {
        Self {
            device_id: phone.device_id().to_string(),
            epoch: phone.record().epoch,
        }
    }
}

impl View for PinChangedView {
    fn text(&self) -> String {
        let facts = facts([
            ("phone", self.device_id.clone()),
            ("PIN epoch", self.epoch.to_string()),
        ]);
        format!("{facts}The PIN is changed; the old one opens nothing any more.\n")
    }
}

/// A phone whose place another one takes.
#[derive(Serialize)]
pub struct ReplacingView {
    challenge_id: String,
    new_device_id: String,
    state: DeviceState,
    replaced_at: Option<Timestamp>,
}

impl ReplacingView {
    /// What was approved, and what became of this phone.
    pub fn new(shown: &Shown, device: &Device) -> Self {
        let new = shown.replacement().map(|new| new.device_id.to_string());
        Self {
            challenge_id: shown.challenge_id().to_string(),
            new_device_id: new.unwrap_or_default(),
            state: device.state,
            replaced_at: device.replaced_at,
        }
    }
}

impl View for ReplacingView {
    fn text(&self) -> String {
        let facts = facts([
            ("new phone", self.new_device_id.clone()),
            ("takes over", self.replaced_at.map(time_text).unwrap_or_default()),
            ("this phone", self.state.to_string()),
        ]);
        let next = match self.replaced_at {
            Some(_) => format!(
                "Until then this phone counts; keep it in use, or the new one is revoked. Not you? paraphe phone veto --device {}\n",
                self.new_device_id
            ),
            None => "The new phone counts from now on.\n".to_owned(),
        };
        format!("{facts}{next}")
    }
}

/// The phone as the daemon sees it.
#[derive(Serialize)]
pub struct StatusView {
    device_id: String,
    #[serde(flatten)]
    device: Device,
}

impl StatusView {
    /// Puts together.
    pub fn new(phone: &Phone, device: Device) -> Self {
        Self {
            device_id: phone.device_id().to_string(),
            device,
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
        let wait = match self.device.wait_s {
            0 => String::new(),
            seconds => format!("{seconds} s"),
        };
        let attested = self.device.attestation.as_ref().map_or_else(
            || "no".to_owned(),
            |verified| format!("{}, {}", verified.security_level, verified.kind),
        );
        let blocked: Vec<String> = self
            .device
            .blocked
            .iter()
            .map(|blocked| blocked.name.clone())
            .collect();
        let rows = [
            ("phone", self.device_id.clone()),
            ("state", self.device.state.to_string()),
            ("quarantined until", time(self.device.quarantined_until)),
            ("PIN attempts left", attempts),
            ("next attempt in", wait),
            ("blocked", blocked.join(", ")),
            ("frozen since", time(self.device.frozen_since)),
            ("valid until", time(self.device.valid_until)),
            ("replaced at", time(self.device.replaced_at)),
            ("another phone at", time(self.device.added_at)),
            ("key attested", attested),
        ];
        let newcomers = self.device.newcomers.iter();
        let newcomers = newcomers.map(|new| ("newer phone", newcomer(&self.device_id, new)));
        let table = facts(rows.into_iter().chain(newcomers));
        format!("{table}{}", what_it_means(self.device.state))
    }
}

/// What the holder of such a phone may want to do.
fn what_it_means(state: DeviceState) -> &'static str {
    match state {
        DeviceState::AwaitingConfirmation => {
            "It waits for somebody to type its six digits; where that is not done in time it is revoked.\n"
        }
        DeviceState::Quarantined => "Until its quarantine is over it may only refuse.\n",
        DeviceState::Suspended => "It answers nothing until its PIN lets it go on: paraphe phone resume\n",
        DeviceState::Locked => "Its PIN was wrong too often: its holder needs a new enrolment.\n",
        DeviceState::Revoked => "It has ended for good: its holder needs a new enrolment.\n",
        DeviceState::Replaced => "Another phone of its holder has taken its place.\n",
        DeviceState::Expired => {
            "The identity document behind it is no longer valid: its holder needs a new enrolment.\n"
        }
        _ => "",
    }
}

fn newcomer(own: &str, new: &Newcomer) -> String {
    let does = match new.replaces.map(|id| id.to_string()) {
        Some(id) if id == own => "takes the place of this one".to_owned(),
        Some(id) => format!("takes the place of {id}"),
        None => "counts beside this one".to_owned(),
    };
    let (id, at) = (new.device_id, time_text(new.counts_at));
    format!("{does} {at}; not you? paraphe phone veto --device {id}")
}

/// A verified challenge.
#[derive(Serialize)]
pub struct ShownView {
    challenge_id: String,
    relying_party: String,
    action: String,
    document: Display,
    match_digits: Option<u8>,
    expires_at: Timestamp,
    #[serde(skip)]
    screen: String,
}

impl ShownView {
    /// What may be shown of it.
    pub fn new(shown: &Shown) -> Self {
        Self {
            challenge_id: shown.challenge_id().to_string(),
            relying_party: shown.relying_party().name.clone(),
            action: shown.action().to_owned(),
            document: shown.document().clone(),
            match_digits: shown.match_digits(),
            expires_at: shown.expires_at(),
            screen: format!(
                "{}\nends {}",
                handset::screen("Phone", shown),
                handset::ends(shown)
            ),
        }
    }

    /// What to type to say yes.
    pub fn next_command(&self) -> String {
        format!("paraphe phone approve {}\n", self.challenge_id)
    }
}

impl View for ShownView {
    fn text(&self) -> String {
        format!("{}\n{}\n", self.challenge_id, self.screen)
    }
}

/// A challenge that needs no answer any more.
#[derive(Serialize)]
pub struct EndedView {
    /// chl_…
    pub challenge_id: String,
    /// Its final state.
    pub state: String,
}

impl View for EndedView {
    fn text(&self) -> String {
        format!("{} is {}\n", self.challenge_id, self.state)
    }
}

/// An answer and what became of it.
#[derive(Serialize)]
pub struct AnsweredView {
    /// What the daemon said, and the statements.
    #[serde(flatten)]
    pub receipt: Receipt,
}

impl View for AnsweredView {
    fn text(&self) -> String {
        facts([
            ("challenge", self.receipt.challenge_id.to_string()),
            ("state", self.receipt.state.to_string()),
            ("decided", time_text(self.receipt.decided_at)),
            ("PIN attempts left", self.receipt.attempts_left.to_string()),
        ])
    }
}

/// A challenge that lifts blocks, once approved.
#[derive(Serialize)]
pub struct LiftedView {
    /// chl_…
    pub challenge_id: String,
}

impl View for LiftedView {
    fn text(&self) -> String {
        format!(
            "Approve {0} to lift: paraphe phone approve {0}\n",
            self.challenge_id
        )
    }
}

/// A phone that moved.
#[derive(Serialize)]
pub struct MovedView {
    /// Where it is now.
    pub state: DeviceState,
}

impl View for MovedView {
    fn text(&self) -> String {
        let next = match self.state {
            DeviceState::Suspended => " It goes on with the PIN: paraphe phone resume",
            DeviceState::Revoked => " It has ended for good; its holder needs a new enrolment.",
            _ => "",
        };
        format!("The phone is {}.{next}\n", self.state)
    }
}

/// Another phone that this one stopped.
#[derive(Serialize)]
pub struct VetoedView {
    /// Where the other one is now.
    pub state: DeviceState,
}

impl View for VetoedView {
    fn text(&self) -> String {
        format!("The other phone is {}; this one goes on as it was.\n", self.state)
    }
}

/// A challenge that lets a suspended phone go on, once approved.
#[derive(Serialize)]
pub struct ResumingView {
    /// chl_…
    pub challenge_id: String,
}

impl View for ResumingView {
    fn text(&self) -> String {
        format!(
            "Approve {0} to go on: paraphe phone approve {0}\n",
            self.challenge_id
        )
    }
}
