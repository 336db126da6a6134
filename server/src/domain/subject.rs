//! A person, or an operator as the holder of a phone; pairwise subjects and blocks.

use paraphe_proto::ids::{PairwiseSubject, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The pivot identity as it is stored, as on the document.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredIdentity {
    /// As on the document.
    pub family_name: String,
    /// As on the document.
    pub given_names: String,
    /// `YYYY-MM-DD`, `00` where unknown.
    pub birth_date: String,
    /// INSEE COG code; empty when not known.
    pub birthplace: String,
    /// Issuing state and number of the document, to tell people of one name and birth date apart.
    #[serde(default)]
    pub document: String,
}

/// A subject as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Subject {
    /// Its id; never leaves the daemon.
    pub id: SubjectId,
    /// Keyed hash of the identity; `None` for an operator.
    pub lookup: Option<serde_bytes::ByteBuf>,
    /// `None` for an operator.
    pub identity: Option<StoredIdentity>,
    /// Since when all confirmations are frozen.
    pub frozen_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a relying party knows a subject by.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pairwise {
    /// Who knows it.
    pub relying_party_id: String,
    /// The name.
    pub subject: PairwiseSubject,
    /// The subject behind it.
    pub subject_id: SubjectId,
}

/// "This is not me": the relying party may not ask this subject any more.
#[derive(Clone, Serialize, Deserialize)]
pub struct Block {
    /// Who blocked.
    pub subject_id: SubjectId,
    /// Who is blocked.
    pub relying_party_id: String,
    /// Since when.
    pub since: Timestamp,
}
