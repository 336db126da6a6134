//! The searches: each setting whole, then with one rule broken.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::properties::{CREDITED, NOT_REVIVED, ONE_FINAL_STATE, ROLLING, UNCLAIMED, told};
use super::setting::{Broken, LIMITS, Setting, Thief};
use paraphe_server::domain::attempts::Limits;

/// A clone guesses beside the owner, calls in parallel, the daemon crashes and replies are lost.
const GUESSING: Setting = Setting {
    thief: Thief::Clone,
    parallel: 2,
    challenges: 2,
    owner_unlocks: 1,
    ..Setting::calm()
};

/// The daemon crashes and replies are lost.
const CRASHING: Setting = Setting {
    crashes: true,
    parallel: 1,
    ..GUESSING
};

/// The same with a rolling budget that the search can reach.
const ROLLING_SHORT: Setting = Setting {
    limits: Limits {
        rolling_failures: 6,
        ..LIMITS
    },
    thief: Thief::Clone,
    challenges: 2,
    owner_unlocks: 1,
    ..Setting::calm()
};

/// Owner, backend and time end one challenge, three calls at a time.
const VERDICTS: Setting = Setting {
    parallel: 2,
    challenges: 2,
    owner_unlocks: 1,
    refusals: true,
    crashes: false,
    ..Setting::calm()
};

/// A backup is put back twice with `paraphed restore` while a clone guesses.
const RESTORED: Setting = Setting {
    thief: Thief::Clone,
    challenges: 3,
    owner_unlocks: 1,
    restores: 2,
    ..Setting::calm()
};

/// A backup is put back in secret while a thief has the phone in hand.
const ROLLED_BACK: Setting = Setting {
    thief: Thief::InHand,
    challenges: 1,
    crashes: true,
    rollbacks: 1,
    ..Setting::calm()
};

/// Searches all of it.
fn holds(name: &str, setting: Setting) {
    let began = Instant::now();
    let checker = setting.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} of them different, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}

/// Searches until the property fails.
fn fails(property: &'static str, setting: Setting) {
    let began = Instant::now();
    let wanted = HasDiscoveries::AnyOf([property].into());
    let checker = setting
        .checker()
        .threads(2)
        .finish_when(wanted)
        .spawn_bfs()
        .join();
    let found = checker.discovery(property);
    let path = found.unwrap_or_else(|| panic!("{:?} is broken and `{property}` holds", setting.broken));
    println!(
        "{:?} after {} states, {:.1} s:\n{}",
        setting.broken,
        checker.state_count(),
        began.elapsed().as_secs_f64(),
        told(&path.into_actions())
    );
}

#[test]
fn a_clone_beside_the_owner_gets_five_evaluations_whatever_crashes() {
    holds("guessing", GUESSING);
    holds("crashing", CRASHING);
}

#[test]
fn the_rolling_budget_ends_a_clone_in_every_order() {
    holds("rolling", ROLLING_SHORT);
}

#[test]
fn every_challenge_reaches_one_final_state_in_every_order() {
    holds("verdicts", VERDICTS);
}

#[test]
fn a_declared_restore_gives_no_sixth_evaluation() {
    holds("restored", RESTORED);
}

#[test]
fn a_rollback_is_noticed_by_the_phone_before_it_gives_a_sixth() {
    holds("rolled back", ROLLED_BACK);
}

#[test]
fn each_broken_rule_of_attempts_is_found() {
    let alone = Setting {
        owner_unlocks: 0,
        ..CRASHING
    };
    fails(UNCLAIMED, alone.breaking(Broken::EvaluatesFirst));
    fails(UNCLAIMED, alone.breaking(Broken::ForgetsAtRestart));
    fails(UNCLAIMED, GUESSING.breaking(Broken::CreditsTheStale));
    fails(ROLLING, ROLLING_SHORT.breaking(Broken::NoRollingBudget));
    fails(CREDITED, VERDICTS.breaking(Broken::CreditsOpenOnly));
}

#[test]
fn a_decision_on_what_was_read_before_the_transaction_is_found() {
    fails(ONE_FINAL_STATE, VERDICTS.breaking(Broken::DecidesOnWhatItRead));
}

#[test]
fn each_broken_rule_of_a_restore_is_found() {
    let alone = Setting {
        owner_unlocks: 0,
        ..RESTORED
    };
    fails(UNCLAIMED, alone.breaking(Broken::RestoresAttempts));
    fails(UNCLAIMED, alone.breaking(Broken::JournalsNothing));
    fails(UNCLAIMED, alone.breaking(Broken::JournalsNoLastTry));
    fails(UNCLAIMED, RESTORED.breaking(Broken::RestoresCredit));
    let twice = Setting {
        thief: Thief::Absent,
        owner_unlocks: 2,
        ..RESTORED
    };
    fails(NOT_REVIVED, twice.breaking(Broken::RestoresChallenges));
}

#[test]
fn a_rollback_that_nobody_compares_or_that_a_clone_hides_is_found() {
    fails(UNCLAIMED, ROLLED_BACK.breaking(Broken::OverlooksRollback));
    let hidden = Setting {
        thief: Thief::Clone,
        ..ROLLED_BACK
    };
    fails(UNCLAIMED, hidden);
}
