//! Queries over activations.

use paraphe_proto::ids::{ActivationId, SubjectId};
use paraphe_proto::time::Timestamp;

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::activation::Activation;
use crate::domain::ended::Ended;

impl Record for Activation {
    const TABLE: &'static str = "activation";
    const COLUMNS: &'static [&'static str] = &["id", "subject_id", "state", "expires_at"];

    fn clear(&self) -> Vec<Value> {
        vec![
            self.id.to_string().into(),
            self.subject_id.to_string().into(),
            self.state.as_str().into(),
            self.expires_at.as_secs().into(),
        ]
    }

    /// Every restore voids what is open.
    fn ended(&self) -> Option<Ended> {
        None
    }
}

const OPEN: &str = "state IN ('awaiting_signature', 'issued', 'begun', 'awaiting_confirmation')";

/// One activation.
pub fn load(rows: &mut Rows<'_, '_>, id: ActivationId) -> Result<Option<Stored<Activation>>, StoreError> {
    rows.by_id(id)
}

/// Those of a person that have not ended.
pub fn open_of_subject(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
) -> Result<Vec<Stored<Activation>>, StoreError> {
    rows.select(
        &format!("subject_id = $1 AND {OPEN}"),
        &[subject_id.to_string().into()],
    )
}

/// Those of a person whose time ends or ended after `since`, whatever became of them.
pub fn ending_after(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    since: Timestamp,
) -> Result<Vec<Stored<Activation>>, StoreError> {
    rows.select(
        "subject_id = $1 AND expires_at > $2",
        &[subject_id.to_string().into(), since.as_secs().into()],
    )
}

/// Ids of those whose time is over, at most `limit`, as they stand in the clear.
pub fn overdue(rows: &mut Rows<'_, '_>, now: Timestamp, limit: i64) -> Result<Vec<String>, StoreError> {
    rows.keys::<Activation>(
        &format!("{OPEN} AND expires_at <= $1 ORDER BY expires_at LIMIT $2"),
        &[now.as_secs().into(), limit.into()],
    )
}

/// Those that have not ended, at most `limit`.
pub fn open(rows: &mut Rows<'_, '_>, limit: i64) -> Result<Vec<Stored<Activation>>, StoreError> {
    rows.select(&format!("{OPEN} ORDER BY expires_at LIMIT $1"), &[limit.into()])
}
