//! Row: stolen database, written to: the history of a person's phones. What is missing or forged is noticed, and keeps no phone from
//! moving and nobody's time from passing.

use paraphe_companion::{DeviceEventsPage, DeviceState, Phone};
use paraphe_proto::v1::State;
use rusqlite::{Connection, params};

use crate::hand::{OPEN, ask, guess};
use crate::phone_history::go_on;
use crate::replacement::until;
use crate::suspension::{enrolled, state};
use crate::world::{Person, World};

fn file(world: &World) -> Connection {
    Connection::open(world.daemon.path("paraphe.db")).unwrap()
}

/// Changes exactly one row.
fn change(world: &World, sql: &str, values: impl rusqlite::Params) {
    assert_eq!(file(world).execute(sql, values).unwrap(), 1, "{sql}");
}

/// Flips one bit of a sealed row.
fn flip(world: &World, table: &str, id: &str) {
    let sql = format!("SELECT sealed FROM {table} WHERE id = ?1");
    let mut sealed: Vec<u8> = file(world).query_row(&sql, [id], |row| row.get(0)).unwrap();
    let middle = sealed.len() / 2;
    sealed[middle] ^= 1;
    let sql = format!("UPDATE {table} SET sealed = ?1 WHERE id = ?2");
    change(world, &sql, params![sealed, id]);
}

/// The key of one event of a person.
fn key(world: &World, phone: &Phone, number: u64) -> String {
    let sql = "SELECT subject_id FROM device WHERE id = ?1";
    let id = phone.device_id().to_string();
    let person: String = file(world).query_row(sql, [id], |row| row.get(0)).unwrap();
    format!("{person}:{number:020}")
}

async fn page(world: &World, phone: &Phone) -> DeviceEventsPage {
    phone.device_events(&world.server, None, 100).await.unwrap()
}

fn names(page: &DeviceEventsPage) -> Vec<&str> {
    page.events
        .iter()
        .rev()
        .map(|event| event.event.as_str())
        .collect()
}

/// How often the audit trail says that an event of this phone is missing.
async fn missed(world: &World, phone: &Phone) -> usize {
    let id = phone.device_id().to_string();
    let entries = world.audit().await;
    let missed = entries.iter().filter(|entry| {
        entry.verb == "miss_device_event" && entry.target == id && entry.outcome == "store.tampered"
    });
    missed.count()
}

/// Enrolled, confirmed, suspended, resumed.
async fn with_four(world: &mut World) -> Person {
    let (person, _) = enrolled(world).await;
    person.phone.suspend(&world.server).await.unwrap();
    go_on(world, &person).await;
    let seen = page(world, &person.phone).await;
    assert_eq!(names(&seen), ["enrolled", "confirmed", "suspended", "resumed"]);
    assert_eq!(seen.missing, 0);
    person
}

const DELETE: &str = "DELETE FROM device_event WHERE id = ?1";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_out_or_changed_is_noticed_and_phones_move_on() {
    let mut world = World::with(OPEN).await;
    type Change = fn(&World, &Phone);
    let changes: [(&str, Change, &[&str], usize); 5] = [
        (
            "the newest is taken out",
            |world, phone| change(world, DELETE, [key(world, phone, 4)]),
            &["enrolled", "confirmed", "suspended"],
            1,
        ),
        (
            "one in the middle is taken out",
            |world, phone| change(world, DELETE, [key(world, phone, 2)]),
            &["enrolled", "suspended", "resumed"],
            0,
        ),
        (
            "a byte of the newest is flipped",
            |world, phone| flip(world, "device_event", &key(world, phone, 4)),
            &["enrolled", "confirmed", "suspended"],
            1,
        ),
        (
            "the id of the newest is raised as far as it goes",
            |world, phone| {
                let raised = key(world, phone, i64::MAX.unsigned_abs());
                let sql = "UPDATE device_event SET id = ?1 WHERE id = ?2";
                change(world, sql, [raised, key(world, phone, 4)]);
            },
            &["enrolled", "confirmed", "suspended"],
            1,
        ),
        (
            "somebody else's row stands where the next one goes",
            |world, phone| {
                let sql = "INSERT INTO device_event (id, version, sealed) VALUES (?1, 1, zeroblob(200))";
                for number in [5, u64::MAX] {
                    change(world, sql, [key(world, phone, number)]);
                }
            },
            &["enrolled", "confirmed", "suspended", "resumed"],
            1,
        ),
    ];
    for (what, make, left, audited) in changes {
        let person = with_four(&mut world).await;
        let alarms = world.daemon.log().matches("store.tampered").count();
        make(&world, &person.phone);
        let seen = page(&world, &person.phone).await;
        assert_eq!(names(&seen), left, "{what}");
        assert_eq!(seen.missing as usize, 4 - left.len(), "{what}");
        assert!(
            world.daemon.log().matches("store.tampered").count() > alarms,
            "{what}"
        );

        person.phone.suspend(&world.server).await.unwrap();
        go_on(&world, &person).await;
        let moved = page(&world, &person.phone).await;
        let expected = [left, &["suspended", "resumed"]].concat();
        assert_eq!(names(&moved), expected, "{what}");
        assert_eq!(moved.missing, seen.missing, "{what}: it is not forgotten");
        assert_eq!(missed(&world, &person.phone).await, audited, "{what}");

        // Page by page nothing is hidden, and it ends.
        let (mut events, mut missing, mut next) = (0, 0, None::<String>);
        loop {
            let got = person
                .phone
                .device_events(&world.server, next.as_deref(), 1)
                .await;
            let got = got.unwrap();
            (events, missing, next) = (events + got.events.len(), missing + got.missing, got.next);
            if next.is_none() {
                break;
            }
        }
        assert_eq!((events, missing), (expected.len(), moved.missing), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_event_keeps_no_time_from_passing() {
    let mut world = World::with(OPEN).await;
    let person = with_four(&mut world).await;
    let other = world.enrol().await;
    let sql = "INSERT INTO device_event (id, version, sealed) VALUES (?1, 1, zeroblob(200))";
    for number in [5, i64::MAX.unsigned_abs(), u64::MAX] {
        change(&world, sql, [key(&world, &person.phone, number)]);
    }
    change(&world, DELETE, [key(&world, &person.phone, 4)]);
    let waiting = ask(&world, &other).await;
    for wait in [61, 61, 61, 901, 61] {
        let asked = ask(&world, &person).await;
        guess(&world, &person, asked.id(), "100001").await.unwrap();
        world.pass(wait);
    }
    // The sweep locks the one and ends what the other was asked.
    until(&world, &person, DeviceState::Locked).await;
    expired(&world, &waiting.reply.challenge_id).await;
    let locked = |entry: &paraphe_proto::v1::AuditEntry| {
        entry.verb == "lock" && entry.target == person.phone.device_id().to_string()
    };
    for _ in 0..100 {
        if world.audit().await.iter().any(locked) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the sweep never locked it");
}

/// The sweeper alone does it: nobody asks for this challenge by name before it is over.
async fn expired(world: &World, id: &str) {
    let sql = "SELECT state FROM challenge WHERE id = ?1";
    for _ in 0..100 {
        let state: String = file(world).query_row(sql, [id], |row| row.get(0)).unwrap();
        if state == "expired" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the sweep never ended it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_of_one_person_keeps_nobody_elses_time_from_passing() {
    let mut world = World::with(OPEN).await;
    let (ill, well) = (world.enrol().await, world.enrol().await);
    let (stuck, waiting) = (ask(&world, &ill).await, ask(&world, &well).await);
    flip(&world, "challenge", &stuck.reply.challenge_id);
    // Due by the clear columns, which are all that the search looks at; one is of another type than the daemon writes.
    let phone = ill.phone.device_id().to_string();
    let due = "UPDATE device SET due_at = 1, version = 'one' WHERE id = ?1";
    change(&world, due, [&phone]);
    let nameless =
        "INSERT INTO device SELECT 'nobody', subject_id, state, 1, version, sealed FROM device WHERE id = ?1";
    change(&world, nameless, [&phone]);
    world.pass(901);
    expired(&world, &waiting.reply.challenge_id).await;
    let verdict = world.verdict(&world.market, &waiting.reply.challenge_id).await;
    assert_eq!(verdict.state(), State::Expired);
    assert!(world.daemon.log().contains("store.tampered"));
    assert_eq!(state(&world, &well).await, DeviceState::Active);
}
