//! Showing and answering: charges, lost replies, rolled-back databases, retired keys.

use paraphe_proto::jws;
use paraphe_proto::keys::Signer as _;
use paraphe_proto::statements::{Challenge, KeyState, KeyUse};

use super::{activated, approve};
use crate::testing::{ISS, PIN, key, key_set, keystore, rng};
use crate::{Error, Event, FinalState, Phone, Server, Shown};

#[tokio::test]
async fn what_is_approved_is_what_was_shown() {
    let (_dir, daemon, server, phone) = activated().await;
    daemon.ask(|_| {});
    let shown = phone.fetch(&server).await.unwrap().remove(0).challenge.unwrap();
    assert_eq!(shown.document().title, "Acheter une formation");
    assert_eq!(
        approve(&phone, &server, &shown, PIN).await.unwrap(),
        FinalState::Approved
    );
    assert_eq!(daemon.world().charges, 1);
}

#[tokio::test]
async fn a_wrong_code_is_told_apart_from_an_approval() {
    let (_dir, daemon, server, phone) = activated().await;
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    let receipt = phone
        .approve(&server, &shown, Some("000 000"), PIN, &mut rng())
        .await
        .unwrap();
    assert_eq!(receipt.state, FinalState::Failed);
    assert_eq!(receipt.answer, daemon.world().answers[0]);
}

#[tokio::test]
async fn a_wrong_pin_is_charged_and_told_and_the_right_one_approves() {
    let (_dir, daemon, server, phone) = activated().await;
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    let wrong = approve(&phone, &server, &shown, "739204").await;
    assert!(matches!(
        wrong,
        Err(Error::WrongPin {
            attempts_left: 4,
            wait_s: 0
        })
    ));
    assert_eq!(
        approve(&phone, &server, &shown, PIN).await.unwrap(),
        FinalState::Approved
    );
    assert_eq!(daemon.world().charges, 2);
}

#[tokio::test]
async fn lost_replies_charge_one_attempt_and_leave_one_answer() {
    let (_dir, daemon, server, phone) = activated().await;
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    daemon.world().lost = vec!["Unlock", "Unlock", "Unlock", "Answer", "Answer", "Answer"];
    for _ in 0..2 {
        assert!(
            approve(&phone, &server, &shown, PIN)
                .await
                .err()
                .unwrap()
                .is_lost_reply()
        );
    }
    assert_eq!(
        approve(&phone, &server, &shown, PIN).await.unwrap(),
        FinalState::Approved
    );
    assert_eq!(daemon.world().charges, 1);
    assert_eq!(daemon.world().answers.len(), 1);
}

#[tokio::test]
async fn an_interrupted_attempt_does_not_go_on_with_another_pin() {
    let (_dir, daemon, server, phone) = activated().await;
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    daemon.world().lost = vec!["Unlock", "Unlock"];
    assert!(
        approve(&phone, &server, &shown, PIN)
            .await
            .err()
            .unwrap()
            .is_lost_reply()
    );
    let other = approve(&phone, &server, &shown, "739204").await;
    assert!(matches!(other, Err(Error::WrongPin { attempts_left: 3, .. })));
    assert!(daemon.world().answers.is_empty());
}

#[tokio::test]
async fn a_daemon_that_forgets_a_charge_gets_no_approval() {
    let (_dir, daemon, server, phone) = activated().await;
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    for pin in ["739204", "739205"] {
        assert_eq!(
            approve(&phone, &server, &shown, pin).await.unwrap_err().code(),
            "pin.wrong"
        );
    }
    daemon.world().charges = 0;
    let rolled_back = approve(&phone, &server, &shown, PIN).await;
    assert_eq!(rolled_back.unwrap_err().code(), "evaluation.rolled_back");
    assert!(daemon.world().answers.is_empty());
    (daemon.world().charges, daemon.world().restore_epoch) = (0, 1);
    assert_eq!(
        approve(&phone, &server, &shown, PIN).await.unwrap(),
        FinalState::Approved
    );
    assert_eq!(
        (phone.record().seen.evaluation, phone.record().seen.restore_epoch),
        (1, 1)
    );
}

#[tokio::test]
async fn refusing_and_reporting_need_no_pin_and_charge_nothing() {
    let (_dir, daemon, server, phone) = activated().await;
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    assert_eq!(
        phone.refuse(&server, &shown).await.unwrap().state,
        FinalState::Denied
    );
    let shown = phone.verify(&daemon.ask(|_| {})).unwrap();
    assert_eq!(
        phone.report(&server, &shown).await.unwrap().state,
        FinalState::Reported
    );
    assert_eq!(daemon.world().charges, 0);
    phone
        .lift(&server, Some(&"courses".parse().unwrap()))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_phone_follows_the_issuers_keys_and_leaves_the_retired_one() {
    let (dir, daemon, server, phone) = activated().await;
    let by_the_old_key = daemon.ask(|_| {});
    phone.verify(&by_the_old_key).unwrap();
    let new = key();
    let by_the_new_key = {
        let mut world = daemon.world();
        let keys = [
            (&world.issuer.key, KeyUse::Challenge, KeyState::Retired),
            (&new, KeyUse::Challenge, KeyState::Active),
        ];
        let set = key_set(2, &keys, &world.issuer.key);
        world.key_sets.push(set);
        let old = jws::verify::<Challenge>(&by_the_old_key, world.issuer.key.public_key(), ISS).unwrap();
        jws::sign(old.claims(), &new).unwrap().into_compact()
    };
    assert_eq!(phone.verify(&by_the_new_key).unwrap_err().code(), "statement.key");
    phone
        .verify_with_newest_keys(&server, &by_the_new_key)
        .await
        .unwrap();
    let restarted = Phone::open(dir.path(), keystore(dir.path())).unwrap().unwrap();
    restarted.verify(&by_the_new_key).unwrap();
    assert_eq!(
        restarted.verify(&by_the_old_key).unwrap_err().code(),
        "statement.key"
    );
}

#[tokio::test]
async fn the_stream_brings_what_is_pending_and_one_bad_challenge_hides_no_other() {
    let (_dir, daemon, server, phone) = activated().await;
    daemon.ask(|claims| claims.device_handle.0[0] ^= 1);
    let good = daemon.ask(|_| {});
    let mut watch = phone.watch(&server).await.unwrap();
    let Some(Event::Pending(bad)) = watch.next().await.unwrap() else {
        panic!("a challenge")
    };
    assert_eq!(bad.challenge.unwrap_err().code(), "challenge.other_device");
    let Some(Event::Pending(pending)) = watch.next().await.unwrap() else {
        panic!("a challenge")
    };
    assert_eq!(pending.challenge.unwrap().compact(), good);
    assert!(matches!(watch.next().await, Ok(Some(Event::CaughtUp))));
    assert!(watch.next().await.unwrap_err().is_lost_reply());
}

#[tokio::test]
async fn two_processes_on_one_folder_do_not_undo_each_other() {
    let (dir, daemon, server, first) = activated().await;
    let second = Phone::open(dir.path(), keystore(dir.path())).unwrap().unwrap();
    let shown = first.verify(&daemon.ask(|_| {})).unwrap();
    approve(&first, &server, &shown, PIN).await.unwrap();
    daemon.world().device_state = paraphe_proto::v1::DeviceState::Active;
    second.device(&server).await.unwrap();
    let reopened = Phone::open(dir.path(), keystore(dir.path())).unwrap().unwrap();
    assert_eq!(reopened.record().seen.evaluation, 1);
    assert!(reopened.sas().is_none());
}

#[tokio::test]
async fn what_another_process_saw_is_not_forgotten() {
    let (dir, daemon, server, first) = activated().await;
    let second = Phone::open(dir.path(), keystore(dir.path())).unwrap().unwrap();
    let shown = first.verify(&daemon.ask(|_| {})).unwrap();
    for pin in ["739204", "739205"] {
        assert_eq!(
            approve(&first, &server, &shown, pin).await.unwrap_err().code(),
            "pin.wrong"
        );
    }
    daemon.world().charges = 0;
    let rolled_back = approve(&second, &server, &shown, PIN).await;
    assert_eq!(rolled_back.unwrap_err().code(), "evaluation.rolled_back");
    assert!(daemon.world().answers.is_empty());
}

#[tokio::test]
async fn a_key_that_was_retired_meanwhile_shows_nothing() {
    let (_dir, daemon, server, phone) = activated().await;
    daemon.ask(|_| {});
    {
        let mut world = daemon.world();
        let retired = [(&world.issuer.key, KeyUse::Challenge, KeyState::Retired)];
        let set = key_set(2, &retired, &world.issuer.root);
        world.key_sets.push(set);
    }
    let pending = phone.fetch(&server).await.unwrap().remove(0);
    assert_eq!(pending.challenge.unwrap_err().code(), "statement.key");
    let mut watch = phone.watch(&server).await.unwrap();
    let Some(Event::Pending(pending)) = watch.next().await.unwrap() else {
        panic!("a challenge")
    };
    assert_eq!(pending.challenge.unwrap_err().code(), "statement.key");
}

#[tokio::test]
async fn the_history_comes_page_by_page() {
    let (_dir, _daemon, server, phone) = activated().await;
    let first = phone.history(&server, None, 0).await.unwrap();
    assert_eq!(first.entries[0].title, "Acheter une formation");
    let last = phone.history(&server, first.next.as_deref(), 0).await.unwrap();
    assert!(last.next.is_none());
    let first = phone.device_events(&server, None, 0).await.unwrap();
    assert_eq!((first.events[0].event.as_str(), first.missing), ("suspended", 1));
    let last = phone.device_events(&server, first.next.as_deref(), 0).await;
    assert!(last.unwrap().next.is_none());
}

/// An app runs these on any thread.
#[test]
fn every_call_may_move_between_threads() {
    fn send<T: Send>(_: impl FnOnce(&'static Phone, &'static Server, &'static Shown) -> T) {}
    send(|phone, server, shown| async move {
        let mut watch = phone.watch(server).await?;
        watch.next().await?;
        phone.refuse(server, shown).await?;
        phone.approve(server, shown, None, PIN, &mut rng()).await
    });
}
