//! What happened to a person's phones: events are added, never changed, numbered from 1 without gaps.
//!
//! A row is authentic or it is as if it were not there: what stands in the clear here, or was put here by somebody else, stops nobody.
//! Which number is the newest is sealed with the phones ([`super::device::newest_event`]).

use paraphe_proto::ids::SubjectId;

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::device::DeviceEvent;
use crate::domain::ended::Ended;

/// Rows that are read at a time.
const PAGE: i64 = 200;

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

/// The newest event of a person, at least `known`: events of before phones knew the number are later than what they know. And how many
/// rows after `known` are not the daemon's.
///
/// # Errors
/// Those of the database.
pub fn newest(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    known: u64,
) -> Result<(u64, usize), StoreError> {
    let mut newest = known;
    loop {
        let (later, foreign) = rows.select_sound::<DeviceEvent>(
            "id > $1 AND id <= $2 ORDER BY id LIMIT $3",
            &[key(subject_id, newest), key(subject_id, u64::MAX), PAGE.into()],
        )?;
        match later.last() {
            Some(last) if last.number > newest => newest = last.number,
            _ => return Ok((newest, foreign)),
        }
    }
}

/// The person's events with these numbers, oldest first, as far as they are there and verify.
///
/// # Errors
/// Those of the database.
pub fn numbered(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    from: u64,
    to: u64,
) -> Result<Vec<Stored<DeviceEvent>>, StoreError> {
    let (events, _) = rows.select_sound(
        "id >= $1 AND id <= $2 ORDER BY id",
        &[key(subject_id, from), key(subject_id, to)],
    )?;
    Ok(events)
}

/// Adds an event; whether somebody else's row stood in its place and went.
///
/// # Errors
/// Those of the store.
pub fn put(rows: &mut Rows<'_, '_>, event: &DeviceEvent) -> Result<bool, StoreError> {
    let place = key(event.subject_id, event.number);
    let taken = rows
        .tx
        .execute("DELETE FROM device_event WHERE id = $1", &[place])?;
    rows.insert(event)?;
    Ok(taken > 0)
}

#[cfg(test)]
mod tests;
