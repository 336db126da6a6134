//! A person's hand on a phone: what they do about the challenge that it shows.
//!
//! Called by `confirmation`. Invariants: one blinded element is made for one typed PIN, and one approval for one evaluation;
//! trying again sends the same. Protocol: sections 4 and 6.

use std::time::Instant;

use paraphe_companion::Shown;
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::oprf;
use paraphe_proto::pin::Pin;
use paraphe_proto::statements::{Evaluation, RefusalDecision};
use paraphe_proto::v1::Outcome;

use super::calls::{Answered, Calls};
use super::journal::{Entry, Journal};
use super::phone::LoadPhone;
use super::tally::Step;
use crate::error::{Error, Result};
use crate::{edge, handset};

/// One phone, showing one challenge.
pub struct Hand<'a> {
    /// How calls are made.
    pub calls: &'a Calls,
    /// Where what is learned goes.
    pub journal: &'a Journal,
    /// The phone.
    pub phone: &'a LoadPhone,
    /// What it shows.
    pub shown: &'a Shown,
    /// The code of the page; empty where there is none.
    pub match_code: &'a str,
    /// Until when calls are tried.
    pub deadline: Instant,
}

impl Hand<'_> {
    /// Types the code and the PIN.
    ///
    /// # Errors
    /// What the daemon refuses; [`Error::WrongPin`].
    pub async fn approve(&self) -> Result<Answered<Outcome>> {
        let (key, evaluation) = self.unlock(&self.phone.pin).await?;
        let approval = self
            .phone
            .approval(self.shown, self.match_code, &key, &evaluation)?;
        let send = || self.phone.answer(self.shown.challenge_id(), &approval);
        let answered = self.calls.call(Some(Step::Answer), self.deadline, send).await?;
        self.note(&answered.reply);
        Ok(answered)
    }

    /// Mistypes the PIN.
    ///
    /// # Errors
    /// [`Error::Untrusted`] when the wrong PIN opens the key; what the daemon refuses.
    pub async fn mistype(&self) -> Result<()> {
        match self.unlock(&handset::mistyped(&self.phone.pin)).await {
            Err(Error::WrongPin { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::Untrusted {
                code: "load.wrong_pin",
                detail: "a wrong PIN opened the approval key".to_owned(),
            }),
        }
    }

    /// Says no, or "this is not me".
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn refuse(&self, decision: RefusalDecision) -> Result<Answered<Outcome>> {
        let refusal = self.phone.refusal(self.shown, decision)?;
        let send = || self.phone.refuse(self.shown.challenge_id(), &refusal);
        let answered = self.calls.call(Some(Step::Answer), self.deadline, send).await?;
        self.note(&answered.reply);
        Ok(answered)
    }

    async fn unlock(&self, pin: &str) -> Result<(SoftwareKey, Evaluation)> {
        let challenge_id = self.shown.challenge_id();
        let unusable = |code: &'static str, error: String| Error::invalid(code, format!("{error}."));
        let pin = Pin::enter(pin).map_err(|error| unusable(error.code(), error.to_string()))?;
        let blinded = oprf::blind(&pin, &mut edge::random());
        let (blind, element) = blinded.map_err(|error| unusable(error.code(), error.to_string()))?;
        let send = || self.phone.evaluate(challenge_id, &element);
        let answered = self.calls.call(Some(Step::Unlock), self.deadline, send).await?;
        let evaluation = self.phone.accept(&answered.reply, challenge_id, &element)?;
        self.journal.add(&Entry::Unlocked {
            challenge_id: &challenge_id.to_string(),
            device_id: &self.phone.device_id,
            evaluation: evaluation.evaluation,
            attempts_left: evaluation.attempts_left,
        });
        Ok((self.phone.unwrap(blind, &evaluation)?, evaluation))
    }

    fn note(&self, outcome: &Outcome) {
        self.journal.add(&Entry::answered(&self.phone.device_id, outcome));
    }
}
