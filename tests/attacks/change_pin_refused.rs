//! PIN changes that are refused: without their approval, with another's, too late, twice, with any field changed, with a wrong old PIN.

use paraphe_companion::protocol::send_pin_change;
use paraphe_companion::{Error, FinalState};
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::v1;
use rand_core::OsRng;

use crate::change_pin::{NEW, Opened, at_epoch, buy, evaluate, is_taken, opened, raised, statement};
use crate::hand::{OPEN, Parts, approve, ask, code_of, guess, send, unlock};
use crate::theft::stored;
use crate::world::{PIN, World};

#[tokio::test(flavor = "multi_thread")]
async fn without_an_open_change_nothing_is_evaluated_and_no_epoch_moves() {
    let mut world = World::with(OPEN).await;
    let (anna, ben) = (world.enrol().await, world.enrol().await);
    let prover = anna.phone.prover().unwrap();
    let bens = opened(&world, &ben).await;
    let bought = ask(&world, &anna).await;
    approve(&world, &anna, &bought).await.unwrap();
    let denied = raised(&world, &anna).await;
    anna.phone.refuse(&world.server, &denied.shown).await.unwrap();
    let waiting = raised(&world, &anna).await;
    let expired = raised(&world, &anna).await;
    let key = unlock(&world, &anna, &expired).await.0;
    let mut own = Opened {
        id: expired.id(),
        shown: expired.shown,
        key,
    };
    let unknown = ChallengeId::from_bytes([7; 16]);
    for id in [bens.id, bought.id(), denied.id(), waiting.id(), own.id, unknown] {
        assert_eq!(
            code_of(evaluate(&world, &prover, id, NEW).await),
            "pin_change.not_open"
        );
        own.id = id;
        let stated = statement(&anna, &own, 2, [9; 32]);
        let refused = send_pin_change(&world.server, &prover, id, &stated).await;
        assert_eq!(code_of(refused), "pin_change.not_open");
    }
    world.pass(301);
    let refused = send(&world, &anna, waiting.id(), "a.b.c").await;
    assert!(refused.is_err());
    assert_eq!(
        code_of(evaluate(&world, &prover, waiting.id(), NEW).await),
        "pin_change.not_open"
    );
    assert!(is_taken(&world, &anna, 1).await && !is_taken(&world, &anna, 2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_after_the_approval_the_change_is_over_for_good_and_a_later_one_ends_an_earlier() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let prover = anna.phone.prover().unwrap();
    let late = opened(&world, &anna).await;
    world.pass(580);
    let (_, evaluation) = evaluate(&world, &prover, late.id, NEW).await.unwrap();
    world.pass(20);
    assert_eq!(
        code_of(evaluate(&world, &prover, late.id, NEW).await),
        "pin_change.expired"
    );
    let stated = statement(&anna, &late, 2, evaluation.element_sha256.0);
    for code in ["pin_change.expired", "pin_change.not_open"] {
        let refused = send_pin_change(&world.server, &prover, late.id, &stated).await;
        assert_eq!(code_of(refused), code, "a refusal is final");
    }
    assert!(
        stored(&world, anna.phone.device_id()).pin_change.is_none(),
        "the seed is gone"
    );
    let earlier = opened(&world, &anna).await;
    let later = opened(&world, &anna).await;
    assert_eq!(
        code_of(evaluate(&world, &prover, earlier.id, NEW).await),
        "pin_change.not_open"
    );
    let (_, evaluation) = evaluate(&world, &prover, later.id, NEW).await.unwrap();
    let stated = statement(&anna, &earlier, 2, evaluation.element_sha256.0);
    let refused = send_pin_change(&world.server, &prover, later.id, &stated).await;
    assert_eq!(code_of(refused), "pin_change.mismatch");
    assert_eq!(buy(&world, &anna, PIN).await.unwrap(), FinalState::Approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_changed_in_any_field_moves_nothing_and_the_right_one_moves_once() {
    let mut world = World::with(OPEN).await;
    let (anna, ben) = (world.enrol().await, world.enrol().await);
    let opened = opened(&world, &anna).await;
    let (old, new) = (at_epoch(&anna, 1), at_epoch(&anna, 2));
    let (_, evaluation) = evaluate(&world, &old, opened.id, NEW).await.unwrap();
    let good = statement(&anna, &opened, 2, evaluation.element_sha256.0);
    let digest = Parts::of(&good).claims["element_sha256"].clone();
    let changes = [
        ("challenge_sha256", digest, "pin_change.mismatch"),
        (
            "device_id",
            ben.phone.device_id().to_string().into(),
            "pin_change.mismatch",
        ),
        ("epoch", 1.into(), "pin_change.mismatch"),
        ("epoch", 3.into(), "pin_change.mismatch"),
        ("iss", "https://elsewhere.test".into(), "statement.refused"),
        ("element_sha256", "AAAA".into(), "statement.refused"),
        ("also", 1.into(), "statement.refused"),
    ];
    for (name, value, code) in changes {
        let changed = Parts::of(&good).with_claim(name, value).sign(&opened.key);
        let refused = send_pin_change(&world.server, &old, opened.id, &changed).await;
        assert_eq!(code_of(refused), code, "{name}");
    }
    let named = Parts::of(&good)
        .with_header("typ", "paraphe-approval+jwt")
        .sign(&opened.key);
    for text in [named.as_str(), "", "a.b.c"] {
        let refused = send_pin_change(&world.server, &old, opened.id, text).await;
        assert_eq!(code_of(refused), "statement.refused", "{text}");
    }
    assert!(is_taken(&world, &anna, 1).await);
    let moved = send_pin_change(&world.server, &old, opened.id, &good).await;
    assert_eq!(moved.unwrap(), 2);
    // Twice: the same statement is answered alike under the new epoch, nothing else is.
    let again = send_pin_change(&world.server, &old, opened.id, &good).await;
    assert_eq!(code_of(again), "caller.unauthenticated");
    assert_eq!(
        send_pin_change(&world.server, &new, opened.id, &good)
            .await
            .unwrap(),
        2
    );
    for epoch in [2, 3] {
        let other = statement(&anna, &opened, epoch, [9; 32]);
        let refused = send_pin_change(&world.server, &new, opened.id, &other).await;
        assert_eq!(code_of(refused), "pin_change.not_open");
    }
    assert!(is_taken(&world, &anna, 2).await && !is_taken(&world, &anna, 3).await);
    let list = v1::ListAuditEntriesRequest {
        after: 0,
        page_size: 500,
    };
    let request = world.as_account(&world.auditor, list);
    let trail = world
        .admin_client()
        .list_audit_entries(request)
        .await
        .unwrap()
        .into_inner();
    let moves = trail
        .entries
        .iter()
        .filter(|entry| entry.verb == "change_pin")
        .count();
    assert_eq!(moves, 1, "in the audit trail, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_old_pin_is_charged_as_usual_and_changes_nothing() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let mut change = anna.phone.change_pin(&world.server).await.unwrap();
    for left in [4, 3, 2] {
        let wrong = change.finish(&world.server, "100001", NEW, &mut OsRng).await;
        assert!(matches!(wrong, Err(Error::WrongPin { attempts_left, .. }) if attempts_left == left));
    }
    let waits = change.finish(&world.server, PIN, NEW, &mut OsRng).await;
    assert_eq!(code_of(waits), "device.wait");
    assert_eq!(
        code_of(guess(&world, &anna, change.shown().challenge_id(), PIN).await),
        "device.wait"
    );
    world.pass(61);
    change.finish(&world.server, PIN, NEW, &mut OsRng).await.unwrap();
    assert_eq!(buy(&world, &anna, NEW).await.unwrap(), FinalState::Approved);
}
