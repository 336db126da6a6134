//! Queries over enrolment cases.

use paraphe_proto::ids::CaseId;

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::case::{Case, State};
use crate::domain::ended::Ended;

impl Record for Case {
    const TABLE: &'static str = "enrolment_case";
    const COLUMNS: &'static [&'static str] = &["id", "state", "opened_by", "opened_at"];

    fn clear(&self) -> Vec<Value> {
        vec![
            self.id.to_string().into(),
            self.state.as_str().into(),
            self.opened_by.to_string().into(),
            self.opened_at.as_secs().into(),
        ]
    }

    fn ended(&self) -> Option<Ended> {
        matches!(self.state, State::Rejected).then_some(Ended::Case { id: self.id })
    }
}

/// One case.
pub fn load(rows: &mut Rows<'_, '_>, id: CaseId) -> Result<Option<Stored<Case>>, StoreError> {
    rows.by_id(id)
}
