//! The daemon dies in the middle of an emergency: whatever a voided key signed ends before anything is served again, and nobody's yes to it
//! counts; a rotation ends nothing in flight (protocol.md section 2.1).

use paraphe_proto::v1::State;
use rusqlite::{Connection, params};

use crate::emergency::{apply, prepare, sign};
use crate::hand::{Asked, OPEN, approval, approve, ask, send, unlock};
use crate::rotation::{follow, reload};
use crate::world::World;

/// A signed emergency that waits for the daemon to read it.
fn emergency(world: &World) {
    for file in ["set.json", "set.jws"] {
        let _earlier = std::fs::remove_file(world.daemon.path(file));
    }
    prepare(&world.daemon);
    sign(&world.daemon, "root-key.pem", "set.jws").unwrap();
    apply(&world.daemon, "set.jws").unwrap();
}

async fn state(world: &World, asked: &Asked) -> State {
    let verdict = world.verdict(&world.market, &asked.reply.challenge_id).await;
    assert_eq!(verdict.assertion.is_empty(), verdict.state() != State::Approved);
    verdict.state()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_starts_next_ends_what_a_crash_left_of_it() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let points = [
        ("publish_key_sets:computed", true),
        ("publish_key_sets:committed", true),
        ("orphans:computed", true),
        ("end_orphans:computed", true),
        ("end_orphans:committed", true),
        ("publish_key_sets:committed", false),
        ("end_orphans:computed", false),
    ];
    for (point, while_it_serves) in points {
        let asked = ask(&world, &anna).await;
        let unlocked = unlock(&world, &anna, &asked).await;
        if while_it_serves {
            emergency(&world);
            world.kill_at(point);
            world.daemon.hang_up();
            for _ in 0..100 {
                if world.daemon.has_ended() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        } else {
            assert_eq!(world.daemon.stop(), 0);
            emergency(&world);
            world.kill_at(point);
            assert!(world.daemon.try_start().is_err(), "{point}");
        }
        world.died().await;
        assert_eq!(
            state(&world, &asked).await,
            State::Failed,
            "{point}, {while_it_serves}"
        );
        let yes = approval(&asked, &unlocked, &asked.reply.match_code);
        let late = send(&world, &anna, asked.id(), &yes).await;
        assert!(late.is_err(), "{point}");
        assert_eq!(state(&world, &asked).await, State::Failed, "{point}");
        let next = ask(&world, &anna).await;
        approve(&world, &anna, &next).await.unwrap();
        assert_eq!(
            world.attempts_left(&anna.phone).await,
            5,
            "{point}: no try is lost"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_yes_counts_to_a_challenge_of_a_voided_key_that_is_pending_all_the_same() {
    let world = World::with(OPEN).await;
    let mut world = world;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let unlocked = unlock(&world, &anna, &asked).await;
    let file = || Connection::open(world.daemon.path("paraphe.db")).unwrap();
    let id = &asked.reply.challenge_id;
    let read = "SELECT version, sealed FROM challenge WHERE id = ?1";
    let row: (i64, Vec<u8>) = file()
        .query_row(read, [id], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    emergency(&world);
    reload(&world.daemon, "the issuer keys were read again").await;
    assert_eq!(state(&world, &asked).await, State::Failed);
    let put = "UPDATE challenge SET state = 'pending', verdict_number = NULL, version = ?1, sealed = ?2 WHERE id = ?3";
    assert_eq!(file().execute(put, params![row.0, row.1, id]).unwrap(), 1);
    assert_eq!(state(&world, &asked).await, State::Pending);
    let yes = approval(&asked, &unlocked, &asked.reply.match_code);
    let answered = send(&world, &anna, asked.id(), &yes).await.unwrap();
    assert_eq!(answered.state, "failed");
    assert_eq!(state(&world, &asked).await, State::Failed);
    assert_eq!(world.attempts_left(&anna.phone).await, 5, "the PIN was right");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_ends_nothing_in_flight_also_after_an_emergency() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    emergency(&world);
    reload(&world.daemon, "the issuer keys were read again").await;
    let asked = ask(&world, &anna).await;
    let unlocked = unlock(&world, &anna, &asked).await;
    for step in ["next", "activate", "retire"] {
        follow(&world.daemon, &[step, "--now"]).await;
    }
    assert_eq!(world.daemon.stop(), 0);
    world.start_again().await;
    assert_eq!(state(&world, &asked).await, State::Pending);
    let yes = approval(&asked, &unlocked, &asked.reply.match_code);
    send(&world, &anna, asked.id(), &yes).await.unwrap();
    assert_eq!(state(&world, &asked).await, State::Approved);
}
