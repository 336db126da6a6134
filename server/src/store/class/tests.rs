#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;

use paraphe_proto::time::Timestamp;

use super::*;
use crate::store::audit;
use crate::store::db::{Db, DbError, Options, Tx};
use crate::store::seal::{MasterKey, Sealer};

struct Store {
    db: Db,
    _folder: tempfile::TempDir,
}

fn key(byte: u8) -> MasterKey {
    MasterKey::from_file_contents(&[byte; 32]).unwrap()
}

impl Store {
    /// A database with so many audit entries under key 1.
    fn with(entries: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::create(&folder.path().join("paraphe.db"), Options::default()).unwrap();
        let store = Self { db, _folder: folder };
        store.write(Sealer::new(&key(1)), move |rows| {
            for _ in 0..entries {
                audit::append(rows, Timestamp::from_secs(1), "a", "b", "c", "ok").unwrap();
            }
        });
        store
    }

    fn tx<T: Send + 'static>(&self, mut work: impl FnMut(&mut Tx<'_>) -> T + Send + 'static) -> T {
        self.db
            .write_blocking("test", move |tx| Ok::<_, DbError>(work(tx)))
            .unwrap()
    }

    fn write<T: Send + 'static>(
        &self,
        sealer: Sealer,
        mut work: impl FnMut(&mut Rows<'_, '_>) -> T + Send + 'static,
    ) -> T {
        self.tx(move |tx| work(&mut Rows::new(tx, &sealer)))
    }

    fn readable(&self, sealer: Sealer) -> usize {
        self.write(sealer, |rows| {
            let mut opens = |number| rows.by_id::<Entry>(number).is_ok_and(|found| found.is_some());
            (1..=200).filter(|number: &i64| opens(*number)).count()
        })
    }
}

#[test]
fn every_table_with_sealed_rows_is_in_the_list() {
    let tables = Store::with(0).tx(|tx| {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%sealed BYTEA%'";
        let rows = tx.query(sql, &[]).unwrap();
        rows.iter()
            .map(|row| row.text(0).unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    });
    let listed: BTreeSet<_> = CLASSES.iter().map(|class| class.table.to_owned()).collect();
    assert_eq!(tables, listed);
}

#[test]
fn the_first_and_the_last_row_of_each_class_are_looked_at() {
    let store = Store::with(3);
    let look = |store: &Store| store.write(Sealer::new(&key(1)), |rows| look_at_each(rows).is_ok());
    assert!(look(&store));
    for (id, seen) in [(1, true), (2, false), (3, true)] {
        let flip = move |tx: &mut Tx<'_>, by: i64| {
            let sql = "UPDATE audit SET version = version + $1 WHERE id = $2";
            tx.execute(sql, &[by.into(), i64::from(id).into()]).unwrap()
        };
        assert_eq!(store.tx(move |tx| flip(tx, 1)), 1);
        assert_eq!(look(&store), !seen, "row {id}");
        store.tx(move |tx| flip(tx, -1));
    }
}

#[test]
fn steps_end_with_every_row_under_the_new_key() {
    let store = Store::with(120);
    let step = |cursor: Cursor| {
        let rotating = Sealer::rotating(&key(2), &key(1));
        store.write(rotating, move |rows| reseal(rows, &cursor, 50).unwrap())
    };
    let (mut cursor, mut steps) = (Cursor::START, 0);
    while let Some(next) = step(cursor) {
        (cursor, steps) = (next, steps + 1);
        if steps == CLASSES.len() {
            assert_eq!(store.readable(Sealer::new(&key(2))), 50, "one step of rows");
        }
        assert_eq!(store.readable(Sealer::rotating(&key(2), &key(1))), 120);
    }
    assert_eq!(steps, CLASSES.len() + 3);
    assert_eq!(store.readable(Sealer::new(&key(2))), 120);
    assert_eq!(store.readable(Sealer::new(&key(1))), 0);
}

#[test]
fn a_row_that_neither_key_opens_is_left_and_said() {
    let store = Store::with(1);
    let outcome = store.write(Sealer::rotating(&key(3), &key(2)), |rows| {
        let cursor = Cursor {
            table: CLASSES.len() - 1,
            after: None,
        };
        reseal(rows, &cursor, 50).map(drop).unwrap_err().to_string()
    });
    assert!(outcome.contains("`audit`"), "{outcome}");
    assert_eq!(store.readable(Sealer::new(&key(1))), 1);
}
