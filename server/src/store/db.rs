//! The store's seam: named synchronous transactions over `Value` and `Row`, whatever the driver. Called by the rpc layer
//! (`db.write("answer", move |tx| …)`), used by the query files through [`Tx`]. This folder is the only place that names a driver.
//!
//! Invariants: whoever gets an `Ok` from [`Db::write`] finds it on the disk after a power cut; a closure that fails or panics is
//! undone alone; nothing waits without a bound; a damaged, newer or foreign database is refused by name and left as it is.
//!
//! Closures may be run again by a driver that retries, and must do nothing but use the `Tx`. SQL is written once for all drivers:
//! `$1..$n` in the order of their first use, BIGINT, TEXT and BYTEA, no deferred foreign keys (they would fail a whole group).

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::oneshot;

use self::keeper::Keeper;
use self::sqlite::Sqlite;
use self::task::{Lane, task};
use super::journal::Journal;
use super::migrations::{self, Migration};
use crate::domain::challenge::Challenge;
use crate::domain::ended::Event;

mod checkpoint;
mod copy;
mod error;
mod file;
mod keeper;
mod lanes;
mod said;
mod sqlite;
mod task;
#[cfg(test)]
mod tests;
mod value;

pub use self::copy::copy;
pub use self::error::DbError;
pub use self::said::Listener;
pub use self::value::{Row, Value};

/// How much may wait and how much is done at once.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Writes that may wait for the writer thread; one more is [`DbError::Overloaded`].
    pub write_queue: usize,
    /// Reads that may wait for a reader thread; one more is [`DbError::Overloaded`].
    pub read_queue: usize,
    /// Transactions that share one commit at most.
    pub group_limit: usize,
    /// Reader threads, each with a connection.
    pub readers: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            write_queue: 1024,
            read_queue: 1024,
            group_limit: 128,
            readers: 4,
        }
    }
}

/// A transaction in progress. All it did is kept or undone together.
pub struct Tx<'c> {
    driver: Driver<'c>,
}

enum Driver<'c> {
    Sqlite(&'c Sqlite),
}

impl<'c> Tx<'c> {
    fn sqlite(sqlite: &'c Sqlite) -> Tx<'c> {
        Tx {
            driver: Driver::Sqlite(sqlite),
        }
    }

    /// Says something to the security journal, which holds it before this transaction is committed.
    pub fn note(&mut self, event: Event) {
        match self.driver {
            Driver::Sqlite(sqlite) => sqlite.said().events.push(event),
        }
    }

    /// How much has been said to it since the last commit, by this transaction and those of its group before it.
    pub fn noted(&self) -> usize {
        match self.driver {
            Driver::Sqlite(sqlite) => sqlite.said().events.len(),
        }
    }

    /// Says that a challenge was made or moved; whoever listens is told once this transaction is committed.
    pub fn announce(&mut self, challenge: Arc<Challenge>) {
        match self.driver {
            Driver::Sqlite(sqlite) => sqlite.said().changes.push(challenge),
        }
    }

    /// Executes one statement without a result and returns the number of rows it changed: the guard of a guarded UPDATE.
    ///
    /// # Errors
    /// [`DbError::Conflict`] for a taken unique key; [`DbError::Statement`] for a statement with RETURNING or one that writes in a read.
    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DbError> {
        match self.driver {
            Driver::Sqlite(sqlite) => sqlite.execute(sql, values),
        }
    }

    /// Executes one statement and returns all its rows: put a LIMIT on what can grow.
    ///
    /// # Errors
    /// As [`Tx::execute`], but RETURNING is welcome.
    pub fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DbError> {
        match self.driver {
            Driver::Sqlite(sqlite) => sqlite.query(sql, values, usize::MAX),
        }
    }

    /// Executes one statement that has one row or none.
    ///
    /// # Errors
    /// As [`Tx::query`]; [`DbError::Statement`] when there is a second row.
    pub fn query_opt(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, DbError> {
        let mut rows = match self.driver {
            Driver::Sqlite(sqlite) => sqlite.query(sql, values, 2)?,
        };
        let row = rows.pop();
        if rows.is_empty() {
            Ok(row)
        } else {
            Err(DbError::Statement {
                detail: "one row was expected, there are more".to_owned(),
            })
        }
    }
}

/// The open database. Clones share it; [`Db::close`] ends it for all of them, and so does dropping the last one, without waiting.
#[derive(Clone)]
pub struct Db {
    lanes: Arc<Lanes>,
}

struct Lanes {
    writer: Lane,
    readers: Lane,
    keeper: Arc<Mutex<Keeper>>,
    listener: Arc<OnceLock<Listener>>,
}

impl Db {
    /// Opens an existing database, checks it and brings it to this release's schema.
    ///
    /// # Errors
    /// [`DbError::Missing`] for no file or an empty one, `Locked` while another daemon has it, `Foreign`, `Newer`, `Corrupt`, `Io`.
    pub fn open(path: &Path, options: Options) -> Result<Db, DbError> {
        Db::open_with(path, options, migrations::MIGRATIONS)
    }

    /// Makes the database of a new deployment, for `paraphed init` alone.
    ///
    /// # Errors
    /// [`DbError::Exists`] for a database that has a schema already, otherwise as [`Db::open`].
    pub fn create(path: &Path, options: Options) -> Result<Db, DbError> {
        Db::create_with(path, options, migrations::MIGRATIONS)
    }

    /// Reads from a database that a daemon may have open, without its lock, on the caller's thread. Nothing is migrated.
    ///
    /// # Errors
    /// [`DbError::Missing`], or what the read fails with.
    pub fn peek<T, E: From<DbError>>(
        path: &Path,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if !file::is_present(path)? {
            return Err(E::from(DbError::Missing {
                path: path.to_owned(),
            }));
        }
        let sqlite = Sqlite::open_reader(path)?;
        sqlite.begin_read()?;
        work(&mut Tx::sqlite(&sqlite))
    }

    /// Whether a process has the database at `path` open, as a serving daemon does.
    ///
    /// # Errors
    /// [`DbError::Io`].
    pub fn is_served(path: &Path) -> Result<bool, DbError> {
        file::is_locked(path)
    }

    fn open_with(path: &Path, options: Options, migrations: &[Migration]) -> Result<Db, DbError> {
        if !file::is_present(path)? {
            return Err(DbError::Missing {
                path: path.to_owned(),
            });
        }
        let file_lock = file::lock(path)?;
        let (sqlite, identity) = Sqlite::open(path)?;
        if identity.is_blank {
            return Err(DbError::Missing {
                path: path.to_owned(),
            });
        }
        let _pending = migrations::remaining(migrations, identity.version)?;
        sqlite.check()?;
        file::restrict(path)?;
        sqlite.prepare_writer()?;
        migrations::run(migrations, identity.version, |migration| {
            sqlite.migrate(migration)
        })?;
        Db::start(path, options, sqlite, &file_lock)
    }

    fn create_with(path: &Path, options: Options, migrations: &[Migration]) -> Result<Db, DbError> {
        let file_lock = file::lock(path)?;
        file::create(path)?;
        let (sqlite, identity) = Sqlite::open(path)?;
        if !identity.is_blank {
            return Err(DbError::Exists {
                path: path.to_owned(),
            });
        }
        file::restrict(path)?;
        sqlite.prepare_writer()?;
        migrations::run(migrations, 0, |migration| sqlite.migrate(migration))?;
        Db::start(path, options, sqlite, &file_lock)
    }

    fn start(
        path: &Path,
        options: Options,
        mut sqlite: Sqlite,
        file_lock: &Arc<std::fs::File>,
    ) -> Result<Db, DbError> {
        let (readers, reads) = Lane::new(options.read_queue);
        let reads = Arc::new(Mutex::new(reads));
        for _ in 0..options.readers.max(1) {
            let (connection, reads, file_lock) =
                (Sqlite::open_reader(path)?, reads.clone(), file_lock.clone());
            readers.start("store-reader", move || lanes::read(connection, reads, file_lock))?;
        }
        let (writer, writes) = Lane::new(options.write_queue);
        let (mut log, calls) = checkpoint::Log::new();
        sqlite.on_commit(move |pages| log.grown(pages))?;
        let (mover, lock) = (Sqlite::open_mover(path)?, file_lock.clone());
        let keeper = Arc::new(Mutex::new(Keeper::Absent));
        let listener = Arc::new(OnceLock::new());
        let group = lanes::Grouping {
            limit: options.group_limit,
            keeper: keeper.clone(),
            listener: Arc::clone(&listener),
        };
        let file_lock = file_lock.clone();
        writer.start("store-writer", move || {
            lanes::write(sqlite, writes, group, file_lock)
        })?;
        writer.start("store-checkpoint", move || checkpoint::run(mover, &calls, lock))?;
        let lanes = Lanes {
            writer,
            readers,
            keeper,
            listener,
        };
        Ok(Db {
            lanes: Arc::new(lanes),
        })
    }

    /// Keeps `journal` from now on. Before, a transaction that ends something is refused.
    pub fn keep(&self, journal: Journal) {
        *task::lock(&self.lanes.keeper) = Keeper::Kept {
            journal: Box::new(journal),
            awaits_commit: false,
        };
    }

    /// Tells `listener` from now on what committed transactions announce ([`Tx::announce`]). It is called on the writer's thread and must not
    /// wait. There is one: a second is not taken.
    pub fn listen(&self, listener: Listener) {
        let _taken = self.lanes.listener.set(listener);
    }

    /// Lets transactions end things without a journal, for a declared restore alone.
    pub fn waive_journal(&self) {
        *task::lock(&self.lanes.keeper) = Keeper::Waived;
    }

    /// Runs `work` as one durable transaction called `name` and returns its result once it is on the disk.
    /// A transaction whose caller has gone away before its turn is not run at all.
    ///
    /// # Errors
    /// The closure's own error, its changes undone; or a [`DbError`], after which nothing is known to be stored:
    /// `Overloaded` at once when the queue is full, `Panicked`, `Unavailable`, `Io`.
    pub async fn write<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        submit(&self.lanes.writer, name, work)?
            .await
            .unwrap_or_else(|_| Err(E::from(gone())))
    }

    /// Runs `work` on one consistent snapshot of what is committed; it cannot write.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn read<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        submit(&self.lanes.readers, name, work)?
            .await
            .unwrap_or_else(|_| Err(E::from(gone())))
    }

    /// [`Db::write`] for commands that have no async runtime; inside one it would block a worker, which tokio answers with a panic.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn write_blocking<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        submit(&self.lanes.writer, name, work)?
            .blocking_recv()
            .unwrap_or_else(|_| Err(E::from(gone())))
    }

    /// [`Db::read`] for commands that have no async runtime, see [`Db::write_blocking`].
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn read_blocking<T, E>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        submit(&self.lanes.readers, name, work)?
            .blocking_recv()
            .unwrap_or_else(|_| Err(E::from(gone())))
    }

    /// Refuses what comes from now on, answers what waits, moves the write-ahead log into the file and unlocks it.
    ///
    /// # Errors
    /// [`DbError::Io`] or `Unavailable` when the log could not be moved; what was committed is safe in it.
    pub async fn close(&self) -> Result<(), DbError> {
        let db = self.clone();
        tokio::task::spawn_blocking(move || db.close_blocking())
            .await
            .unwrap_or_else(|_| Err(gone()))
    }

    /// [`Db::close`] for commands that have no async runtime.
    ///
    /// # Errors
    /// As [`Db::close`].
    pub fn close_blocking(&self) -> Result<(), DbError> {
        let readers = self.lanes.readers.close();
        self.lanes.writer.close().and(readers)
    }
}

fn submit<T, E>(
    lane: &Lane,
    name: &'static str,
    work: impl FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
) -> Result<oneshot::Receiver<Result<T, E>>, E>
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    let (task, answer) = task(name, work);
    lane.submit(task)?;
    Ok(answer)
}

fn gone() -> DbError {
    DbError::unavailable("its thread has ended")
}
