//! The promises of `db` about transactions: durability before the answer, isolation of failures, bounds. `opening` has
//! those about files, `statements` those about values and errors.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::*;

mod journal;
mod opening;
mod statements;
mod told;

const SCHEMA: &str = "
    CREATE TABLE item (id TEXT PRIMARY KEY, number BIGINT UNIQUE, body BYTEA, CHECK (number IS NULL OR number <> 13));
    CREATE TABLE part (id TEXT PRIMARY KEY, item TEXT NOT NULL REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED);";
const FIRST: Migration = Migration {
    version: 1,
    name: "first",
    sql: SCHEMA,
};
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq)]
enum Failure {
    Refused,
    Db(DbError),
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Failure {
        Failure::Db(error)
    }
}

type Answer = oneshot::Receiver<Result<(), Failure>>;

struct Store {
    db: Db,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

fn store(options: Options) -> Store {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("paraphe.db");
    Store {
        db: Db::create_with(&path, options, &[FIRST]).unwrap(),
        path,
        _directory: directory,
    }
}

fn insert(tx: &mut Tx<'_>, id: &str) -> Result<(), Failure> {
    tx.execute("INSERT INTO item (id) VALUES ($1)", &[id.into()])?;
    Ok(())
}

fn count(tx: &mut Tx<'_>) -> Result<i64, Failure> {
    Ok(tx.query_opt("SELECT COUNT(*) FROM item", &[])?.unwrap().int(0)?)
}

fn ids(db: &Db) -> Vec<String> {
    let select = |tx: &mut Tx<'_>| -> Result<Vec<String>, Failure> {
        tx.query("SELECT id FROM item ORDER BY id", &[])?
            .iter()
            .map(|row| Ok(row.text(0)?.to_owned()))
            .collect()
    };
    db.read_blocking("ids", select).unwrap()
}

fn queue(db: &Db, work: impl FnMut(&mut Tx<'_>) -> Result<(), Failure> + Send + 'static) -> Answer {
    submit(&db.lanes.writer, "test", work).unwrap()
}

fn queue_insert(db: &Db, id: &'static str) -> Answer {
    queue(db, move |tx| insert(tx, id))
}

/// Waits for an answer that must come.
fn answer(mut answer: Answer) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match answer.try_recv() {
            Ok(result) => return result,
            Err(oneshot::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(1)),
            Err(oneshot::error::TryRecvError::Closed) => panic!("dropped without an answer"),
        }
    }
    panic!("no answer");
}

fn is_open(answer: &mut Answer) -> bool {
    matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

/// A write that keeps the writer thread busy until it is let go.
struct Held {
    started: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
    answer: Answer,
}

impl Held {
    fn queue(db: &Db) -> Held {
        let (started_tx, started) = mpsc::channel();
        let (release, release_rx) = mpsc::channel();
        let answer = queue(db, move |_| {
            started_tx.send(()).unwrap();
            let _ = release_rx.recv_timeout(PATIENCE);
            Ok(())
        });
        Held {
            started,
            release,
            answer,
        }
    }

    /// Queued and running, so that what is queued next joins its group.
    fn running(db: &Db) -> Held {
        let held = Held::queue(db);
        held.wait();
        held
    }

    fn wait(&self) {
        self.started.recv_timeout(PATIENCE).unwrap();
    }

    fn let_go(self) -> Answer {
        self.release.send(()).unwrap();
        self.answer
    }
}

#[test]
fn nobody_is_answered_and_nothing_is_seen_before_the_group_is_committed() {
    let store = store(Options::default());
    let first = Held::running(&store.db);
    let mut quick = queue_insert(&store.db, "quick");
    let last = Held::queue(&store.db);
    let mut first = first.let_go();
    last.wait();
    assert!(is_open(&mut quick) && is_open(&mut first));
    assert!(ids(&store.db).is_empty());
    assert_eq!(
        [answer(last.let_go()), answer(quick), answer(first)],
        [Ok(()), Ok(()), Ok(())]
    );
    assert_eq!(ids(&store.db), ["quick"]);
}

#[test]
fn a_failing_closure_is_undone_alone() {
    let store = store(Options::default());
    let held = Held::running(&store.db);
    let before = queue_insert(&store.db, "before");
    let refused = queue(&store.db, |tx| insert(tx, "refused").and(Err(Failure::Refused)));
    let panicked = queue(&store.db, |tx| {
        insert(tx, "panicked")?;
        panic!("on purpose")
    });
    let after = queue_insert(&store.db, "after");
    drop(held.let_go());
    assert_eq!(answer(refused), Err(Failure::Refused));
    assert_eq!(
        answer(panicked),
        Err(Failure::Db(DbError::Panicked { name: "test" }))
    );
    assert_eq!([answer(before), answer(after)], [Ok(()), Ok(())]);
    assert_eq!(ids(&store.db), ["after", "before"]);
}

#[test]
fn a_commit_that_fails_fails_its_whole_group_and_no_other() {
    let store = store(Options::default());
    let held = Held::running(&store.db);
    let bystander = queue_insert(&store.db, "bystander");
    let refused = queue(&store.db, |_| Err(Failure::Refused));
    let orphan = queue(&store.db, |tx| {
        Ok(tx
            .execute(
                "INSERT INTO part (id, item) VALUES ($1, $2)",
                &["p".into(), "none".into()],
            )
            .map(drop)?)
    });
    for answer in [held.let_go(), bystander, refused, orphan].map(answer) {
        assert!(
            matches!(&answer, Err(Failure::Db(DbError::Constraint { .. }))),
            "{answer:?}"
        );
    }
    assert!(ids(&store.db).is_empty());
    assert_eq!(answer(queue_insert(&store.db, "next")), Ok(()));
    assert_eq!(ids(&store.db), ["next"]);
}

#[test]
fn a_transaction_that_sqlite_rolls_back_by_itself_stores_nothing_of_its_group() {
    let store = store(Options::default());
    let held = Held::running(&store.db);
    let bystander = queue_insert(&store.db, "bystander");
    let lost = queue(&store.db, |tx| {
        insert(tx, "a")?;
        let conflict = tx.execute("INSERT OR ROLLBACK INTO item (id) VALUES ($1)", &["a".into()]);
        assert!(matches!(conflict, Err(DbError::Conflict { .. })));
        // Without the check in `prepare` this would be committed on its own.
        let _ = tx.execute("INSERT INTO item (id) VALUES ($1)", &["stray".into()]);
        Ok(())
    });
    for answer in [held.let_go(), bystander, lost].map(answer) {
        assert!(
            matches!(&answer, Err(Failure::Db(DbError::Unavailable { .. }))),
            "{answer:?}"
        );
    }
    assert!(ids(&store.db).is_empty());
}

#[test]
fn a_full_queue_refuses_at_once_and_forgets_nothing() {
    let store = store(Options {
        write_queue: 2,
        ..Options::default()
    });
    let held = Held::running(&store.db);
    let waiting = [queue_insert(&store.db, "a"), queue_insert(&store.db, "b")];
    let refused = store.db.write_blocking("test", |tx| insert(tx, "c"));
    assert_eq!(refused, Err(Failure::Db(DbError::Overloaded)));
    drop(held.let_go());
    assert_eq!(waiting.map(answer), [Ok(()), Ok(())]);
    assert_eq!(ids(&store.db), ["a", "b"]);
}

#[test]
fn a_group_is_bounded() {
    let store = store(Options {
        group_limit: 2,
        ..Options::default()
    });
    let held = Held::running(&store.db);
    let second = queue_insert(&store.db, "second");
    let third = Held::queue(&store.db);
    let first = held.let_go();
    assert_eq!([answer(first), answer(second)], [Ok(()), Ok(())]);
    assert_eq!(answer(third.let_go()), Ok(()));
}

#[test]
fn what_nobody_waits_for_any_more_is_not_run() {
    let store = store(Options::default());
    let held = Held::running(&store.db);
    drop(queue_insert(&store.db, "abandoned"));
    let next = queue_insert(&store.db, "next");
    drop(held.let_go());
    assert_eq!(answer(next), Ok(()));
    assert_eq!(ids(&store.db), ["next"]);
}

#[test]
fn a_read_keeps_its_snapshot_and_cannot_write() {
    let store = store(Options::default());
    let writer = store.db.clone();
    let snapshot = store.db.read_blocking("test", move |tx| {
        let before = count(tx)?;
        writer.write_blocking("test", |tx| insert(tx, "meanwhile"))?;
        Ok::<_, Failure>((before, count(tx)?))
    });
    assert_eq!(snapshot, Ok((0, 0)));
    assert_eq!(store.db.read_blocking("test", count), Ok(1));
    let write = store.db.read_blocking("test", |tx| insert(tx, "forbidden"));
    assert!(
        matches!(write, Err(Failure::Db(DbError::Statement { .. }))),
        "{write:?}"
    );
    let panicked: Result<(), Failure> = store.db.read_blocking("test", |_| panic!("on purpose"));
    assert_eq!(panicked, Err(Failure::Db(DbError::Panicked { name: "test" })));
    assert_eq!(ids(&store.db), ["meanwhile"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_writes_are_all_stored_and_closing_answers_what_waits() {
    let store = store(Options::default());
    let calls: Vec<_> = (0_i64..200)
        .map(|number| {
            let db = store.db.clone();
            let id = format!("{number}");
            let sql = "INSERT INTO item (id, number) VALUES ($1, $2) RETURNING number";
            let work = move |tx: &mut Tx<'_>| {
                Ok(tx
                    .query_opt(sql, &[id.as_str().into(), (1000 + number).into()])?
                    .unwrap()
                    .int(0)?)
            };
            tokio::spawn(async move { db.write::<i64, Failure>("test", work).await })
        })
        .collect();
    for (number, call) in (0_i64..).zip(calls) {
        assert_eq!(call.await.unwrap(), Ok(1000 + number));
    }
    assert_eq!(store.db.read("test", count).await, Ok(200));
    let waiting = queue_insert(&store.db, "last");
    store.db.close().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let late = store.db.write("test", |tx| insert(tx, "late")).await;
    assert!(
        matches!(late, Err(Failure::Db(DbError::Unavailable { .. }))),
        "{late:?}"
    );
    let reopened = Db::open_with(&store.path, Options::default(), &[FIRST]).unwrap();
    assert_eq!(reopened.read("test", count).await, Ok(201));
}
