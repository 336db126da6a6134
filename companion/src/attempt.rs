//! One attempt at an approval, kept until it has an outcome.
//!
//! Called by `approve`. Invariants: an attempt that was interrupted goes on only with the same PIN and the same code, for the
//! same challenge; any verdict but a lost reply forgets it. It lives in memory only. The protocol: section 4, step 1.

use std::sync::Mutex;

use paraphe_proto::ids::ChallengeId;
use paraphe_proto::oprf::{self, BlindState, BlindedElement};
use paraphe_proto::pin::Pin;
use rand_core::{CryptoRng, RngCore};
use ring::hmac;
use zeroize::Zeroizing;

use crate::approve::Signed;
use crate::error::Error;
use crate::phone::lock;

/// An attempt that was charged, or may have been, and has no outcome yet.
pub(crate) struct Interrupted {
    challenge_id: ChallengeId,
    key: hmac::Key,
    fingerprint: hmac::Tag,
    stage: Stage,
}

enum Stage {
    Unlock {
        blind: BlindState,
        element: BlindedElement,
    },
    Answer {
        signed: Signed,
    },
}

impl Interrupted {
    fn new(
        challenge_id: ChallengeId,
        code: &str,
        pin: &str,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, Error> {
        let secret = Pin::enter(pin).map_err(|error| Error::invalid(error.code(), error.to_string()))?;
        let (blind, element) =
            oprf::blind(&secret, rng).map_err(|error| Error::invalid(error.code(), error.to_string()))?;
        let mut random = Zeroizing::new([0; 32]);
        rng.fill_bytes(random.as_mut_slice());
        let key = hmac::Key::new(hmac::HMAC_SHA256, random.as_slice());
        Ok(Self {
            challenge_id,
            fingerprint: hmac::sign(&key, typed(code, pin).as_bytes()),
            key,
            stage: Stage::Unlock { blind, element },
        })
    }

    /// Somebody else's PIN must not finish what the owner began.
    fn is_for(&self, challenge_id: ChallengeId, code: &str, pin: &str) -> bool {
        let typed = typed(code, pin);
        self.challenge_id == challenge_id
            && hmac::verify(&self.key, typed.as_bytes(), self.fingerprint.as_ref()).is_ok()
    }
}

fn typed(code: &str, pin: &str) -> Zeroizing<String> {
    let mut typed = Zeroizing::new(String::with_capacity(code.len() + pin.len() + 1));
    typed.push_str(code);
    typed.push('/');
    typed.push_str(pin);
    typed
}

/// The attempt under way. Dropped before its outcome, by an error or because the app gave the call up, it goes back into
/// the phone's slot.
pub(crate) struct Attempt<'p> {
    slot: &'p Mutex<Option<Interrupted>>,
    current: Option<Interrupted>,
}

impl<'p> Attempt<'p> {
    /// The attempt that was interrupted for the same challenge, code and PIN; otherwise a new one.
    pub(crate) fn take_up(
        slot: &'p Mutex<Option<Interrupted>>,
        challenge_id: ChallengeId,
        code: &str,
        pin: &str,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, Error> {
        let interrupted = lock(slot)
            .take()
            .filter(|interrupted| interrupted.is_for(challenge_id, code, pin));
        let current = match interrupted {
            Some(interrupted) => interrupted,
            None => Interrupted::new(challenge_id, code, pin, rng)?,
        };
        Ok(Self {
            slot,
            current: Some(current),
        })
    }

    /// The element to be evaluated; `None` when the approval is signed already.
    pub(crate) fn element(&self) -> Option<BlindedElement> {
        match &self.current.as_ref()?.stage {
            Stage::Unlock { element, .. } => Some(element.clone()),
            Stage::Answer { .. } => None,
        }
    }

    /// Uses the blinding up. A PIN that does not open the key leaves nothing to go on with.
    pub(crate) fn approve(
        &mut self,
        sign: impl FnOnce(BlindState) -> Result<Signed, Error>,
    ) -> Result<(), Error> {
        let Some(mut interrupted) = self.current.take() else {
            return Err(nothing_to_answer());
        };
        if let Stage::Unlock { blind, .. } = interrupted.stage {
            interrupted.stage = Stage::Answer { signed: sign(blind)? };
        }
        self.current = Some(interrupted);
        Ok(())
    }

    pub(crate) fn signed(&self) -> Result<Signed, Error> {
        match self.current.as_ref().map(|interrupted| &interrupted.stage) {
            Some(Stage::Answer { signed }) => Ok(signed.clone()),
            _ => Err(nothing_to_answer()),
        }
    }

    /// The outcome is known: nothing to go on with.
    pub(crate) fn finish(mut self) {
        self.current = None;
    }

    /// Forgets the attempt at any verdict but a lost reply.
    pub(crate) fn settle<T>(&mut self, verdict: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &verdict
            && !error.is_lost_reply()
        {
            self.current = None;
        }
        verdict
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(interrupted) = self.current.take() {
            *lock(self.slot) = Some(interrupted);
        }
    }
}

fn nothing_to_answer() -> Error {
    Error::invalid("challenge.not_unlocked", "type the PIN again")
}
