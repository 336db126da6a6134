//! Pending challenges of a phone, live, and the end of those that were shown.

use std::collections::HashSet;
use std::sync::Arc;

use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::v1::companion_event::Event;
use paraphe_proto::v1::{CaughtUp, ChallengeEnded, CompanionEvent};
use tonic::Status;

use super::{Change, Ear, Messages, Source, messages, require_place};
use crate::app::challenge;
use crate::domain::challenge::{Challenge, State};
use crate::domain::fault;
use crate::rpc::{Shared, encode};
use crate::store;
use crate::wake::Heard;

/// Streams that one phone may hold open.
const MOST_STREAMS: usize = 4;

struct Pending {
    shared: Arc<Shared>,
    device_id: DeviceId,
    shown: HashSet<ChallengeId>,
    caught_up: bool,
    ear: Ear<DeviceId>,
}

/// Opens the stream of a phone.
///
/// # Errors
/// `caller.rate_limited` with too many streams open.
pub fn pending(shared: Arc<Shared>, device_id: DeviceId) -> Result<Messages<CompanionEvent>, Status> {
    require_place(shared.phones.listening(&device_id), MOST_STREAMS)?;
    let source = Pending {
        ear: shared.phones.listen(device_id),
        shared: Arc::clone(&shared),
        device_id,
        shown: HashSet::new(),
        caught_up: false,
    };
    Ok(messages(&shared, source))
}

impl Source for Pending {
    type Message = CompanionEvent;

    async fn read(&mut self) -> Result<Vec<CompanionEvent>, Status> {
        let waiting = self.waiting().await?;
        let mut events = self.ended(&waiting).await?;
        events.extend(waiting.iter().filter_map(|challenge| self.show(challenge)));
        if !self.caught_up {
            self.caught_up = true;
            events.push(event(Event::CaughtUp(CaughtUp {})));
        }
        Ok(events)
    }

    fn apply(&mut self, change: &Challenge) -> Result<Option<Vec<CompanionEvent>>, Status> {
        if change.is_open(self.shared.now()?) {
            return Ok(Some(self.show(change).into_iter().collect()));
        }
        let was_shown = self.shown.remove(&change.id);
        let ended = was_shown.then(|| ended(change.id, &change.state));
        Ok(Some(ended.into_iter().collect()))
    }

    async fn heard(&self) -> Heard<Change> {
        self.ear.heard().await
    }
}

impl Pending {
    /// The challenge, unless it was shown already.
    fn show(&mut self, challenge: &Challenge) -> Option<CompanionEvent> {
        let is_new = self.shown.insert(challenge.id);
        is_new.then(|| event(Event::Pending(encode::pending(challenge))))
    }

    async fn waiting(&self) -> Result<Vec<Challenge>, Status> {
        let (now, device_id) = (self.shared.now()?, self.device_id);
        let load = move |s: &mut crate::app::Scope<'_, '_>| {
            let phone = store::device::load(&mut s.rows, device_id)?;
            phone
                .ok_or_else(|| fault::UNAUTHENTICATED.fault())?
                .require_may_wait()?;
            challenge::pending(s, device_id)
        };
        self.shared.read("watch", now, load).await
    }

    /// The end of what was shown and waits no more.
    async fn ended(&mut self, waiting: &[Challenge]) -> Result<Vec<CompanionEvent>, Status> {
        let waits = |id: &ChallengeId| waiting.iter().any(|challenge| challenge.id == *id);
        let gone: Vec<ChallengeId> = self.shown.iter().copied().filter(|id| !waits(id)).collect();
        let mut events = Vec::new();
        for id in gone {
            self.shown.remove(&id);
            let (now, device_id) = (self.shared.now()?, self.device_id);
            let load = move |s: &mut crate::app::Scope<'_, '_>| {
                Ok(challenge::of_device(s, device_id, id)?.record.state)
            };
            let state = self.shared.read("watch", now, load).await?;
            events.push(ended(id, &state));
        }
        Ok(events)
    }
}

/// What still says `pending` has run out of time and was not moved yet.
fn ended(id: ChallengeId, state: &State) -> CompanionEvent {
    let state = match state {
        State::Pending => "expired",
        state => state.as_str(),
    };
    event(Event::Ended(ChallengeEnded {
        challenge_id: id.to_string(),
        state: state.to_owned(),
    }))
}

fn event(event: Event) -> CompanionEvent {
    CompanionEvent { event: Some(event) }
}
