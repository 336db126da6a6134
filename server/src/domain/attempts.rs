//! PIN attempts of one device (protocol.md section 4): charge before answer, a charge is a failure until credited, two limits.
//!
//! Called by `app::unlock` (charge) and `app::answer` (credit) on the device's record, inside the transaction that stores it.
//! Invariant: an evaluation is answered only if it is in `outstanding`, and only an approval that names the latest one takes
//! it out.

use paraphe_proto::ids::ChallengeId;
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::{self, Result};
use super::secret::Bytes;

/// Seconds in which the last attempt may still be credited before the device locks.
pub const CREDIT_WINDOW_S: i64 = 60;

/// The limits, from the configuration; stricter than the protocol's, never laxer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Wait after the third failure in a row, seconds.
    pub wait_after_3_s: i64,
    /// Wait after the fourth failure in a row, seconds.
    pub wait_after_4_s: i64,
    /// Failures in a row that lock.
    pub max_failures: u32,
    /// Failures within the rolling window that lock.
    pub rolling_failures: u32,
    /// The rolling window, seconds.
    pub rolling_window_s: i64,
}

/// One charged evaluation that no approval has credited.
#[derive(Clone, Serialize, Deserialize)]
pub struct Charge {
    /// Number of the evaluation, rising by one per device.
    pub number: u64,
    /// When it was charged.
    pub at: Timestamp,
    /// The challenge it was made for.
    pub challenge_id: ChallengeId,
    /// SHA-256 of the blinded element.
    pub element: Bytes<32>,
}

/// The attempt counter of one device.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Attempts {
    latest: u64,
    failures: u32,
    last_charged_at: Option<Timestamp>,
    outstanding: Vec<Charge>,
    /// The latest charge took the last attempt, and nothing has credited it.
    #[serde(default)]
    last_made: bool,
    /// Since the backup that is being put back, the last attempt was made and not credited.
    #[serde(default)]
    last_lost: bool,
}

/// What a charge led to.
pub struct Charged {
    /// The counter to store.
    pub attempts: Attempts,
    /// The evaluation to answer with.
    pub number: u64,
    /// Whether this call was charged; an identical repetition is not.
    pub fresh: bool,
}

impl Attempts {
    /// Number of the latest evaluation; 0 before the first.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// Attempts left before the device locks.
    pub fn left(&self, now: Timestamp, limits: &Limits) -> u32 {
        let in_a_row = limits.max_failures.saturating_sub(self.failures);
        in_a_row.min(limits.rolling_failures.saturating_sub(self.rolling(now, limits)))
    }

    /// Seconds until the next attempt may be made.
    pub fn wait_s(&self, now: Timestamp, limits: &Limits) -> i64 {
        let wait = match self.failures {
            0..=2 => 0,
            3 => limits.wait_after_3_s,
            _ => limits.wait_after_4_s,
        };
        self.last_charged_at
            .map_or(0, |at| (wait - now.since_s(at)).clamp(0, wait))
    }

    /// When the device locks unless the last attempt is credited; `None` while attempts are left.
    pub fn locks_at(&self, limits: &Limits) -> Option<Timestamp> {
        let at = self.last_charged_at?;
        (self.left(at, limits) == 0).then(|| at.plus_s(CREDIT_WINDOW_S))
    }

    /// A PIN attempt protects its challenge for 60 s from being withdrawn, so that no backend turns right PINs into failures.
    ///
    /// # Errors
    /// `challenge.charged` with the wait.
    pub fn require_uncharged(&self, challenge_id: ChallengeId, now: Timestamp) -> Result<()> {
        let on_it = self
            .outstanding
            .iter()
            .filter(|charge| charge.challenge_id == challenge_id);
        let since = on_it
            .map(|charge| now.since_s(charge.at))
            .min()
            .unwrap_or(CREDIT_WINDOW_S);
        if since < CREDIT_WINDOW_S {
            return Err(fault::CHALLENGE_CHARGED
                .fault()
                .retry_after(CREDIT_WINDOW_S - since));
        }
        Ok(())
    }

    /// Charges one evaluation of `element` for `challenge`, or finds the identical one that was charged before.
    ///
    /// # Errors
    /// `device.last_try_made` when no attempt is left; `device.wait` before the wait is over.
    pub fn charge(
        mut self,
        now: Timestamp,
        challenge_id: ChallengeId,
        element: [u8; 32],
        limits: &Limits,
    ) -> Result<Charged> {
        let same = |charge: &&Charge| charge.challenge_id == challenge_id && charge.element.0 == element;
        if let Some(number) = self.outstanding.iter().find(same).map(|charge| charge.number) {
            return Ok(Charged {
                attempts: self,
                number,
                fresh: false,
            });
        }
        if self.left(now, limits) == 0 {
            return fault::DEVICE_LAST_TRY.broken();
        }
        let wait = self.wait_s(now, limits);
        if wait > 0 {
            return Err(fault::DEVICE_WAIT.fault().retry_after(wait));
        }
        self.outstanding
            .retain(|charge| now.since_s(charge.at) < limits.rolling_window_s);
        let number = self.latest.saturating_add(1);
        self.latest = number;
        self.failures = self.failures.saturating_add(1);
        self.last_charged_at = Some(now);
        self.outstanding.push(Charge {
            number,
            at: now,
            challenge_id,
            element: Bytes(element),
        });
        self.last_made = self.left(now, limits) == 0;
        Ok(Charged {
            attempts: self,
            number,
            fresh: true,
        })
    }

    /// Credits the evaluation that a verified approval names: it returns to the rolling budget, and the failures in a row end.
    ///
    /// # Errors
    /// `evaluation.stale` unless it is the latest evaluation, uncredited, of the same challenge and element.
    pub fn credit(mut self, number: u64, challenge_id: ChallengeId, element: [u8; 32]) -> Result<Attempts> {
        let named = |charge: &Charge| {
            charge.number == number && charge.challenge_id == challenge_id && charge.element.0 == element
        };
        if number != self.latest || !self.outstanding.iter().any(named) {
            return fault::EVALUATION_STALE.broken();
        }
        self.outstanding.retain(|charge| charge.number != number);
        self.failures = 0;
        self.last_charged_at = None;
        self.last_made = false;
        Ok(self)
    }

    /// After a declared restore, at most one attempt is left: how many were made since the backup is not known. What was evaluated before
    /// cannot be credited any more, since it may have been once; the wait still counts from the last attempt that is known.
    pub fn cut(&mut self, limits: &Limits) {
        self.failures = self.failures.max(limits.max_failures.saturating_sub(1));
        self.latest = self.latest.saturating_add(1);
    }

    /// Whether the last attempt was made and is not credited.
    pub fn is_last_made(&self) -> bool {
        self.last_made
    }

    /// What the security journal says of the last attempt, while a backup is put back; whether that is new.
    pub fn lose_last(&mut self, lost: bool) -> bool {
        std::mem::replace(&mut self.last_lost, lost) != lost
    }

    /// Whether the last attempt was made since the backup that is being put back.
    pub fn is_last_lost(&self) -> bool {
        self.last_lost
    }

    /// Under the key of another PIN epoch no evaluation is answered again for the charge it cost before, and none is credited.
    pub fn begin_epoch(&mut self) {
        for charge in &mut self.outstanding {
            charge.element = Bytes([0; 32]);
        }
    }

    fn rolling(&self, now: Timestamp, limits: &Limits) -> u32 {
        let recent = |charge: &&Charge| now.since_s(charge.at) < limits.rolling_window_s;
        u32::try_from(self.outstanding.iter().filter(recent).count()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
