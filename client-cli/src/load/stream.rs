//! A phone's open stream: what comes on it goes into the phone's inbox, with the instant at which it came.
//!
//! Called by `fleet`. Invariants: what was pending before the load began is passed over; where connections are ridden out,
//! the stream is opened again until the load ends, and what is pending then comes once more.

use std::sync::Arc;
use std::time::Instant;

use paraphe_proto::v1::CompanionEvent;
use paraphe_proto::v1::companion_event::Event;
use tokio::sync::mpsc;
use tonic::Streaming;

use super::patience::{Patience, Setback, backoff, patiently};
use super::phone::LoadPhone;
use crate::edge;
use crate::error::{Error, Result};

/// Events that may wait for a phone whose owner looks elsewhere.
const INBOX: usize = 16;

/// What came on a stream.
pub enum Arrival {
    /// A challenge, as signed.
    Pending {
        /// The compact JWS.
        challenge: String,
        /// When it came.
        at: Instant,
    },
    /// The stream broke, and nobody opens it again.
    Broken(Error),
}

/// Where a phone's challenges arrive.
pub type Inbox = mpsc::Receiver<Arrival>;

/// Opens the stream of a phone and returns once it is live.
///
/// # Errors
/// What the daemon refuses, waits included.
pub async fn open(phone: Arc<LoadPhone>, patience: Patience) -> Result<Inbox> {
    let stream = patiently(|| opened(&phone)).await?;
    let (sender, inbox) = mpsc::channel(INBOX);
    tokio::spawn(follow(phone, stream, patience, sender));
    Ok(inbox)
}

async fn opened(phone: &LoadPhone) -> Result<Streaming<CompanionEvent>> {
    let mut stream = phone.watch().await?;
    while let Some(event) = stream.message().await? {
        if matches!(event.event, Some(Event::CaughtUp(_))) {
            return Ok(stream);
        }
    }
    Err(ended())
}

async fn follow(
    phone: Arc<LoadPhone>,
    mut stream: Streaming<CompanionEvent>,
    patience: Patience,
    sender: mpsc::Sender<Arrival>,
) {
    loop {
        let error = forward(&mut stream, &sender).await;
        if !patience.ride_out || Setback::of(&error) == Setback::Final {
            let _gone = sender.send(Arrival::Broken(error)).await;
            return;
        }
        match reopened(&phone, &sender).await {
            Ok(fresh) => stream = fresh,
            Err(error) => {
                let _gone = sender.send(Arrival::Broken(error)).await;
                return;
            }
        }
    }
}

async fn forward(stream: &mut Streaming<CompanionEvent>, sender: &mpsc::Sender<Arrival>) -> Error {
    loop {
        let event = tokio::select! {
            event = stream.message() => event,
            () = sender.closed() => return ended(),
        };
        match event {
            Ok(None) => return ended(),
            Err(status) => return status.into(),
            Ok(Some(event)) => {
                let Some(Event::Pending(pending)) = event.event else {
                    continue;
                };
                let arrival = Arrival::Pending {
                    challenge: pending.challenge,
                    at: Instant::now(),
                };
                if sender.send(arrival).await.is_err() {
                    return ended();
                }
            }
        }
    }
}

/// Tries until the daemon is back, or refuses for good, or the load is over.
async fn reopened(phone: &LoadPhone, sender: &mpsc::Sender<Arrival>) -> Result<Streaming<CompanionEvent>> {
    let mut failures = 0;
    loop {
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(backoff(failures, &mut edge::random())) => {}
            () = sender.closed() => return Err(ended()),
        }
        match phone.watch().await {
            Err(error) if Setback::of(&error) != Setback::Final => {}
            outcome => return outcome,
        }
    }
}

fn ended() -> Error {
    Error::Unreachable("The phone's stream ended.".to_owned())
}
