//! Challenges of all people: decided ones of the past, with their verdict numbers and audit entries, and pending ones.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use paraphe_proto::encoding::base64url;
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::time::Timestamp;
use paraphe_server::domain::challenge::{Challenge, State};
use paraphe_server::store::audit::Entry;
use paraphe_server::store::db::Value;
use paraphe_server::store::past::Past;

use super::people::People;
use super::store::Store;
use super::{BACKEND, spread};
use crate::Result;

/// Challenges that share a transaction.
const BATCH: u64 = 2_000;
/// The past lies within the 13 months that a history is kept.
const MONTHS_S: i64 = 360 * 86_400;
/// From request to verdict.
const DECIDED_AFTER_S: i64 = 20;

struct Batch {
    /// Where the daemon would have moved them.
    archived: Vec<Past>,
    recent: Vec<Challenge>,
    entries: Vec<Entry>,
}

/// Stores approved challenges: one round over all people after the other, from the oldest to yesterday.
///
/// # Errors
/// Those of the store.
pub fn decided(store: &Store, people: &People, templates: &[Challenge], count: u64) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let first_verdict = numbered(store, templates.len())?;
    let (sender, batches) = sync_channel::<Batch>(4);
    std::thread::scope(|threads| {
        let maker = threads.spawn(move || -> Result<()> {
            for first in (0..count).step_by(usize::try_from(BATCH)?) {
                let last = count.min(first + BATCH);
                sender.send(batch(
                    store,
                    people,
                    templates,
                    first..last,
                    count,
                    first_verdict,
                )?)?;
            }
            Ok(())
        });
        for batch in batches {
            store.insert(Arc::new(batch.archived))?;
            store.insert(Arc::new(batch.recent))?;
            store.insert(Arc::new(batch.entries))?;
        }
        maker.join().map_err(|_| "the maker of challenges broke off")?
    })?;
    let last = i64::try_from(first_verdict + count - 1)?;
    store.write(move |s| {
        let sql = "UPDATE verdict_sequence SET last_number = $1 WHERE relying_party_id = $2";
        s.rows.tx.execute(sql, &[Value::Int(last), BACKEND.into()])?;
        Ok(())
    })
}

/// The templates have the first verdict numbers.
fn numbered(store: &Store, templates: usize) -> Result<u64> {
    let last = store.write(|s| {
        Ok(paraphe_server::store::challenge::last_verdict_number(
            &mut s.rows,
            BACKEND,
        )?)
    })?;
    if usize::try_from(last)? < templates {
        return Err("the templates are not stored".into());
    }
    Ok(last + 1)
}

fn batch(
    store: &Store,
    people: &People,
    templates: &[Challenge],
    places: std::ops::Range<u64>,
    count: u64,
    first_verdict: u64,
) -> Result<Batch> {
    let begin = store.now.plus_s(-MONTHS_S);
    let mut number = store.audit_numbers(2 * (places.end - places.start));
    let days = i64::from(store.facts.config.retention.archive_after_days);
    let ripe = store.now.plus_s(-86_400 * days);
    let (mut archived, mut recent, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    for place in places {
        let since = i128::from(MONTHS_S - 86_400) * i128::from(place) / i128::from(count);
        let at = begin.plus_s(i64::try_from(since)?);
        let mut past = common(store, people, templates, place);
        past.created_at = at;
        past.expires_at = at.plus_s(300);
        past.verdict_number = Some(first_verdict + place);
        past.state = decided_at(&past.state, at.plus_s(DECIDED_AFTER_S));
        for (actor, verb, at) in [
            (BACKEND.to_owned(), "request", at),
            (past.device_id.to_string(), "approved", at.plus_s(DECIDED_AFTER_S)),
        ] {
            entries.push(Entry {
                number,
                at,
                actor,
                verb: verb.to_owned(),
                target: past.id.to_string(),
                outcome: "ok".to_owned(),
            });
            number += 1;
        }
        if at.plus_s(DECIDED_AFTER_S) < ripe {
            archived.push(Past(past));
        } else {
            recent.push(past);
        }
    }
    Ok(Batch {
        archived,
        recent,
        entries,
    })
}

/// A challenge of the person whose turn it is; what is not the person's is the template's.
fn common(store: &Store, people: &People, templates: &[Challenge], place: u64) -> Challenge {
    let index = place % people.count();
    let template = &templates[usize::try_from(place).unwrap_or(0) % templates.len()];
    let id = spread::id(index, people.count());
    let key = spread::id(index, people.count());
    let mut challenge = template.clone();
    challenge.id = ChallengeId::from_bytes(id);
    challenge.subject_id = people.subject_id(index);
    challenge.subject = store.facts.keys.pairwise_subject(BACKEND, &challenge.subject_id);
    challenge.device_id = people.device_id(index);
    challenge.idempotency_key = base64url(&key);
    // The templates' person has the first numbers.
    challenge.subject_number = 1_000 + place / people.count();
    challenge
}

fn decided_at(state: &State, at: Timestamp) -> State {
    match state.clone() {
        State::Approved {
            approval, assertion, ..
        } => State::Approved {
            at,
            approval,
            assertion,
            assertion_expires_at: at.plus_s(60),
        },
        other => other,
    }
}

/// Stores pending challenges that all expire at once.
///
/// # Errors
/// Those of the store.
pub fn pending(
    store: &Store,
    people: &People,
    templates: &[Challenge],
    count: u64,
    expires_at: i64,
) -> Result<()> {
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let waiting = (first..count.min(first + BATCH)).map(|place| {
            let mut challenge = common(store, people, templates, place);
            challenge.subject_number += 1_000_000;
            challenge.created_at = store.now;
            challenge.expires_at = Timestamp::from_secs(expires_at);
            challenge.verdict_number = None;
            challenge.state = State::Pending;
            challenge
        });
        store.insert(Arc::new(waiting.collect()))?;
    }
    Ok(())
}
