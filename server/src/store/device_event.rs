//! What happened to a person's phones: events are added, never changed.

use paraphe_proto::ids::SubjectId;

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::device::DeviceEvent;
use crate::domain::ended::Ended;

impl Record for DeviceEvent {
    const TABLE: &'static str = "device_event";
    const COLUMNS: &'static [&'static str] = &["id"];

    fn clear(&self) -> Vec<Value> {
        vec![key(self.subject_id, self.number)]
    }

    /// What ended is said of the phone.
    fn ended(&self) -> Option<Ended> {
        None
    }
}

/// Sorts by person, then by number.
fn key(subject_id: SubjectId, number: u64) -> Value {
    format!("{subject_id}:{number:020}").into()
}

/// The next number among the events of a person.
///
/// # Errors
/// Those of the store.
pub fn next_number(rows: &mut Rows<'_, '_>, subject_id: SubjectId) -> Result<u64, StoreError> {
    let sql = "SELECT MAX(id) FROM device_event WHERE id > $1 AND id <= $2";
    let ends = [key(subject_id, 0), key(subject_id, u64::MAX)];
    let row = rows.tx.query_opt(sql, &ends)?;
    let last = match row.as_ref().map(|row| row.value(0)).transpose()? {
        Some(Value::Text(id)) => id.rsplit_once(':').and_then(|(_, number)| number.parse().ok()),
        _ => Some(0),
    };
    let last: u64 = last.ok_or(StoreError::Tampered {
        table: DeviceEvent::TABLE,
        column: "id",
    })?;
    Ok(last.saturating_add(1))
}

/// The person's events with numbers below `before`, newest first, at most `limit`.
///
/// # Errors
/// Those of the store.
pub fn history(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    before: u64,
    limit: i64,
) -> Result<Vec<Stored<DeviceEvent>>, StoreError> {
    rows.select(
        "id > $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        &[key(subject_id, 0), key(subject_id, before), limit.into()],
    )
}
