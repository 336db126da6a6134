//! What `paraphe phone` prints.

use paraphe_companion::{Device, DeviceState, Phone, Receipt, Shown};
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::statements::Display;
use paraphe_proto::time::Timestamp;
use serde::Serialize;

use super::command::Commands;
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
    #[serde(skip)]
    veto: String,
}

impl ReplacingView {
    /// What was approved, and what became of this phone.
    pub fn new(shown: &Shown, device: &Device, commands: &Commands) -> Self {
        let new = shown.replacement().map(|new| new.device_id.to_string());
        let new = new.unwrap_or_default();
        Self {
            challenge_id: shown.challenge_id().to_string(),
            veto: commands.line(&format!("veto --device {new}")),
            new_device_id: new,
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
                "Until then this phone counts. Do not suspend or revoke it: that revokes the new one.\nNot you? {}\n",
                self.veto
            ),
            None => "The new phone counts from now on.\n".to_owned(),
        };
        format!("{facts}{next}")
    }
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
    pub fn next_command(&self, commands: &Commands) -> String {
        let approve = commands.line(&format!("approve {}", self.challenge_id));
        format!("{approve}\n")
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
    challenge_id: ChallengeId,
    #[serde(skip)]
    approve: String,
}

impl LiftedView {
    /// The challenge, and the command that answers it.
    pub fn new(challenge_id: ChallengeId, commands: &Commands) -> Self {
        Self {
            challenge_id,
            approve: commands.line(&format!("approve {challenge_id}")),
        }
    }
}

impl View for LiftedView {
    fn text(&self) -> String {
        format!("Approve {} to lift: {}\n", self.challenge_id, self.approve)
    }
}

/// A phone that moved.
#[derive(Serialize)]
pub struct MovedView {
    state: DeviceState,
    #[serde(skip)]
    resume: String,
}

impl MovedView {
    /// Where it is now.
    pub fn new(state: DeviceState, commands: &Commands) -> Self {
        let resume = commands.line("resume");
        Self { state, resume }
    }
}

impl View for MovedView {
    fn text(&self) -> String {
        let next = match self.state {
            DeviceState::Suspended => format!(" It goes on with the PIN: {}", self.resume),
            DeviceState::Revoked => " It has ended for good; its holder needs a new enrolment.".to_owned(),
            _ => String::new(),
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
    challenge_id: ChallengeId,
    #[serde(skip)]
    approve: String,
}

impl ResumingView {
    /// The challenge, and the command that answers it.
    pub fn new(challenge_id: ChallengeId, commands: &Commands) -> Self {
        Self {
            challenge_id,
            approve: commands.line(&format!("approve {challenge_id}")),
        }
    }
}

impl View for ResumingView {
    fn text(&self) -> String {
        format!("Approve {} to go on: {}\n", self.challenge_id, self.approve)
    }
}
