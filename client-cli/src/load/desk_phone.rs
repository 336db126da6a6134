//! The clerk's own phone, as far as an enrolment needs it.
//!
//! Called by `enrol`. Invariant: what it signs it has verified, and its PIN has approved, like every approval.

use std::path::Path;

use paraphe_companion::{Phone, Server};
use paraphe_proto::v1::IssueActivationResponse;
use tokio::sync::{Mutex, MutexGuard};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::{edge, files, handset};

/// The clerk's phone, with its PIN.
pub struct DeskPhone(Mutex<Held>);

/// The phone in the clerk's hand: one enrolment at a time.
pub struct Held {
    phone: Phone,
    pin: Zeroizing<String>,
}

/// A challenge on the clerk's phone, and the code that the desk shows for it.
struct Asked<'a> {
    challenge_id: &'a str,
    match_code: &'a str,
}

impl DeskPhone {
    /// The activated phone in `directory`, with the PIN in a file.
    ///
    /// # Errors
    /// When there is none, or a file cannot be read.
    pub fn open(directory: &Path, pin_file: &Path) -> Result<Self> {
        Ok(DeskPhone(Mutex::new(Held {
            phone: handset::open(directory)?,
            pin: files::read_value(pin_file).map_err(|error| error.of_option("--pin-file"))?,
        })))
    }

    /// Takes the phone up until the enrolment at hand is signed.
    pub async fn take(&self) -> MutexGuard<'_, Held> {
        self.0.lock().await
    }
}

impl Held {
    /// Does the clerk's part of an enrolment, before the person's phone can activate.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn stand_for(&self, server: &Server, issued: &IssueActivationResponse) -> Result<()> {
        match asked(issued) {
            Some(asked) => self.approve(server, &asked).await,
            None => Ok(()),
        }
    }

    async fn approve(&self, server: &Server, asked: &Asked<'_>) -> Result<()> {
        for pending in self.phone.fetch(server).await? {
            let shown = pending.challenge?;
            if shown.challenge_id().to_string() == asked.challenge_id {
                let code = shown.match_digits().map(|_| asked.match_code);
                self.phone
                    .approve(server, &shown, code, &self.pin, &mut edge::random())
                    .await?;
                return Ok(());
            }
        }
        Err(Error::NotFound(format!(
            "{} does not wait on the clerk's phone.",
            asked.challenge_id
        )))
    }
}

/// What the clerk's phone is asked to sign; a daemon that asks for nothing names no challenge.
fn asked(issued: &IssueActivationResponse) -> Option<Asked<'_>> {
    (!issued.challenge_id.is_empty()).then_some(Asked {
        challenge_id: &issued.challenge_id,
        match_code: &issued.match_code,
    })
}
