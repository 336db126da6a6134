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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        wait_after_3_s: 60,
        wait_after_4_s: 900,
        max_failures: 5,
        rolling_failures: 20,
        rolling_window_s: 30 * 86_400,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + seconds)
    }

    fn challenge(n: u8) -> ChallengeId {
        ChallengeId::from_bytes([n; 16])
    }

    #[test]
    fn a_charge_protects_its_challenge_for_sixty_seconds() {
        let charged = fail(Attempts::default(), 10, 1);
        let wait = |id, now| {
            let refused = charged.require_uncharged(id, at(now));
            refused.err().and_then(|fault| fault.retry_after_s)
        };
        assert_eq!(wait(challenge(1), 69), Some(1));
        assert_eq!(wait(challenge(1), 70), None);
        assert_eq!(wait(challenge(2), 10), None);
    }

    fn fail(attempts: Attempts, now: i64, element: u8) -> Attempts {
        attempts
            .charge(at(now), challenge(1), [element; 32], &LIMITS)
            .map_err(|f| f.code())
            .unwrap()
            .attempts
    }

    #[test]
    fn three_free_then_a_minute_then_a_quarter_hour_then_none() {
        let mut attempts = Attempts::default();
        for n in 0..3 {
            attempts = fail(attempts, 0, n);
        }
        assert_eq!(attempts.wait_s(at(0), &LIMITS), 60);
        assert!(
            attempts
                .clone()
                .charge(at(59), challenge(1), [3; 32], &LIMITS)
                .is_err()
        );
        attempts = fail(attempts, 60, 3);
        assert!(attempts.locks_at(&LIMITS).is_none());
        assert!(
            attempts
                .clone()
                .charge(at(60 + 899), challenge(1), [4; 32], &LIMITS)
                .is_err()
        );
        attempts = fail(attempts, 960, 4);
        assert_eq!(attempts.left(at(960), &LIMITS), 0);
        assert_eq!(attempts.locks_at(&LIMITS), Some(at(960 + CREDIT_WINDOW_S)));
        let refused = attempts
            .charge(at(9_999), challenge(1), [5; 32], &LIMITS)
            .err()
            .unwrap();
        assert_eq!(refused.code(), "device.last_try_made");
    }

    #[test]
    fn the_same_element_for_the_same_challenge_is_charged_once() {
        let attempts = fail(Attempts::default(), 0, 7);
        let again = attempts
            .clone()
            .charge(at(1), challenge(1), [7; 32], &LIMITS)
            .unwrap();
        assert!(!again.fresh);
        assert_eq!(again.attempts.left(at(1), &LIMITS), 4);
        let other = attempts.charge(at(1), challenge(2), [7; 32], &LIMITS).unwrap();
        assert!(other.fresh);
    }

    #[test]
    fn only_the_latest_evaluation_is_credited_and_only_once() {
        let attempts = fail(fail(Attempts::default(), 0, 1), 1, 2);
        assert!(attempts.clone().credit(1, challenge(1), [1; 32]).is_err());
        assert!(attempts.clone().credit(2, challenge(2), [2; 32]).is_err());
        assert!(attempts.clone().credit(2, challenge(1), [1; 32]).is_err());
        let credited = attempts.credit(2, challenge(1), [2; 32]).unwrap();
        assert_eq!(credited.left(at(2), &LIMITS), 5);
        assert!(credited.credit(2, challenge(1), [2; 32]).is_err());
    }

    #[test]
    fn the_rolling_budget_ends_a_clone_beside_an_active_owner() {
        let mut attempts = Attempts::default();
        let mut guesses = 0;
        for day in 0..29 {
            let now = day * 86_400;
            let Ok(guess) = attempts.clone().charge(
                at(now),
                challenge(1),
                [1; 32].map(|b: u8| b.wrapping_add(day as u8)),
                &LIMITS,
            ) else {
                break;
            };
            guesses += 1;
            let Ok(owner) = guess
                .attempts
                .clone()
                .charge(at(now), challenge(2), [9; 32], &LIMITS)
            else {
                attempts = guess.attempts;
                break;
            };
            attempts = owner
                .attempts
                .credit(owner.number, challenge(2), [9; 32])
                .unwrap();
        }
        assert_eq!(guesses, 20);
        assert!(attempts.locks_at(&LIMITS).is_some());
    }

    #[test]
    fn a_cut_leaves_one_attempt_that_the_right_pin_gives_back() {
        let mut attempts = fail(Attempts::default(), 0, 1);
        attempts.cut(&LIMITS);
        assert_eq!(attempts.left(at(900), &LIMITS), 1);
        let before = attempts.clone().credit(1, challenge(1), [1; 32]).err().unwrap();
        assert_eq!(
            before.code(),
            "evaluation.stale",
            "it may have been credited once"
        );
        let wait = attempts.clone().charge(at(899), challenge(2), [2; 32], &LIMITS);
        assert_eq!(wait.err().unwrap().code(), "device.wait");
        let charged = attempts.charge(at(900), challenge(2), [2; 32], &LIMITS).unwrap();
        assert_eq!(charged.attempts.left(at(900), &LIMITS), 0);
        let credited = charged
            .attempts
            .credit(charged.number, challenge(2), [2; 32])
            .unwrap();
        assert_eq!(credited.left(at(900), &LIMITS), 5);
    }

    #[test]
    fn a_cut_gives_nothing_back() {
        let mut fresh = Attempts::default();
        fresh.cut(&LIMITS);
        assert_eq!(fresh.left(at(0), &LIMITS), 1);
        assert_eq!(fresh.wait_s(at(0), &LIMITS), 0, "nothing to wait for");
        let mut spent = Attempts::default();
        for (now, n) in [(0, 0), (0, 1), (0, 2), (60, 3), (960, 4)] {
            spent = fail(spent, now, n);
        }
        for _ in 0..3 {
            spent.cut(&LIMITS);
            fresh.cut(&LIMITS);
            assert_eq!(spent.left(at(960), &LIMITS), 0);
            assert_eq!(fresh.left(at(960), &LIMITS), 1);
        }
        assert_eq!(spent.locks_at(&LIMITS), Some(at(960 + CREDIT_WINDOW_S)));
    }

    #[test]
    fn the_last_attempt_is_known_as_made_until_it_is_credited() {
        let mut attempts = Attempts::default();
        for (now, n) in [(0, 0), (0, 1), (0, 2), (60, 3)] {
            attempts = fail(attempts, now, n);
            assert!(!attempts.is_last_made(), "attempt {n}");
        }
        attempts = fail(attempts, 960, 4);
        assert!(attempts.is_last_made());
        let credited = attempts.credit(5, challenge(1), [4; 32]).unwrap();
        assert!(!credited.is_last_made());
        let mut cut = credited;
        cut.cut(&LIMITS);
        assert!(fail(cut, 961, 5).is_last_made(), "one is left after a restore");
    }

    #[test]
    fn the_rolling_budget_makes_its_last_attempt_known_too() {
        let limits = Limits {
            rolling_failures: 1,
            ..LIMITS
        };
        let charged = Attempts::default().charge(at(0), challenge(1), [1; 32], &limits);
        assert!(charged.map_err(|f| f.code()).unwrap().attempts.is_last_made());
    }

    proptest! {
        #[test]
        fn never_more_than_five_uncredited_in_a_row(steps in proptest::collection::vec((0i64..2_000, any::<bool>()), 1..60)) {
            let (mut attempts, mut now, mut in_a_row) = (Attempts::default(), 0, 0u32);
            for (n, (pause, right)) in steps.into_iter().enumerate() {
                now += pause;
                let element = [n as u8; 32];
                let Ok(charged) = attempts.clone().charge(at(now), challenge(1), element, &LIMITS) else { continue };
                in_a_row += 1;
                attempts = charged.attempts;
                if right {
                    attempts = attempts.credit(charged.number, challenge(1), element).unwrap();
                    in_a_row = 0;
                }
                prop_assert!(in_a_row <= 5);
                prop_assert!(attempts.outstanding.len() <= 20);
            }
        }
    }
}
