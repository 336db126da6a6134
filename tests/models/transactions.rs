//! The daemon's transactions over the model's rows, each step in the order of the use case that it is named after.

use paraphe_server::domain::attempts::Limits;
use paraphe_server::domain::challenge::Challenge;
use paraphe_server::domain::device::Device;
use paraphe_server::domain::fault::{self, Result};

use super::rows::{Counter, NOW, Name, Phone, RIGHT_CODE, Rows, Stage, challenge_id, element};
use super::setting::{Broken, Setting};
use super::world::{Approval, Claim, claimed};

/// One transaction: what it leaves in `rows` is committed when it is `Ok`, and nothing of it when it is not.
pub struct Transaction<'a> {
    pub rows: &'a mut Rows,
    pub setting: &'a Setting,
}

/// What `unlock` says.
pub struct Unlocked {
    pub number: u64,
    pub fresh: bool,
}

impl Transaction<'_> {
    fn limits(&self) -> Limits {
        let mut limits = self.setting.limits;
        if self.setting.breaks(Broken::NoRollingBudget) {
            limits.rolling_failures = u32::MAX;
        }
        limits
    }

    fn settled(&self) -> Device {
        let mut device = self.rows.phone.device();
        device.settle(NOW, &self.limits());
        device
    }

    fn require_seen(&self, device: &Device, claim: Claim) -> Result<()> {
        if self.setting.breaks(Broken::OverlooksRollback) {
            return Ok(());
        }
        let epoch = self.rows.restore_epoch;
        claimed(claim, epoch).require_known(device.attempts.latest(), epoch)
    }

    fn challenge(&self, name: Name) -> Result<Challenge> {
        let found = self.rows.challenges.get(&name);
        found.map_or_else(
            || fault::CHALLENGE_NOT_FOUND.broken(),
            |asked| Ok(asked.challenge(name)),
        )
    }

    /// As `app::challenge::conclude`; `read` is what the call saw before this transaction.
    fn conclude(&mut self, name: Name, read: Option<Stage>, stage: Stage) -> Result<()> {
        let mut challenge = self.challenge(name)?;
        if let Some(read) = read
            && self.setting.breaks(Broken::DecidesOnWhatItRead)
        {
            challenge.state = read.state();
        }
        challenge.decide(NOW, stage.state())?;
        self.rows
            .challenges
            .entry(name)
            .and_modify(|asked| asked.stage = stage);
        Ok(())
    }

    /// `app::unlock::unlock`.
    pub fn unlock(&mut self, claim: Claim, challenge: Name, blinded: Name) -> Result<Unlocked> {
        let mut device = self.rows.phone.device();
        self.require_seen(&device, claim)?;
        device.settle(NOW, &self.limits());
        device.require_active()?;
        self.challenge(challenge)?.require_open(NOW)?;
        let (id, digest) = (challenge_id(challenge), element(blinded));
        let charged = device.attempts.charge(NOW, id, digest, &self.limits())?;
        device.attempts = charged.attempts;
        if charged.fresh {
            self.rows.phone = Phone::of(&device);
        }
        Ok(Unlocked {
            number: charged.number,
            fresh: charged.fresh,
        })
    }

    /// `app::answer::answer`: whether the PIN was credited.
    pub fn answer(&mut self, claim: Claim, approval: &Approval, read: Stage) -> Result<bool> {
        let mut device = self.rows.phone.device();
        self.require_seen(&device, claim)?;
        device.settle(NOW, &self.limits());
        let challenge = self.challenge(approval.challenge)?;
        let stage = self
            .rows
            .challenges
            .get(&approval.challenge)
            .map(|asked| asked.stage);
        if let Some(Stage::Approved | Stage::WrongCode) = stage {
            return Ok(false);
        }
        device.require_active()?;
        let open = challenge.require_open(NOW);
        if self.setting.breaks(Broken::CreditsOpenOnly) {
            challenge.require_open(NOW)?;
        }
        device.attempts = self.credit(&device, approval)?;
        self.rows.phone = Phone::of(&device);
        let read_open = self.setting.breaks(Broken::DecidesOnWhatItRead) && read == Stage::Pending;
        if open.is_ok() || read_open {
            let code = if approval.right_code { RIGHT_CODE } else { "000000" };
            let stage = match challenge.matches(code) {
                true => Stage::Approved,
                false => Stage::WrongCode,
            };
            self.conclude(approval.challenge, Some(read), stage)?;
        }
        Ok(true)
    }

    fn credit(
        &self,
        device: &Device,
        approval: &Approval,
    ) -> Result<paraphe_server::domain::attempts::Attempts> {
        let (id, digest) = (challenge_id(approval.challenge), element(approval.element));
        if self.setting.breaks(Broken::CreditsTheStale) {
            let mut counter = Counter::of(&device.attempts);
            let latest = std::mem::replace(&mut counter.latest, approval.number);
            let mut credited = Counter::of(&counter.attempts().credit(approval.number, id, digest)?);
            credited.latest = latest;
            return Ok(credited.attempts());
        }
        device.attempts.clone().credit(approval.number, id, digest)
    }

    /// `app::answer::refuse`.
    pub fn refuse(&mut self, claim: Claim, name: Name, not_me: bool, read: Stage) -> Result<()> {
        self.require_seen(&self.rows.phone.device(), claim)?;
        self.settled().require_may_refuse()?;
        let stage = if not_me { Stage::Reported } else { Stage::Denied };
        self.conclude(name, Some(read), stage)
    }

    /// `app::challenge::cancel`.
    pub fn cancel(&mut self, name: Name, read: Stage) -> Result<()> {
        let device = self.rows.phone.device();
        device.attempts.require_uncharged(challenge_id(name), NOW)?;
        self.conclude(name, Some(read), Stage::Cancelled)
    }

    /// `app::request::request`: a newer transaction takes the place of the open one.
    pub fn raise(&mut self, name: Name) -> Result<()> {
        let device = self.settled();
        device.require_active()?;
        let pending = self
            .rows
            .challenges
            .iter()
            .filter(|(_, asked)| asked.stage == Stage::Pending);
        let pending: Vec<Name> = pending.map(|(name, _)| *name).collect();
        for earlier in pending {
            if self.challenge(earlier)?.is_open(NOW) {
                device.attempts.require_uncharged(challenge_id(earlier), NOW)?;
                self.conclude(earlier, None, Stage::Superseded)?;
            }
        }
        let asked = super::rows::Asked {
            stage: Stage::Pending,
            overdue: false,
        };
        self.rows.challenges.insert(name, asked);
        Ok(())
    }

    /// `app::expiry::sweep`: whether the device locked.
    pub fn sweep(&mut self) -> Result<bool> {
        let names: Vec<Name> = self.rows.challenges.keys().copied().collect();
        let mut device = self.rows.phone.device();
        let locks = device.settle(NOW, &self.limits());
        self.rows.phone = Phone::of(&device);
        for name in names {
            let challenge = self.challenge(name)?;
            let pending = self
                .rows
                .challenges
                .get(&name)
                .is_some_and(|asked| asked.stage == Stage::Pending);
            match (pending, challenge.is_open(NOW)) {
                (true, false) => self.conclude(name, None, Stage::Expired)?,
                (true, true) if locks => self.conclude(name, None, Stage::Failed)?,
                _ => {}
            }
        }
        Ok(locks)
    }

    /// `app::unlock::notice_rollback`, in a transaction of its own.
    pub fn notice_rollback(&mut self) {
        self.rows.phone.rollback_noticed = true;
    }
}
