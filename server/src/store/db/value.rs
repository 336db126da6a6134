//! What goes into a statement and comes out of a row, the same for every driver. Used by every file of queries.
//! Invariant: reading a column as another type than it holds is an error, never a conversion.

use std::fmt;

use super::DbError;

/// One bound parameter or one column: BIGINT, TEXT, BYTEA or NULL.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Shows type and length only: rows hold what does not belong in a log.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null | Value::Int(_) => f.write_str(self.kind()),
            Value::Text(text) => write!(f, "text of {} bytes", text.len()),
            Value::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "NULL",
            Value::Int(_) => "an integer",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Int(i64::from(number))
    }
}

/// `false` is 0 and `true` is 1: there is no BOOLEAN in the SQL text.
impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Int(i64::from(flag))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(bytes)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Value {
        Value::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// One row of a result, its columns counted from 0 in the order of the SELECT or RETURNING list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub(super) Vec<Value>);

impl Row {
    /// The value in column `index`, of whatever type.
    ///
    /// # Errors
    /// [`DbError::Column`] when the column is missing.
    pub fn value(&self, index: usize) -> Result<&Value, DbError> {
        self.0.get(index).ok_or_else(|| self.mismatch(index, "a value"))
    }

    /// The BIGINT in column `index`.
    ///
    /// # Errors
    /// [`DbError::Column`] when the column is missing, NULL or of another type.
    pub fn int(&self, index: usize) -> Result<i64, DbError> {
        self.opt_int(index)?
            .ok_or_else(|| self.mismatch(index, "an integer"))
    }

    /// The TEXT in column `index`.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn text(&self, index: usize) -> Result<&str, DbError> {
        self.opt_text(index)?.ok_or_else(|| self.mismatch(index, "text"))
    }

    /// The BYTEA in column `index`.
    ///
    /// # Errors
    /// As [`Row::int`].
    pub fn bytes(&self, index: usize) -> Result<&[u8], DbError> {
        self.opt_bytes(index)?
            .ok_or_else(|| self.mismatch(index, "bytes"))
    }

    /// The BIGINT in column `index`, `None` for NULL.
    ///
    /// # Errors
    /// [`DbError::Column`] when the column is missing or of another type.
    pub fn opt_int(&self, index: usize) -> Result<Option<i64>, DbError> {
        match self.0.get(index) {
            Some(Value::Int(number)) => Ok(Some(*number)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.mismatch(index, "an integer or NULL")),
        }
    }

    /// The TEXT in column `index`, `None` for NULL.
    ///
    /// # Errors
    /// As [`Row::opt_int`].
    pub fn opt_text(&self, index: usize) -> Result<Option<&str>, DbError> {
        match self.0.get(index) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.mismatch(index, "text or NULL")),
        }
    }

    /// The BYTEA in column `index`, `None` for NULL.
    ///
    /// # Errors
    /// As [`Row::opt_int`].
    pub fn opt_bytes(&self, index: usize) -> Result<Option<&[u8]>, DbError> {
        match self.0.get(index) {
            Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.mismatch(index, "bytes or NULL")),
        }
    }

    fn mismatch(&self, index: usize, expected: &'static str) -> DbError {
        let found = self.0.get(index).map_or("nothing", Value::kind);
        DbError::Column {
            index,
            expected,
            found,
        }
    }
}
