//! What waits for the person: once, or live.
//!
//! Called by the app: [`Phone::fetch`] after a push or at start, [`Phone::watch`] while it is open. Invariant: only verified
//! challenges come out; one that is not does not hide the others. When a stream ends the app calls `watch` again, after
//! [`backoff_s`]. The protocol: section 6, step 3.

use paraphe_proto::ids::ChallengeId;
use paraphe_proto::v1::companion_event::Event as Wire;
use paraphe_proto::v1::{ChallengeEnded, CompanionEvent, FetchBody, PendingChallenge, WatchBody};
use rand_core::{CryptoRng, RngCore};
use tonic::Streaming;

use crate::challenge::Shown;
use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::outcome::{FinalState, malformed};
use crate::phone::Phone;
use crate::request::method;

/// A challenge that waits for an answer.
#[derive(Debug)]
pub struct Pending {
    /// What to show; or why it must not be shown, for the app's log.
    pub challenge: Result<Shown, Error>,
    /// Too many requests lately: list it in the app, do not ring.
    pub quiet: bool,
}

/// What a stream brings.
#[derive(Debug)]
pub enum Event {
    /// A challenge waits for an answer.
    Pending(Pending),
    /// A challenge needs no answer any more.
    Ended {
        /// The challenge.
        challenge_id: ChallengeId,
        /// How it ended.
        state: FinalState,
    },
    /// Everything that was pending has come; from here on it is live.
    CaughtUp,
}

/// A live stream of events. Dropping it closes it.
pub struct Watch<'a> {
    phone: &'a Phone,
    server: &'a Server,
    stream: Streaming<CompanionEvent>,
}

impl Phone {
    /// The pending challenges, once.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn fetch(&self, server: &Server) -> Result<Vec<Pending>, Error> {
        self.refresh_keys(server).await?;
        let request = self
            .ready(server)
            .await?
            .prove_fresh(server, method::FETCH, &FetchBody {})
            .await?;
        let reply = server.client().fetch(with_deadline(request)).await?;
        let mut pending = Vec::new();
        for challenge in reply.into_inner().challenges {
            pending.push(self.pending(server, challenge).await);
        }
        Ok(pending)
    }

    /// Opens the live stream: what is pending first, then [`Event::CaughtUp`], then what comes.
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`].
    pub async fn watch<'a>(&'a self, server: &'a Server) -> Result<Watch<'a>, Error> {
        self.refresh_keys(server).await?;
        let request = self
            .ready(server)
            .await?
            .prove_fresh(server, method::WATCH, &WatchBody {})
            .await?;
        let stream = server.client().watch(request).await?.into_inner();
        Ok(Watch {
            phone: self,
            server,
            stream,
        })
    }

    async fn pending(&self, server: &Server, pending: PendingChallenge) -> Pending {
        Pending {
            challenge: self.verify_with_newest_keys(server, &pending.challenge).await,
            quiet: pending.quiet,
        }
    }
}

impl Watch<'_> {
    /// Waits for the next event; `None` when the daemon closed the stream in order.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when the connection broke or the daemon stops; what the daemon refuses, such as a device
    /// that was revoked meanwhile. The stream is over then.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let Some(event) = self.stream.message().await? else {
                return Ok(None);
            };
            match event.event {
                Some(Wire::Pending(pending)) => {
                    let pending = self.phone.pending(self.server, pending).await;
                    return Ok(Some(Event::Pending(pending)));
                }
                Some(Wire::Ended(ended)) => return ended_event(&ended).map(Some),
                Some(Wire::CaughtUp(_)) => return Ok(Some(Event::CaughtUp)),
                // An event of a newer daemon: nothing this phone could do about it.
                None => {}
            }
        }
    }
}

fn ended_event(ended: &ChallengeEnded) -> Result<Event, Error> {
    let challenge_id = ended
        .challenge_id
        .parse()
        .map_err(|_| malformed("the ended challenge has no id".to_owned()))?;
    let state = ended.state.parse()?;
    Ok(Event::Ended { challenge_id, state })
}

/// Seconds to wait before the stream is opened again after `failures` failures in a row: 1, 2, 4 … 64 s, of which the
/// upper half is drawn, so that a country's phones do not return in the same second.
#[must_use]
pub fn backoff_s(failures: u32, rng: &mut (impl CryptoRng + RngCore)) -> u64 {
    let longest = 1_u64 << failures.min(6);
    let half = longest / 2;
    longest - u64::from(rng.next_u32()) % (half + 1)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    #[expect(clippy::disallowed_types, reason = "a test is an edge")]
    use rand_core::OsRng;

    use super::*;

    #[test]
    fn the_wait_grows_to_a_limit_and_is_spread() {
        for (failures, longest) in [(0, 1), (1, 2), (3, 8), (6, 64), (4_000_000_000, 64)] {
            let waits: Vec<u64> = (0..200).map(|_| backoff_s(failures, &mut OsRng)).collect();
            assert!(
                waits
                    .iter()
                    .all(|wait| (longest.max(2) / 2..=longest).contains(wait)),
                "{waits:?}"
            );
        }
        let waits: std::collections::BTreeSet<u64> = (0..200).map(|_| backoff_s(6, &mut OsRng)).collect();
        assert!(waits.len() > 10);
    }

    #[test]
    fn an_end_without_a_known_state_is_refused() {
        let ended = |challenge_id: &str, state: &str| {
            ended_event(&ChallengeEnded {
                challenge_id: challenge_id.to_owned(),
                state: state.to_owned(),
            })
        };
        let id = ChallengeId::random(&mut OsRng).to_string();
        assert!(matches!(
            ended(&id, "expired"),
            Ok(Event::Ended {
                state: FinalState::Expired,
                ..
            })
        ));
        assert_eq!(ended(&id, "gone").unwrap_err().code(), "reply.malformed");
        assert_eq!(ended("chl_x", "expired").unwrap_err().code(), "reply.malformed");
    }
}
