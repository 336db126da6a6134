//! Queries over subjects, their names at relying parties, and blocks.

use paraphe_proto::ids::{PairwiseSubject, SubjectId};

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::ended::Ended;
use crate::domain::subject::{Block, Pairwise, Subject};

impl Record for Subject {
    const TABLE: &'static str = "subject";
    const COLUMNS: &'static [&'static str] = &["id", "lookup"];

    fn clear(&self) -> Vec<Value> {
        let lookup = self
            .lookup
            .as_ref()
            .map_or(Value::Null, |hash| Value::Bytes(hash.to_vec()));
        vec![self.id.to_string().into(), lookup]
    }

    fn ended(&self) -> Option<Ended> {
        self.frozen_at.map(|since| Ended::Frozen {
            subject_id: self.id,
            since,
        })
    }
}

impl Record for Pairwise {
    const TABLE: &'static str = "pairwise";
    const COLUMNS: &'static [&'static str] = &["id"];

    fn clear(&self) -> Vec<Value> {
        vec![pairwise_key(&self.relying_party_id, &self.subject).into()]
    }

    fn ended(&self) -> Option<Ended> {
        None
    }
}

impl Record for Block {
    const TABLE: &'static str = "block";
    const COLUMNS: &'static [&'static str] = &["id", "subject_id"];

    fn clear(&self) -> Vec<Value> {
        let key = format!("{}/{}", self.subject_id, self.relying_party_id);
        vec![key.into(), self.subject_id.to_string().into()]
    }

    fn ended(&self) -> Option<Ended> {
        Some(Ended::Block {
            subject_id: self.subject_id,
            relying_party_id: self.relying_party_id.clone(),
            since: self.since,
        })
    }
}

fn pairwise_key(relying_party_id: &str, subject: &PairwiseSubject) -> String {
    format!("{relying_party_id}/{subject}")
}

/// One subject.
pub fn load(rows: &mut Rows<'_, '_>, id: SubjectId) -> Result<Option<Stored<Subject>>, StoreError> {
    rows.by_id(id)
}

/// Subjects whose identity hashes to `lookup`, at most a hundred; birthplaces tell them apart.
pub fn by_lookup(rows: &mut Rows<'_, '_>, lookup: &[u8]) -> Result<Vec<Stored<Subject>>, StoreError> {
    rows.select("lookup = $1 LIMIT 100", &[lookup.into()])
}

/// Who a relying party means by a pairwise subject.
pub fn pairwise(
    rows: &mut Rows<'_, '_>,
    relying_party_id: &str,
    subject: &PairwiseSubject,
) -> Result<Option<Stored<Pairwise>>, StoreError> {
    rows.by_id(pairwise_key(relying_party_id, subject))
}

/// Relying parties that the person blocked.
pub fn blocks(rows: &mut Rows<'_, '_>, subject_id: SubjectId) -> Result<Vec<Stored<Block>>, StoreError> {
    rows.select("subject_id = $1 ORDER BY id", &[subject_id.to_string().into()])
}
