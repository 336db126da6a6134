//! Changing the PIN: lost replies, crashes at each step, and what a dishonest daemon gets.

use tempfile::TempDir;

use super::{activated, approve};
use crate::testing::daemon::Daemon;
use crate::testing::{PIN, keystore, rng};
use crate::{Error, FinalState, Phone, PinChange, Server, Settled};

const NEW: &str = "904716";

async fn change(phone: &Phone, server: &Server) -> Result<(), Error> {
    let mut change = phone.change_pin(server).await?;
    change.finish(server, PIN, NEW, &mut rng()).await
}

fn reopened(dir: &TempDir) -> Phone {
    Phone::open(dir.path(), keystore(dir.path())).unwrap().unwrap()
}

/// Which of the two PINs approves: exactly one, whatever happened before.
async fn pin_that_counts(daemon: &Daemon, server: &Server, phone: &Phone) -> &'static str {
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    let new = approve(phone, server, &shown, NEW).await;
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    match (new, approve(phone, server, &shown, PIN).await) {
        (Ok(FinalState::Approved), Err(Error::WrongPin { .. })) => "new",
        (Err(Error::WrongPin { .. }), Ok(FinalState::Approved)) => "old",
        both => panic!("{both:?}"),
    }
}

#[tokio::test]
async fn the_new_pin_takes_the_place_of_the_old_one() {
    let (dir, daemon, server, phone) = activated().await;
    let before = phone.record();
    let mut change = phone.change_pin(&server).await.unwrap();
    assert_eq!(change.shown().action(), "paraphe.change_pin");
    change.finish(&server, PIN, NEW, &mut rng()).await.unwrap();
    for phone in [&phone, &reopened(&dir)] {
        let record = phone.record();
        assert_eq!((record.epoch, record.pin_change.is_none()), (2, true));
        assert_eq!(record.key.public, before.key.public);
        assert_ne!(record.key.sealed_device_secret, before.key.sealed_device_secret);
        assert_eq!(pin_that_counts(&daemon, &server, phone).await, "new");
    }
}

#[tokio::test]
async fn a_wrong_old_pin_is_told_and_the_right_one_goes_on() {
    let (_dir, daemon, server, phone) = activated().await;
    let mut change = phone.change_pin(&server).await.unwrap();
    let wrong = change.finish(&server, "739204", NEW, &mut rng()).await;
    assert!(matches!(wrong, Err(Error::WrongPin { attempts_left: 4, .. })));
    change.finish(&server, PIN, NEW, &mut rng()).await.unwrap();
    assert_eq!(daemon.world().charges, 2);
}

#[tokio::test]
async fn a_new_pin_that_breaks_the_policy_or_is_the_old_one_is_refused_before_anything_is_sent() {
    let (_dir, daemon, server, phone) = activated().await;
    let mut change = phone.change_pin(&server).await.unwrap();
    for (pin, code) in [
        ("123456", "pin.run"),
        ("4829", "pin.too_short"),
        (PIN, "pin.same"),
    ] {
        let refused = change.finish(&server, PIN, pin, &mut rng()).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
    assert_eq!(change.check_pin("111111").unwrap_err().code(), "pin.repeats");
    assert_eq!(daemon.world().charges, 0);
}

#[tokio::test]
async fn the_rules_of_the_daemon_are_known_before_it_is_asked() {
    let (dir, daemon, server, phone) = activated().await;
    for phone in [&phone, &reopened(&dir)] {
        assert_eq!(phone.check_new_pin("123456").unwrap_err().code(), "pin.run");
        phone.check_new_pin(NEW).unwrap();
    }
    // A file of before they were kept knows what every daemon asks for, and learns the rest from the next change.
    phone
        .change(|record| {
            record.pin_policy = None;
            Ok(())
        })
        .unwrap();
    phone.check_new_pin("123456").unwrap();
    assert_eq!(phone.check_new_pin("4829").unwrap_err().code(), "pin.too_short");
    let change = phone.change_pin(&server).await.unwrap();
    assert_eq!(change.check_pin("123456").unwrap_err().code(), "pin.run");
    assert_eq!(phone.check_new_pin("123456").unwrap_err().code(), "pin.run");
    assert_eq!(daemon.world().charges, 0);
}

#[tokio::test]
async fn rules_that_were_relaxed_since_are_learnt_before_a_change_is_asked_for() {
    let (dir, daemon, server, phone) = activated().await;
    assert_eq!(phone.check_new_pin("140789").unwrap_err().code(), "pin.date");
    daemon.world().pin_policy.refuse_dates = false;
    phone.device(&server).await.unwrap();
    phone.check_new_pin("140789").unwrap();
    reopened(&dir).check_new_pin("140789").unwrap();
    daemon.world().pin_policy.min_length = 8;
    phone.device(&server).await.unwrap();
    assert_eq!(phone.check_new_pin("140789").unwrap_err().code(), "pin.too_short");
}

#[tokio::test]
async fn lost_replies_before_the_last_step_cost_one_attempt_and_the_same_call_goes_on() {
    let (_dir, daemon, server, phone) = activated().await;
    let mut change = phone.change_pin(&server).await.unwrap();
    for rpc in ["Unlock", "Answer", "EvaluatePinChange"] {
        daemon.world().lost = vec![rpc; 2];
        let lost = change.finish(&server, PIN, NEW, &mut rng()).await;
        assert!(lost.unwrap_err().is_lost_reply(), "{rpc}");
        assert!(phone.record().pin_change.is_none());
    }
    change.finish(&server, PIN, NEW, &mut rng()).await.unwrap();
    assert_eq!(daemon.world().charges, 1);
    assert_eq!(daemon.world().answers.len(), 1);
    assert_eq!(pin_that_counts(&daemon, &server, &phone).await, "new");
}

#[tokio::test]
async fn a_lost_reply_of_the_last_step_is_made_good_within_the_call() {
    let (_dir, daemon, server, phone) = activated().await;
    daemon.world().lost = vec!["FinishPinChange"];
    change(&phone, &server).await.unwrap();
    assert_eq!((phone.record().epoch, daemon.world().epoch), (2, 2));
}

/// The daemon has moved, the phone does not know yet.
#[tokio::test]
async fn a_crash_after_the_epoch_moved_leaves_the_new_pin_at_the_next_use() {
    let (dir, daemon, server, phone) = activated().await;
    daemon.world().lost = vec!["FinishPinChange"; 3];
    assert!(change(&phone, &server).await.is_err());
    drop(phone);
    let restarted = reopened(&dir);
    assert_eq!((restarted.record().epoch, daemon.world().epoch), (1, 2));
    assert_eq!(pin_that_counts(&daemon, &server, &restarted).await, "new");
    assert_eq!(reopened(&dir).record().epoch, 2);
}

/// The statement is on disk and was never sent.
#[tokio::test]
async fn a_crash_before_the_last_step_is_finished_at_the_next_use() {
    let (dir, daemon, server, phone) = activated().await;
    daemon.world().refuse_pin_change = Some("store.overloaded");
    let cut_short = change(&phone, &server).await;
    assert_eq!(cut_short.unwrap_err().code(), "store.overloaded");
    drop(phone);
    daemon.world().refuse_pin_change = None;
    let restarted = reopened(&dir);
    assert!(restarted.record().pin_change.is_some());
    assert_eq!(daemon.world().epoch, 1);
    let settled = restarted.settle_pin_change(&server).await.unwrap();
    assert!(matches!(settled, Settled::NewPin));
    assert_eq!(pin_that_counts(&daemon, &server, &restarted).await, "new");
}

#[tokio::test]
async fn a_change_that_the_daemon_refuses_for_good_leaves_the_old_pin() {
    let (dir, daemon, server, phone) = activated().await;
    daemon.world().refuse_pin_change = Some("pin_change.expired");
    assert_eq!(
        change(&phone, &server).await.unwrap_err().code(),
        "pin_change.expired"
    );
    daemon.world().refuse_pin_change = None;
    for phone in [&phone, &reopened(&dir)] {
        assert!(phone.record().pin_change.is_none());
        assert!(matches!(
            phone.settle_pin_change(&server).await.unwrap(),
            Settled::Nothing
        ));
        assert_eq!(pin_that_counts(&daemon, &server, phone).await, "old");
    }
}

/// Both wrappings stay as long as nobody says which one counts, and a second PIN cannot slip in between.
#[tokio::test]
async fn while_nobody_says_which_epoch_counts_both_wrappings_stay() {
    let (dir, daemon, server, phone) = activated().await;
    let mut begun = phone.change_pin(&server).await.unwrap();
    daemon.world().refuse_pin_change = Some("store.overloaded");
    begun.finish(&server, PIN, NEW, &mut rng()).await.unwrap_err();
    let other = begun.finish(&server, PIN, "846205", &mut rng()).await;
    assert_eq!(other.unwrap_err().code(), "pin_change.pin_is_chosen");
    for code in ["store.overloaded", "caller.unauthenticated", "statement.refused"] {
        daemon.world().refuse_pin_change = Some(code);
        assert_eq!(phone.settle_pin_change(&server).await.unwrap_err().code(), code);
        let record = reopened(&dir).record();
        assert!(record.epoch == 1 && record.pin_change.is_some(), "{code}");
    }
    daemon.world().refuse_pin_change = Some("device.not_active");
    phone.device(&server).await.unwrap();
    assert!(reopened(&dir).record().pin_change.is_some());
}

#[tokio::test]
async fn every_verb_learns_first_which_epoch_counts() {
    for verb in 0..6 {
        let (_dir, daemon, server, phone) = activated().await;
        daemon.world().lost = vec!["FinishPinChange"; 3];
        assert!(change(&phone, &server).await.is_err());
        let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
        match verb {
            0 => drop(phone.device(&server).await.unwrap()),
            1 => drop(phone.fetch(&server).await.unwrap()),
            2 => drop(phone.watch(&server).await.unwrap()),
            3 => drop(phone.refuse(&server, &shown).await.unwrap()),
            4 => drop(phone.history(&server, None, 0).await.unwrap()),
            _ => drop(phone.change_pin(&server).await.unwrap()),
        }
        assert_eq!(phone.record().epoch, 2, "{verb}");
    }
}

#[tokio::test]
async fn another_process_on_the_folder_follows_the_change() {
    let (dir, daemon, server, first) = activated().await;
    let second = reopened(&dir);
    change(&first, &server).await.unwrap();
    assert_eq!(second.record().epoch, 1);
    assert_eq!(pin_that_counts(&daemon, &server, &second).await, "new");
}

#[tokio::test]
async fn two_processes_that_change_the_pin_at_once_leave_one_new_pin() {
    let (dir, daemon, server, first) = activated().await;
    let second = reopened(&dir);
    let mut late = second.change_pin(&server).await.unwrap();
    daemon.world().refuse_pin_change = Some("store.overloaded");
    change(&first, &server).await.unwrap_err();
    let refused = late.finish(&server, PIN, "846205", &mut rng()).await;
    assert_eq!(refused.unwrap_err().code(), "store.overloaded");
    let written = reopened(&dir).record().pin_change.unwrap();
    assert_eq!(written.statement, first.record().pin_change.unwrap().statement);
}

#[tokio::test]
async fn a_change_under_a_key_that_evaluated_before_or_without_rules_is_refused() {
    let (dir, daemon, server, phone) = activated().await;
    daemon.world().pin_change_evaluation = 1;
    assert_eq!(
        change(&phone, &server).await.unwrap_err().code(),
        "evaluation.mismatch"
    );
    assert!(reopened(&dir).record().pin_change.is_none());
    assert_eq!(pin_that_counts(&daemon, &server, &phone).await, "old");
}

/// An app runs these on any thread.
#[test]
fn a_pin_change_may_move_between_threads() {
    fn send<T: Send>(_: impl FnOnce(PinChange<'static>, &'static Server) -> T) {}
    send(|mut change, server| async move { change.finish(server, PIN, NEW, &mut rng()).await });
}
