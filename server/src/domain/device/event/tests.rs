use super::super::Before;
use super::*;

const AT: Timestamp = Timestamp::from_secs(100);

fn mark(state: State) -> Mark {
    Mark {
        state,
        epoch: 1,
        rollback_noticed: false,
    }
}

fn suspended(before: Before) -> State {
    State::Suspended { at: AT, before }
}

fn one(was: Option<State>, is: State, by: &Cause) -> Option<(What, Who, String)> {
    let mut told = told(was.map(mark), mark(is), by).into_iter();
    let first = told.next().map(|(what, cause)| (what, cause.who, cause.why));
    assert!(told.next().is_none());
    first
}

#[test]
fn each_transition_is_told_with_who_and_why() {
    let by = Cause::new(Who::Supervisor, "stolen");
    let until = AT;
    let (waiting, quarantined) = (State::AwaitingConfirmation, State::Quarantined { until });
    let held = suspended(Before::Active);
    for (was, is, what) in [
        (None, waiting, What::Enrolled),
        (None, State::Active, What::Enrolled),
        (Some(waiting), quarantined, What::Confirmed),
        (Some(waiting), State::Active, What::Confirmed),
        (Some(State::Active), held, What::Suspended),
        (Some(quarantined), held, What::Suspended),
        (Some(held), State::Active, What::Resumed),
        (Some(held), quarantined, What::Resumed),
        (Some(held), State::Revoked { at: AT }, What::Revoked),
        (Some(State::Active), State::Replaced { at: AT }, What::Replaced),
    ] {
        let expected = Some((what, Who::Supervisor, "stolen".to_owned()));
        assert_eq!(one(was, is, &by), expected, "{was:?} → {is:?}");
    }
}

#[test]
fn what_time_does_is_nobodys_doing() {
    let by = Cause::pin();
    for (was, is, what, why) in [
        (State::Active, State::Locked { at: AT }, What::Locked, "attempts"),
        (
            suspended(Before::Active),
            State::Expired { at: AT },
            What::Expired,
            "document",
        ),
        (
            State::Quarantined { until: AT },
            State::Active,
            What::QuarantineEnded,
            "time",
        ),
    ] {
        let expected = Some((what, Who::Daemon, why.to_owned()));
        assert_eq!(one(Some(was), is, &by), expected);
    }
}

#[test]
fn a_quarantine_that_ends_while_suspended_is_no_event() {
    let was = suspended(Before::Quarantined { until: AT });
    assert_eq!(one(Some(was), suspended(Before::Active), &Cause::asked()), None);
    assert_eq!(one(Some(State::Active), State::Active, &Cause::asked()), None);
}

#[test]
fn only_the_old_phone_vetoes() {
    let was = Some(State::Quarantined { until: AT });
    let veto = one(
        was,
        State::Revoked { at: AT },
        &Cause::new(Who::OldPhone, "asked"),
    );
    assert_eq!(veto.map(|(what, ..)| what), Some(What::Vetoed));
}

#[test]
fn a_new_pin_and_a_noticed_rollback_are_told_once() {
    let was = mark(State::Active);
    let moved = Mark { epoch: 2, ..was };
    let noticed = Mark {
        rollback_noticed: true,
        ..moved
    };
    let told = |was, is| -> Vec<What> {
        let told = told(Some(was), is, &Cause::pin());
        told.into_iter().map(|(what, _)| what).collect()
    };
    assert_eq!(told(was, moved), [What::PinChanged]);
    assert_eq!(told(moved, noticed), [What::RollbackNoticed]);
    assert_eq!(told(noticed, noticed), []);
}
