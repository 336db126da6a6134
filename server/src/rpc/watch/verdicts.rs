//! Verdicts of a relying party after a cursor, then live. Their numbers rise by one, so a gap shows what was missed.

use std::sync::Arc;

use paraphe_proto::v1::Verdict;
use tonic::Status;

use super::{Change, Ear, Messages, Source, messages, require_place};
use crate::app::challenge;
use crate::domain::challenge::Challenge;
use crate::domain::fault::Fault;
use crate::rpc::{Shared, encode};
use crate::store;
use crate::wake::Heard;

/// Streams that one backend may hold open.
const MOST_STREAMS: usize = 64;

struct Verdicts {
    shared: Arc<Shared>,
    party: String,
    after: u64,
    ear: Ear<String>,
}

/// Opens the stream of a relying party after `cursor`.
///
/// # Errors
/// `field.invalid` for a cursor that is not one of ours; `caller.rate_limited` with too many streams open.
pub async fn verdicts(shared: Arc<Shared>, party: String, cursor: &str) -> Result<Messages<Verdict>, Status> {
    require_place(shared.backends.listening(&party), MOST_STREAMS)?;
    let ear = shared.backends.listen(party.clone());
    let after = match cursor {
        "" => last_number(&shared, &party).await?,
        text => text.parse().map_err(|_| {
            Fault::field(
                "cursor",
                "It must be a cursor of an earlier verdict, `0` or empty.",
            )
        })?,
    };
    let source = Verdicts {
        shared: Arc::clone(&shared),
        party,
        after,
        ear,
    };
    Ok(messages(&shared, source))
}

async fn last_number(shared: &Shared, party: &str) -> Result<u64, Status> {
    let (now, party) = (shared.now()?, party.to_owned());
    let last = move |s: &mut crate::app::Scope<'_, '_>| {
        Ok(store::challenge::last_verdict_number(&mut s.rows, &party)?)
    };
    shared.read("watch", now, last).await
}

impl Source for Verdicts {
    type Message = Verdict;

    async fn read(&mut self) -> Result<Vec<Verdict>, Status> {
        let mut all = Vec::new();
        loop {
            let (now, name, after) = (self.shared.now()?, self.party.clone(), self.after);
            let load = move |s: &mut crate::app::Scope<'_, '_>| challenge::verdicts(s, &name, after);
            let page = self.shared.read("watch", now, load).await?;
            let is_full = i64::try_from(page.len()).is_ok_and(|count| count == challenge::VERDICT_PAGE);
            for decided in page {
                self.after = decided.verdict_number.unwrap_or(self.after);
                all.push(encode::verdict(&decided, now));
            }
            if !is_full {
                return Ok(all);
            }
        }
    }

    fn apply(&mut self, change: &Challenge) -> Result<Option<Vec<Verdict>>, Status> {
        let Some(number) = change.verdict_number.filter(|number| *number > self.after) else {
            return Ok(Some(Vec::new()));
        };
        if number != self.after.saturating_add(1) {
            return Ok(None);
        }
        self.after = number;
        Ok(Some(vec![encode::verdict(change, self.shared.now()?)]))
    }

    async fn heard(&self) -> Heard<Change> {
        self.ear.heard().await
    }
}
