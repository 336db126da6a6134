//! The two server streams: verdicts for backends, pending challenges for phones.
//!
//! A stream reads the store at its start and after every wake of its key; what it sends is what the store says. It ends with
//! `UNAVAILABLE` when the daemon stops, and without a word when its receiver has gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::v1::companion_event::Event;
use paraphe_proto::v1::{CaughtUp, ChallengeEnded, CompanionEvent, Verdict};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::Instrument;

use super::{Shared, encode};
use crate::app::challenge;
use crate::domain::challenge::Challenge;
use crate::domain::fault::{self, Fault};
use crate::store;

/// Messages that wait for a slow receiver.
const BUFFER: usize = 32;
/// A lost wake costs at most this.
const RECHECK: Duration = Duration::from_secs(30);

/// Streams that one backend or one phone may hold open, so that nobody takes the places of others.
const STREAMS_OF_BACKEND: usize = 64;
const STREAMS_OF_PHONE: usize = 4;

type Events<T> = mpsc::Sender<Result<T, Status>>;

/// Verdicts of a relying party after a cursor, then live.
///
/// # Errors
/// `field.invalid` for a cursor that is not one of ours.
pub async fn verdicts(
    shared: Arc<Shared>,
    party: String,
    cursor: &str,
) -> Result<ReceiverStream<Result<Verdict, Status>>, Status> {
    require_place(shared.backends.listening(&party), STREAMS_OF_BACKEND)?;
    let after = match cursor {
        "" => {
            let (now, party) = (shared.now()?, party.clone());
            let last = move |s: &mut crate::app::Scope<'_, '_>| {
                Ok(store::challenge::last_verdict_number(&mut s.rows, &party)?)
            };
            shared.read("watch", now, last).await?
        }
        text => text.parse().map_err(|_| {
            Fault::field(
                "cursor",
                "It must be a cursor of an earlier verdict, `0` or empty.",
            )
        })?,
    };
    let (sender, receiver) = mpsc::channel(BUFFER);
    let task = async move {
        if let Err(status) = follow_verdicts(&shared, &party, after, &sender).await {
            let _gone = sender.send(Err(status)).await;
        }
    };
    tokio::spawn(task.in_current_span());
    Ok(ReceiverStream::new(receiver))
}

fn require_place(open: usize, most: usize) -> Result<(), Fault> {
    if open >= most {
        return Err(fault::RATE_LIMITED
            .fault()
            .because(format!("At most {most} streams may be open.")));
    }
    Ok(())
}

async fn follow_verdicts(
    shared: &Shared,
    party: &str,
    mut after: u64,
    sender: &Events<Verdict>,
) -> Result<(), Status> {
    let mut wake = shared.backends.listen(party.to_owned());
    loop {
        let (now, name) = (shared.now()?, party.to_owned());
        let page = shared
            .read("watch", now, move |s| challenge::verdicts(s, &name, after))
            .await?;
        let full = i64::try_from(page.len()).is_ok_and(|count| count == challenge::VERDICT_PAGE);
        for decided in page {
            after = decided.verdict_number.unwrap_or(after);
            if sender.send(Ok(encode::verdict(&decided, now))).await.is_err() {
                return Ok(());
            }
        }
        if !full && !pause(shared, wake.heard(), sender).await? {
            return Ok(());
        }
    }
}

/// Pending challenges of a phone, live.
///
/// # Errors
/// `caller.rate_limited` with too many streams open.
pub fn pending(
    shared: Arc<Shared>,
    device_id: DeviceId,
) -> Result<ReceiverStream<Result<CompanionEvent, Status>>, Status> {
    require_place(shared.phones.listening(&device_id), STREAMS_OF_PHONE)?;
    let (sender, receiver) = mpsc::channel(BUFFER);
    let task = async move {
        if let Err(status) = follow_pending(&shared, device_id, &sender).await {
            let _gone = sender.send(Err(status)).await;
        }
    };
    tokio::spawn(task.in_current_span());
    Ok(ReceiverStream::new(receiver))
}

async fn follow_pending(
    shared: &Shared,
    device_id: DeviceId,
    sender: &Events<CompanionEvent>,
) -> Result<(), Status> {
    let mut wake = shared.phones.listen(device_id);
    let mut shown: HashMap<ChallengeId, ()> = HashMap::new();
    let mut caught_up = false;
    loop {
        let waiting = waiting_for(shared, device_id).await?;
        for event in changes(shared, device_id, &mut shown, &waiting).await? {
            if sender
                .send(Ok(CompanionEvent { event: Some(event) }))
                .await
                .is_err()
            {
                return Ok(());
            }
        }
        if !caught_up {
            caught_up = true;
            let event = CompanionEvent {
                event: Some(Event::CaughtUp(CaughtUp {})),
            };
            if sender.send(Ok(event)).await.is_err() {
                return Ok(());
            }
        }
        if !pause(shared, wake.heard(), sender).await? {
            return Ok(());
        }
    }
}

async fn waiting_for(shared: &Shared, device_id: DeviceId) -> Result<Vec<Challenge>, Status> {
    let now = shared.now()?;
    let load = move |s: &mut crate::app::Scope<'_, '_>| {
        let phone =
            store::device::load(&mut s.rows, device_id)?.ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
        phone.require_may_refuse()?;
        challenge::pending(s, device_id)
    };
    shared.read("watch", now, load).await
}

async fn changes(
    shared: &Shared,
    device_id: DeviceId,
    shown: &mut HashMap<ChallengeId, ()>,
    waiting: &[Challenge],
) -> Result<Vec<Event>, Status> {
    let ended: Vec<ChallengeId> = shown
        .keys()
        .copied()
        .filter(|id| !waiting.iter().any(|challenge| challenge.id == *id))
        .collect();
    let mut events = Vec::new();
    for id in ended {
        shown.remove(&id);
        let now = shared.now()?;
        let state = move |s: &mut crate::app::Scope<'_, '_>| {
            Ok(challenge::of_device(s, device_id, id)?.state.as_str().to_owned())
        };
        let state = shared.read("watch", now, state).await?;
        let state = if state == "pending" {
            "expired".to_owned()
        } else {
            state
        };
        events.push(Event::Ended(ChallengeEnded {
            challenge_id: id.to_string(),
            state,
        }));
    }
    for challenge in waiting {
        if shown.insert(challenge.id, ()).is_none() {
            events.push(Event::Pending(encode::pending(challenge)));
        }
    }
    Ok(events)
}

/// Waits for a wake. `false` when the receiver has gone.
async fn pause<T>(
    shared: &Shared,
    heard: impl Future<Output = ()>,
    sender: &Events<T>,
) -> Result<bool, Status> {
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        () = heard => Ok(true),
        () = tokio::time::sleep(RECHECK) => Ok(true),
        () = sender.closed() => Ok(false),
        _ = stopping.wait_for(|stopping| *stopping) => Err(fault::SHUTTING_DOWN.fault().into()),
    }
}
