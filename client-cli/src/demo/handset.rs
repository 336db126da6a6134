//! Phones of the story: a person's phone with the PIN in their head.
//!
//! Callers: every act with a phone. A PIN is drawn for each person and never printed.

use std::path::PathBuf;
use std::sync::Arc;

use paraphe_companion::{
    Activation, Argon2Cost, Event, FinalState, Invitation, Phone, Receipt, Server, Shown,
};
use paraphe_proto::v1::HistoryEntry;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::stage::ensure;
use crate::error::{Error, Result};
use crate::{edge, handset};

/// Events that may wait until the story looks at them.
const EVENTS: usize = 16;

/// Somebody's phone.
pub struct Handset {
    title: &'static str,
    phone: Arc<Phone>,
    pin: Zeroizing<String>,
}

/// What the phone shows at the end of its activation.
pub struct SixDigits {
    /// The digits.
    pub six_digits: String,
    /// Whether somebody must type them.
    pub confirmation_required: bool,
}

impl Handset {
    /// Activates a new phone by the content of a QR code; its owner chooses a PIN that keeps the daemon's rules.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn activate(
        directory: PathBuf,
        title: &'static str,
        uri: &str,
        server: &Server,
    ) -> Result<(Self, SixDigits)> {
        let keystore = handset::keystore(&directory)?;
        let mut rng = edge::random();
        let mut activation =
            Activation::begin(&directory, keystore, Invitation::from_uri(uri)?, server, &mut rng).await?;
        let pin = handset::choose_pin(&activation)?;
        let activated = activation
            .finish(server, &pin, Argon2Cost::DEFAULT, &mut rng)
            .await?;
        let digits = SixDigits {
            six_digits: activated.sas.to_string(),
            confirmation_required: activated.confirmation_required,
        };
        Ok((
            Handset {
                title,
                phone: Arc::new(activated.phone),
                pin,
            },
            digits,
        ))
    }

    /// `dev_…`
    pub fn device_id(&self) -> String {
        self.phone.device_id().to_string()
    }

    /// The screen with a challenge on it.
    pub fn screen(&self, shown: &Shown) -> String {
        handset::screen(self.title, shown)
    }

    /// The screen with the six digits on it.
    pub fn screen_with_digits(&self, digits: &str) -> String {
        handset::digits_screen(self.title, digits)
    }

    /// Opens the app: a stream of what waits and what comes. It runs on until it is dropped.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn watch(&self, server: &Server) -> Result<Events> {
        let (sender, receiver) = mpsc::channel(EVENTS);
        let (phone, server) = (Arc::clone(&self.phone), server.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = forward(&phone, &server, &sender).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        let mut events = Events { receiver, task };
        // The stream is open once the daemon has sent what was pending.
        match events.receive().await? {
            Event::CaughtUp => Ok(events),
            other => Err(Error::other(
                "demo.unexpected",
                format!("the phone's stream begins with {other:?}."),
            )),
        }
    }

    /// One pending challenge, fetched without a stream.
    ///
    /// # Errors
    /// When it is not pending or does not verify.
    pub async fn fetch(&self, server: &Server, challenge_id: &str) -> Result<Shown> {
        for pending in self.phone.fetch(server).await? {
            let shown = pending.challenge?;
            if shown.challenge_id().to_string() == challenge_id {
                return Ok(shown);
            }
        }
        Err(Error::NotFound(format!(
            "{challenge_id} does not wait on the phone."
        )))
    }

    /// The owner types the page's code and the PIN; the challenge must end as approved.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn approve(&self, server: &Server, shown: &Shown, match_code: &str) -> Result<Receipt> {
        let code = shown.match_digits().map(|_| match_code);
        let receipt = self
            .phone
            .approve(server, shown, code, &self.pin, &mut edge::random())
            .await?;
        ensure(receipt.state == FinalState::Approved, || {
            format!("the challenge ended as {}.", receipt.state)
        })?;
        Ok(receipt)
    }

    /// The owner mistypes the PIN; the attempts left.
    ///
    /// # Errors
    /// When the wrong PIN is taken for the right one, and what the daemon refuses.
    pub async fn mistype(&self, server: &Server, shown: &Shown, match_code: &str) -> Result<u32> {
        let code = shown.match_digits().map(|_| match_code);
        let answer = self
            .phone
            .approve(
                server,
                shown,
                code,
                &handset::mistyped(&self.pin),
                &mut edge::random(),
            )
            .await;
        match answer {
            Err(paraphe_companion::Error::WrongPin { attempts_left, .. }) => Ok(attempts_left),
            Err(other) => Err(other.into()),
            Ok(_) => Err(Error::other("demo.unexpected", "a wrong PIN approved.")),
        }
    }

    /// The owner says no.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn refuse(&self, server: &Server, shown: &Shown) -> Result<Receipt> {
        let receipt = self.phone.refuse(server, shown).await?;
        ensure(receipt.state == FinalState::Denied, || {
            format!("the challenge ended as {}.", receipt.state)
        })?;
        Ok(receipt)
    }

    /// PIN attempts left, as the daemon counts them.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn attempts_left(&self, server: &Server) -> Result<u32> {
        Ok(self.phone.device(server).await?.attempts_left)
    }

    /// The history, newest first.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn history(&self, server: &Server) -> Result<Vec<HistoryEntry>> {
        Ok(self.phone.history(server, None, 0).await?.entries)
    }
}

/// The open stream of a phone.
pub struct Events {
    receiver: mpsc::Receiver<std::result::Result<Event, paraphe_companion::Error>>,
    task: JoinHandle<()>,
}

impl Events {
    /// The next challenge, which must be this one. What ended meanwhile is passed over.
    ///
    /// # Errors
    /// When another one comes, it does not verify, or the stream ends.
    pub async fn next(&mut self, challenge_id: &str) -> Result<Shown> {
        loop {
            if let Event::Pending(pending) = self.receive().await? {
                let shown = pending.challenge?;
                let id = shown.challenge_id().to_string();
                ensure(id == challenge_id, || {
                    format!("the phone was sent {id}, not {challenge_id}.")
                })?;
                return Ok(shown);
            }
        }
    }

    /// Whether the stream ends, in order or with the connection; what still comes before is passed over.
    pub async fn ended(&mut self) -> bool {
        while let Some(Ok(_)) = self.receiver.recv().await {}
        true
    }

    async fn receive(&mut self) -> Result<Event> {
        match self.receiver.recv().await {
            Some(event) => Ok(event?),
            None => Err(Error::Unreachable("The phone's stream ended.".to_owned())),
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Sender = mpsc::Sender<std::result::Result<Event, paraphe_companion::Error>>;

async fn forward(
    phone: &Phone,
    server: &Server,
    sender: &Sender,
) -> std::result::Result<(), paraphe_companion::Error> {
    let mut watch = phone.watch(server).await?;
    while let Some(event) = watch.next().await? {
        if sender.send(Ok(event)).await.is_err() {
            break;
        }
    }
    Ok(())
}
