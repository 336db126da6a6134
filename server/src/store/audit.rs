//! The audit trail: entries are added, never changed.

use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};

/// One entry.
#[derive(Serialize, Deserialize)]
pub struct Entry {
    /// Rises by one.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub verb: String,
    /// On what.
    pub target: String,
    /// `ok` or the code of the rule that refused it.
    pub outcome: String,
}

impl Record for Entry {
    const TABLE: &'static str = "audit";
    const COLUMNS: &'static [&'static str] = &["id"];

    fn clear(&self) -> Vec<Value> {
        vec![Value::Int(i64::try_from(self.number).unwrap_or(i64::MAX))]
    }
}

/// Adds an entry under the next number.
pub fn append(
    rows: &mut Rows<'_, '_>,
    at: Timestamp,
    actor: &str,
    verb: &str,
    target: &str,
    outcome: &str,
) -> Result<(), StoreError> {
    let row = rows
        .tx
        .query_opt("SELECT COALESCE(MAX(id), 0) + 1 FROM audit", &[])?;
    let next = row.map(|row| row.int(0)).transpose()?.unwrap_or(1);
    rows.insert(&Entry {
        number: u64::try_from(next).unwrap_or(1),
        at,
        actor: actor.to_owned(),
        verb: verb.to_owned(),
        target: target.to_owned(),
        outcome: outcome.to_owned(),
    })
}

/// Entries after a number, in order.
pub fn after(rows: &mut Rows<'_, '_>, number: u64, limit: i64) -> Result<Vec<Stored<Entry>>, StoreError> {
    let after = i64::try_from(number).unwrap_or(i64::MAX);
    rows.select("id > $1 ORDER BY id LIMIT $2", &[after.into(), limit.into()])
}
