//! What the clients of a load learned, in the order in which they learned it: JSON lines.
//!
//! Called by `confirmation`, `answer` and `backend` before they act on it. Invariant: a line is handed to the system whole
//! before the next step is taken, so what a client acted on is in the journal even when the client is killed. It is not
//! synced to disk: the journal is compared with what a daemon kept, and survives that daemon, not the machine.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use paraphe_proto::encoding::hex;
use paraphe_proto::ids::DeviceId;
use paraphe_proto::v1::{Outcome, Verdict};
use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::words::state_name;

/// One thing that a client learned.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry<'a> {
    /// The reply to Request.
    Requested {
        /// Who asked.
        relying_party: &'a str,
        /// Its own key.
        idempotency_key: &'a str,
        /// `chl_…`
        challenge_id: &'a str,
    },
    /// A phone has the challenge, verified.
    Shown {
        /// `chl_…`
        challenge_id: &'a str,
        /// Whose phone.
        device_id: &'a DeviceId,
    },
    /// The reply to Unlock, verified.
    Unlocked {
        /// `chl_…`
        challenge_id: &'a str,
        /// Whose phone.
        device_id: &'a DeviceId,
        /// Number of the evaluation.
        evaluation: u64,
        /// PIN attempts left.
        attempts_left: u32,
    },
    /// The reply to Answer or Refuse.
    Answered {
        /// `chl_…`
        challenge_id: &'a str,
        /// Whose phone.
        device_id: &'a DeviceId,
        /// The final state.
        state: &'a str,
        /// PIN attempts left.
        attempts_left: u32,
    },
    /// A verdict on the backend's stream.
    Verdict {
        /// Whose stream.
        relying_party: &'a str,
        /// `chl_…`
        challenge_id: &'a str,
        /// The final state.
        state: &'a str,
        /// Where the stream resumes.
        cursor: &'a str,
        /// Hexadecimal; absent where no assertion came with it.
        #[serde(skip_serializing_if = "Option::is_none")]
        assertion_sha256: Option<String>,
    },
}

impl<'a> Entry<'a> {
    /// The reply to Answer or Refuse.
    pub fn answered(device_id: &'a DeviceId, outcome: &'a Outcome) -> Self {
        Entry::Answered {
            challenge_id: &outcome.challenge_id,
            device_id,
            state: &outcome.state,
            attempts_left: outcome.attempts_left,
        }
    }

    /// A verdict.
    pub fn verdict(relying_party: &'a str, verdict: &'a Verdict) -> Self {
        let assertion = verdict.assertion.as_bytes();
        Entry::Verdict {
            relying_party,
            challenge_id: &verdict.challenge_id,
            state: state_name(verdict.state()),
            cursor: &verdict.cursor,
            assertion_sha256: (!assertion.is_empty()).then(|| hex(digest(&SHA256, assertion).as_ref())),
        }
    }
}

/// The journal; one that was not asked for keeps nothing.
pub struct Journal(Option<Mutex<Open>>);

struct Open {
    file: File,
    path: PathBuf,
    failed: Option<std::io::Error>,
}

impl Journal {
    /// Appends to the file at `path`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Journal(None));
        };
        let opened = OpenOptions::new().append(true).create(true).open(path);
        Ok(Journal(Some(Mutex::new(Open {
            file: opened.map_err(Error::file("write", path))?,
            path: path.to_owned(),
            failed: None,
        }))))
    }

    /// Adds a line.
    pub fn add(&self, entry: &Entry<'_>) {
        let Some(open) = &self.0 else { return };
        let Ok(mut line) = serde_json::to_vec(entry) else {
            return;
        };
        line.push(b'\n');
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = open.file.write_all(&line) {
            open.failed.get_or_insert(error);
        }
    }

    /// Whether every line was written.
    ///
    /// # Errors
    /// [`Error::File`] for the first that was not.
    pub fn finish(&self) -> Result<()> {
        let Some(open) = &self.0 else { return Ok(()) };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.failed.take() {
            None => Ok(()),
            Some(error) => Err(Error::file("write", &open.path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use paraphe_proto::v1::State;
    use serde_json::json;

    use super::*;
    use crate::edge;

    #[test]
    fn lines_are_appended_in_the_documented_form() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let device_id = DeviceId::random(&mut edge::random());
        let verdict = Verdict {
            challenge_id: "chl_x".into(),
            state: State::Approved.into(),
            assertion: "a.b.c".into(),
            cursor: "7".into(),
            ..Verdict::default()
        };
        for _ in 0..2 {
            let journal = Journal::open(Some(&path)).unwrap();
            journal.add(&Entry::Unlocked {
                challenge_id: "chl_x",
                device_id: &device_id,
                evaluation: 3,
                attempts_left: 4,
            });
            journal.add(&Entry::verdict("market", &verdict));
            journal.finish().unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[0],
            json!({"event": "unlocked", "challenge_id": "chl_x", "device_id": device_id, "evaluation": 3, "attempts_left": 4})
        );
        assert_eq!(lines[3]["event"], "verdict");
        assert_eq!(
            (lines[3]["state"].as_str(), lines[3]["cursor"].as_str()),
            (Some("approved"), Some("7"))
        );
        assert_eq!(lines[3]["assertion_sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn a_journal_that_was_not_asked_for_keeps_nothing() {
        let journal = Journal::open(None).unwrap();
        journal.add(&Entry::verdict("market", &Verdict::default()));
        journal.finish().unwrap();
    }
}
