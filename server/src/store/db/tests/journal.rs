//! What transactions owe the security journal: what they end is in it before their commit, what was undone is not, and the database keeps
//! the place.

use paraphe_proto::ids::OperatorId;

use super::*;
use crate::domain::ended::Ended;
use crate::store::journal::{Contents, JournalError, Standing, read};
use crate::store::meta;

const SCHEMA_WITH_PLACE: Migration = Migration {
    version: 1,
    name: "first",
    sql: "CREATE TABLE item (id TEXT PRIMARY KEY);
        CREATE TABLE part (id TEXT PRIMARY KEY, item TEXT NOT NULL REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE meta (name TEXT PRIMARY KEY, value BYTEA NOT NULL);",
};

fn key() -> ring::hmac::Key {
    ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[1; 32])
}

fn event(n: u8) -> Event {
    Event::Ended(Ended::Operator {
        id: OperatorId::from_bytes([n; 16]),
    })
}

/// A store with its journal.
struct Journaled {
    store: Store,
    journal: PathBuf,
}

impl Journaled {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("paraphe.db");
        let journal = directory.path().join("journal");
        let db = Db::create_with(&path, Options::default(), &[SCHEMA_WITH_PLACE]).unwrap();
        db.keep(Journal::create(&journal, key(), &[7; 16]).unwrap());
        let store = Store {
            db,
            path,
            _directory: directory,
        };
        Self { store, journal }
    }

    /// Everything that the journal holds.
    fn events(&self) -> (Vec<Event>, Contents) {
        let mut all = Vec::new();
        let each = |_, events: &[Event]| {
            all.extend_from_slice(events);
            Ok::<_, JournalError>(())
        };
        let place = self.known();
        let contents = read(&self.journal, &key(), place.as_ref(), each).unwrap();
        (all, contents)
    }

    fn known(&self) -> Option<crate::store::journal::Position> {
        let known = |tx: &mut Tx<'_>| Ok::<_, Failure>(meta::known(tx)?.place);
        self.store.db.read_blocking("known", known).unwrap()
    }
}

fn ending(tx: &mut Tx<'_>, n: u8) -> Result<(), Failure> {
    tx.note(event(n));
    insert(tx, &format!("{n}"))
}

#[test]
fn what_a_group_ends_is_there_and_what_failed_in_it_is_not() {
    let journaled = Journaled::new();
    let db = &journaled.store.db;
    let held = Held::running(db);
    let first = queue(db, |tx| ending(tx, 1));
    // Fails before it writes, and after.
    let early = queue(db, |tx| {
        tx.note(event(2));
        Err(Failure::Refused)
    });
    let late = queue(db, |tx| ending(tx, 3).and(Err(Failure::Refused)));
    let panicked = queue(db, |tx| {
        ending(tx, 4)?;
        panic!("on purpose")
    });
    let last = queue(db, |tx| ending(tx, 5));
    drop(held.let_go());
    assert_eq!([answer(first), answer(last)], [Ok(()), Ok(())]);
    assert!(answer(early).is_err() && answer(late).is_err() && answer(panicked).is_err());
    assert_eq!(answer(queue_insert(db, "nothing ended")), Ok(()));
    let (events, contents) = journaled.events();
    assert_eq!(events, [event(1), event(5)]);
    assert!(contents.committed);
    assert_eq!(contents.standing(&journaled.known().unwrap()), Standing::Level);
}

#[test]
fn a_commit_that_fails_stays_in_the_journal_without_the_line_that_it_came_through() {
    let journaled = Journaled::new();
    let db = &journaled.store.db;
    assert_eq!(answer(queue(db, |tx| ending(tx, 1))), Ok(()));
    let orphan = queue(db, |tx| {
        tx.note(event(2));
        let values = ["p".into(), "none".into()];
        Ok(tx
            .execute("INSERT INTO part (id, item) VALUES ($1, $2)", &values)
            .map(drop)?)
    });
    assert!(answer(orphan).is_err());
    let (events, contents) = journaled.events();
    assert_eq!(events, [event(1), event(2)]);
    assert_eq!(
        contents.standing(&journaled.known().unwrap()),
        Standing::InFlight(vec![event(2)])
    );
    assert_eq!(answer(queue(db, |tx| ending(tx, 3))), Ok(()));
    let (_, contents) = journaled.events();
    assert_eq!(contents.standing(&journaled.known().unwrap()), Standing::Level);
}

#[test]
fn without_a_journal_nothing_can_end_unless_a_restore_has_waived_it() {
    let journaled = Journaled::new();
    journaled.store.db.close_blocking().unwrap();
    let db = Db::open_with(&journaled.store.path, Options::default(), &[SCHEMA_WITH_PLACE]).unwrap();
    let refused = answer(queue(&db, |tx| ending(tx, 1)));
    assert!(matches!(&refused, Err(Failure::Db(DbError::Unavailable { .. }))));
    assert_eq!(answer(queue_insert(&db, "nothing ended")), Ok(()));
    db.waive_journal();
    assert_eq!(answer(queue(&db, |tx| ending(tx, 1))), Ok(()));
    assert_eq!(ids(&db), ["1", "nothing ended"]);
}
