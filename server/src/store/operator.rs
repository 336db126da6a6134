//! Queries over operators, terminals and sessions.

use paraphe_proto::ids::OperatorId;
use paraphe_proto::time::Timestamp;

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::ended::Ended;
use crate::domain::operator::{Operator, Session, Terminal};

impl Record for Operator {
    const TABLE: &'static str = "operator";
    const COLUMNS: &'static [&'static str] = &["id", "name", "state"];

    fn clear(&self) -> Vec<Value> {
        let state = if self.disabled { "disabled" } else { "active" };
        vec![
            self.id.to_string().into(),
            self.name.as_str().into(),
            state.into(),
        ]
    }

    fn ended(&self) -> Option<Ended> {
        self.disabled.then_some(Ended::Operator { id: self.id })
    }
}

impl Record for Terminal {
    const TABLE: &'static str = "terminal";
    const COLUMNS: &'static [&'static str] = &["id"];

    fn clear(&self) -> Vec<Value> {
        vec![self.thumbprint.as_str().into()]
    }

    fn ended(&self) -> Option<Ended> {
        None
    }
}

impl Record for Session {
    const TABLE: &'static str = "session";
    const COLUMNS: &'static [&'static str] = &["id", "operator_id", "expires_at"];

    fn clear(&self) -> Vec<Value> {
        vec![
            self.id.as_str().into(),
            self.operator_id.to_string().into(),
            self.expires_at.as_secs().into(),
        ]
    }

    /// Every restore ends all sessions.
    fn ended(&self) -> Option<Ended> {
        None
    }
}

/// One operator.
pub fn load(rows: &mut Rows<'_, '_>, id: OperatorId) -> Result<Option<Stored<Operator>>, StoreError> {
    rows.by_id(id)
}

/// The operator of this name.
pub fn by_name(rows: &mut Rows<'_, '_>, name: &str) -> Result<Option<Stored<Operator>>, StoreError> {
    rows.select_one("name = $1", &[name.into()])
}

/// All of them, by name.
pub fn list(rows: &mut Rows<'_, '_>) -> Result<Vec<Stored<Operator>>, StoreError> {
    rows.select("id <> '' ORDER BY name", &[])
}

/// One terminal.
pub fn terminal(rows: &mut Rows<'_, '_>, thumbprint: &str) -> Result<Option<Stored<Terminal>>, StoreError> {
    rows.by_id(thumbprint)
}

/// All terminals.
pub fn terminals(rows: &mut Rows<'_, '_>) -> Result<Vec<Stored<Terminal>>, StoreError> {
    rows.select("id <> '' ORDER BY id", &[])
}

/// One session, by the hash of its token.
pub fn session(rows: &mut Rows<'_, '_>, id: &str) -> Result<Option<Stored<Session>>, StoreError> {
    rows.by_id(id)
}

/// All sessions of an operator.
pub fn sessions_of(
    rows: &mut Rows<'_, '_>,
    operator_id: OperatorId,
) -> Result<Vec<Stored<Session>>, StoreError> {
    rows.select("operator_id = $1", &[operator_id.to_string().into()])
}

/// Deletes sessions whose time is over.
pub fn delete_ended_sessions(rows: &mut Rows<'_, '_>, now: Timestamp) -> Result<u64, StoreError> {
    Ok(rows.tx.execute(
        "DELETE FROM session WHERE expires_at <= $1",
        &[now.as_secs().into()],
    )?)
}
