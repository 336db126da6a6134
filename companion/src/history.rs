//! Who asked, for what, and what was answered; and what happened to the person's phones: 13 months back.
//!
//! Called by the app for its history page. Invariant: like the device's state it is shown and never acted on; what counts
//! as proof are the statements of a [`Receipt`](crate::Receipt). The protocol: section 6.

use paraphe_proto::v1::{DeviceEvent, DeviceEventsBody, HistoryBody, HistoryEntry};

use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::phone::Phone;
use crate::request::method;

/// One page, newest first.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// The entries.
    pub entries: Vec<HistoryEntry>,
    /// What to ask the next, older page with; `None` on the last one.
    pub next: Option<String>,
}

/// One page of what happened to the person's phones, newest first.
#[derive(Clone, Debug)]
pub struct DeviceEventsPage {
    /// The events.
    pub events: Vec<DeviceEvent>,
    /// Events of this page that were taken out of the daemon's database, or changed there: tell the person.
    pub missing: u32,
    /// What to ask the next, older page with; `None` on the last one.
    pub next: Option<String>,
}

impl Phone {
    /// One page of the history. `page` is [`HistoryPage::next`] of the page before, `None` for the first;
    /// `page_size` is 1 to 100, or 0 for the daemon's choice.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn history(
        &self,
        server: &Server,
        page: Option<&str>,
        page_size: u32,
    ) -> Result<HistoryPage, Error> {
        let body = HistoryBody {
            page_token: page.unwrap_or_default().to_owned(),
            page_size,
        };
        let request = self
            .ready(server)
            .await?
            .prove_fresh(server, method::HISTORY, &body)
            .await?;
        let reply = server
            .client()
            .history(with_deadline(request))
            .await?
            .into_inner();
        Ok(HistoryPage {
            entries: reply.entries,
            next: Some(reply.next_page_token).filter(|token| !token.is_empty()),
        })
    }
    /// One page of what happened to the person's phones: who did it and why. `page` and `page_size` as in [`Phone::history`].
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn device_events(
        &self,
        server: &Server,
        page: Option<&str>,
        page_size: u32,
    ) -> Result<DeviceEventsPage, Error> {
        let body = DeviceEventsBody {
            page_token: page.unwrap_or_default().to_owned(),
            page_size,
        };
        let request = self
            .ready(server)
            .await?
            .prove_fresh(server, method::DEVICE_EVENTS, &body)
            .await?;
        let reply = server
            .client()
            .device_events(with_deadline(request))
            .await?
            .into_inner();
        Ok(DeviceEventsPage {
            events: reply.events,
            missing: reply.missing,
            next: Some(reply.next_page_token).filter(|token| !token.is_empty()),
        })
    }
}
