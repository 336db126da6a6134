//! A backend of a load: one token for many calls, one stream for all verdicts.
//!
//! Called by `run` and `confirmation`. Invariants: the stream is open before the first request and is resumed after the last
//! verdict that was handled, so none is missed; every verdict is in the journal before anybody acts on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use paraphe_proto::v1::check_request::Person;
use paraphe_proto::v1::step_up_client::StepUpClient;
use paraphe_proto::v1::{
    CheckRequest, PivotIdentity, RequestRequest, RequestResponse, Verdict, WatchRequest,
};
use tonic::Streaming;

use super::folder::PhoneLine;
use super::journal::{Entry, Journal};
use super::patience::{Patience, Setback, backoff};
use super::purchase::{ACTION, LOCALE, Purchase};
use super::tally::Tally;
use super::verdicts::{Delivery, Verdicts};
use crate::channel::AuthenticatedChannel;
use crate::edge;
use crate::error::{Error, Result};
use crate::words::state_name;

/// Everything that is kept, for a stream that broke before it had brought anything.
const FROM_THE_BEGINNING: &str = "0";

/// A registered backend.
pub struct Backend {
    /// Relying party id.
    pub id: String,
    /// What its confirmations wait for.
    pub verdicts: Verdicts,
    clients: Vec<StepUpClient<AuthenticatedChannel>>,
    calls: AtomicUsize,
}

impl Backend {
    /// The backend `id`, one client for each of its connections; its idempotency keys begin with `prefix`.
    pub fn new(id: String, clients: Vec<StepUpClient<AuthenticatedChannel>>, prefix: String) -> Self {
        Backend {
            id,
            verdicts: Verdicts::new(prefix),
            clients,
            calls: AtomicUsize::new(0),
        }
    }

    /// The connections take turns.
    fn client(&self) -> Result<StepUpClient<AuthenticatedChannel>> {
        let turn = self.calls.fetch_add(1, Ordering::Relaxed);
        let client = self.clients.get(turn % self.clients.len().max(1));
        client
            .cloned()
            .ok_or_else(|| Error::Unreachable(format!("{} has no connection.", self.id)))
    }

    /// The subject of a phone's owner here.
    ///
    /// # Errors
    /// What the daemon refuses; [`Error::NotFound`] when it knows nobody of this identity.
    pub async fn subject(&self, phone: &PhoneLine) -> Result<String> {
        let identity = PivotIdentity {
            family_name: phone.family_name.clone(),
            given_names: phone.given_names.clone(),
            birth_date: phone.birth_date.clone(),
            birthplace: phone.birthplace.clone(),
        };
        let request = CheckRequest {
            person: Some(Person::Identity(identity)),
            action: ACTION.to_owned(),
            session_acr: String::new(),
        };
        let reply = self.client()?.check(request).await?.into_inner();
        if reply.subject.is_empty() {
            return Err(Error::NotFound(format!(
                "The daemon knows nobody of the identity of phone {}.",
                phone.name
            )));
        }
        Ok(reply.subject)
    }

    /// Asks to confirm a purchase; `lifetime_s` 0 is the action's own. One send.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn request(
        &self,
        key: &str,
        subject: &str,
        purchase: &Purchase,
        lifetime_s: u32,
    ) -> Result<RequestResponse> {
        let request = RequestRequest {
            idempotency_key: key.to_owned(),
            subject: subject.to_owned(),
            action: ACTION.to_owned(),
            parameters: purchase.parameters(),
            locale: LOCALE.to_owned(),
            lifetime_s,
            ..RequestRequest::default()
        };
        Ok(self.client()?.request(request).await?.into_inner())
    }

    /// Opens the stream of verdicts reached from now on, or after a cursor.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn watch(&self, cursor: &str) -> Result<Streaming<Verdict>> {
        let request = WatchRequest {
            cursor: cursor.to_owned(),
        };
        Ok(self.client()?.watch(request).await?.into_inner())
    }
}

/// Hands verdicts out as they come, until the stream is over; resumes it where connections are ridden out.
///
/// # Errors
/// Why it is over.
pub async fn follow(
    backend: Arc<Backend>,
    mut stream: Streaming<Verdict>,
    patience: Patience,
    tally: Arc<Tally>,
    journal: Arc<Journal>,
) -> Error {
    let mut cursor = FROM_THE_BEGINNING.to_owned();
    loop {
        let error = forward(&backend, &mut stream, &mut cursor, &tally, &journal).await;
        if !patience.ride_out {
            return error;
        }
        match resumed(&backend, &cursor, error).await {
            Ok(resumed) => stream = resumed,
            Err(error) => return error,
        }
    }
}

/// Tries until the daemon is back, or refuses for good.
async fn resumed(backend: &Backend, cursor: &str, mut error: Error) -> Result<Streaming<Verdict>> {
    let mut failures = 0;
    while Setback::of(&error) != Setback::Final {
        failures += 1;
        tokio::time::sleep(backoff(failures, &mut edge::random())).await;
        match backend.watch(cursor).await {
            Ok(stream) => return Ok(stream),
            Err(again) => error = again,
        }
    }
    Err(error)
}

async fn forward(
    backend: &Backend,
    stream: &mut Streaming<Verdict>,
    cursor: &mut String,
    tally: &Tally,
    journal: &Journal,
) -> Error {
    loop {
        let verdict = match stream.message().await {
            Ok(Some(verdict)) => verdict,
            Ok(None) => return Error::Unreachable("The stream of verdicts ended.".to_owned()),
            Err(status) => return status.into(),
        };
        let at = Instant::now();
        cursor.clone_from(&verdict.cursor);
        let (id, state) = (verdict.challenge_id.clone(), state_name(verdict.state()));
        if backend.verdicts.are_for(&verdict) {
            journal.add(&Entry::verdict(&backend.id, &verdict));
        }
        if backend.verdicts.deliver(verdict, at) == Delivery::Second {
            tally.discrepancy(format!("{id} has a second verdict, {state}, at {}.", backend.id));
        }
    }
}
