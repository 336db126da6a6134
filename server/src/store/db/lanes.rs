//! The database threads: one writer that commits in groups, and readers with a snapshot each. Started by `Db`, fed by `task`.
//! Invariants: a write that fails leaves nothing behind and nobody else with it; nobody of a group is answered before its COMMIT returned, and a COMMIT that
//! fails fails the whole group, also those that had an error of their own, since it may rest on what was never stored; what a group ends is
//! in the security journal before its COMMIT (`keeper`); who waits for a challenge is told after it, in the order of the commits, whether
//! or not the caller is still there.

use std::fs::File;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::keeper::Keeper;
use super::said::Listener;
use super::sqlite::Sqlite;
use super::task::{Task, lock};
use super::{DbError, Tx};

/// How many transactions make a group that lingers for more, as does the one after it: only a busy daemon has as many, and waits anyway.
const COMPANY: usize = 12;
/// The longest that a group is open for more to come, from its begin.
const LINGER: Duration = Duration::from_millis(6);

type Queue = Receiver<Box<dyn Task>>;

/// How groups are made, what they owe the security journal, and whom they tell.
pub(super) struct Grouping {
    /// Transactions in a group at most.
    pub(super) limit: usize,
    pub(super) keeper: Arc<Mutex<Keeper>>,
    /// Told what a group changed, once it is committed and before anybody is answered.
    pub(super) listener: Arc<OnceLock<Listener>>,
}

/// The writer thread: drains `queue` in groups, then checkpoints and lets go of the file's lock.
pub(super) fn write(
    sqlite: Sqlite,
    queue: Queue,
    grouping: Grouping,
    file_lock: Arc<File>,
) -> Result<(), DbError> {
    let mut company = COMPANY;
    while let Ok(first) = queue.recv() {
        let size = commit_group(&sqlite, first, &queue, &grouping, company);
        company = if size < COMPANY { COMPANY } else { 1 };
    }
    let checkpointed = sqlite.checkpoint();
    drop(sqlite);
    drop(file_lock);
    checkpointed
}

/// Runs and commits one group, which lingers from `company` transactions on; how many it had.
fn commit_group(
    sqlite: &Sqlite,
    first: Box<dyn Task>,
    queue: &Queue,
    grouping: &Grouping,
    company: usize,
) -> usize {
    let mut group = vec![first];
    let commit = || {
        let events = std::mem::take(&mut sqlite.said().events);
        lock(&grouping.keeper).record(&mut Tx::sqlite(sqlite), events)?;
        sqlite.commit()
    };
    let outcome = match run_together(sqlite, &mut group, queue, grouping.limit, company) {
        Ok(Run::Clean) => commit(),
        Ok(Run::Spoiled) => {
            sqlite.abandon();
            run_apart(sqlite, &mut group).and_then(|()| commit())
        }
        Err(error) => Err(error),
    };
    let changes = std::mem::take(&mut sqlite.said().changes);
    if let Err(error) = &outcome {
        tracing::error!(code = error.code(), %error, transactions = group.len(), "a group of transactions was not committed");
        sqlite.abandon();
    } else if let Some(listener) = grouping.listener.get() {
        changes.iter().for_each(listener);
    }
    let (failure, size) = (outcome.err(), group.len());
    for task in group {
        task.answer(failure.clone());
    }
    lock(&grouping.keeper).settle(failure.is_none());
    size
}

/// How a group ran without savepoints.
enum Run {
    /// Whatever failed had written nothing.
    Clean,
    /// One failed after it had written: its writes are among those of the others.
    Spoiled,
}

/// Runs the group's first task and whatever else waits; what arrives meanwhile joins, up to `limit`. Rules are broken before anything
/// is written, so savepoints, which copy every page that a task changes, are left out until one is needed.
fn run_together(
    sqlite: &Sqlite,
    group: &mut Vec<Box<dyn Task>>,
    queue: &Queue,
    limit: usize,
    company: usize,
) -> Result<Run, DbError> {
    sqlite.begin_write()?;
    let until = Instant::now() + LINGER;
    loop {
        if let Some(task) = group.last_mut()
            && let Run::Spoiled = run_one(sqlite, task.as_mut())?
        {
            return Ok(Run::Spoiled);
        }
        if group.len() >= limit {
            return Ok(Run::Clean);
        }
        let Some(next) = next(queue, group.len() >= company, until) else {
            return Ok(Run::Clean);
        };
        group.push(next);
    }
}

/// What waits, or comes while the group lingers.
fn next(queue: &Queue, lingers: bool, until: Instant) -> Option<Box<dyn Task>> {
    if !lingers {
        return queue.try_recv().ok();
    }
    let left = until.saturating_duration_since(Instant::now());
    queue.recv_timeout(left).ok()
}

fn run_one(sqlite: &Sqlite, task: &mut dyn Task) -> Result<Run, DbError> {
    if task.is_abandoned() {
        return Ok(Run::Clean);
    }
    sqlite.forget_writes();
    let before = sqlite.said().mark();
    let keep = task.run(&mut Tx::sqlite(sqlite));
    require_transaction(sqlite)?;
    if !keep {
        sqlite.unsay(before);
    }
    Ok(if keep || !sqlite.has_written() {
        Run::Clean
    } else {
        Run::Spoiled
    })
}

/// Runs every task of the group again, each in its savepoint, so that what fails is undone alone.
fn run_apart(sqlite: &Sqlite, group: &mut [Box<dyn Task>]) -> Result<(), DbError> {
    sqlite.begin_write()?;
    for task in group.iter_mut().filter(|task| !task.is_abandoned()) {
        sqlite.savepoint()?;
        let before = sqlite.said().mark();
        let keep = task.run(&mut Tx::sqlite(sqlite));
        require_transaction(sqlite)?;
        if keep {
            sqlite.release()?;
        } else {
            sqlite.undo()?;
            sqlite.unsay(before);
        }
    }
    Ok(())
}

/// An error means that the whole transaction is lost, not that a task failed.
fn require_transaction(sqlite: &Sqlite) -> Result<(), DbError> {
    if sqlite.in_transaction() {
        Ok(())
    } else {
        Err(DbError::unavailable("the transaction was lost"))
    }
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
