//! The SQLite driver: this file and its folder are the only ones that name rusqlite. Called by `db` and its threads.
//! Invariants: a foreign or newer file is recognised before anything in it changes; a committed transaction has reached the disk
//! (write-ahead log, `synchronous = FULL`); parameters `$1..$n` are bound in that order or refused.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, Statement};

use self::translate::{named, value};
use super::said::{Mark, Said};
use super::{DbError, Row, Value};
use crate::store::migrations::Migration;

mod translate;

/// "PRPH": written into the header of each database, so that another application's file is recognised.
const APPLICATION_ID: i64 = 0x5052_5048;
/// The longest that opening a database looks for damage.
const CHECK_LIMIT: Duration = Duration::from_secs(1);
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 256;

/// One connection, whether it has written lately, the texts that [`check_statement`] has passed: a few dozen, all ours; and what its
/// transactions say.
pub(super) struct Sqlite(Connection, Cell<bool>, RefCell<HashSet<String>>, RefCell<Said>);

/// What the file's header says.
pub(super) struct Identity {
    is_ours: bool,
    /// Neither marked nor holding any table.
    pub(super) is_blank: bool,
    pub(super) version: i64,
}

impl Sqlite {
    fn over(connection: Connection) -> Sqlite {
        Sqlite(
            connection,
            Cell::new(false),
            RefCell::default(),
            RefCell::default(),
        )
    }

    /// Opens an existing file and looks at its header. Changes nothing.
    ///
    /// # Errors
    /// [`DbError::Foreign`] for what is neither ours nor blank.
    pub(super) fn open(path: &Path) -> Result<(Sqlite, Identity), DbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(named)?;
        let sqlite = Sqlite::over(connection);
        if sqlite.0.is_readonly(rusqlite::MAIN_DB).map_err(named)? {
            return Err(DbError::Io {
                detail: format!("{}: may only be read", path.display()),
            });
        }
        sqlite.guard().map_err(named)?;
        let identity = sqlite
            .identity()
            .map_err(|error| match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => DbError::Foreign {
                    path: path.to_owned(),
                },
                _ => named(error),
            })?;
        if !identity.is_ours && !identity.is_blank {
            return Err(DbError::Foreign {
                path: path.to_owned(),
            });
        }
        Ok((sqlite, identity))
    }

    /// Opens one more connection, which cannot write.
    pub(super) fn open_reader(path: &Path) -> Result<Sqlite, DbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(named)?;
        let sqlite = Sqlite::over(connection);
        sqlite.guard().map_err(named)?;
        sqlite.batch("PRAGMA query_only = ON")?;
        Ok(sqlite)
    }

    /// Opens one more connection, which moves the log into the database and does nothing else.
    pub(super) fn open_mover(path: &Path) -> Result<Sqlite, DbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(named)?;
        let sqlite = Sqlite::over(connection);
        sqlite.guard().map_err(named)?;
        sqlite.batch(&format!("PRAGMA synchronous = {}", synchronous()))?;
        Ok(sqlite)
    }

    /// From now on `grown` is told after each commit how many pages the write-ahead log has, and says whether to move it at once;
    /// SQLite's own rule for that is off.
    pub(super) fn on_commit(
        &mut self,
        mut grown: impl FnMut(i32) -> bool + Send + 'static,
    ) -> Result<(), DbError> {
        let moved = move |log: &mut Wal, pages: i32| {
            if grown(pages)
                && let Err(error) = log.checkpoint()
            {
                // The commit stands; the next one tries again.
                tracing::debug!(%error, "the write-ahead log was not moved");
            }
            Ok(())
        };
        self.0.wal_hook(Some(moved)).map_err(named)
    }

    /// Writes a copy of what is committed in the database at `path` into the empty file `to`, while others may write.
    pub(super) fn copy(path: &Path, to: &Path) -> Result<(), DbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(named)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(named)?;
        let to = to.to_str().ok_or_else(|| DbError::Io {
            detail: format!("{}: the path is not UTF-8", to.display()),
        })?;
        let copied = connection.execute("VACUUM INTO ?1", [to]);
        copied.map(drop).map_err(named)
    }

    /// Settings of the connection alone; the file stays as it is.
    fn guard(&self) -> Result<(), rusqlite::Error> {
        let connection = &self.0;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        // A plan does not depend on the values bound, so a statement is prepared once.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY")
    }

    fn identity(&self) -> Result<Identity, rusqlite::Error> {
        let integer = |sql: &str| self.0.query_row(sql, [], |row| row.get::<_, i64>(0));
        let application_id = integer("PRAGMA application_id")?;
        let version = integer("PRAGMA user_version")?;
        let tables = integer("SELECT COUNT(*) FROM sqlite_schema")?;
        Ok(Identity {
            is_ours: application_id == APPLICATION_ID,
            is_blank: application_id == 0 && version == 0 && tables == 0,
            version,
        })
    }

    /// Makes a recognised file ready for writing: durable commits, nothing deleted stays readable.
    pub(super) fn prepare_writer(&self) -> Result<(), DbError> {
        let mode: String = self
            .0
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(named)?;
        if mode != "wal" {
            return Err(DbError::unavailable(
                "its file system does not support a write-ahead log",
            ));
        }
        self.batch(&format!("PRAGMA synchronous = {}", synchronous()))?;
        self.batch(
            "PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864; \
             PRAGMA cache_size = -65536",
        )
    }

    /// Looks at every page, or at as many as [`CHECK_LIMIT`] allows: a database of many gigabytes must open in seconds. What is not
    /// looked at here is noticed when it is read.
    ///
    /// # Errors
    /// [`DbError::Corrupt`] with the first thing found.
    pub(super) fn check(&self) -> Result<(), DbError> {
        let (done, ended) = mpsc::channel::<()>();
        let interrupt = self.0.get_interrupt_handle();
        let watch = std::thread::spawn(move || {
            if ended.recv_timeout(CHECK_LIMIT) == Err(RecvTimeoutError::Timeout) {
                interrupt.interrupt();
            }
        });
        let found = self
            .0
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        drop(done);
        let _ended = watch.join();
        match found {
            Ok(detail) if detail == "ok" => Ok(()),
            Ok(detail) => Err(DbError::Corrupt { detail }),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                tracing::info!(
                    "the database is too large to be looked at whole; it is checked as it is read"
                );
                Ok(())
            }
            Err(error) => Err(named(error)),
        }
    }

    /// Applies one migration with its version in one transaction. Tables may be rebuilt in it: foreign keys are checked at its end.
    pub(super) fn migrate(&self, migration: &Migration) -> Result<(), DbError> {
        self.batch("PRAGMA foreign_keys = OFF")?;
        let applied = self
            .begin_write()
            .and_then(|()| self.apply(migration))
            .and_then(|()| self.commit());
        self.abandon();
        self.batch("PRAGMA foreign_keys = ON")?;
        applied
    }

    fn apply(&self, migration: &Migration) -> Result<(), DbError> {
        self.batch(migration.sql)?;
        if self.query("PRAGMA foreign_key_check", &[], 1)?.is_empty() {
            self.batch(&format!(
                "PRAGMA user_version = {}; PRAGMA application_id = {APPLICATION_ID}",
                migration.version
            ))
        } else {
            Err(DbError::Constraint {
                detail: format!(
                    "migration {} leaves rows without the rows they refer to",
                    migration.name
                ),
            })
        }
    }

    pub(super) fn begin_write(&self) -> Result<(), DbError> {
        self.3.take();
        self.control("BEGIN IMMEDIATE")
    }

    pub(super) fn begin_read(&self) -> Result<(), DbError> {
        self.control("BEGIN DEFERRED")
    }

    pub(super) fn commit(&self) -> Result<(), DbError> {
        self.control("COMMIT")
    }

    pub(super) fn savepoint(&self) -> Result<(), DbError> {
        self.control("SAVEPOINT task")
    }

    /// Keeps what happened since the savepoint.
    pub(super) fn release(&self) -> Result<(), DbError> {
        self.control("RELEASE task")
    }

    /// Undoes what happened since the savepoint.
    pub(super) fn undo(&self) -> Result<(), DbError> {
        self.control("ROLLBACK TO task")?;
        self.control("RELEASE task")
    }

    /// Ends a transaction that is still open, without keeping it.
    pub(super) fn abandon(&self) {
        if self.in_transaction()
            && let Err(error) = self.control("ROLLBACK")
        {
            tracing::error!(code = error.code(), %error, "a transaction could not be rolled back");
        }
    }

    /// From here on, [`Self::has_written`] speaks of what comes.
    pub(super) fn forget_writes(&self) {
        self.1.set(false);
    }

    /// Whether any statement since could have changed a row.
    pub(super) fn has_written(&self) -> bool {
        self.1.get()
    }

    /// What was said since the begin, until it is taken.
    pub(super) fn said(&self) -> RefMut<'_, Said> {
        self.3.borrow_mut()
    }

    /// Forgets what was said since.
    pub(super) fn unsay(&self, since: Mark) {
        self.said().back_to(since);
    }

    pub(super) fn in_transaction(&self) -> bool {
        !self.0.is_autocommit()
    }

    /// Moves the write-ahead log into the database and empties it.
    pub(super) fn checkpoint(&self) -> Result<(), DbError> {
        self.batch("PRAGMA wal_checkpoint(TRUNCATE)")
    }

    /// Moves what nobody reads any more, and waits for nobody.
    pub(super) fn checkpoint_some(&self) -> Result<(), DbError> {
        let moved = self.0.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE);
        moved.map(drop).map_err(named)
    }

    /// Executes a statement that returns no rows; the number of rows it changed.
    pub(super) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DbError> {
        let changed = self
            .prepare(sql)?
            .execute(rusqlite::params_from_iter(values))
            .map_err(named)?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    /// Executes a statement and collects at most `limit` rows.
    pub(super) fn query(&self, sql: &str, values: &[Value], limit: usize) -> Result<Vec<Row>, DbError> {
        let mut statement = self.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement
            .query(rusqlite::params_from_iter(values))
            .map_err(named)?;
        let mut collected = Vec::new();
        while let Some(row) = rows.next().map_err(named)? {
            let values = (0..columns).map(|index| value(row.get_ref(index).map_err(named)?));
            collected.push(Row(values.collect::<Result<_, DbError>>()?));
            if collected.len() == limit {
                break;
            }
        }
        Ok(collected)
    }

    /// A statement of a closure. SQLite rolls back by itself when the disk is full: what came after would be committed one by one.
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, DbError> {
        if !self.in_transaction() {
            return Err(DbError::unavailable("the transaction was lost"));
        }
        let statement = self.0.prepare_cached(sql).map_err(named)?;
        if !self.2.borrow().contains(sql) {
            check_statement(&statement)?;
            self.2.borrow_mut().insert(sql.to_owned());
        }
        self.1.set(self.1.get() || !statement.readonly());
        Ok(statement)
    }

    fn control(&self, sql: &str) -> Result<(), DbError> {
        self.0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(named)
    }

    fn batch(&self, sql: &str) -> Result<(), DbError> {
        self.0.execute_batch(sql).map_err(named)
    }
}

#[cfg(not(feature = "test-hooks"))]
fn synchronous() -> String {
    "FULL".to_owned()
}

/// What `PARAPHE_TEST_SYNCHRONOUS` says, so that the crash harness can be seen to notice a daemon that syncs less; `FULL` without it.
#[cfg(feature = "test-hooks")]
fn synchronous() -> String {
    std::env::var("PARAPHE_TEST_SYNCHRONOUS").unwrap_or_else(|_| "FULL".to_owned())
}

/// SQLite numbers parameters as they appear and takes `$2` for a name: out of order, values would silently swap places. What
/// neither reads nor writes rows is BEGIN, COMMIT and their like, which belong to the store.
fn check_statement(statement: &Statement<'_>) -> Result<(), DbError> {
    let number = |index| statement.parameter_name(index)?.strip_prefix('$')?.parse().ok();
    let refusal = if !(1..=statement.parameter_count()).all(|index| number(index) == Some(index)) {
        "parameters must be $1, $2, … in the order of their first use"
    } else if statement.readonly() && statement.column_count() == 0 {
        "only the store begins and ends transactions"
    } else {
        return Ok(());
    };
    Err(DbError::Statement {
        detail: refusal.to_owned(),
    })
}
