//! The last PIN attempt is in the security journal before it is answered: a backup that is put back within the minute after it, before the
//! phone has locked, gives no guess more (protocol.md section 4, rule 6).

use paraphe_companion::FinalState;

use crate::hand::{OPEN, approve, ask, code_of, guess};
use crate::restore::{JOURNAL, back_up, does_not_start, is_refused_to, put_back, restored, state};
use crate::world::{Person, World};

/// Four wrong PINs with the waits between them: one attempt is left, and may be made at once.
async fn four_wrong(world: &mut World, person: &Person) {
    for (n, wait) in [61, 61, 61, 901].into_iter().enumerate() {
        let asked = ask(world, person).await;
        guess(world, person, asked.id(), &format!("10000{n}"))
            .await
            .unwrap();
        world.pass(wait);
    }
    assert_eq!(world.attempts_left(&person.phone).await, 1);
}

fn lines(world: &World) -> usize {
    let journal = std::fs::read_to_string(world.daemon.path(JOURNAL)).unwrap();
    let said = |line: &&str| line.contains("last_try");
    journal.lines().filter(said).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_within_the_minute_of_a_last_try_gives_no_sixth() {
    let mut world = World::with(OPEN).await;
    let (thief, other) = (world.enrol().await, world.enrol().await);
    back_up(&world);
    four_wrong(&mut world, &thief).await;
    assert_eq!(lines(&world), 0, "the journal holds the last try alone");
    let last = ask(&world, &thief).await;
    guess(&world, &thief, last.id(), "100009").await.unwrap();
    assert_eq!(lines(&world), 1);
    assert_eq!(state(&world, &thief).await, "active", "it has not locked yet");
    world.daemon.kill();

    put_back(&mut world, "backup");
    does_not_start(&world, "store.restore_undeclared", "paraphed restore");
    let report = restored(&world, &[]);
    assert_eq!(report["devices_locked"], 1, "{report}");
    world.start_again().await;
    assert_eq!(state(&world, &thief).await, "locked");
    assert_eq!(
        is_refused_to(&world, &thief, &world.market).await,
        "enrolment.required"
    );
    let sixth = guess(&world, &thief, last.id(), "100010").await;
    assert_eq!(code_of(sixth), "device.locked");
    let verbs = world.audit().await;
    let again = verbs.iter().find(|entry| entry.outcome == "last_try");
    assert_eq!(again.unwrap().verb, "lock_again");

    // Nobody else is cut to less than one attempt.
    assert_eq!(world.attempts_left(&other.phone).await, 1);
    let asked = ask(&world, &other).await;
    let receipt = approve(&world, &other, &asked).await.unwrap();
    assert_eq!((receipt.state, receipt.attempts_left), (FinalState::Approved, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_try_that_was_right_is_not_held_against_its_owner() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    back_up(&world);
    four_wrong(&mut world, &anna).await;
    let asked = ask(&world, &anna).await;
    let receipt = approve(&world, &anna, &asked).await.unwrap();
    assert_eq!((receipt.state, receipt.attempts_left), (FinalState::Approved, 5));
    put_back(&mut world, "backup");
    let report = restored(&world, &[]);
    assert_eq!(report["devices_locked"], 0, "{report}");
    world.start_again().await;
    assert_eq!(world.attempts_left(&anna.phone).await, 1);

    // After the restore the one attempt that is left is the last, and a second restore knows it.
    let asked = ask(&world, &anna).await;
    guess(&world, &anna, asked.id(), "100001").await.unwrap();
    world.daemon.kill();
    put_back(&mut world, "backup");
    assert_eq!(restored(&world, &[])["devices_locked"], 1);
    world.start_again().await;
    assert_eq!(state(&world, &anna).await, "locked");
}
