//! What a client checks once the daemon is back: that it remembers what it said to this client.

use paraphe_companion::{DeviceState, protocol};
use paraphe_proto::v1;

use super::book::{Book, name};
use super::client::{Client, note};
use super::link::{Link, Trouble};

/// Keys that are used once more after each crash.
const REPEATED_KEYS: usize = 4;

impl Client {
    /// The attempts, the last answer, the keys; then ends what is under way.
    pub async fn recall(&mut self, link: &Link, book: &Book) -> Result<(), Trouble> {
        let device = self.phone.device(&link.server).await?;
        if device.state != DeviceState::Active {
            return Err(Trouble::Wrong(format!("an active phone is {}", device.state)));
        }
        self.attempts_are(device.attempts_left)?;
        self.answer_again(link).await?;
        self.look_up(link, book).await?;
        self.finish(link, book).await?;
        self.ask_again(link, book).await?;
        self.withdraw(link, book).await
    }

    /// Replays the last answer: the same outcome, and nothing happens twice.
    async fn answer_again(&mut self, link: &Link) -> Result<(), Trouble> {
        let Some(answered) = &self.answered else {
            return Ok(());
        };
        let receipt = &answered.receipt;
        let (prover, id) = (self.phone.prover()?, receipt.challenge_id);
        let outcome = match receipt.state.as_str() {
            "denied" => protocol::send_refusal(&link.server, &prover, id, &receipt.answer).await?,
            _ => protocol::send_approval(&link.server, &prover, id, &receipt.answer).await?,
        };
        let same = outcome.state == receipt.state.as_str()
            && outcome.decided_at == receipt.decided_at.as_secs()
            && (self.attempts.least..=self.attempts.most).contains(&outcome.attempts_left);
        if same {
            return Ok(());
        }
        Err(Trouble::Wrong(format!(
            "the answer to {id} had the outcome {receipt:?}, and has {outcome:?}"
        )))
    }

    /// The backend's view of the last answer.
    async fn look_up(&self, link: &Link, book: &Book) -> Result<(), Trouble> {
        let Some(answered) = &self.answered else {
            return Ok(());
        };
        let id = answered.receipt.challenge_id.to_string();
        let verdict = link.get(answered.backend, &id).await?;
        book.told(&id, &name(verdict.state), verdict.decided_at, "a Get");
        book.assertion(&id, &verdict.assertion);
        Ok(())
    }

    /// Uses keys again that were used before the crash.
    async fn ask_again(&mut self, link: &Link, book: &Book) -> Result<(), Trouble> {
        let first = self.asked.len().saturating_sub(REPEATED_KEYS);
        while self.asked.len() > first {
            let (backend, message) = self.asked.last().unwrap().clone();
            let reply = link.request(backend, message.clone()).await?;
            note(book, backend, self.number, &message.idempotency_key, &reply);
            self.asked.pop();
        }
        self.asked.clear();
        Ok(())
    }

    /// Cancels what was left alone and has not ended by itself.
    async fn withdraw(&mut self, link: &Link, book: &Book) -> Result<(), Trouble> {
        while let Some((backend, id)) = self.left.last().cloned() {
            match link.cancel(backend, &id).await {
                Ok(verdict) => book.told(&id, &name(verdict.state), verdict.decided_at, "a Cancel"),
                // A Get moves what is overdue to its end.
                Err(status) if has_ended(&status) => {
                    let verdict = link.get(backend, &id).await?;
                    book.told(&id, &name(verdict.state), verdict.decided_at, "a Get");
                }
                Err(status) => return Err(status.into()),
            }
            self.left.pop();
        }
        Ok(())
    }

    /// The whole history of this person, newest first.
    pub async fn history(&self, link: &Link) -> Result<Vec<v1::HistoryEntry>, Trouble> {
        let (mut all, mut page) = (Vec::new(), None);
        loop {
            let got = self.phone.history(&link.server, page.as_deref(), 100).await?;
            all.extend(got.entries);
            page = got.next;
            if page.is_none() {
                return Ok(all);
            }
        }
    }
}

fn has_ended(status: &tonic::Status) -> bool {
    ["challenge.superseded", "challenge.expired"].contains(&crate::world::code(status).as_str())
}
