//! One person, their phone, and the page of the backend before them: asks, answers, and goes on after a lost reply with the same
//! key, the same element and the same statement. Survives every crash of the daemon. What it checks afterwards is in `recall`.

use paraphe_companion::{Error, Phone, Receipt, Shown};
use paraphe_proto::v1;
use rand_core::OsRng;

use super::book::{Asked, Book, name};
use super::dice::Dice;
use super::link::{Link, Trouble};
use crate::world::{PIN, WRONG_PIN, purchase};

/// Wrong PINs that one phone bears, so that the rolling budget of 20 is never come near.
const WRONG_PINS: u32 = 12;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Approve,
    WrongPinFirst,
    WrongCode,
    Deny,
    Cancel,
    /// A newer one supersedes it, or its seconds are over.
    Leave,
}

/// One request under way.
struct Work {
    plan: Plan,
    backend: usize,
    message: v1::RequestRequest,
    /// Under one key, at the same time.
    asks_twice: bool,
    reply: Option<v1::RequestResponse>,
    shown: Option<Shown>,
    /// The PIN whose blinded element may have been charged.
    typed: Option<&'static str>,
    wrong_pin_done: bool,
}

/// How many PIN attempts may be left, by what the phone was told and what is under way.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    pub least: u32,
    pub most: u32,
}

/// A decision that the phone was told, with the statement that it sent.
pub struct Answered {
    pub backend: usize,
    pub receipt: Receipt,
}

pub struct Client {
    pub number: usize,
    pub phone: Phone,
    pub attempts: Attempts,
    /// What was asked since the daemon's last start.
    pub asked: Vec<(usize, v1::RequestRequest)>,
    /// Challenges left alone.
    pub left: Vec<(usize, String)>,
    pub answered: Option<Answered>,
    /// Their name at each backend.
    pub subjects: Vec<String>,
    dice: Dice,
    work: Option<Work>,
    wrong_pins: u32,
}

impl Client {
    pub fn new(number: usize, phone: Phone, subjects: Vec<String>, dice: Dice) -> Self {
        Self {
            number,
            phone,
            attempts: Attempts { least: 5, most: 5 },
            asked: Vec::new(),
            left: Vec::new(),
            answered: None,
            subjects,
            dice,
            work: None,
            wrong_pins: 0,
        }
    }

    /// One request from asking to its end, or what is left to do of the last one. May be dropped at any await: what was done is kept.
    pub async fn confirm(&mut self, link: &Link, book: &Book) -> Result<(), Trouble> {
        if self.work.is_none() {
            self.work = Some(self.plan());
        }
        self.finish(link, book).await
    }

    /// What is under way, to its end.
    pub async fn finish(&mut self, link: &Link, book: &Book) -> Result<(), Trouble> {
        let done = self.advance(link, book).await;
        if !matches!(done, Err(Trouble::Lost(_))) {
            self.work = None;
        }
        done
    }

    /// The daemon says how many attempts are left, now that it is back. An element that was sent may still have to be charged.
    pub fn attempts_are(&mut self, left: u32) -> Result<(), Trouble> {
        self.attempts.are(left)?;
        let sent = self.work.as_ref().is_some_and(|work| work.typed.is_some());
        self.attempts.least = left.saturating_sub(u32::from(sent));
        Ok(())
    }

    fn plan(&mut self) -> Work {
        let backend = self.dice.index(self.subjects.len());
        let plan = match self.dice.below(100) {
            0..45 => Plan::Approve,
            45..60 if self.wrong_pins < WRONG_PINS => Plan::WrongPinFirst,
            60..70 => Plan::WrongCode,
            70..82 => Plan::Deny,
            82..90 => Plan::Cancel,
            90..100 => Plan::Leave,
            _ => Plan::Approve,
        };
        self.wrong_pins += u32::from(plan == Plan::WrongPinFirst);
        let mut message = purchase(&self.subjects[backend]);
        if plan == Plan::Leave {
            message.lifetime_s = u32::try_from(self.dice.between(1, 3)).unwrap();
        }
        self.asked.push((backend, message.clone()));
        Work {
            plan,
            backend,
            message,
            asks_twice: self.dice.chance(20),
            reply: None,
            shown: None,
            typed: None,
            wrong_pin_done: false,
        }
    }

    async fn advance(&mut self, link: &Link, book: &Book) -> Result<(), Trouble> {
        let Some(work) = &mut self.work else { return Ok(()) };
        let id = match &work.reply {
            Some(reply) => reply.challenge_id.clone(),
            None => ask(work, self.number, link, book).await?,
        };
        match work.plan {
            Plan::Leave => self.left.push((work.backend, id)),
            Plan::Cancel => {
                let verdict = link.cancel(work.backend, &id).await?;
                book.told(&id, &name(verdict.state), verdict.decided_at, "a Cancel");
                expect("cancelled", &name(verdict.state), &id)?;
            }
            plan => {
                if work.shown.is_none() {
                    work.shown = Some(shown(&self.phone, link, &id).await?);
                }
                let backend = work.backend;
                let receipt = answer(work, &self.phone, &mut self.attempts, link).await?;
                let (state, at) = (receipt.state.as_str(), receipt.decided_at.as_secs());
                book.told(&id, state, at, "an answer");
                let wanted = match plan {
                    Plan::Deny => "denied",
                    Plan::WrongCode => "failed",
                    _ => "approved",
                };
                expect(wanted, state, &id)?;
                self.answered = Some(Answered { backend, receipt });
            }
        }
        Ok(())
    }
}

fn expect(wanted: &str, state: &str, id: &str) -> Result<(), Trouble> {
    if state == wanted {
        return Ok(());
    }
    Err(Trouble::Wrong(format!("{id} should be {wanted} and is {state}")))
}

async fn ask(work: &mut Work, client: usize, link: &Link, book: &Book) -> Result<String, Trouble> {
    let (backend, key) = (work.backend, &work.message.idempotency_key);
    let request = || link.request(backend, work.message.clone());
    let reply = if work.asks_twice {
        let (reply, other) = tokio::try_join!(request(), request())?;
        note(book, backend, client, key, &other);
        reply
    } else {
        request().await?
    };
    note(book, backend, client, key, &reply);
    let id = reply.challenge_id.clone();
    work.reply = Some(reply);
    Ok(id)
}

/// Enters a reply to Request in the book.
pub fn note(book: &Book, backend: usize, client: usize, key: &str, reply: &v1::RequestResponse) {
    let asked = Asked {
        backend,
        client,
        key: key.to_owned(),
        code: reply.match_code.clone(),
        expires_at: reply.expires_at,
    };
    book.requested(&reply.challenge_id, asked);
}

async fn shown(phone: &Phone, link: &Link, id: &str) -> Result<Shown, Trouble> {
    for pending in phone.fetch(&link.server).await? {
        let shown = pending.challenge?;
        if shown.challenge_id().to_string() == id {
            return Ok(shown);
        }
    }
    Err(Trouble::Wrong(format!("{id} does not wait for its phone")))
}

async fn answer(
    work: &mut Work,
    phone: &Phone,
    attempts: &mut Attempts,
    link: &Link,
) -> Result<Receipt, Trouble> {
    if work.plan == Plan::Deny {
        let shown = work.shown.as_ref().unwrap();
        return Ok(phone.refuse(&link.server, shown).await?);
    }
    let code = work.reply.as_ref().unwrap().match_code.clone();
    if work.plan == Plan::WrongPinFirst && !work.wrong_pin_done {
        match approve(work, phone, attempts, link, &code, WRONG_PIN).await? {
            Ok(receipt) => return Err(Trouble::Wrong(format!("a wrong PIN approved: {receipt:?}"))),
            Err(()) => work.wrong_pin_done = true,
        }
    }
    let typed = match work.plan {
        Plan::WrongCode => wrong(&code),
        _ => code,
    };
    approve(work, phone, attempts, link, &typed, PIN)
        .await?
        .map_err(|()| Trouble::Wrong("the right PIN did not open the key".to_owned()))
}

fn wrong(code: &str) -> String {
    let other = if code.starts_with('1') { "2" } else { "1" };
    format!("{other}{}", &code[1..])
}

/// The receipt, or that the PIN was wrong.
async fn approve(
    work: &mut Work,
    phone: &Phone,
    attempts: &mut Attempts,
    link: &Link,
    code: &str,
    pin: &'static str,
) -> Result<Result<Receipt, ()>, Trouble> {
    if work.typed != Some(pin) {
        attempts.least = attempts.least.saturating_sub(1);
        work.typed = Some(pin);
    }
    if pin == PIN {
        attempts.most = 5;
    }
    let shown = work.shown.as_ref().unwrap();
    let done = phone
        .approve(&link.server, shown, Some(code), pin, &mut OsRng)
        .await;
    match done {
        Ok(receipt) => {
            attempts.are(receipt.attempts_left)?;
            Ok(Ok(receipt))
        }
        Err(Error::WrongPin { attempts_left, .. }) => {
            work.typed = None;
            attempts.are(attempts_left)?;
            Ok(Err(()))
        }
        Err(error) => Err(error.into()),
    }
}

impl Attempts {
    /// The daemon says how many are left.
    pub fn are(&mut self, left: u32) -> Result<(), Trouble> {
        let before = *self;
        (self.least, self.most) = (left, left);
        if (before.least..=before.most).contains(&left) {
            return Ok(());
        }
        Err(Trouble::Wrong(format!(
            "{left} PIN attempts are left where {before:?} were possible"
        )))
    }
}
