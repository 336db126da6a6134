//! `[channels.<name>]`: the enrolment channels that are open and the profile of each (protocol.md section 5).
//!
//! Read by `app/` when a case is opened and an activation issued. `counter`, `operator` and `init` are always there; another
//! channel is open when the file has a section for it, which starts from that channel's defaults. `operator` enrols staff
//! phones, `init` is the first administrators' own, and through `own_phone` an old phone hands over to a new one: clerks open no case
//! in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attestation::AttestationPolicy;
use super::error::ConfigError;
use super::range::maybe_between;
use super::values::EvidenceCheck;
use crate::domain::level::Acr;

const MINUTE_S: u32 = 60;
const HOUR_S: u32 = 3_600;
const DAY_S: u32 = 86_400;

/// The name of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelName {
    /// A counter, face to face.
    Counter,
    /// A visit at home, face to face.
    HomeVisit,
    /// Remote proofing with human review.
    Remote,
    /// A registered letter.
    Letter,
    /// A consulate, face to face.
    Consulate,
    /// A file on paper.
    Paper,
    /// A new phone in the place of an old one, by an approval on the old one.
    OwnPhone,
    /// Staff phones, enrolled by an administrator.
    Operator,
    /// The first administrators, by `paraphed init`.
    Init,
}

impl ChannelName {
    /// Every channel, the public ones first.
    pub const ALL: [Self; 9] = [
        Self::Counter,
        Self::HomeVisit,
        Self::Remote,
        Self::Letter,
        Self::Consulate,
        Self::Paper,
        Self::OwnPhone,
        Self::Operator,
        Self::Init,
    ];

    /// The name as it stands in the configuration and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::HomeVisit => "home_visit",
            Self::Remote => "remote",
            Self::Letter => "letter",
            Self::Consulate => "consulate",
            Self::Paper => "paper",
            Self::OwnPhone => "own_phone",
            Self::Operator => "operator",
            Self::Init => "init",
        }
    }

    /// The channel of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }

    /// Whether a clerk may open a case for a member of the public through it.
    #[must_use]
    pub fn is_public(self) -> bool {
        !matches!(self, Self::OwnPhone | Self::Operator | Self::Init)
    }
}

/// What a channel asks for and what it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelProfile {
    /// Life of an issued activation, 60 s to 30 days; from 1 s in a demonstration.
    pub activation_lifetime_s: u32,
    /// The level of assurance that a phone enrolled here has; for `own_phone`, the highest one that is handed over.
    pub acr: Acr,
    /// The checks that must be recorded as passed before an activation is issued.
    pub checks: Vec<EvidenceCheck>,
    /// Whether a second person must stand for the case.
    pub second_clerk: bool,
    /// Whether the clerk types the six digits that the phone shows before it becomes active.
    pub sas_confirmation: bool,
    /// How long the new phone can only refuse, 1 h to 30 days; 0 for `operator` and `init` and in a demonstration.
    pub quarantine_s: u32,
}

impl ChannelProfile {
    pub(super) fn default_of(channel: ChannelName) -> Self {
        use ChannelName::{Consulate, Counter, HomeVisit, Init, Letter, Operator, OwnPhone, Paper, Remote};
        use EvidenceCheck::{DocumentGenuine, HolderLikeness};
        let face_to_face = Self {
            activation_lifetime_s: 10 * MINUTE_S,
            acr: Acr::Eidas2,
            checks: vec![DocumentGenuine, HolderLikeness],
            second_clerk: false,
            sas_confirmation: true,
            quarantine_s: 3 * DAY_S,
        };
        let by_post = Self {
            activation_lifetime_s: 15 * DAY_S,
            acr: Acr::Eidas1,
            checks: vec![DocumentGenuine],
            sas_confirmation: false,
            ..face_to_face.clone()
        };
        match channel {
            Counter | HomeVisit | Consulate => face_to_face,
            Remote => Self {
                second_clerk: true,
                ..face_to_face
            },
            Letter => by_post,
            Paper => Self {
                second_clerk: true,
                ..by_post
            },
            OwnPhone => Self {
                checks: Vec::new(),
                ..face_to_face
            },
            Operator => Self {
                quarantine_s: 0,
                ..face_to_face
            },
            Init => Self {
                activation_lifetime_s: HOUR_S,
                checks: Vec::new(),
                sas_confirmation: false,
                quarantine_s: 0,
                ..face_to_face
            },
        }
    }
}

/// The channels that are open.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Sections")]
pub struct Channels(BTreeMap<ChannelName, ChannelProfile>);

impl Channels {
    /// The profile of a channel, if it is open.
    #[must_use]
    pub fn profile(&self, channel: ChannelName) -> Option<&ChannelProfile> {
        self.0.get(&channel)
    }

    /// Closes a channel; whether it was open.
    pub(super) fn close(&mut self, channel: ChannelName) -> bool {
        self.0.remove(&channel).is_some()
    }

    /// The open channels with their profiles, the public ones first.
    pub fn iter(&self) -> impl Iterator<Item = (ChannelName, &ChannelProfile)> {
        self.0.iter().map(|(name, profile)| (*name, profile))
    }

    pub(super) fn check(
        &self,
        demonstration: bool,
        attestation: AttestationPolicy,
    ) -> Result<(), ConfigError> {
        self.profile(ChannelName::OwnPhone)
            .map_or(Ok(()), check_own_phone)?;
        if demonstration {
            return Ok(());
        }
        self.iter()
            .try_for_each(|(name, profile)| check_profile(name, profile, attestation))
    }
}

/// No clerk has a part in it, and the six digits are what ties the old phone's yes to the new phone.
fn check_own_phone(profile: &ChannelProfile) -> Result<(), ConfigError> {
    let refuse = |key: &str, message: &str| {
        Err(ConfigError::conflict(
            format!("channels.own_phone.{key}"),
            message.to_owned(),
        ))
    };
    if !profile.checks.is_empty() {
        return refuse("checks", "only [] is allowed: no clerk looks at a document");
    }
    if profile.second_clerk {
        return refuse("second_clerk", "only false is allowed: no clerk has a part in it");
    }
    if !profile.sas_confirmation {
        return refuse(
            "sas_confirmation",
            "only true is allowed: the old phone approves the six digits",
        );
    }
    Ok(())
}

fn check_profile(
    name: ChannelName,
    profile: &ChannelProfile,
    attestation: AttestationPolicy,
) -> Result<(), ConfigError> {
    let refuse = |key: &str, message: &str| {
        let key = format!("channels.{}.{key}", name.as_str());
        Err(ConfigError::conflict(
            key,
            format!("{message}, unless profile.demonstration = true"),
        ))
    };
    if profile.activation_lifetime_s < MINUTE_S {
        return refuse("activation_lifetime_s", "from 60 to 2592000 is allowed");
    }
    if (name.is_public() || name == ChannelName::OwnPhone) && profile.quarantine_s < HOUR_S {
        return refuse("quarantine_s", "from 3600 to 2592000 is allowed");
    }
    if profile.acr == Acr::Eidas3 && attestation == AttestationPolicy::Off {
        return refuse(
            "acr",
            "\"eidas3\" needs attestation.policy = \"required\" or \"recorded\"; \"eidas1\" and \"eidas2\" are allowed",
        );
    }
    Ok(())
}

impl Default for Channels {
    fn default() -> Self {
        Sections::default().into()
    }
}

impl From<Sections> for Channels {
    fn from(sections: Sections) -> Self {
        use ChannelName::{Consulate, Counter, HomeVisit, Init, Letter, Operator, OwnPhone, Paper, Remote};
        let written = [
            (Counter, Some(sections.counter)),
            (HomeVisit, sections.home_visit),
            (Remote, sections.remote),
            (Letter, sections.letter),
            (Consulate, sections.consulate),
            (Paper, sections.paper),
            (OwnPhone, sections.own_phone),
            (Operator, Some(sections.operator)),
            (Init, Some(sections.init)),
        ];
        let profile = |(name, changes): (ChannelName, Option<Changes>)| {
            changes.map(|changes| (name, changes.applied_to(ChannelProfile::default_of(name))))
        };
        Self(written.into_iter().filter_map(profile).collect())
    }
}

/// `[channels]` as written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sections {
    counter: Changes,
    home_visit: Option<Changes>,
    remote: Option<Changes>,
    letter: Option<Changes>,
    consulate: Option<Changes>,
    paper: Option<Changes>,
    own_phone: Option<Changes>,
    operator: Changes,
    init: Changes,
}

/// One section as written: what it leaves out keeps the channel's default.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Changes {
    #[serde(deserialize_with = "maybe_between::<1, 2_592_000, _, _>")]
    activation_lifetime_s: Option<u32>,
    acr: Option<Acr>,
    checks: Option<Vec<EvidenceCheck>>,
    second_clerk: Option<bool>,
    sas_confirmation: Option<bool>,
    #[serde(deserialize_with = "maybe_between::<0, 2_592_000, _, _>")]
    quarantine_s: Option<u32>,
}

impl Changes {
    fn applied_to(self, default: ChannelProfile) -> ChannelProfile {
        ChannelProfile {
            activation_lifetime_s: self
                .activation_lifetime_s
                .unwrap_or(default.activation_lifetime_s),
            acr: self.acr.unwrap_or(default.acr),
            checks: self.checks.unwrap_or(default.checks),
            second_clerk: self.second_clerk.unwrap_or(default.second_clerk),
            sas_confirmation: self.sas_confirmation.unwrap_or(default.sas_confirmation),
            quarantine_s: self.quarantine_s.unwrap_or(default.quarantine_s),
        }
    }
}
