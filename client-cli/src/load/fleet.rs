//! The phones of a load: which are free, and in which order they are asked.
//!
//! Called by `run` and `pace`. Invariants: a phone is used by one confirmation at a time; the one that has rested longest
//! comes next, so that every person is asked equally often; a phone whose confirmation failed is not asked again.

use std::sync::Arc;
use std::time::Instant;

use paraphe_companion::Shown;
use paraphe_proto::ids::ChallengeId;
use tokio::sync::mpsc;

use super::patience::Patience;
use super::phone::LoadPhone;
use super::stream::{self, Arrival, Inbox};
use super::tasks;
use crate::error::{Error, Result};

/// Streams that are being opened at the same time.
const OPENING: usize = 16;

/// A phone that is free, or in the hands of one confirmation.
pub struct Slot {
    /// The phone.
    pub phone: Arc<LoadPhone>,
    /// Its owner's subject at each backend, in the order of the backends.
    pub subjects: Vec<String>,
    /// PIN attempts that the daemon said were left, after the last answer; `None` before it was asked.
    pub attempts_left: Option<u32>,
    inbox: Option<Inbox>,
    home: mpsc::UnboundedSender<Slot>,
}

/// The free phones.
pub struct Fleet {
    free: mpsc::UnboundedReceiver<Slot>,
}

impl Fleet {
    /// All phones, free, each with its stream open where `watching`.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn assemble(
        phones: Vec<(Arc<LoadPhone>, Vec<String>)>,
        watching: bool,
        patience: Patience,
    ) -> Result<Self> {
        let (home, free) = mpsc::unbounded_channel();
        let slots = phones.into_iter().map(|(phone, subjects)| {
            let home = home.clone();
            async move {
                let inbox = match watching {
                    true => Some(stream::open(Arc::clone(&phone), patience).await?),
                    false => None,
                };
                Ok(Slot {
                    phone,
                    subjects,
                    attempts_left: None,
                    inbox,
                    home,
                })
            }
        });
        tasks::each(OPENING, slots, |slot: Slot| {
            slot.free();
            Ok(())
        })
        .await?;
        Ok(Fleet { free })
    }

    /// The next free phone; `None` when every phone has failed.
    pub async fn next(&mut self) -> Option<Slot> {
        self.free.recv().await
    }
}

/// Attempts that a phone keeps: below, its owner mistypes no more, because the daemon locks a phone for twenty wrong PINs in
/// thirty days.
const ATTEMPTS_KEPT: u32 = 3;

impl Slot {
    /// Gives the phone back.
    pub fn free(self) {
        let home = self.home.clone();
        let _ended = home.send(self);
    }

    /// Whether its owner may mistype the PIN.
    pub fn may_mistype(&self) -> bool {
        self.attempts_left.is_some_and(|left| left > ATTEMPTS_KEPT)
    }

    /// Whether challenges come by themselves.
    pub fn is_watching(&self) -> bool {
        self.inbox.is_some()
    }

    /// The challenge with this id off the stream, verified, and when it came.
    ///
    /// # Errors
    /// [`Error::Untrusted`]; [`Error::Unreachable`] when the stream is over; [`Error::Other`] `load.not_delivered` at the
    /// deadline.
    pub async fn receive(
        &mut self,
        challenge_id: ChallengeId,
        deadline: Instant,
    ) -> Result<(Shown, Instant)> {
        let missing = not_delivered(&self.phone, challenge_id);
        let arrival = tokio::time::timeout_at(deadline.into(), self.arrival(challenge_id));
        arrival.await.unwrap_or(Err(missing))
    }

    async fn arrival(&mut self, challenge_id: ChallengeId) -> Result<(Shown, Instant)> {
        if let Some(inbox) = &mut self.inbox {
            while let Some(arrival) = inbox.recv().await {
                match arrival {
                    Arrival::Broken(error) => return Err(error),
                    Arrival::Pending { challenge, at } => {
                        let shown = self.phone.verify(&challenge)?;
                        if shown.challenge_id() == challenge_id {
                            return Ok((shown, at));
                        }
                    }
                }
            }
        }
        Err(Error::Unreachable("The phone's stream is over.".to_owned()))
    }

    /// The challenge with this id among those that wait, verified, and when it came.
    ///
    /// # Errors
    /// [`Error::Untrusted`]; [`Error::Other`] `load.not_delivered`; what the daemon refuses.
    pub async fn fetch(&self, challenge_id: ChallengeId) -> Result<(Shown, Instant)> {
        let challenges = self.phone.fetch().await?;
        let at = Instant::now();
        for challenge in challenges {
            let shown = self.phone.verify(&challenge)?;
            if shown.challenge_id() == challenge_id {
                return Ok((shown, at));
            }
        }
        Err(not_delivered(&self.phone, challenge_id))
    }
}

fn not_delivered(phone: &LoadPhone, challenge_id: ChallengeId) -> Error {
    Error::other(
        "load.not_delivered",
        format!("{challenge_id} did not reach {}.", phone.name),
    )
}
