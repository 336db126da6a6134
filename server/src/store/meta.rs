//! Named values of the database itself, and the signed key sets.

use paraphe_proto::time::Timestamp;

use super::db::{DbError, Tx, Value};
use super::journal::Position;
use super::record::{Rows, StoreError};

/// Name of the sealed value that a wrong master key does not open.
pub const CHECK_VALUE: &str = "master_key_check";
/// Name of the value that ties a database to its issuer.
pub const ISSUER: &str = "issuer";
/// Name of the sealed number of declared restores.
pub const RESTORE_EPOCH: &str = "restore_epoch";
/// There while a restore is under way.
pub const RESTORING: &str = "restoring";
/// In a copy that `paraphed backup` made: when.
pub const COPIED_AT: &str = "copied_at";
const LAST_SEEN: &str = "last_seen";
const KEY_SET_PUBLISHED: &str = "key_set_published";
const PLACE: &str = "journal_place";

/// One named value.
pub fn load(tx: &mut Tx<'_>, name: &str) -> Result<Option<Vec<u8>>, DbError> {
    let row = tx.query_opt("SELECT value FROM meta WHERE name = $1", &[name.into()])?;
    row.map(|row| row.bytes(0).map(<[u8]>::to_vec)).transpose()
}

/// Sets one named value.
pub fn store(tx: &mut Tx<'_>, name: &str, value: &[u8]) -> Result<(), DbError> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.execute(sql, &[name.into(), value.into()])?;
    Ok(())
}

/// Takes one named value away.
pub fn forget(tx: &mut Tx<'_>, name: &str) -> Result<(), DbError> {
    tx.execute("DELETE FROM meta WHERE name = $1", &[name.into()])?;
    Ok(())
}

/// Keeps the database's place in its security journal.
pub fn store_place(tx: &mut Tx<'_>, place: &Position) -> Result<(), DbError> {
    let place = serde_json::to_vec(place).map_err(|error| DbError::Statement {
        detail: error.to_string(),
    })?;
    store(tx, PLACE, &place)
}

/// What an opened database says of itself.
pub struct Known {
    /// Opens under its master key alone.
    pub check_value: Option<Vec<u8>>,
    /// Whose it is.
    pub issuer: Option<Vec<u8>>,
    /// The latest time at which a daemon worked on it.
    pub last_seen: Option<Timestamp>,
    /// Its place in its security journal; `None` before it had one.
    pub place: Option<Position>,
    /// The restore epoch, sealed; `None` before the first restore.
    pub restore_epoch: Option<Vec<u8>>,
    /// It is a copy that `paraphed backup` made then.
    pub copied_at: Option<Timestamp>,
    /// A restore has begun and not ended.
    pub restoring: bool,
}

/// All of that.
pub fn known(tx: &mut Tx<'_>) -> Result<Known, DbError> {
    let place = load(tx, PLACE)?;
    Ok(Known {
        check_value: load(tx, CHECK_VALUE)?,
        issuer: load(tx, ISSUER)?,
        last_seen: load(tx, LAST_SEEN)?.and_then(time),
        place: place.and_then(|place| serde_json::from_slice(&place).ok()),
        restore_epoch: load(tx, RESTORE_EPOCH)?,
        copied_at: load(tx, COPIED_AT)?.and_then(time),
        restoring: load(tx, RESTORING)?.is_some(),
    })
}

/// The latest time at which a daemon worked on this database.
pub fn last_seen(rows: &mut Rows<'_, '_>) -> Result<Option<Timestamp>, StoreError> {
    Ok(load(rows.tx, LAST_SEEN)?.and_then(time))
}

fn time(bytes: Vec<u8>) -> Option<Timestamp> {
    let bytes: [u8; 8] = bytes.try_into().ok()?;
    Some(Timestamp::from_secs(i64::from_be_bytes(bytes)))
}

/// Marks a copy as one: it cannot be served from before `paraphed restore`.
pub fn mark_copy(tx: &mut Tx<'_>, at: Timestamp) -> Result<(), DbError> {
    store(tx, COPIED_AT, &at.as_secs().to_be_bytes())
}

/// Notes the time, for a clock that was set back while the daemon was down.
pub fn note_seen(rows: &mut Rows<'_, '_>, now: Timestamp) -> Result<(), StoreError> {
    Ok(store(rows.tx, LAST_SEEN, &now.as_secs().to_be_bytes())?)
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
    let sql = "SELECT statement FROM keyset WHERE version > $1 ORDER BY version LIMIT 1000";
    let rows = rows.tx.query(sql, &[version])?;
    Ok(rows
        .iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect::<Result<_, _>>()?)
}

/// Notes since when the newest key set can be fetched.
pub fn note_key_set_published(
    rows: &mut Rows<'_, '_>,
    version: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let value = [version.to_be_bytes(), now.as_secs().to_be_bytes()].concat();
    Ok(store(rows.tx, KEY_SET_PUBLISHED, &value)?)
}

/// The newest key set that can be fetched, and since when; nothing before the first rotation.
pub fn key_set_published(tx: &mut Tx<'_>) -> Result<Option<(u64, Timestamp)>, StoreError> {
    let Some(value) = load(tx, KEY_SET_PUBLISHED)? else {
        return Ok(None);
    };
    let published = value.split_first_chunk().and_then(|(version, at)| {
        let at = i64::from_be_bytes(at.try_into().ok()?);
        Some((u64::from_be_bytes(*version), Timestamp::from_secs(at)))
    });
    Ok(published)
}
