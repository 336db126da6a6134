//! Acts 4 and 6: four purchases. One is approved, one refused, one expires, one is approved after a wrong PIN.

use paraphe_proto::v1::check_request::Person;
use paraphe_proto::v1::{CheckRequest, Decision, PivotIdentity, State, Verdict, WatchRequest};
use tonic::Streaming;

use super::handset::{Events, Handset};
use super::marketplace::{ACTION, Course, Marketplace};
use super::opening::House;
use super::stage::{Stage, ensure};
use crate::error::{Error, Result};
use crate::words::{count, decision_name, state_name};

const LIFETIME_S: u32 = 60;
const SHORT_LIFETIME_S: u32 = 2;

const WELDING: Course = Course {
    title: "TIG welding, level 2",
    provider: "GRETA Lyon Métropole",
    price_cents: 149_900,
    session: "2027-01-11",
    reference: "CM-2026-004217",
};
const TRUCK: Course = Course {
    title: "Truck driving licence",
    price_cents: 285_000,
    reference: "CM-2026-004218",
    ..WELDING
};
const ENGLISH: Course = Course {
    title: "English for logistics",
    price_cents: 96_000,
    reference: "CM-2026-004219",
    ..WELDING
};
const FORKLIFT: Course = Course {
    title: "Forklift, categories 1 and 3",
    price_cents: 62_500,
    reference: "CM-2026-004220",
    ..WELDING
};

/// One purchase and how it ended.
pub struct Purchase {
    /// What was to be bought.
    pub course: Course,
    /// The challenge.
    pub challenge_id: String,
    /// Its final state.
    pub state: State,
}

/// The first purchase, approved.
pub struct Bought {
    /// The purchase.
    pub purchase: Purchase,
    /// Who bought, as the marketplace knows them.
    pub subject: String,
    /// The assertion as the marketplace's watch delivered it.
    pub assertion: String,
    /// The verdict's cursor.
    pub cursor: String,
}

/// What came after the first purchase.
pub struct Others {
    /// All purchases but the first, in order.
    pub purchases: Vec<Purchase>,
    /// The marketplace's watch, still open.
    pub verdicts: Verdicts,
    /// The phone's stream, still open.
    pub events: Events,
}

/// The marketplace's open watch.
pub struct Verdicts {
    stream: Streaming<Verdict>,
}

impl Verdicts {
    /// Opens the watch after `cursor`; empty for verdicts from now on.
    ///
    /// # Errors
    /// What the daemon refuses.
    pub async fn open(house: &House, marketplace: &Marketplace, cursor: &str) -> Result<Self> {
        let request = WatchRequest {
            cursor: cursor.to_owned(),
        };
        Ok(Verdicts {
            stream: marketplace
                .step_up(&house.connection)
                .watch(request)
                .await?
                .into_inner(),
        })
    }

    /// The next verdict.
    ///
    /// # Errors
    /// When the stream ends.
    pub async fn next(&mut self) -> Result<Verdict> {
        let verdict = self.stream.message().await?;
        verdict.ok_or_else(|| Error::Unreachable("The marketplace's watch ended.".to_owned()))
    }

    /// The next verdict, which must be about this challenge and have this state.
    async fn expect(&mut self, challenge_id: &str, state: State) -> Result<Verdict> {
        let verdict = self.next().await?;
        ensure(
            verdict.challenge_id == challenge_id && verdict.state() == state,
            || {
                format!(
                    "the verdict is {} on {}, not {} on {challenge_id}.",
                    state_name(verdict.state()),
                    verdict.challenge_id,
                    state_name(state)
                )
            },
        )?;
        Ok(verdict)
    }
}

/// Act 4: the purchase that succeeds.
///
/// # Errors
/// When anything is not as it should be.
pub async fn approve(
    stage: &Stage,
    house: &House,
    marketplace: &Marketplace,
    person: &Handset,
) -> Result<Bought> {
    stage.act("Act 4: a course is bought")?;
    let subject = check(stage, house, marketplace).await?;
    let mut verdicts = Verdicts::open(house, marketplace, "").await?;
    let mut events = person.watch(&house.phones).await?;

    stage.step("ask for a confirmation")?;
    let asked = marketplace
        .request(&house.connection, &subject, &WELDING, LIFETIME_S)
        .await?;
    stage.fact("challenge", &*asked.challenge_id)?;
    stage.picture(&WELDING.page(&asked.match_code))?;

    stage.step("show the signed document on the phone")?;
    let shown = events.next(&asked.challenge_id).await?;
    stage.picture(&person.screen(&shown))?;
    let rows = &shown.document().rows;
    for text in [WELDING.title, WELDING.provider, WELDING.reference] {
        ensure(rows.iter().any(|row| row.value.contains(text)), || {
            format!("the document does not show “{text}”.")
        })?;
    }
    stage.good("signed by the daemon for this phone; nothing else is shown")?;

    stage.step("approve with the page's code and the PIN")?;
    let receipt = person.approve(&house.phones, &shown, &asked.match_code).await?;
    stage.good(&format!(
        "approved; {} left",
        count(receipt.attempts_left, "attempt")
    ))?;

    stage.step("deliver the assertion to the marketplace")?;
    let verdict = verdicts.expect(&asked.challenge_id, State::Approved).await?;
    ensure(!verdict.assertion.is_empty(), || {
        "the verdict carries no assertion.".to_owned()
    })?;
    stage.fact(
        "verdict",
        format!(
            "{}, order {}",
            state_name(verdict.state()),
            verdict.idempotency_key
        ),
    )?;
    let purchase = Purchase {
        course: WELDING,
        challenge_id: asked.challenge_id,
        state: State::Approved,
    };
    Ok(Bought {
        purchase,
        subject,
        assertion: verdict.assertion,
        cursor: verdict.cursor,
    })
}

/// Whether the action needs a step-up; the marketplace names the person by identity and gets a subject of its own.
async fn check(stage: &Stage, house: &House, marketplace: &Marketplace) -> Result<String> {
    stage.step("check whether the purchase needs a confirmation")?;
    let identity = PivotIdentity {
        family_name: "Eriksson".to_owned(),
        given_names: "Anna Maria".to_owned(),
        birth_date: "1974-08-12".to_owned(),
        birthplace: String::new(),
    };
    let request = CheckRequest {
        person: Some(Person::Identity(identity)),
        action: ACTION.to_owned(),
        session_acr: "eidas1".to_owned(),
    };
    let reply = marketplace
        .step_up(&house.connection)
        .check(request)
        .await?
        .into_inner();
    ensure(reply.decision() == Decision::StepUpRequired, || {
        format!("the decision is {}.", decision_name(reply.decision()))
    })?;
    stage.fact("decision", "a confirmation is required")?;
    stage.fact("subject", &*reply.subject)?;
    Ok(reply.subject)
}

/// Act 6: the purchases that end otherwise.
///
/// # Errors
/// When anything is not as it should be.
pub async fn others(
    stage: &Stage,
    house: &House,
    marketplace: &Marketplace,
    person: &Handset,
    bought: &Bought,
) -> Result<Others> {
    stage.act("Act 6: three more purchases")?;
    let mut scene = Scene {
        stage,
        house,
        marketplace,
        person,
        subject: &bought.subject,
        verdicts: Verdicts::open(house, marketplace, &bought.cursor).await?,
        events: person.watch(&house.phones).await?,
    };
    let refused = scene.refuse().await?;
    let expired = scene.expire().await?;
    let mistyped = scene.mistype().await?;
    Ok(Others {
        purchases: vec![refused, expired, mistyped],
        verdicts: scene.verdicts,
        events: scene.events,
    })
}

struct Scene<'a> {
    stage: &'a Stage,
    house: &'a House,
    marketplace: &'a Marketplace,
    person: &'a Handset,
    subject: &'a str,
    verdicts: Verdicts,
    events: Events,
}

impl Scene<'_> {
    async fn refuse(&mut self) -> Result<Purchase> {
        self.stage.step("refuse a second purchase")?;
        let asked = self
            .marketplace
            .request(&self.house.connection, self.subject, &TRUCK, LIFETIME_S)
            .await?;
        let shown = self.events.next(&asked.challenge_id).await?;
        self.stage.picture(&self.person.screen(&shown))?;
        self.stage
            .say("Anna Maria does not want this. Refusing needs no PIN.")?;
        self.person.refuse(&self.house.phones, &shown).await?;
        self.verdict(TRUCK, asked.challenge_id, State::Denied).await
    }

    async fn expire(&mut self) -> Result<Purchase> {
        self.stage.step("let a third purchase expire")?;
        let asked = self
            .marketplace
            .request(&self.house.connection, self.subject, &ENGLISH, SHORT_LIFETIME_S)
            .await?;
        self.events.next(&asked.challenge_id).await?;
        self.stage.say(&format!(
            "{}, {}: nobody looks at the phone for {SHORT_LIFETIME_S} s.",
            ENGLISH.title,
            ENGLISH.price()
        ))?;
        self.verdict(ENGLISH, asked.challenge_id, State::Expired).await
    }

    async fn mistype(&mut self) -> Result<Purchase> {
        self.stage.step("type a wrong PIN once, then the right one")?;
        let server = &self.house.phones;
        let before = self.person.attempts_left(server).await?;
        let asked = self
            .marketplace
            .request(&self.house.connection, self.subject, &FORKLIFT, LIFETIME_S)
            .await?;
        let shown = self.events.next(&asked.challenge_id).await?;
        self.stage.picture(&self.person.screen(&shown))?;
        let left = self.person.mistype(server, &shown, &asked.match_code).await?;
        ensure(left + 1 == before, || {
            format!("{left} attempts are left after a wrong PIN, {before} before.")
        })?;
        self.stage.say(&format!(
            "the phone says: wrong PIN, {} left",
            count(left, "attempt")
        ))?;
        let receipt = self.person.approve(server, &shown, &asked.match_code).await?;
        ensure(receipt.attempts_left == before, || {
            format!(
                "{} attempts are left after the right PIN, {before} before.",
                receipt.attempts_left
            )
        })?;
        self.stage
            .good(&format!("approved; all {} given back", count(before, "attempt")))?;
        self.verdict(FORKLIFT, asked.challenge_id, State::Approved).await
    }

    /// The marketplace gets exactly this verdict.
    async fn verdict(&mut self, course: Course, challenge_id: String, state: State) -> Result<Purchase> {
        let verdict = self.verdicts.expect(&challenge_id, state).await?;
        ensure(verdict.assertion.is_empty() == (state != State::Approved), || {
            "only an approval has an assertion.".to_owned()
        })?;
        self.stage.fact("verdict", state_name(state))?;
        Ok(Purchase {
            course,
            challenge_id,
            state,
        })
    }
}
