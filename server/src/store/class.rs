//! The classes of sealed rows, in one list: what is looked at when the daemon starts, and sealed again when the master key changes.
//!
//! Called by `start` and `app::reseal`. Invariant: every table with a column `sealed` is in the list.

use serde::{Deserialize, Serialize};

use super::audit::Entry;
use super::db::Value;
use super::past::Past;
use super::record::{Record, Rows, StoreError, key_text};
use crate::domain::activation::Activation;
use crate::domain::case::Case;
use crate::domain::challenge::Challenge;
use crate::domain::device::{Device, DeviceEvent};
use crate::domain::operator::{Operator, Session, Terminal};
use crate::domain::relying_party::RelyingParty;
use crate::domain::subject::{Block, Pairwise, Subject};
use crate::domain::suspension::WrongCodes;

/// One table of sealed rows.
pub struct Class {
    /// Its name.
    pub table: &'static str,
    key: &'static str,
    look: fn(&mut Rows<'_, '_>) -> Result<(), StoreError>,
}

/// All of them.
pub const CLASSES: &[Class] = &[
    class::<Subject>(),
    class::<Case>(),
    class::<Activation>(),
    class::<Device>(),
    class::<DeviceEvent>(),
    class::<RelyingParty>(),
    class::<Pairwise>(),
    class::<Block>(),
    class::<Challenge>(),
    class::<Past>(),
    class::<Operator>(),
    class::<Terminal>(),
    class::<Session>(),
    class::<WrongCodes>(),
    class::<Entry>(),
];

const fn class<R: Record>() -> Class {
    let key = match R::COLUMNS {
        [key, ..] => key,
        [] => "id",
    };
    Class {
        table: R::TABLE,
        key,
        look: look::<R>,
    }
}

/// Opens the first and the last row of each class: the time does not grow with the database.
///
/// # Errors
/// [`StoreError::Tampered`] with the first class of which a row does not verify.
pub fn look_at_each(rows: &mut Rows<'_, '_>) -> Result<(), StoreError> {
    CLASSES.iter().try_for_each(|class| (class.look)(rows))
}

fn look<R: Record>(rows: &mut Rows<'_, '_>) -> Result<(), StoreError> {
    let key = class::<R>().key;
    for order in ["ASC", "DESC"] {
        rows.select_one::<R>(&format!("1 = 1 ORDER BY {key} {order} LIMIT 1"), &[])?;
    }
    Ok(())
}

/// Where sealing again has come to: a table, and the last key that was done.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Cursor {
    table: usize,
    after: Option<Key>,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
enum Key {
    Text(String),
    Int(i64),
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl Cursor {
    /// Before the first row.
    pub const START: Self = Self {
        table: 0,
        after: None,
    };
}

/// Seals at most `most` rows again, as they are, under the new master key. Where to go on; nothing after the last row.
///
/// # Errors
/// [`StoreError::Tampered`] when neither key opens a row: it stays, and so does the previous key.
pub fn reseal(rows: &mut Rows<'_, '_>, cursor: &Cursor, most: i64) -> Result<Option<Cursor>, StoreError> {
    let Some(class) = CLASSES.get(cursor.table) else {
        return Ok(None);
    };
    let found = after(rows, class, cursor.after.as_ref(), most)?;
    let mut last = None;
    for row in &found {
        let (key, version, sealed) = (row.value(0)?, row.int(1)?, row.bytes(2)?);
        let id = key_text(Some(key));
        let numbered = u64::try_from(version).unwrap_or(u64::MAX);
        let again = rows.sealer.reseal(class.table, &id, numbered, sealed);
        let again = again.map_err(|_| StoreError::Tampered {
            table: class.table,
            column: "sealed",
        })?;
        if let Some(again) = again {
            let sql = format!(
                "UPDATE {} SET sealed = $1 WHERE {} = $2 AND version = $3",
                class.table, class.key
            );
            rows.tx
                .execute(&sql, &[Value::Bytes(again), key.clone(), Value::Int(version)])?;
        }
        last = Key::of(key);
    }
    Ok(Some(match last {
        Some(key) => Cursor {
            table: cursor.table,
            after: Some(key),
        },
        None => Cursor {
            table: cursor.table.saturating_add(1),
            after: None,
        },
    }))
}

fn after(
    rows: &mut Rows<'_, '_>,
    class: &Class,
    key: Option<&Key>,
    most: i64,
) -> Result<Vec<super::db::Row>, StoreError> {
    let Class {
        table, key: column, ..
    } = class;
    let start = format!("SELECT {column}, version, sealed FROM {table}");
    Ok(match key {
        None => rows
            .tx
            .query(&format!("{start} ORDER BY {column} LIMIT $1"), &[most.into()])?,
        Some(key) => rows.tx.query(
            &format!("{start} WHERE {column} > $1 ORDER BY {column} LIMIT $2"),
            &[key.value(), most.into()],
        )?,
    })
}

impl Key {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::Text(text.clone())),
            Value::Int(number) => Some(Self::Int(*number)),
            Value::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Value::Null => None,
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::Text(text.clone()),
            Self::Int(number) => Value::Int(*number),
            Self::Bytes(bytes) => Value::Bytes(bytes.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
