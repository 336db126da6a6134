use super::*;
use crate::domain::ended::{DeviceEnd, Ended};
use paraphe_proto::ids::ChallengeId;

const LIMITS: Limits = Limits {
    wait_after_3_s: 60,
    wait_after_4_s: 900,
    max_failures: 5,
    rolling_failures: 20,
    rolling_window_s: 30 * 86_400,
};

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

pub(super) fn device() -> Device {
    Device {
        id: DeviceId::from_bytes([1; 16]),
        subject_id: SubjectId::from_bytes([2; 16]),
        state: State::AwaitingConfirmation,
        epoch: 1,
        acr: Acr::Eidas2,
        key_storage: KeyStorage::Unattested,
        possession_key: Bytes([4; 65]),
        approval_key: Bytes([4; 65]),
        oprf_key: Some(Secret::new([7; 32])),
        attempts: Attempts::default(),
        wrong_codes: 0,
        activation: String::new(),
        activation_id: None,
        created_at: at(0),
        valid_until: None,
        suspension: None,
        replaces: None,
        vouched_by: None,
        suspension_of: None,
        newest_event: 0,
        approved_at: None,
        rollback_noticed: false,
        pin_change: None,
        due_at: None,
    }
}

#[test]
fn quarantine_ends_by_itself_and_only_refuses_until_then() {
    let mut device = device();
    assert!(device.require_may_refuse().is_err());
    device.confirm(at(0), 100).unwrap();
    assert!(device.confirm(at(0), 100).is_err());
    assert!(device.require_may_refuse().is_ok());
    assert!(device.require_active().is_err());
    assert!(!device.settle(at(99), &LIMITS));
    assert!(device.settle(at(100), &LIMITS));
    assert!(device.require_active().is_ok());
}

#[test]
fn an_uncredited_last_attempt_locks_and_destroys_the_key() {
    let mut device = device();
    device.confirm(at(0), 0).unwrap();
    let mut now = 0;
    for n in 0..5u8 {
        now += 1_000;
        let charged =
            device
                .attempts
                .clone()
                .charge(at(now), ChallengeId::from_bytes([n; 16]), [n; 32], &LIMITS);
        device.attempts = charged.unwrap().attempts;
    }
    assert!(!device.settle(at(now + 59), &LIMITS));
    assert!(device.settle(at(now + 60), &LIMITS));
    assert_eq!(device.require_active().err().unwrap().code(), "device.locked");
    assert!(device.oprf_key.is_none());
}

#[test]
fn a_phone_ends_with_the_document_also_in_quarantine_and_loses_its_key() {
    for quarantine_s in [0, 5_000] {
        let mut device = device();
        device.valid_until = Some(at(1_000));
        device.confirm(at(0), quarantine_s).unwrap();
        device.schedule(&LIMITS);
        assert_eq!(device.due_at, Some(at(1_000)));
        assert!(!device.settle(at(999), &LIMITS));
        assert!(device.settle(at(1_000), &LIMITS));
        assert_eq!(device.state, State::Expired { at: at(1_000) });
        assert_eq!(device.require_active().err().unwrap().code(), "device.expired");
        assert_eq!(
            device.require_may_refuse().err().unwrap().code(),
            "device.expired"
        );
        assert!(device.oprf_key.is_none() && !device.is_alive());
        device.schedule(&LIMITS);
        assert_eq!(device.due_at, None);
    }
}

#[test]
fn a_phone_is_not_confirmed_for_a_document_that_ended_meanwhile() {
    let mut device = device();
    device.valid_until = Some(at(1_000));
    let refused = device.confirm(at(1_000), 0).err().unwrap();
    assert_eq!(refused.code(), "document.expired");
    assert_eq!(device.state, State::AwaitingConfirmation);
}

#[test]
fn a_suspended_phone_goes_back_to_what_it_was_and_its_time_goes_on() {
    for (quarantine_s, name) in [(0, "active"), (5_000, "quarantined")] {
        let mut device = device();
        device.valid_until = Some(at(1_000));
        assert!(device.suspend(at(0)).is_err(), "not confirmed yet");
        assert_eq!(device.resume().err().unwrap().code(), "device.not_suspended");
        device.confirm(at(0), quarantine_s).unwrap();
        device.suspend(at(10)).unwrap();
        assert_eq!(device.suspend(at(11)).err().unwrap().code(), "device.suspended");
        assert_eq!(device.require_active().err().unwrap().code(), "device.suspended");
        assert_eq!(
            device.require_may_refuse().err().unwrap().code(),
            "device.suspended"
        );
        assert!(device.require_suspended().is_ok() && device.require_may_wait().is_ok());
        device.schedule(&LIMITS);
        assert_eq!(device.due_at, Some(at(1_000)));
        device.resume().unwrap();
        assert_eq!(device.state.as_str(), name);
        device.suspend(at(20)).unwrap();
        assert!(device.settle(at(1_000), &LIMITS));
        assert_eq!(device.require_suspended().err().unwrap().code(), "device.expired");
    }
}

#[test]
fn a_suspension_does_not_save_a_phone_from_its_last_attempt() {
    let mut device = device();
    device.confirm(at(0), 0).unwrap();
    for n in 1..=5u8 {
        let challenge = ChallengeId::from_bytes([n; 16]);
        let charged = device
            .attempts
            .clone()
            .charge(at(i64::from(n) * 1_000), challenge, [n; 32], &LIMITS);
        device.attempts = charged.unwrap().attempts;
    }
    device.suspend(at(5_001)).unwrap();
    assert!(device.settle(at(5_060), &LIMITS));
    assert_eq!(device.state, State::Locked { at: at(5_060) });
    assert!(device.oprf_key.is_none());
}

#[test]
fn a_phone_that_noticed_a_rollback_is_not_resumed() {
    let mut device = device();
    device.confirm(at(0), 0).unwrap();
    device.suspend(at(1)).unwrap();
    device.rollback_noticed = true;
    assert_eq!(
        device.require_suspended().err().unwrap().code(),
        "device.rollback_noticed"
    );
}

#[test]
fn a_phone_takes_anothers_place_after_its_quarantine_and_once() {
    let old = DeviceId::from_bytes([8; 16]);
    let mut device = device();
    device.replaces = Some(old);
    assert_eq!(device.take_over(at(0)), None);
    device.confirm(at(0), 100).unwrap();
    assert!(!device.settle(at(100), &LIMITS), "that is not for time alone");
    assert_eq!(device.take_over(at(99)), None);
    assert_eq!(device.take_over(at(100)), Some(old));
    assert_eq!(device.state, State::Active);
    assert_eq!(device.take_over(at(101)), None);
}

#[test]
fn what_a_phone_saw_counts_within_its_restore_epoch() {
    for (evaluation, restore_epoch, known) in [
        (5, 1, true),
        (6, 1, false),
        (60, 0, true),
        (0, 2, false),
        (60, 2, false),
    ] {
        let seen = Seen {
            evaluation,
            restore_epoch,
        };
        assert_eq!(
            seen.require_known(5, 1).is_ok(),
            known,
            "{evaluation} in {restore_epoch}"
        );
    }
}

#[test]
fn an_end_is_carried_out_again_once_and_never_taken_back() {
    for (end, pin_epoch, code) in [
        (Some(DeviceEnd::Locked), 1, "device.locked"),
        (Some(DeviceEnd::Revoked), 1, "device.revoked"),
        (Some(DeviceEnd::Suspended), 1, "device.suspended"),
        (Some(DeviceEnd::RollbackNoticed), 1, "device.rollback_noticed"),
        (None, 2, "device.revoked"),
        (Some(DeviceEnd::Suspended), 2, "device.revoked"),
    ] {
        let mut device = device();
        device.confirm(at(0), 0).unwrap();
        assert_eq!(device.ended(), None);
        assert!(device.end_again(end, pin_epoch, at(9)), "{end:?}");
        assert_eq!(device.require_active().err().unwrap().code(), code);
        assert!(device.ended().is_some());
        assert!(!device.end_again(end, pin_epoch, at(10)), "{end:?}");
    }
}

#[test]
fn a_cut_leaves_one_attempt_and_ends_what_was_not_confirmed() {
    let mut unconfirmed = device();
    unconfirmed.cut(at(9), &LIMITS);
    assert_eq!(unconfirmed.state, State::Revoked { at: at(9) });
    let mut device = device();
    device.confirm(at(0), 0).unwrap();
    device.cut(at(9), &LIMITS);
    assert_eq!(device.attempts.left(at(9), &LIMITS), 1);
    assert!(device.require_active().is_ok());
    assert!(!device.settle(at(99_999), &LIMITS), "nothing was tried");
}

#[test]
fn a_cut_locks_where_the_last_attempt_was_made_since_the_backup() {
    let mut device = device();
    device.confirm(at(0), 0).unwrap();
    assert!(device.attempts.lose_last(true));
    assert!(!device.attempts.lose_last(true), "said already");
    device.cut(at(9), &LIMITS);
    assert_eq!(device.state, State::Locked { at: at(9) });
    assert!(device.oprf_key.is_none());
}

#[test]
fn the_last_attempt_is_said_while_it_may_be_lost_and_lifted_when_it_is_credited() {
    let mut device = device();
    device.confirm(at(0), 0).unwrap();
    let limits = Limits {
        max_failures: 1,
        ..LIMITS
    };
    let asked = ChallengeId::from_bytes([1; 16]);
    let charged = device.attempts.clone().charge(at(1), asked, [7; 32], &limits);
    device.attempts = charged.unwrap().attempts;
    let said = |end, last_try| {
        Some(Ended::Device {
            id: DeviceId::from_bytes([2; 16]),
            end,
            pin_epoch: 1,
            last_try,
        })
    };
    device.id = DeviceId::from_bytes([2; 16]);
    assert_eq!(device.ended(), said(None, true));
    device.suspend(at(2)).unwrap();
    assert_eq!(device.ended(), said(Some(DeviceEnd::Suspended), true));
    device.resume().unwrap();
    let mut owner = self::device();
    owner.confirm(at(0), 0).unwrap();
    owner.attempts = device.attempts.clone().credit(1, asked, [7; 32]).unwrap();
    assert_eq!(owner.ended(), None);
    assert!(device.settle(at(61), &limits));
    assert_eq!(device.ended(), said(Some(DeviceEnd::Locked), false));
}

#[test]
fn a_quarantine_goes_on_in_a_suspension() {
    let mut device = device();
    device.confirm(at(0), 100).unwrap();
    device.suspend(at(1)).unwrap();
    device.schedule(&LIMITS);
    assert_eq!(device.due_at, Some(at(100)));
    assert!(device.settle(at(100), &LIMITS));
    device.resume().unwrap();
    assert_eq!(device.state, State::Active);
}

#[test]
fn a_phone_that_noticed_a_rollback_takes_nobodys_place() {
    let mut device = device();
    device.replaces = Some(DeviceId::from_bytes([8; 16]));
    device.confirm(at(0), 100).unwrap();
    device.rollback_noticed = true;
    assert!(device.settle(at(100), &LIMITS));
    assert_eq!(device.take_over(at(100)), None);
    assert_eq!(device.state, State::Revoked { at: at(100) });
}

#[test]
fn a_new_epoch_replaces_the_key_and_answers_no_element_of_the_old_one_for_free() {
    let mut device = device();
    device.confirm(at(0), 0).unwrap();
    let (asked, element) = (ChallengeId::from_bytes([1; 16]), [7; 32]);
    let charged = device
        .attempts
        .clone()
        .charge(at(1), asked, element, &LIMITS)
        .unwrap();
    device.attempts = charged.attempts;
    let done = || PinChange::Done {
        challenge_id: ChallengeId::from_bytes([2; 16]),
        statement: String::new(),
    };
    device.begin_epoch(Secret::new([8; 32]), done());
    assert_eq!((device.epoch, device.attempts.left(at(1), &LIMITS)), (2, 4));
    assert_eq!(device.oprf_key.as_ref().unwrap().expose(), &[8; 32]);
    assert!(device.attempts.clone().credit(1, asked, element).is_err());
    let again = device
        .attempts
        .clone()
        .charge(at(2), asked, element, &LIMITS)
        .unwrap();
    assert!(again.fresh && again.number == 2);
    device.revoke(at(3));
    assert!(device.oprf_key.is_none() && device.pin_change.is_none());
}

#[test]
fn a_suspended_phone_that_would_take_anothers_place_is_never_due_for_it() {
    let mut device = device();
    device.replaces = Some(DeviceId::from_bytes([8; 16]));
    device.confirm(at(0), 100).unwrap();
    device.suspend(at(1)).unwrap();
    device.schedule(&LIMITS);
    assert_eq!(device.due_at, None, "or every sweep would find it again");
    assert!(!device.settle(at(100), &LIMITS));
    assert_eq!(device.take_over(at(100)), None);
    device.resume().unwrap();
    device.schedule(&LIMITS);
    assert_eq!(device.due_at, Some(at(100)));
}
