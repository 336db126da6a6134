//! What the clients know: every reply they got, in memory that no crash of the daemon touches. Written by `client` and `backend`,
//! compared by `audit`. Invariant: whatever contradicts an earlier reply becomes a finding at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use paraphe_proto::v1;

/// The reply to one Request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub backend: usize,
    pub client: usize,
    pub key: String,
    pub code: String,
    pub expires_at: i64,
}

/// A final state and when it was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub state: String,
    pub at: i64,
}

#[derive(Default)]
pub struct Pages {
    /// By challenge id.
    pub asked: HashMap<String, Asked>,
    /// Challenge by backend and idempotency key.
    keys: HashMap<(usize, String), String>,
    pub ended: HashMap<String, Ended>,
    assertions: HashMap<String, String>,
    /// Of each backend by cursor.
    pub verdicts: HashMap<usize, BTreeMap<u64, String>>,
    /// Of the audit trail by number.
    pub audit: BTreeMap<u64, v1::AuditEntry>,
    pub findings: Vec<String>,
    pub lost_replies: usize,
}

#[derive(Default)]
pub struct Book(Mutex<Pages>);

impl Book {
    pub fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn finding(&self, what: impl Into<String>) {
        let what = what.into();
        let mut pages = self.open();
        if !pages.findings.contains(&what) {
            pages.findings.push(what);
        }
    }

    pub fn findings(&self) -> Vec<String> {
        self.open().findings.clone()
    }

    /// A Request was answered.
    pub fn requested(&self, id: &str, asked: Asked) {
        let mut pages = self.open();
        let pair = (asked.backend, asked.key.clone());
        let known = pages.keys.entry(pair).or_insert_with(|| id.to_owned()).clone();
        if known != id {
            let key = &asked.key;
            pages
                .findings
                .push(format!("the idempotency key {key} made {known} and {id}"));
        }
        let first = pages
            .asked
            .entry(id.to_owned())
            .or_insert_with(|| asked.clone())
            .clone();
        if first != asked {
            pages
                .findings
                .push(format!("{id} was answered as {first:?}, then as {asked:?}"));
        }
    }

    /// Somebody was told how a challenge ended.
    pub fn told(&self, id: &str, state: &str, at: i64, by: &str) {
        let mut pages = self.open();
        let now = Ended {
            state: state.to_owned(),
            at,
        };
        let first = pages
            .ended
            .entry(id.to_owned())
            .or_insert_with(|| now.clone())
            .clone();
        if first != now {
            pages
                .findings
                .push(format!("{id} was {first:?}, and is {now:?} in {by}"));
        }
    }

    /// A verdict came on a backend's stream.
    pub fn verdict(&self, backend: usize, verdict: &v1::Verdict) {
        let id = &verdict.challenge_id;
        self.told(
            id,
            &name(verdict.state),
            verdict.decided_at,
            "a verdict on the stream",
        );
        self.assertion(id, &verdict.assertion);
        let cursor: u64 = verdict.cursor.parse().unwrap_or(0);
        let mut pages = self.open();
        let of_backend = pages.verdicts.entry(backend).or_default();
        let first = of_backend.entry(cursor).or_insert_with(|| id.clone()).clone();
        if first != *id {
            pages.findings.push(format!(
                "verdict {cursor} of backend {backend} was about {first}, and is about {id}"
            ));
        }
        let asked = pages.asked.get(id).map(|asked| asked.key.clone());
        if asked.is_some_and(|key| key != verdict.idempotency_key) {
            pages
                .findings
                .push(format!("the verdict on {id} names another key"));
        }
    }

    /// The same bytes for as long as there are any.
    pub fn assertion(&self, id: &str, assertion: &str) {
        if assertion.is_empty() {
            return;
        }
        let mut pages = self.open();
        let first = pages
            .assertions
            .entry(id.to_owned())
            .or_insert_with(|| assertion.to_owned())
            .clone();
        if first != assertion {
            pages.findings.push(format!("the assertion of {id} has changed"));
        }
    }

    /// The last cursor that a backend has seen, as Watch wants it.
    pub fn cursor(&self, backend: usize) -> String {
        let pages = self.open();
        let last = pages.verdicts.get(&backend).and_then(|all| all.keys().last());
        last.copied().unwrap_or(0).to_string()
    }

    pub fn lost_reply(&self) {
        self.open().lost_replies += 1;
    }
}

/// `approved` for `STATE_APPROVED`.
pub fn name(state: i32) -> String {
    let state = v1::State::try_from(state).unwrap_or_default();
    let name = state.as_str_name().trim_start_matches("STATE_");
    name.to_lowercase()
}
