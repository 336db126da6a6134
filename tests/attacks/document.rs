//! A phone lives as long as the identity document behind it (protocol.md section 5).

use paraphe_companion::DeviceState;
use paraphe_proto::v1::State;
use rand_core::OsRng;

use crate::hand::OPEN;
use crate::world::{PIN, Person, World, activate, code, passport, passport_until, purchase};

const DAY_S: i64 = 86_400;

/// The day that many days from now (UTC), as `YYMMDD`; and when it is over.
pub fn last_day(world: &World, days: i64) -> (String, i64) {
    let end = (world.now() / DAY_S + days + 1) * DAY_S;
    let day = time::OffsetDateTime::from_unix_timestamp(end - 1).unwrap().date();
    let yymmdd = format!(
        "{:02}{:02}{:02}",
        day.year() % 100,
        u8::from(day.month()),
        day.day()
    );
    (yymmdd, end)
}

/// Waits for what the daemon does once a second.
async fn until<T>(mut looked: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..100 {
        if let Some(seen) = looked().await {
            return seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it did not come about in 10 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_ends_with_the_document_and_what_waits_for_it_fails() {
    let mut world = World::with(OPEN).await;
    let (yymmdd, end) = last_day(&world, 1);
    let (name, issued) = world.issue_with(&yymmdd).await;
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    let person = Person { phone, name };
    let device = person.phone.device(&world.server).await.unwrap();
    assert_eq!(device.valid_until.unwrap().as_secs(), end);
    let market = world.market.clone();
    let subject = world.subject(&market, &person).await;

    world.pass(end - world.now() - 100);
    let asked = world.ask(&market, &subject).await;
    let shown = world.shown(&person.phone).await;
    world.pass(100);
    let late = person
        .phone
        .approve(&world.server, &shown, Some(&asked.match_code), PIN, &mut OsRng)
        .await;
    assert_eq!(late.err().unwrap().code(), "device.expired");
    let refused = person.phone.refuse(&world.server, &shown).await;
    assert_eq!(refused.err().unwrap().code(), "device.expired");
    let state = until(async || {
        let verdict = world.verdict(&market, &asked.challenge_id).await;
        (verdict.state() != State::Pending).then(|| verdict.state())
    })
    .await;
    assert_eq!(state, State::Failed);
    let device = person.phone.device(&world.server).await.unwrap();
    assert_eq!(device.state, DeviceState::Expired);
    let again = world.try_ask(&market, purchase(&subject)).await;
    assert_eq!(code(&again.unwrap_err()), "enrolment.required");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_document_a_new_one_enrols_the_same_person_again() {
    let mut world = World::with(OPEN).await;
    let (yymmdd, end) = last_day(&world, 1);
    let (name, issued) = world.issue_with(&yymmdd).await;
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    let market = world.market.clone();
    let old = Person {
        phone,
        name: name.clone(),
    };
    let subject = world.subject(&market, &old).await;
    world.pass(end - world.now());
    world.sign_in_again().await;
    until(async || {
        let device = old.phone.device(&world.server).await.unwrap();
        (device.state == DeviceState::Expired).then_some(())
    })
    .await;

    let case_id = world.verified("counter", &passport(&name)).await;
    let issued = world.issue_for(&case_id).await;
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, "renewed").await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    let renewed = Person { phone, name };
    assert_eq!(world.subject(&market, &renewed).await, subject);
    let asked = world.ask(&market, &subject).await;
    let shown = world.shown(&renewed.phone).await;
    renewed
        .phone
        .approve(&world.server, &shown, Some(&asked.match_code), PIN, &mut OsRng)
        .await
        .unwrap();
    assert_eq!(
        world.verdict(&market, &asked.challenge_id).await.state(),
        State::Approved
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_that_is_finished_after_the_documents_last_day_makes_no_phone() {
    let letters = format!("{OPEN}[channels.letter]\nquarantine_s = 0\n");
    let mut world = World::with(&letters).await;
    let (yymmdd, end) = last_day(&world, 1);
    let case_id = world.verified("letter", &passport_until("LATE", &yymmdd)).await;
    let issued = world.issue_for(&case_id).await;
    world.pass(end - world.now());
    let folder = world.daemon.path("phone-late");
    let keys = paraphe_companion::SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap();
    let invitation = paraphe_companion::Invitation::from_uri(&issued.uri).unwrap();
    let keys = std::sync::Arc::new(keys);
    let mut begun =
        paraphe_companion::Activation::begin(&folder, keys, invitation, &world.server, &mut OsRng)
            .await
            .unwrap();
    let finished = begun
        .finish(
            &world.server,
            PIN,
            paraphe_companion::Argon2Cost::LOWEST,
            &mut OsRng,
        )
        .await;
    assert_eq!(finished.err().unwrap().code(), "document.expired");
}
