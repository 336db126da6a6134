//! Queries over challenges and the numbering of verdicts.
//!
//! Challenges that were decided long ago lie in another table ([`super::past`]); whoever reads here cannot tell. Invariant: what is
//! pending, and what a quota still counts, has not been moved.

use paraphe_proto::ids::{ChallengeId, DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;

use super::db::Value;
use super::past;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::challenge::Challenge;
use crate::domain::device::Device;
use crate::domain::ended::Ended;
use crate::domain::relying_party::{DAEMON, DESK};

impl Record for Challenge {
    const TABLE: &'static str = "challenge";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "relying_party_id",
        "subject_id",
        "device_id",
        "idempotency_key",
        "state",
        "created_at",
        "subject_number",
        "expires_at",
        "verdict_number",
    ];

    fn clear(&self) -> Vec<Value> {
        vec![
            self.id.to_string().into(),
            self.relying_party_id.as_str().into(),
            self.subject_id.to_string().into(),
            self.device_id.to_string().into(),
            self.idempotency_key.as_str().into(),
            self.state.as_str().into(),
            self.created_at.as_secs().into(),
            number(self.subject_number),
            self.expires_at.as_secs().into(),
            self.verdict_number.map_or(Value::Null, number),
        ]
    }

    /// Every restore voids what is pending.
    fn ended(&self) -> Option<Ended> {
        None
    }
}

/// Windows of quotas, in seconds.
pub const TEN_MINUTES_S: i64 = 600;
/// See [`TEN_MINUTES_S`].
pub const HOUR_S: i64 = 3_600;
/// See [`TEN_MINUTES_S`].
pub const DAY_S: i64 = 86_400;

pub(super) fn number(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Any number of challenges.
pub(super) type Challenges = Result<Vec<Stored<Challenge>>, StoreError>;

/// One challenge.
pub fn load(rows: &mut Rows<'_, '_>, id: ChallengeId) -> Result<Option<Stored<Challenge>>, StoreError> {
    match rows.by_id(id)? {
        Some(found) => Ok(Some(found)),
        None => past::load(rows, id),
    }
}

/// The challenge that a relying party made under its key.
pub fn by_idempotency_key(
    rows: &mut Rows<'_, '_>,
    relying_party_id: &str,
    key: &str,
) -> Result<Option<Stored<Challenge>>, StoreError> {
    let found = rows.select_one(
        "relying_party_id = $1 AND idempotency_key = $2",
        &[relying_party_id.into(), key.into()],
    )?;
    match found {
        Some(found) => Ok(Some(found)),
        None => past::by_idempotency_key(rows, relying_party_id, key),
    }
}

/// All that wait for this phone, oldest first.
pub fn pending_of_device(rows: &mut Rows<'_, '_>, device_id: DeviceId) -> Challenges {
    rows.select(
        "device_id = $1 AND state = 'pending' ORDER BY created_at, subject_number",
        &[device_id.to_string().into()],
    )
}

/// All that wait for this person, on whichever phone; nothing lives longer than ten minutes.
pub fn pending_of_person(rows: &mut Rows<'_, '_>, subject_id: SubjectId, now: Timestamp) -> Challenges {
    rows.select(
        "subject_id = $1 AND created_at >= $2 AND state = 'pending' ORDER BY created_at, subject_number",
        &[
            subject_id.to_string().into(),
            now.plus_s(-TEN_MINUTES_S).as_secs().into(),
        ],
    )
}

/// Those that this person approved, of the ones that this relying party made since `since`.
pub fn approved_since(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    relying_party_id: &str,
    since: Timestamp,
) -> Challenges {
    rows.select(
        "subject_id = $1 AND created_at >= $2 AND relying_party_id = $3 AND state = 'approved' ORDER BY created_at, subject_number",
        &[
            subject_id.to_string().into(),
            since.as_secs().into(),
            relying_party_id.into(),
        ],
    )
}

/// Pending ones, at most `limit`.
pub fn pending(rows: &mut Rows<'_, '_>, limit: i64) -> Challenges {
    rows.select("state = 'pending' ORDER BY expires_at LIMIT $1", &[limit.into()])
}

/// Ids of pending ones whose time is over, at most `limit`, as they stand in the clear.
pub fn overdue(rows: &mut Rows<'_, '_>, now: Timestamp, limit: i64) -> Result<Vec<String>, StoreError> {
    rows.keys::<Challenge>(
        "state = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2",
        &[now.as_secs().into(), limit.into()],
    )
}

/// Verdicts of a relying party after a number, in order, at most `limit`.
pub fn verdicts_after(rows: &mut Rows<'_, '_>, relying_party_id: &str, after: u64, limit: i64) -> Challenges {
    let mut page = past::verdicts_after(rows, relying_party_id, after, limit)?;
    let last = page.last().and_then(|last| last.verdict_number);
    let until = last.filter(|_| is_full(&page, limit)).unwrap_or(u64::MAX);
    page.extend(rows.select(
        "relying_party_id = $1 AND verdict_number > $2 AND verdict_number <= $3 ORDER BY verdict_number LIMIT $4",
        &[
            relying_party_id.into(),
            number(after),
            number(until),
            limit.into(),
        ],
    )?);
    page.sort_by_key(|challenge: &Stored<Challenge>| challenge.verdict_number);
    page.truncate(usize::try_from(limit).unwrap_or(0));
    Ok(page)
}

/// The person's challenges since `since`, newest first, at most `limit`, those before the number `before`.
pub fn history(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    since: Timestamp,
    before: u64,
    limit: i64,
) -> Challenges {
    let mut page = rows.select(
        "subject_id = $1 AND subject_number < $2 ORDER BY subject_number DESC LIMIT $3",
        &[subject_id.to_string().into(), number(before), limit.into()],
    )?;
    let last = page.last().map(|last: &Stored<Challenge>| last.subject_number);
    let from = last.filter(|_| is_full(&page, limit)).unwrap_or(0);
    page.extend(past::numbered(rows, subject_id, from, before, limit)?);
    page.sort_by_key(|challenge| std::cmp::Reverse(challenge.subject_number));
    page.truncate(usize::try_from(limit).unwrap_or(0));
    page.retain(|challenge| challenge.created_at >= since);
    Ok(page)
}

fn is_full(page: &[Stored<Challenge>], limit: i64) -> bool {
    i64::try_from(page.len()).is_ok_and(|count| count == limit)
}

/// The next number among the challenges of a person.
pub fn next_subject_number(rows: &mut Rows<'_, '_>, subject_id: SubjectId) -> Result<u64, StoreError> {
    let sql = "SELECT COALESCE(MAX(subject_number), 0) FROM challenge WHERE subject_id = $1";
    let row = rows.tx.query_opt(sql, &[subject_id.to_string().into()])?;
    let last = row.map(|row| row.int(0)).transpose()?.unwrap_or(0);
    let last = last.max(past::last_subject_number(rows, subject_id)?);
    Ok(u64::try_from(last).unwrap_or(0).saturating_add(1))
}

/// How many challenges a person got lately.
pub struct Recent {
    /// In an hour, from all relying parties but the daemon itself: what the person asked for on one phone keeps no other from ringing.
    pub in_an_hour: i64,
    /// In ten minutes, from the one.
    pub in_10_min: i64,
    /// In a day, from the one.
    pub in_a_day: i64,
}

/// What a quota counts: one look at the person's day, in an index alone.
pub fn recent(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    relying_party_id: &str,
    now: Timestamp,
) -> Result<Recent, StoreError> {
    let sql = "SELECT COUNT(CASE WHEN created_at > $1 AND relying_party_id NOT IN ($2, $3) THEN 1 END), \
               COUNT(CASE WHEN created_at > $4 AND relying_party_id = $5 THEN 1 END), \
               COUNT(CASE WHEN relying_party_id = $5 THEN 1 END) \
               FROM challenge WHERE subject_id = $6 AND created_at > $7";
    let ago = |seconds: i64| Value::from(now.plus_s(-seconds).as_secs());
    let values = [
        ago(HOUR_S),
        DAEMON.into(),
        DESK.into(),
        ago(TEN_MINUTES_S),
        relying_party_id.into(),
        subject_id.to_string().into(),
        ago(DAY_S),
    ];
    let row = rows.tx.query_opt(sql, &values)?;
    let count = |n| {
        row.as_ref()
            .map(|row| row.int(n))
            .transpose()
            .map(|count| count.unwrap_or(0))
    };
    Ok(Recent {
        in_an_hour: count(0)?,
        in_10_min: count(1)?,
        in_a_day: count(2)?,
    })
}

/// The oldest of those, to say when a place becomes free.
pub fn oldest_since(
    rows: &mut Rows<'_, '_>,
    subject_id: SubjectId,
    since: Timestamp,
    relying_party_id: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT MIN(created_at) FROM challenge WHERE subject_id = $1 AND created_at > $2 AND relying_party_id = $3";
    let values: [Value; 3] = [
        subject_id.to_string().into(),
        since.as_secs().into(),
        relying_party_id.into(),
    ];
    let row = rows.tx.query_opt(sql, &values)?;
    Ok(row
        .map(|row| row.opt_int(0))
        .transpose()?
        .flatten()
        .map(Timestamp::from_secs))
}

/// How many of the daemon's own a phone got after `since`, and when it got the oldest of them.
pub fn own_of_device(
    rows: &mut Rows<'_, '_>,
    phone: &Device,
    since: Timestamp,
) -> Result<(i64, Option<Timestamp>), StoreError> {
    let sql = "SELECT COUNT(*), MIN(created_at) FROM challenge \
               WHERE subject_id = $1 AND created_at > $2 AND relying_party_id = $3 AND device_id = $4";
    let values: [Value; 4] = [
        phone.subject_id.to_string().into(),
        since.as_secs().into(),
        DAEMON.into(),
        phone.id.to_string().into(),
    ];
    let Some(row) = rows.tx.query_opt(sql, &values)? else {
        return Ok((0, None));
    };
    Ok((row.int(0)?, row.opt_int(1)?.map(Timestamp::from_secs)))
}

/// The next number among the verdicts of a relying party. Its row orders the verdicts as they are committed.
pub fn next_verdict_number(rows: &mut Rows<'_, '_>, relying_party_id: &str) -> Result<u64, StoreError> {
    let sql = "INSERT INTO verdict_sequence (relying_party_id, last_number) VALUES ($1, 1) \
               ON CONFLICT (relying_party_id) DO UPDATE SET last_number = verdict_sequence.last_number + 1 \
               RETURNING last_number";
    let row = rows.tx.query_opt(sql, &[relying_party_id.into()])?;
    let last = row.map(|row| row.int(0)).transpose()?.unwrap_or(1);
    Ok(u64::try_from(last).unwrap_or(1))
}

/// The last number given out.
pub fn last_verdict_number(rows: &mut Rows<'_, '_>, relying_party_id: &str) -> Result<u64, StoreError> {
    let sql = "SELECT last_number FROM verdict_sequence WHERE relying_party_id = $1";
    let row = rows.tx.query_opt(sql, &[relying_party_id.into()])?;
    let last = row.map(|row| row.int(0)).transpose()?.unwrap_or(0);
    Ok(u64::try_from(last).unwrap_or(0))
}
