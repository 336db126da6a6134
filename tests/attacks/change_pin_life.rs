//! A PIN change over the life of the daemon and of the phone: killed at each step, in quarantine, by staff, by hand.

use paraphe_companion::protocol::{LockFor, finalize, lock_approval_key, send_pin_change};
use paraphe_companion::state::PreparedPinChange;
use paraphe_companion::{Argon2Cost, Error, FinalState, Phone, StateFile};
use rand_core::OsRng;
use serde_json::Value;

use crate::by_hand::{find, terminal};
use crate::change_pin::{NEW, buy, change, confirm, evaluate, is_taken, opened, raised, statement};
use crate::hand::{OPEN, ask, code_of, folder, guess, keystore, unlock};
use crate::theft::stored;
use crate::world::{PIN, Person, World};

/// What `PinChange::finish` writes down, made by hand, up to a step.
async fn prepare(world: &World, anna: &Person) -> PreparedPinChange {
    let opened = opened(world, anna).await;
    let prover = anna.phone.prover().unwrap();
    let (state, evaluation) = evaluate(world, &prover, opened.id, NEW).await.unwrap();
    let (record, keys) = (anna.phone.record(), keystore(world, anna));
    let lock = LockFor {
        keystore: &*keys,
        label: &record.key_label,
        device_id: record.device_id,
        epoch: 2,
        cost: Argon2Cost::LOWEST,
    };
    let output = finalize(state, &evaluation).unwrap();
    PreparedPinChange {
        challenge_id: opened.id,
        epoch: 2,
        key: lock_approval_key(&lock, &opened.key, &output, &mut OsRng).unwrap(),
        statement: statement(anna, &opened, 2, evaluation.element_sha256.0),
    }
}

fn write_down(world: &World, anna: &Person, prepared: PreparedPinChange) {
    let file = StateFile::at(&folder(world, anna)).unwrap();
    let written = file.update(|state| {
        state.device.as_mut().unwrap().pin_change = Some(prepared);
        Ok(())
    });
    written.unwrap();
}

/// The phone starts again; exactly one PIN approves, under exactly one epoch.
async fn pin_that_counts(world: &World, anna: &mut Person) -> &'static str {
    anna.phone = Phone::open(folder(world, anna), keystore(world, anna))
        .unwrap()
        .unwrap();
    let asked = ask(world, anna).await;
    let new = confirm(world, anna, &asked, NEW).await;
    let old = match new {
        Ok(_) => buy(world, anna, PIN).await,
        Err(_) => confirm(world, anna, &asked, PIN).await,
    };
    let epochs = [is_taken(world, anna, 1).await, is_taken(world, anna, 2).await];
    assert!(anna.phone.record().pin_change.is_none());
    match (new, old, epochs) {
        (Ok(FinalState::Approved), Err(Error::WrongPin { .. }), [false, true]) => "new",
        (Err(Error::WrongPin { .. }), Ok(FinalState::Approved), [true, false]) => "old",
        neither => panic!("{neither:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_after_each_step_leaves_exactly_one_epoch_that_works() {
    let mut world = World::with(OPEN).await;
    let steps = ["raised", "unlocked", "approved", "evaluated", "written", "moved"];
    for step in steps {
        let mut anna = world.enrol().await;
        match step {
            "raised" => drop(raised(&world, &anna).await),
            "unlocked" => {
                let asked = raised(&world, &anna).await;
                unlock(&world, &anna, &asked).await;
            }
            "approved" => drop(opened(&world, &anna).await),
            "evaluated" => drop(prepare(&world, &anna).await),
            "written" => {
                let prepared = prepare(&world, &anna).await;
                write_down(&world, &anna, prepared);
            }
            _ => {
                let prepared = prepare(&world, &anna).await;
                write_down(&world, &anna, prepared.clone());
                let prover = anna.phone.prover().unwrap();
                let moved =
                    send_pin_change(&world.server, &prover, prepared.challenge_id, &prepared.statement);
                moved.await.unwrap();
            }
        }
        world.daemon.kill();
        world.start_again().await;
        let expected = if ["written", "moved"].contains(&step) {
            "new"
        } else {
            "old"
        };
        assert_eq!(pin_that_counts(&world, &mut anna).await, expected, "{step}");
    }
}

/// The kill comes while the last step is under way, before or after its commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_within_the_last_step_leaves_exactly_one_epoch_that_works() {
    let mut world = World::with(OPEN).await;
    for round in 0..6 {
        let mut anna = world.enrol().await;
        let prepared = prepare(&world, &anna).await;
        write_down(&world, &anna, prepared.clone());
        let (server, prover) = (world.server.clone(), anna.phone.prover().unwrap());
        let call = tokio::spawn(async move {
            send_pin_change(&server, &prover, prepared.challenge_id, &prepared.statement).await
        });
        tokio::time::sleep(std::time::Duration::from_millis(round * 3)).await;
        world.daemon.kill();
        drop(call.await.unwrap());
        world.start_again().await;
        assert_eq!(pin_that_counts(&world, &mut anna).await, "new", "{round}");
    }
}

/// The phone was away until the change was over: the old PIN counts, and the new wrapping is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_comes_back_too_late_keeps_the_old_pin() {
    let mut world = World::with(OPEN).await;
    let mut anna = world.enrol().await;
    let prepared = prepare(&world, &anna).await;
    write_down(&world, &anna, prepared);
    world.pass(601);
    assert_eq!(pin_that_counts(&world, &mut anna).await, "old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_is_not_active_changes_no_pin() {
    let mut world = World::with(
        "[profile]\ndemonstration = true\n[step_up]\nmin_lifetime_s = 1\n[channels.counter]\nquarantine_s = 3600\n",
    )
    .await;
    let anna = world.enrol().await;
    let refused = anna.phone.change_pin(&world.server).await;
    assert_eq!(code_of(refused), "device.not_active", "it is not even asked");
    world.pass(3_600);
    change(&world, &anna, PIN, NEW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pin_changes_have_a_quota() {
    let mut world = World::new().await;
    let anna = world.enrol().await;
    for _ in 0..10 {
        let first = raised(&world, &anna).await;
        let again = raised(&world, &anna).await;
        assert_eq!(first.id(), again.id(), "the one that waits");
        let mut waiting = anna.phone.fetch(&world.server).await.unwrap();
        let shown = waiting.pop().unwrap().challenge.unwrap();
        assert!(waiting.is_empty(), "one waits at a time");
        anna.phone.refuse(&world.server, &shown).await.unwrap();
    }
    let refused = anna.phone.change_pin(&world.server).await;
    assert_eq!(code_of(refused), "request.too_many");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_ends_an_open_change_and_destroys_its_seed() {
    let mut world = World::with(&format!("{OPEN}[pin]\nmax_failures = 3\n")).await;
    let anna = world.enrol().await;
    let prepared = prepare(&world, &anna).await;
    let asked = ask(&world, &anna).await;
    for pin in ["100001", "100002", "100003"] {
        guess(&world, &anna, asked.id(), pin).await.unwrap();
    }
    world.pass(61);
    let prover = anna.phone.prover().unwrap();
    let late = evaluate(&world, &prover, prepared.challenge_id, NEW).await;
    assert_eq!(code_of(late), "device.locked");
    let moved = send_pin_change(&world.server, &prover, prepared.challenge_id, &prepared.statement);
    assert_eq!(code_of(moved.await), "device.locked");
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    let device = stored(&world, anna.phone.device_id());
    assert!(device.oprf_key.is_none() && device.pin_change.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clerk_and_an_administrator_change_theirs_alike() {
    let mut world = World::with(OPEN).await;
    let mut desk = world.clerk.phone.change_pin(&world.server).await.unwrap();
    desk.finish(&world.server, PIN, NEW, &mut OsRng).await.unwrap();
    let case_id = world
        .verified("counter", &crate::world::passport("CLERKSPIN"))
        .await;
    let issued = world.try_issue(&case_id).await.unwrap();
    assert_eq!(code_of(world.sign(&issued).await), "pin.wrong");
    let pending = world.clerk.phone.fetch(&world.server).await.unwrap().remove(0);
    let (shown, code) = (pending.challenge.unwrap(), Some(issued.match_code.as_str()));
    let signed = world
        .clerk
        .phone
        .approve(&world.server, &shown, code, NEW, &mut OsRng)
        .await;
    assert_eq!(signed.unwrap().state, FinalState::Approved);
    let name = "admin".to_owned();
    let admin = Person {
        phone: Phone::open(world.daemon.path("phone-admin"), keystore_of(&world))
            .unwrap()
            .unwrap(),
        name,
    };
    change(&world, &admin, PIN, NEW).await.unwrap();
    assert_eq!(code_of(change(&world, &admin, PIN, "846205").await), "pin.wrong");
    world.pass(61);
    change(&world, &admin, NEW, "846205").await.unwrap();
    assert_eq!(admin.phone.record().epoch, 3);
}

fn keystore_of(world: &World) -> std::sync::Arc<paraphe_companion::SoftwareKeyStore> {
    let keys = world.daemon.path("phone-admin").join("keys");
    std::sync::Arc::new(paraphe_companion::SoftwareKeyStore::open(keys, "test/1").unwrap())
}

#[test]
fn the_pin_is_changed_by_hand_and_every_bad_input_is_named() {
    let desk = terminal();
    let phone = desk.path("admin");
    let change = |old: &str, new: &str| {
        let line = [
            "phone",
            "--phone",
            &phone,
            "change-pin",
            "--pin-file",
            old,
            "--new-pin-file",
            new,
        ];
        line.map(str::to_owned)
    };
    let fails = |old: &str, new: &str, input: &str| {
        let line = change(old, new);
        desk.fails(&line.each_ref().map(String::as_str), input)
    };
    let (old, new) = (desk.path("pin"), desk.file("new", NEW));
    let run = desk.file("run", "123456");
    let (exit, said) = fails(&old, &run, "");
    assert!(exit == 6 && said.contains("pin.run"), "{exit} {said}");
    let (exit, said) = fails(&old, &old, "");
    assert!(exit == 6 && said.contains("pin.same"), "{exit} {said}");
    let letters = desk.file("letters", "73914x");
    let (exit, said) = fails(&letters, &new, "");
    assert!(exit == 6 && said.contains("pin.not_digits"), "{exit} {said}");
    let wrong = desk.file("wrong", "739146");
    let (exit, said) = fails(&wrong, &new, "");
    assert!(exit == 10 && said.contains("pin.wrong"), "{exit} {said}");
    let line = change("-", "-");
    let input = format!("{PIN}\n{NEW}\n");
    let changed: Value = desk.ok(&line.each_ref().map(String::as_str), &input);
    assert_eq!(
        (changed["epoch"].as_u64(), find(&changed, "device_id").len()),
        (Some(2), 30)
    );
    let (exit, said) = fails(&old, &desk.file("other", "846205"), "");
    assert!(exit == 10 && said.contains("pin.wrong"), "{exit} {said}");
    let history = desk.ok(&["phone", "--phone", &phone, "history"], "");
    let said = history.to_string();
    let states = |state: &str| said.matches(&format!("\"state\":\"{state}\"")).count();
    assert!(said.contains("Changer le code PIN"), "{said}");
    // What is refused here never reached the daemon, which counts what it is asked.
    assert_eq!((states("pending"), states("superseded")), (1, 0), "{said}");
}
