//! The database threads: one writer that commits in groups, and readers with a snapshot each. Started by `Db`, fed by `task`.
//! Invariants: every write runs in its own savepoint; nobody of a group is answered before its COMMIT returned, and a COMMIT that
//! fails fails the whole group, also those that had an error of their own, since it may rest on what was never stored.

use std::fs::File;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use super::sqlite::Sqlite;
use super::task::{Task, lock};
use super::{DbError, Tx};

type Queue = Receiver<Box<dyn Task>>;

/// The writer thread: drains `queue` in groups of at most `group_limit`, then checkpoints and lets go of the file's lock.
pub(super) fn write(
    sqlite: Sqlite,
    queue: Queue,
    group_limit: usize,
    file_lock: Arc<File>,
) -> Result<(), DbError> {
    while let Ok(first) = queue.recv() {
        commit_group(&sqlite, first, &queue, group_limit);
    }
    let checkpointed = sqlite.checkpoint();
    drop(sqlite);
    drop(file_lock);
    checkpointed
}

fn commit_group(sqlite: &Sqlite, first: Box<dyn Task>, queue: &Queue, limit: usize) {
    let mut group = vec![first];
    let outcome = sqlite
        .begin_write()
        .and_then(|()| run_group(sqlite, &mut group, queue, limit))
        .and_then(|()| sqlite.commit());
    if let Err(error) = &outcome {
        tracing::error!(code = error.code(), %error, transactions = group.len(), "a group of transactions was not committed");
        sqlite.abandon();
    }
    let failure = outcome.err();
    for task in group {
        task.answer(failure.clone());
    }
}

/// Runs the group's first task and whatever else waits; what arrives meanwhile joins, up to `limit`.
fn run_group(
    sqlite: &Sqlite,
    group: &mut Vec<Box<dyn Task>>,
    queue: &Queue,
    limit: usize,
) -> Result<(), DbError> {
    loop {
        if let Some(task) = group.last_mut() {
            run_alone(sqlite, task.as_mut())?;
        }
        if group.len() >= limit {
            return Ok(());
        }
        let Ok(next) = queue.try_recv() else { return Ok(()) };
        group.push(next);
    }
}

/// Runs one task in its savepoint. An error means that the whole transaction is lost, not that the task failed.
fn run_alone(sqlite: &Sqlite, task: &mut dyn Task) -> Result<(), DbError> {
    if task.is_abandoned() {
        return Ok(());
    }
    sqlite.savepoint()?;
    let keep = task.run(&mut Tx::sqlite(sqlite));
    if !sqlite.in_transaction() {
        return Err(DbError::unavailable("the transaction was lost"));
    }
    if keep { sqlite.release() } else { sqlite.undo() }
}

/// A reader thread: each task sees one consistent snapshot of what is committed.
pub(super) fn read(sqlite: Sqlite, queue: Arc<Mutex<Queue>>, file_lock: Arc<File>) -> Result<(), DbError> {
    loop {
        let next = lock(&queue).recv();
        let Ok(mut task) = next else { break };
        if task.is_abandoned() {
            continue;
        }
        let outcome = sqlite.begin_read();
        if outcome.is_ok() {
            task.run(&mut Tx::sqlite(&sqlite));
        }
        sqlite.abandon();
        task.answer(outcome.err());
    }
    drop(sqlite);
    drop(file_lock);
    Ok(())
}
