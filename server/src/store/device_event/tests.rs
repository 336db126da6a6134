#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use paraphe_proto::ids::DeviceId;
use paraphe_proto::time::Timestamp;

use super::*;
use crate::domain::device::{State, What, Who};
use crate::store::db::{Db, DbError, Options};
use crate::store::seal::{MasterKey, Sealer};

struct Store {
    db: Db,
    _folder: tempfile::TempDir,
}

const PERSON: SubjectId = SubjectId::from_bytes([2; 16]);
const OTHER: SubjectId = SubjectId::from_bytes([3; 16]);

fn event(subject_id: SubjectId, number: u64) -> DeviceEvent {
    DeviceEvent {
        subject_id,
        number,
        at: Timestamp::from_secs(1),
        device_id: DeviceId::from_bytes([1; 16]),
        what: What::Suspended,
        state: State::Active,
        who: Who::Daemon,
        why: "time".into(),
    }
}

fn text(number: u64) -> String {
    key_of(PERSON, number)
}

fn key_of(person: SubjectId, number: u64) -> String {
    format!("{person}:{number:020}")
}

impl Store {
    /// Two people with so many events each.
    fn with(events: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::create(&folder.path().join("paraphe.db"), Options::default()).unwrap();
        let store = Self { db, _folder: folder };
        store.rows(move |rows| {
            for number in 1..=events {
                assert!(!put(rows, &event(PERSON, number)).unwrap());
                put(rows, &event(OTHER, number)).unwrap();
            }
        });
        store
    }

    fn rows<T: Send + 'static>(&self, mut work: impl FnMut(&mut Rows<'_, '_>) -> T + Send + 'static) -> T {
        let work = move |tx: &mut crate::store::db::Tx<'_>| {
            let sealer = Sealer::new(&MasterKey::from_file_contents(&[7; 32]).unwrap());
            Ok::<_, DbError>(work(&mut Rows::new(tx, &sealer)))
        };
        self.db.write_blocking("test", work).unwrap()
    }

    fn execute(&self, sql: &'static str, values: Vec<Value>) {
        let done = self.rows(move |rows| rows.tx.execute(sql, &values).unwrap());
        assert_eq!(done, 1, "{sql}");
    }

    /// A row that the daemon did not write.
    fn forge(&self, id: &str) {
        let sql = "INSERT INTO device_event (id, version, sealed) VALUES ($1, 1, $2)";
        self.execute(sql, vec![id.into(), Value::Bytes(vec![1; 90])]);
    }

    fn newest(&self, known: u64) -> (u64, usize) {
        self.rows(move |rows| newest(rows, PERSON, known).unwrap())
    }

    fn numbers(&self) -> Vec<u64> {
        let all = self.rows(|rows| numbered(rows, PERSON, 1, 1_000).unwrap());
        all.iter().map(|event| event.number).collect()
    }
}

#[test]
fn the_newest_is_what_phones_know_or_what_was_there_before_they_knew() {
    let store = Store::with(3);
    for known in 0..=3 {
        assert_eq!(store.newest(known), (3, 0), "{known}");
    }
    assert_eq!(store.newest(5), (5, 0), "two of them were taken out");
    assert_eq!(store.numbers(), [1, 2, 3]);
}

#[test]
fn no_number_in_the_clear_moves_the_newest() {
    let store = Store::with(3);
    for number in [i64::MAX.unsigned_abs(), u64::MAX] {
        store.forge(&text(number));
    }
    store.forge(&format!("{PERSON}:00000000000000000009x"));
    assert_eq!(store.newest(3), (3, 3));
    assert_eq!(store.newest(0), (3, 3));
    let raised = Value::from(text(i64::MAX.unsigned_abs() - 1));
    store.execute(
        "UPDATE device_event SET id = $1 WHERE id = $2",
        vec![raised, text(3).into()],
    );
    assert_eq!(store.newest(3), (3, 4));
    assert_eq!(store.numbers(), [1, 2]);
}

#[test]
fn more_forged_rows_than_are_read_at_a_time_end_the_search() {
    let store = Store::with(2);
    for number in 3..400 {
        store.forge(&text(number));
    }
    assert_eq!(store.newest(2).0, 2);
    assert!(
        store.rows(|rows| put(rows, &event(PERSON, 3)).unwrap()),
        "its place was taken"
    );
    assert_eq!(store.newest(2).0, 3);
    assert_eq!(store.numbers(), [1, 2, 3]);
}

#[test]
fn a_changed_row_and_one_of_somebody_else_are_as_if_they_were_not_there() {
    let store = Store::with(4);
    let flip = "UPDATE device_event SET sealed = zeroblob(90) WHERE id = $1";
    store.execute(flip, vec![text(2).into()]);
    let exchange =
        "UPDATE device_event SET sealed = (SELECT sealed FROM device_event WHERE id = $1) WHERE id = $2";
    store.execute(exchange, vec![key_of(OTHER, 3).into(), text(3).into()]);
    assert_eq!(store.numbers(), [1, 4]);
    let mistyped = "UPDATE device_event SET version = 'one' WHERE id = $1";
    store.execute(mistyped, vec![text(4).into()]);
    assert_eq!(store.numbers(), [1]);
}
