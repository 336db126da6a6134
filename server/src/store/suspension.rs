//! Queries over the wrong suspension codes of a day.

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::ended::Ended;
use crate::domain::suspension::WrongCodes;

impl Record for WrongCodes {
    const TABLE: &'static str = "suspension_limit";
    const COLUMNS: &'static [&'static str] = &["id"];

    fn clear(&self) -> Vec<Value> {
        vec![Value::Int(self.bucket.into())]
    }

    /// A restore gives back the codes of one day.
    fn ended(&self) -> Option<Ended> {
        None
    }
}

/// Those of one bucket, if any were told.
///
/// # Errors
/// Those of the store.
pub fn load(rows: &mut Rows<'_, '_>, bucket: u16) -> Result<Option<Stored<WrongCodes>>, StoreError> {
    rows.select_one("id = $1", &[Value::Int(bucket.into())])
}
