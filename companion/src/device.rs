//! The device as the daemon sees it, and lifting what "this is not me" set.
//!
//! Called by the app for its status page. Invariant: nothing here is signed by the issuer, so nothing here is acted on but
//! shown. The protocol: sections 4 to 6.

use std::fmt;

use paraphe_proto::ids::{ChallengeId, DeviceId, RelyingPartyId};
use paraphe_proto::pin::PinPolicy;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{self, DeviceBody, LiftBody};
use serde::Serialize;

use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::outcome::malformed;
use crate::phone::Phone;
use crate::request::method;

/// How far a device is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Somebody must type the six digits.
    AwaitingConfirmation,
    /// It may only refuse, for some time yet.
    Quarantined,
    /// It may approve.
    Active,
    /// Final: five wrong PINs. A new identity check is needed.
    Locked,
    /// Final: the confirmation failed or the device was revoked.
    Revoked,
    /// Stopped by its owner: it answers nothing until it is resumed with the PIN.
    Suspended,
    /// Final: another phone took its place.
    Replaced,
    /// Final: the identity document behind it is no longer valid. A new identity check is needed.
    Expired,
}

impl DeviceState {
    /// The state's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingConfirmation => "awaiting_confirmation",
            Self::Quarantined => "quarantined",
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The device as the daemon sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// How far it is.
    pub state: DeviceState,
    /// Until when it may only refuse.
    pub quarantined_until: Option<Timestamp>,
    /// PIN attempts left before it locks.
    pub attempts_left: u32,
    /// Seconds until the next PIN attempt may be made.
    pub wait_s: u32,
    /// Relying parties that the person blocked.
    pub blocked: Vec<Blocked>,
    /// Since when all confirmations of the person are frozen.
    pub frozen_since: Option<Timestamp>,
    /// When the phone ends because the identity document behind it does; the app says so well before.
    pub valid_until: Option<Timestamp>,
    /// When another phone takes its place; [`Phone::veto`] stops it until then. The app shows this in red whenever it is there.
    pub replaced_at: Option<Timestamp>,
    /// When a newer phone of the person counts beside it; [`Phone::veto`] stops that one until then. In red too.
    pub added_at: Option<Timestamp>,
    /// What the daemon verified of the possession key; `None` when nothing was.
    pub attestation: Option<Attestation>,
    /// The newer phones that [`Phone::veto`] stops, while this one is active.
    pub newcomers: Vec<Newcomer>,
}

/// A newer phone of the same person that does not count yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Newcomer {
    /// Names it to [`Phone::veto`].
    pub device_id: DeviceId,
    /// When it was activated.
    pub created_at: Timestamp,
    /// When it counts.
    pub counts_at: Timestamp,
    /// The phone whose place it takes; `None` where it counts beside the others.
    pub replaces: Option<DeviceId>,
}

/// What the daemon verified of a possession key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attestation {
    /// `android_key` or `apple_app_attest`.
    pub kind: String,
    /// `trusted_environment`, `strongbox` or `secure_enclave`.
    pub security_level: String,
    /// Package or App ID of the app.
    pub application: String,
    /// When.
    pub verified_at: Timestamp,
}

/// A relying party that the person blocked by "this is not me".
#[derive(Clone, Debug, Serialize)]
pub struct Blocked {
    /// Its registered id.
    pub relying_party_id: RelyingPartyId,
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
}

impl Phone {
    /// Asks how the device is doing, and learns the rules for a new PIN as they are now. Once the six digits were typed, [`Phone::sas`] stops giving them.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn device(&self, server: &Server) -> Result<Device, Error> {
        let request = self
            .ready(server)
            .await?
            .prove_fresh(server, method::DEVICE, &DeviceBody {})
            .await?;
        let reply = server.client().device(with_deadline(request)).await?;
        let reply = reply.into_inner();
        if let Some(rules) = reply.pin_rules.as_ref().and_then(pin_policy) {
            self.learn_pin_policy(rules)?;
        }
        let device = Device::try_from(reply)?;
        if device.state != DeviceState::AwaitingConfirmation && self.sas().is_some() {
            self.change(|record| {
                record.sas = None;
                Ok(())
            })?;
        }
        Ok(device)
    }

    /// Asks to lift the block of one relying party, or with `None` a freeze and every block. It comes back as a challenge
    /// on this phone, to be approved with the PIN.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn lift(
        &self,
        server: &Server,
        relying_party_id: Option<&RelyingPartyId>,
    ) -> Result<ChallengeId, Error> {
        let body = LiftBody {
            relying_party_id: relying_party_id.map(ToString::to_string).unwrap_or_default(),
        };
        let request = self
            .ready(server)
            .await?
            .prove_fresh(server, method::LIFT, &body)
            .await?;
        let reply = server.client().lift(with_deadline(request)).await?;
        let challenge_id = reply.into_inner().challenge_id.parse();
        challenge_id.map_err(|_| malformed("the challenge has no id".to_owned()))
    }
}

impl TryFrom<v1::DeviceState> for DeviceState {
    type Error = Error;

    fn try_from(wire: v1::DeviceState) -> Result<Self, Error> {
        match wire {
            v1::DeviceState::AwaitingConfirmation => Ok(Self::AwaitingConfirmation),
            v1::DeviceState::Quarantined => Ok(Self::Quarantined),
            v1::DeviceState::Active => Ok(Self::Active),
            v1::DeviceState::Suspended => Ok(Self::Suspended),
            v1::DeviceState::Locked => Ok(Self::Locked),
            v1::DeviceState::Revoked => Ok(Self::Revoked),
            v1::DeviceState::Replaced => Ok(Self::Replaced),
            v1::DeviceState::Expired => Ok(Self::Expired),
            v1::DeviceState::Unspecified => {
                Err(malformed("the device has no state this version knows".to_owned()))
            }
        }
    }
}

/// `None` for lengths that no PIN has.
fn pin_policy(wire: &v1::PinRules) -> Option<PinPolicy> {
    Some(PinPolicy {
        min_length: wire.min_length.try_into().ok()?,
        max_length: wire.max_length.try_into().ok()?,
        refuse_repeats: wire.refuse_repeats,
        refuse_runs: wire.refuse_runs,
        refuse_dates: wire.refuse_dates,
    })
}

impl TryFrom<v1::DeviceResponse> for Device {
    type Error = Error;

    fn try_from(wire: v1::DeviceResponse) -> Result<Self, Error> {
        Ok(Self {
            state: wire.state().try_into()?,
            quarantined_until: unless_zero(wire.quarantined_until),
            attempts_left: wire.attempts_left,
            wait_s: wire.wait_s,
            blocked: wire
                .blocked
                .into_iter()
                .map(Blocked::try_from)
                .collect::<Result<_, _>>()?,
            frozen_since: unless_zero(wire.frozen_since),
            valid_until: unless_zero(wire.valid_until),
            replaced_at: unless_zero(wire.replaced_at),
            added_at: unless_zero(wire.added_at),
            attestation: wire.attestation.map(Attestation::from),
            newcomers: wire
                .newcomers
                .into_iter()
                .map(Newcomer::try_from)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<v1::Newcomer> for Newcomer {
    type Error = Error;

    fn try_from(wire: v1::Newcomer) -> Result<Self, Error> {
        let id = |text: &str| {
            let id = text.parse::<DeviceId>();
            id.map_err(|_| malformed("a newer phone has no id".to_owned()))
        };
        let replaces = Some(wire.replaces_device_id).filter(|text| !text.is_empty());
        Ok(Self {
            device_id: id(&wire.device_id)?,
            created_at: Timestamp::from_secs(wire.created_at),
            counts_at: Timestamp::from_secs(wire.counts_at),
            replaces: replaces.as_deref().map(id).transpose()?,
        })
    }
}

impl TryFrom<v1::BlockedRelyingParty> for Blocked {
    type Error = Error;

    fn try_from(wire: v1::BlockedRelyingParty) -> Result<Self, Error> {
        Ok(Self {
            relying_party_id: wire
                .relying_party_id
                .parse()
                .map_err(|_| malformed("a blocked relying party has no id".to_owned()))?,
            name: wire.display_name,
            since: Timestamp::from_secs(wire.since),
        })
    }
}

impl From<v1::KeyAttestation> for Attestation {
    fn from(wire: v1::KeyAttestation) -> Self {
        Self {
            kind: wire.kind,
            security_level: wire.security_level,
            application: wire.application,
            verified_at: Timestamp::from_secs(wire.verified_at),
        }
    }
}

fn unless_zero(seconds: i64) -> Option<Timestamp> {
    (seconds != 0).then(|| Timestamp::from_secs(seconds))
}
