//! Named values of the database itself, and the signed key sets.

use paraphe_proto::time::Timestamp;

use super::db::Value;
use super::record::{Rows, StoreError};

const LAST_SEEN: &str = "last_seen";

/// One named value.
pub fn load(rows: &mut Rows<'_, '_>, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let row = rows
        .tx
        .query_opt("SELECT value FROM meta WHERE name = $1", &[name.into()])?;
    Ok(row.map(|row| row.bytes(0).map(<[u8]>::to_vec)).transpose()?)
}

/// Sets one named value.
pub fn store(rows: &mut Rows<'_, '_>, name: &str, value: &[u8]) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    rows.tx.execute(sql, &[name.into(), value.into()])?;
    Ok(())
}

/// The latest time at which a daemon worked on this database.
pub fn last_seen(rows: &mut Rows<'_, '_>) -> Result<Option<Timestamp>, StoreError> {
    let bytes = load(rows, LAST_SEEN)?;
    let bytes: Option<[u8; 8]> = bytes.and_then(|bytes| bytes.try_into().ok());
    Ok(bytes.map(|bytes| Timestamp::from_secs(i64::from_be_bytes(bytes))))
}

/// Notes the time, for a clock that was set back while the daemon was down.
pub fn note_seen(rows: &mut Rows<'_, '_>, now: Timestamp) -> Result<(), StoreError> {
    store(rows, LAST_SEEN, &now.as_secs().to_be_bytes())
}

/// Adds a signed key set.
pub fn insert_key_set(rows: &mut Rows<'_, '_>, version: u64, statement: &str) -> Result<(), StoreError> {
    let version = Value::Int(i64::try_from(version).unwrap_or(i64::MAX));
    rows.tx.execute(
        "INSERT INTO keyset (version, statement) VALUES ($1, $2)",
        &[version, statement.into()],
    )?;
    Ok(())
}

/// Signed key sets after a version, in order.
pub fn key_sets_after(rows: &mut Rows<'_, '_>, version: u64) -> Result<Vec<String>, StoreError> {
    let version = Value::Int(i64::try_from(version).unwrap_or(i64::MAX));
    let sql = "SELECT statement FROM keyset WHERE version > $1 ORDER BY version LIMIT 100";
    let rows = rows.tx.query(sql, &[version])?;
    Ok(rows
        .iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect::<Result<_, _>>()?)
}
