//! Values and errors of SQLite in the store's own terms.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, ToSql, ffi};

use super::{DbError, Value};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

pub(super) fn value(column: ValueRef<'_>) -> Result<Value, DbError> {
    match column {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(number) => Ok(Value::Int(number)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(_) => Err(DbError::Corrupt {
                detail: "a text is not UTF-8".to_owned(),
            }),
        },
        ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes.to_vec())),
        ValueRef::Real(_) => Err(DbError::Statement {
            detail: "a column holds a floating-point number".to_owned(),
        }),
    }
}

pub(super) fn named(error: rusqlite::Error) -> DbError {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => named_failure(failure, message),
        rusqlite::Error::SqlInputError { msg, .. } => DbError::Statement { detail: msg },
        other => DbError::Statement {
            detail: other.to_string(),
        },
    }
}

fn named_failure(failure: ffi::Error, message: Option<String>) -> DbError {
    let detail = message.unwrap_or_else(|| failure.to_string());
    match failure.code {
        ErrorCode::ConstraintViolation => match failure.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => DbError::Conflict {
                constraint: detail.rsplit(": ").next().unwrap_or_default().to_owned(),
            },
            _ => DbError::Constraint { detail },
        },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => DbError::Corrupt { detail },
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            DbError::Io { detail }
        }
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::DiskFull
        | ErrorCode::OutOfMemory => DbError::Unavailable { detail },
        _ => DbError::Statement { detail },
    }
}
