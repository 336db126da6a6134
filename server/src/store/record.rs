//! Sealed records: a row is an id, a version, the clear columns that queries need, and `sealed`, which holds every fact.
//!
//! Called by the query files of this folder. Invariant: what is read equals what was sealed, or the read fails with
//! [`StoreError::Tampered`]; every update is guarded by the version that was read.

use paraphe_proto::encoding::hex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::db::{DbError, Row, Tx, Value};
use super::seal::{SealError, Sealer};
use crate::domain::device::Mark;
use crate::domain::ended::{Ended, change};

/// A type that is stored as a sealed row.
pub trait Record: Serialize + DeserializeOwned {
    /// Table name.
    const TABLE: &'static str;
    /// Clear columns in the order of [`Self::clear`]; the first is the primary key.
    const COLUMNS: &'static [&'static str];
    /// Values of the clear columns.
    fn clear(&self) -> Vec<Value>;
    /// What of it must stay ended when an older database is put back; every change of it goes to the security journal with the
    /// transaction that makes it.
    fn ended(&self) -> Option<Ended>;
    /// What of it its owner's history tells, whenever it changes: of a phone alone.
    fn mark(&self) -> Option<Mark> {
        None
    }
}

/// A record with the version under which it was read.
pub struct Stored<R> {
    /// The record; change it, then [`Rows::update`].
    pub record: R,
    version: i64,
    /// Its clear columns as they stand in the row.
    clear: Vec<Value>,
    /// What of it had ended when it was read.
    ended: Option<Ended>,
    /// What of it a history told when it was read.
    mark: Option<Mark>,
}

impl<R> std::ops::Deref for Stored<R> {
    type Target = R;
    fn deref(&self) -> &R {
        &self.record
    }
}

impl<R> std::ops::DerefMut for Stored<R> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.record
    }
}

impl<R> Stored<R> {
    /// Its mark when it was read or written last.
    pub fn was(&self) -> Option<Mark> {
        self.mark
    }

    /// The same row with its record read as another type. An update that names another table than the row's finds nothing.
    pub fn map<T>(self, change: impl FnOnce(R) -> T) -> Stored<T> {
        Stored {
            record: change(self.record),
            version: self.version,
            clear: self.clear,
            ended: self.ended,
            mark: self.mark,
        }
    }

    /// Replaces the record, keeping the guard.
    ///
    /// # Errors
    /// Those of `change`.
    pub fn try_map<E>(self, change: impl FnOnce(R) -> Result<R, E>) -> Result<Self, E> {
        Ok(Self {
            record: change(self.record)?,
            version: self.version,
            clear: self.clear,
            ended: self.ended,
            mark: self.mark,
        })
    }
}

/// What reading and writing records may end in.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A row does not open, or its clear columns are not those that were sealed.
    #[error("a row of `{table}` was changed outside the daemon: {column}")]
    Tampered {
        /// Table.
        table: &'static str,
        /// Column that differs, or `sealed`.
        column: &'static str,
    },
    /// The row was changed since it was read.
    #[error("a row of `{0}` was changed since it was read")]
    Stale(&'static str),
}

impl StoreError {
    fn sealed<R: Record>(_: SealError) -> Self {
        Self::Tampered {
            table: R::TABLE,
            column: "sealed",
        }
    }
}

/// Reads and writes records inside one transaction.
pub struct Rows<'a, 'tx> {
    /// The transaction, for queries that touch no sealed record.
    pub tx: &'a mut Tx<'tx>,
    pub(super) sealer: &'a Sealer,
}

impl<'a, 'tx> Rows<'a, 'tx> {
    /// Records of one transaction.
    pub fn new(tx: &'a mut Tx<'tx>, sealer: &'a Sealer) -> Self {
        Self { tx, sealer }
    }

    /// Inserts a new row.
    ///
    /// # Errors
    /// `Db(Conflict)` where the key is taken.
    pub fn insert<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        let mut values = record.clear();
        let id = key_text(values.first());
        let sealed = self
            .sealer
            .seal_record(R::TABLE, &id, 1, record)
            .map_err(StoreError::sealed::<R>)?;
        values.push(Value::Int(1));
        values.push(Value::Bytes(sealed));
        let places: Vec<String> = (1..=values.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}, version, sealed) VALUES ({})",
            R::TABLE,
            R::COLUMNS.join(", "),
            places.join(", ")
        );
        self.tx.execute(&sql, &values)?;
        self.note(None, record.ended());
        Ok(())
    }

    fn note(&mut self, before: Option<&Ended>, after: Option<Ended>) {
        if let Some(event) = change(before, after) {
            self.tx.note(event);
        }
    }

    /// Writes a changed record, guarded by the version that was read. Clear columns that stayed as they were are not named, since
    /// an engine touches every index over a column that is.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when another transaction was first.
    pub fn update<R: Record>(&mut self, stored: &mut Stored<R>) -> Result<(), StoreError> {
        let clear = stored.record.clear();
        let id = key_text(clear.first());
        let next = stored.version.saturating_add(1);
        let version = u64::try_from(next).unwrap_or(u64::MAX);
        let sealed = self.sealer.seal_record(R::TABLE, &id, version, &stored.record);
        let sealed = sealed.map_err(StoreError::sealed::<R>)?;
        let columns = R::COLUMNS.iter().zip(&clear).zip(&stored.clear);
        let changed = columns.filter(|((_, new), old)| new != old);
        let (mut sql, mut values) = (format!("UPDATE {} SET ", R::TABLE), Vec::new());
        for ((column, value), _) in changed {
            values.push(value.clone());
            sql.push_str(&format!("{column} = ${}, ", values.len()));
        }
        let (at, key) = (values.len(), R::COLUMNS.first().copied().unwrap_or("id"));
        sql.push_str(&format!(
            "version = ${}, sealed = ${} WHERE {key} = ${} AND version = ${}",
            at + 1,
            at + 2,
            at + 3,
            at + 4
        ));
        let key = clear.first().cloned().unwrap_or(Value::Null);
        values.extend([
            Value::Int(next),
            Value::Bytes(sealed),
            key,
            Value::Int(stored.version),
        ]);
        if self.tx.execute(&sql, &values)? != 1 {
            return Err(StoreError::Stale(R::TABLE));
        }
        let ended = stored.record.ended();
        self.note(stored.ended.as_ref(), ended.clone());
        (stored.version, stored.clear, stored.ended) = (next, clear, ended);
        stored.mark = stored.record.mark();
        Ok(())
    }

    /// Deletes a row, guarded by the version that was read.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when another transaction was first.
    pub fn delete<R: Record>(&mut self, stored: Stored<R>) -> Result<(), StoreError> {
        let key = stored.record.clear().into_iter().next().unwrap_or(Value::Null);
        let column = R::COLUMNS.first().copied().unwrap_or("id");
        let sql = format!("DELETE FROM {} WHERE {column} = $1 AND version = $2", R::TABLE);
        if self.tx.execute(&sql, &[key, Value::Int(stored.version)])? != 1 {
            return Err(StoreError::Stale(R::TABLE));
        }
        self.note(stored.ended.as_ref(), None);
        Ok(())
    }

    /// The rows that `filter`, the text after `WHERE`, finds.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] if any of them does not verify.
    pub fn select<R: Record>(
        &mut self,
        filter: &str,
        values: &[Value],
    ) -> Result<Vec<Stored<R>>, StoreError> {
        let rows = self.found::<R>(filter, values)?;
        rows.iter().map(|row| self.open(row)).collect()
    }

    /// Those of the rows that `filter` finds which verify, and how many others there are: for what must go on beside a damaged row.
    ///
    /// # Errors
    /// Those of the database.
    pub fn select_sound<R: Record>(
        &mut self,
        filter: &str,
        values: &[Value],
    ) -> Result<(Vec<Stored<R>>, usize), StoreError> {
        let rows = self.found::<R>(filter, values)?;
        let sound: Vec<_> = rows.iter().filter_map(|row| self.open(row).ok()).collect();
        let damaged = rows.len().saturating_sub(sound.len());
        Ok((sound, damaged))
    }

    fn found<R: Record>(&mut self, filter: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let sql = format!(
            "SELECT {}, version, sealed FROM {} WHERE {filter}",
            R::COLUMNS.join(", "),
            R::TABLE
        );
        Ok(self.tx.query(&sql, values)?)
    }

    /// The keys of the rows that `filter` finds, as they stand in the clear: none of the rows is opened.
    ///
    /// # Errors
    /// Those of the database.
    pub fn keys<R: Record>(&mut self, filter: &str, values: &[Value]) -> Result<Vec<String>, StoreError> {
        let column = R::COLUMNS.first().copied().unwrap_or("id");
        let sql = format!("SELECT {column} FROM {} WHERE {filter}", R::TABLE);
        let rows = self.tx.query(&sql, values)?;
        Ok(rows.iter().map(|row| key_text(row.value(0).ok())).collect())
    }

    /// The one row that `filter` finds, if any.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] if it does not verify.
    pub fn select_one<R: Record>(
        &mut self,
        filter: &str,
        values: &[Value],
    ) -> Result<Option<Stored<R>>, StoreError> {
        Ok(self.select(filter, values)?.into_iter().next())
    }

    /// The row with this primary key.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] if it does not verify.
    pub fn by_id<R: Record>(&mut self, id: impl ToString) -> Result<Option<Stored<R>>, StoreError> {
        let column = R::COLUMNS.first().copied().unwrap_or("id");
        self.select_one(&format!("{column} = $1"), &[Value::Text(id.to_string())])
    }

    fn open<R: Record>(&self, row: &Row) -> Result<Stored<R>, StoreError> {
        let width = R::COLUMNS.len();
        // A value of another type than the daemon writes is not the daemon's.
        let mistyped = |column| {
            let table = R::TABLE;
            move |_| StoreError::Tampered { table, column }
        };
        let version = row.int(width).map_err(mistyped("version"))?;
        let sealed = row.bytes(width + 1).map_err(mistyped("sealed"))?;
        let id = key_text(Some(row.value(0)?));
        let record: R = self
            .sealer
            .open_record(R::TABLE, &id, u64::try_from(version).unwrap_or(u64::MAX), sealed)
            .map_err(StoreError::sealed::<R>)?;
        let clear = record.clear();
        for (at, (column, expected)) in R::COLUMNS.iter().zip(&clear).enumerate() {
            if row.value(at)? != expected {
                return Err(StoreError::Tampered {
                    table: R::TABLE,
                    column,
                });
            }
        }
        let (ended, mark) = (record.ended(), record.mark());
        Ok(Stored {
            record,
            version,
            clear,
            ended,
            mark,
        })
    }
}

pub(super) fn key_text(value: Option<&Value>) -> String {
    match value {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::Bytes(bytes)) => hex(bytes),
        _ => String::new(),
    }
}
