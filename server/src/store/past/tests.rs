//! Both tables of challenges read as one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use paraphe_proto::ids::{ChallengeId, SubjectId};
use paraphe_proto::time::Timestamp;

use super::*;
use crate::domain::challenge::State;
use crate::domain::challenge::tests::pending;
use crate::store::db::{Db, DbError, Options};
use crate::store::seal::{MasterKey, Sealer};
use crate::store::{audit, challenge};

pub(in crate::store) mod sample;

const ANNA: SubjectId = SubjectId::from_bytes([2; 16]);

struct Store {
    db: Db,
    _folder: tempfile::TempDir,
}

impl Store {
    /// `count` decided challenges of one person, number n decided at second n.
    fn with(count: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::create(&folder.path().join("paraphe.db"), Options::default()).unwrap();
        let store = Self { db, _folder: folder };
        store.write(move |rows| {
            for n in 1..=count {
                challenge::next_verdict_number(rows, "market").unwrap();
                rows.insert(&decided(n)).unwrap();
            }
        });
        store
    }

    fn write<T: Send + 'static>(&self, mut work: impl FnMut(&mut Rows<'_, '_>) -> T + Send + 'static) -> T {
        let sealer = Sealer::new(&MasterKey::from_file_contents(&[7; 32]).unwrap());
        self.db
            .write_blocking("test", move |tx| {
                Ok::<_, DbError>(work(&mut Rows::new(tx, &sealer)))
            })
            .unwrap()
    }

    /// Moves those with these numbers, in whatever order.
    fn file(&self, numbers: &'static [u8]) {
        self.write(move |rows| {
            for n in numbers {
                let found = challenge::load(rows, decided(*n).id).unwrap().unwrap();
                file(rows, found).unwrap();
            }
        });
    }
}

fn decided(n: u8) -> Challenge {
    let mut challenge = pending();
    challenge.id = ChallengeId::from_bytes([n; 16]);
    challenge.idempotency_key = format!("key-{n}");
    challenge.created_at = Timestamp::from_secs(i64::from(n));
    challenge.expires_at = Timestamp::from_secs(i64::from(n) + 1);
    challenge.subject_number = u64::from(n);
    challenge.verdict_number = Some(u64::from(n));
    let at = Timestamp::from_secs(i64::from(n));
    challenge.state = State::Cancelled { at };
    challenge
}

fn numbers(page: Challenges) -> Vec<u64> {
    page.unwrap().iter().map(|row| row.subject_number).collect()
}

#[test]
fn pages_run_over_both_tables_in_order_and_without_gaps() {
    let store = Store::with(9);
    store.file(&[1, 2, 4, 6]);
    store.write(|rows| {
        for limit in 1..=10u8 {
            let (mut verdicts, mut history) = (Vec::new(), Vec::new());
            loop {
                let after = verdicts.last().copied().unwrap_or(0);
                let page = numbers(challenge::verdicts_after(rows, "market", after, limit.into()));
                let before = history.last().copied().unwrap_or(u64::MAX);
                let since = Timestamp::from_secs(2);
                history.extend(numbers(challenge::history(
                    rows,
                    ANNA,
                    since,
                    before,
                    limit.into(),
                )));
                if page.is_empty() {
                    break;
                }
                verdicts.extend(page);
            }
            assert_eq!(verdicts, (1..=9).collect::<Vec<u64>>(), "pages of {limit}");
            assert_eq!(history, (2..=9).rev().collect::<Vec<u64>>(), "pages of {limit}");
        }
    });
}

#[test]
fn the_next_number_of_a_person_counts_both_tables() {
    let store = Store::with(3);
    store.file(&[3]);
    assert_eq!(
        store.write(|rows| challenge::next_subject_number(rows, ANNA).unwrap()),
        4
    );
    store.file(&[1, 2]);
    assert_eq!(
        store.write(|rows| challenge::next_subject_number(rows, ANNA).unwrap()),
        4
    );
}

#[test]
fn an_id_and_a_key_find_the_moved_challenge_and_a_digest_alone_does_not() {
    let store = Store::with(2);
    store.file(&[1]);
    store.write(|rows| {
        let by_id = challenge::load(rows, decided(1).id).unwrap().unwrap();
        assert_eq!(by_id.idempotency_key, "key-1");
        let mut by_key = |party, key| {
            let found = challenge::by_idempotency_key(rows, party, key).unwrap();
            found.map(|found| found.subject_number)
        };
        assert_eq!(by_key("market", "key-1"), Some(1));
        assert_eq!(by_key("market", "key-2"), Some(2));
        assert_eq!(by_key("other", "key-1"), None);
        assert_eq!(by_key("market", "key-3"), None);
    });
}

#[test]
fn a_moved_challenge_cannot_be_changed() {
    let store = Store::with(1);
    store.file(&[1]);
    store.write(|rows| {
        let mut found = challenge::load(rows, decided(1).id).unwrap().unwrap();
        found.quiet = true;
        assert!(matches!(
            rows.update(&mut found),
            Err(StoreError::Stale("challenge"))
        ));
    });
}

#[test]
fn the_oldest_verdicts_of_each_relying_party_are_ripe_first_and_pending_ones_never() {
    let store = Store::with(5);
    store.write(|rows| {
        let mut waiting = pending();
        (waiting.id, waiting.subject_number) = (ChallengeId::from_bytes([99; 16]), 99);
        rows.insert(&waiting).unwrap();
        let mut ripe = |before, limit| numbers(ripe(rows, Timestamp::from_secs(before), limit));
        assert_eq!(ripe(1, 10), [] as [u64; 0]);
        assert_eq!(ripe(4, 10), [1, 2, 3]);
        assert_eq!(ripe(1_000, 2), [1, 2]);
        assert_eq!(ripe(1_000, 10), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn looking_for_ripe_ones_never_scans_the_challenges() {
    let store = Store::with(0);
    store.write(|rows| {
        let explain = format!("EXPLAIN QUERY PLAN {PARTIES_WITH_ENDED}");
        let plan = rows.tx.query(&explain, &[0_i64.into(), 1_i64.into()]).unwrap();
        let steps: Vec<&str> = plan.iter().map(|step| step.text(3).unwrap()).collect();
        let is_bounded = |step: &&str| step.contains("party") || !step.starts_with("SCAN");
        assert!(steps.len() >= 3 && steps.iter().all(is_bounded), "{steps:?}");
    });
}

#[test]
fn a_clear_column_or_a_bit_that_was_changed_is_refused() {
    for change in [
        "UPDATE challenge_past SET relying_party_id = 'other'",
        "UPDATE challenge_past SET subject_number = 7",
        "UPDATE challenge_past SET verdict_number = 7",
        "UPDATE challenge_past SET key_digest = key_digest + 1",
        "UPDATE challenge_past SET version = 2",
        "UPDATE challenge_past SET sealed = (SELECT sealed FROM challenge LIMIT 1)",
    ] {
        let store = Store::with(2);
        store.file(&[1]);
        store.write(move |rows| {
            rows.tx.execute(change, &[]).unwrap();
            let refused = challenge::load(rows, decided(1).id).err();
            assert!(matches!(refused, Some(StoreError::Tampered { .. })), "{change}");
        });
    }
}

#[test]
fn everything_about_a_past_purchase_takes_at_most_2_kib_of_the_file() {
    const COUNT: i64 = 600;
    let store = Store::with(0);
    let each = store.write(|rows| {
        let pages = |rows: &mut Rows<'_, '_>| rows.tx.query("PRAGMA page_count", &[]).unwrap()[0].int(0);
        let empty = pages(rows).unwrap();
        for n in 0..COUNT {
            let bought = sample::purchase(n);
            let (at, id) = (bought.created_at, bought.id.to_string());
            audit::append(rows, at, &bought.relying_party_id, "request", &id, "ok").unwrap();
            audit::append(rows, at, &bought.device_id.to_string(), "approved", &id, "ok").unwrap();
            rows.insert(&Past(bought)).unwrap();
        }
        (pages(rows).unwrap() - empty) * 4_096 / COUNT
    });
    println!("{each} bytes");
    assert!(each <= 2_048, "{each} bytes");
}
