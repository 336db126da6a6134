//! Queries over devices.

use paraphe_proto::ids::{DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::device::{Device, Mark};
use crate::domain::ended::Ended;

impl Record for Device {
    const TABLE: &'static str = "device";
    const COLUMNS: &'static [&'static str] = &["id", "subject_id", "state", "due_at"];

    fn clear(&self) -> Vec<Value> {
        vec![
            self.id.to_string().into(),
            self.subject_id.to_string().into(),
            self.state.as_str().into(),
            self.due_at.map_or(Value::Null, |at| Value::Int(at.as_secs())),
        ]
    }

    fn ended(&self) -> Option<Ended> {
        Device::ended(self)
    }

    fn mark(&self) -> Option<Mark> {
        Some(Device::mark(self))
    }
}

/// One device.
pub fn load(rows: &mut Rows<'_, '_>, id: DeviceId) -> Result<Option<Stored<Device>>, StoreError> {
    rows.by_id(id)
}

/// The devices of a person that still count.
pub fn alive_of_subject(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
) -> Result<Vec<Stored<Device>>, StoreError> {
    rows.select(
        "subject_id = $1 AND state IN ('awaiting_confirmation', 'quarantined', 'active', 'suspended')",
        &[subject_id.to_string().into()],
    )
}

/// The newest event of a person of which their phones know, whatever became of them; and how many of the phones do not verify.
pub fn newest_event(rows: &mut Rows<'_, '_>, subject_id: SubjectId) -> Result<(u64, usize), StoreError> {
    let filter = "subject_id = $1";
    let (phones, damaged) = rows.select_sound::<Device>(filter, &[subject_id.to_string().into()])?;
    let newest = phones.iter().map(|phone| phone.newest_event).max();
    Ok((newest.unwrap_or(0), damaged))
}

/// Ids of devices that time moves, at most `limit`, as they stand in the clear.
pub fn due(rows: &mut Rows<'_, '_>, now: Timestamp, limit: i64) -> Result<Vec<String>, StoreError> {
    rows.keys::<Device>(
        "due_at IS NOT NULL AND due_at <= $1 ORDER BY due_at LIMIT $2",
        &[now.as_secs().into(), limit.into()],
    )
}

/// Devices that still count, by id after `after`, at most `limit`.
pub fn alive_after(
    rows: &mut Rows<'_, '_>,
    after: Option<DeviceId>,
    limit: i64,
) -> Result<Vec<Stored<Device>>, StoreError> {
    let after = after.map_or(String::new(), |id| id.to_string());
    rows.select(
        "id > $1 AND state IN ('awaiting_confirmation', 'quarantined', 'active', 'suspended') ORDER BY id LIMIT $2",
        &[after.into(), limit.into()],
    )
}
