//! What the person was asked before (protocol.md section 6).

use paraphe_proto::v1::{self, SignedRequest};
use tonic::{Request, Response, Status};

use super::CompanionService;
use crate::app::{Scope, history};
use crate::domain::challenge::Challenge;
use crate::domain::fault::Fault;
use crate::rpc::encode;

impl CompanionService {
    pub(super) async fn past(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::HistoryBody>(request, method!("History"), now)
            .await?;
        let size = match proven.body.page_size {
            0 => 50,
            size @ 1..=100 => i64::from(size),
            _ => return Err(Fault::field("page_size", "It must be 0 to 100.").into()),
        };
        let before = match proven.body.page_token.as_str() {
            "" => u64::MAX,
            token => token
                .parse()
                .map_err(|_| Fault::field("page_token", "It must come from the page before."))?,
        };
        let verb = move |s: &mut Scope<'_, '_>| history::history(s, proven.phone.device_id, before, size);
        let (page, more) = self.0.read("history", now, verb).await?;
        let entries = page
            .iter()
            .map(|past| self.entry(past))
            .collect::<Result<_, _>>()?;
        let last = page
            .last()
            .filter(|_| more)
            .map(|past| past.subject_number.to_string());
        Ok(Response::new(v1::HistoryResponse {
            entries,
            next_page_token: last.unwrap_or_default(),
        }))
    }

    fn entry(&self, past: &Challenge) -> Result<v1::HistoryEntry, Status> {
        let facts = &self.0.daemon.facts;
        let shown = facts.keys.reopen_challenge(&past.statement, facts.issuer())?;
        Ok(encode::history_entry(past, shown))
    }
}
