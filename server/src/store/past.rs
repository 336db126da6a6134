//! The archive: challenges that were decided long ago, packed small (`pack`). Called by [`super::challenge`], which reads both tables,
//! and by `app::archive`, which moves them.
//!
//! Invariant: a challenge lies in exactly one of the two tables; a row here is complete and never changes.

use paraphe_proto::ids::{ChallengeId, SubjectId};
use paraphe_proto::time::Timestamp;
use paraphe_proto::transcript::Transcript;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::challenge::{Challenges, number};
use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::challenge::Challenge;
use crate::domain::ended::Ended;

mod deflate;
mod pack;

/// A challenge as a row of the archive.
pub struct Past(pub Challenge);

impl Serialize for Past {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let packed = pack::pack(&self.0).map_err(S::Error::custom)?;
        packed.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Past {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let packed = pack::Packed::deserialize(deserializer)?;
        pack::unpack(&packed).map(Self).map_err(D::Error::custom)
    }
}

impl Record for Past {
    const TABLE: &'static str = "challenge_past";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "relying_party_id",
        "subject_id",
        "subject_number",
        "verdict_number",
        "key_digest",
    ];

    fn clear(&self) -> Vec<Value> {
        let Self(challenge) = self;
        vec![
            challenge.id.as_bytes().into(),
            challenge.relying_party_id.as_str().into(),
            challenge.subject_id.as_bytes().into(),
            number(challenge.subject_number),
            challenge.verdict_number.map_or(Value::Null, number),
            key_digest(&challenge.relying_party_id, &challenge.idempotency_key).into(),
        ]
    }

    fn ended(&self) -> Option<Ended> {
        None
    }
}

/// 64 bits of a hash over a relying party and its key: finds a row, and the key inside it decides.
fn key_digest(relying_party_id: &str, key: &str) -> i64 {
    let named = Transcript::new("paraphe/v1/past-key").field(relying_party_id.as_bytes());
    let digest = named.field(key.as_bytes()).sha256();
    i64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
}

fn select(rows: &mut Rows<'_, '_>, filter: &str, values: &[Value]) -> Challenges {
    let found = rows.select::<Past>(filter, values)?;
    Ok(found.into_iter().map(|row| row.map(|Past(it)| it)).collect())
}

/// One challenge.
pub(super) fn load(
    rows: &mut Rows<'_, '_>,
    id: ChallengeId,
) -> Result<Option<Stored<Challenge>>, StoreError> {
    Ok(select(rows, "id = $1", &[id.as_bytes().into()])?.pop())
}

/// The challenge that a relying party made under its key.
pub(super) fn by_idempotency_key(
    rows: &mut Rows<'_, '_>,
    relying_party_id: &str,
    key: &str,
) -> Result<Option<Stored<Challenge>>, StoreError> {
    let digest = key_digest(relying_party_id, key);
    let alike = select(rows, "key_digest = $1", &[digest.into()])?;
    let exact =
        |row: &Stored<Challenge>| row.relying_party_id == relying_party_id && row.idempotency_key == key;
    Ok(alike.into_iter().find(exact))
}

/// Verdicts of a relying party after a number, in order.
pub(super) fn verdicts_after(
    rows: &mut Rows<'_, '_>,
    relying_party_id: &str,
    after: u64,
    limit: i64,
) -> Challenges {
    select(
        rows,
        "relying_party_id = $1 AND verdict_number > $2 ORDER BY verdict_number LIMIT $3",
        &[relying_party_id.into(), number(after), limit.into()],
    )
}

/// The person's challenges with numbers above `from` and below `before`, newest first.
pub(super) fn numbered(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    from: u64,
    before: u64,
    limit: i64,
) -> Challenges {
    select(
        rows,
        "subject_id = $1 AND subject_number > $2 AND subject_number < $3 ORDER BY subject_number DESC LIMIT $4",
        &[
            subject_id.as_bytes().into(),
            number(from),
            number(before),
            limit.into(),
        ],
    )
}

/// The last number among the person's challenges here, or 0.
pub(super) fn last_subject_number(rows: &mut Rows<'_, '_>, subject_id: SubjectId) -> Result<i64, StoreError> {
    let sql = "SELECT COALESCE(MAX(subject_number), 0) FROM challenge_past WHERE subject_id = $1";
    let row = rows.tx.query_opt(sql, &[subject_id.as_bytes().into()])?;
    Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or(0))
}

/// Challenges that were decided before `before` and have not been moved, the oldest verdicts of each relying party first, at most
/// `limit`. Looks at one row of each relying party and at those it returns.
pub fn ripe(rows: &mut Rows<'_, '_>, before: Timestamp, limit: i64) -> Challenges {
    let mut ripe = Vec::new();
    for party in parties_with_ended(rows, before, limit)? {
        let left = limit.saturating_sub(i64::try_from(ripe.len()).unwrap_or(limit));
        if left == 0 {
            break;
        }
        let oldest = rows.select::<Challenge>(
            "relying_party_id = $1 AND verdict_number > 0 ORDER BY verdict_number LIMIT $2",
            &[party.into(), left.into()],
        )?;
        let decided = |row: &Stored<Challenge>| row.state.decided_at().is_some_and(|at| at < before);
        ripe.extend(oldest.into_iter().take_while(decided));
    }
    Ok(ripe)
}

/// [`parties_with_ended`]: one search for each relying party, in this order (an engine that scans challenges instead takes seconds).
const PARTIES_WITH_ENDED: &str = "SELECT party.relying_party_id FROM verdict_sequence AS party CROSS JOIN challenge \
    WHERE challenge.relying_party_id = party.relying_party_id AND challenge.verdict_number = \
    (SELECT MIN(oldest.verdict_number) FROM challenge AS oldest \
    WHERE oldest.relying_party_id = party.relying_party_id AND oldest.verdict_number > 0) \
    AND challenge.expires_at <= $1 LIMIT $2";

/// Relying parties whose oldest verdict in `challenge` is of a challenge that lived until `before` at most.
fn parties_with_ended(
    rows: &mut Rows<'_, '_>,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let found = rows
        .tx
        .query(PARTIES_WITH_ENDED, &[before.as_secs().into(), limit.into()])?;
    Ok(found
        .iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect::<Result<_, _>>()?)
}

/// Moves one challenge here.
pub fn file(rows: &mut Rows<'_, '_>, decided: Stored<Challenge>) -> Result<(), StoreError> {
    rows.insert(&Past(decided.record.clone()))?;
    rows.delete(decided)
}

#[cfg(test)]
pub(super) mod tests;
