//! What the person was asked before, and what happened to their phones (protocol.md sections 5 and 6): `History` and `DeviceEvents`.

use paraphe_proto::v1::{self, SignedRequest};
use tonic::{Request, Response, Status};

use super::CompanionService;
use crate::app::{Scope, history};
use crate::domain::challenge::Challenge;
use crate::domain::device::DeviceEvent;
use crate::domain::fault::Fault;
use crate::rpc::encode;

/// The number that a page ends before, and its size.
fn page(token: &str, size: u32) -> Result<(u64, i64), Fault> {
    let size = match size {
        0 => 50,
        size @ 1..=100 => i64::from(size),
        _ => return Err(Fault::field("page_size", "It must be 0 to 100.")),
    };
    let before = match token {
        "" => u64::MAX,
        token => token
            .parse()
            .map_err(|_| Fault::field("page_token", "It must come from the page before."))?,
    };
    Ok((before, size))
}

impl CompanionService {
    pub(super) async fn past(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::HistoryBody>(request, method!("History"), now)
            .await?;
        let (before, size) = page(&proven.body.page_token, proven.body.page_size)?;
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

    pub(super) async fn past_of_phones(
        &self,
        request: Request<SignedRequest>,
    ) -> Result<Response<v1::DeviceEventsResponse>, Status> {
        let now = self.0.now()?;
        let proven = self
            .by_nonce::<v1::DeviceEventsBody>(request, method!("DeviceEvents"), now)
            .await?;
        let (before, size) = page(&proven.body.page_token, proven.body.page_size)?;
        let id = proven.phone.device_id;
        let size = usize::try_from(size).unwrap_or(0);
        let verb = move |s: &mut Scope<'_, '_>| history::device_events(s, id, before, size);
        let page = self.0.read("device_events", now, verb).await?;
        Ok(Response::new(v1::DeviceEventsResponse {
            events: page.events.iter().map(event).collect(),
            next_page_token: page.next.map_or(String::new(), |number| number.to_string()),
            missing: u32::try_from(page.missing).unwrap_or(u32::MAX),
        }))
    }
}

fn event(past: &DeviceEvent) -> v1::DeviceEvent {
    v1::DeviceEvent {
        at: past.at.as_secs(),
        device_id: past.device_id.to_string(),
        event: past.what.as_str().to_owned(),
        state: encode::device_state(past.state).into(),
        who: past.who.as_str().to_owned(),
        why: past.why.clone(),
    }
}
