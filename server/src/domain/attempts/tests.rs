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
