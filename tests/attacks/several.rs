//! Several phones of one person, where the configuration allows them (protocol.md section 5).

use paraphe_companion::{DeviceState, FinalState};
use paraphe_proto::v1::{self, State};
use rand_core::OsRng;

use crate::hand::shown;
use crate::own_phone::{HANDED_OVER, handed_over};
use crate::suspension::{enrolled, state};
use crate::world::{PIN, Person, WRONG_PIN, World, activate, code, passport_until};

pub fn two() -> String {
    format!("{HANDED_OVER}[devices]\nper_person = 2\n")
}

async fn proofed(world: &World, name: &str) -> String {
    world.verified("counter", &passport_until(name, "350415")).await
}

async fn issue(
    world: &World,
    name: &str,
    (replaces, which): (bool, &str),
) -> Result<v1::IssueActivationResponse, tonic::Status> {
    let message = v1::IssueActivationRequest {
        case_id: proofed(world, name).await,
        replaces,
        replaced_device_id: which.to_owned(),
    };
    let issued = world
        .enrolment()
        .issue_activation(world.as_clerk(message))
        .await?;
    Ok(issued.into_inner())
}

/// A further phone of a person, active at once.
pub async fn another(world: &World, name: &str, label: &str, replacing: (bool, &str)) -> Person {
    let issued = issue(world, name, replacing).await.unwrap();
    world.sign(&issued).await.unwrap();
    let (phone, digits) = activate(&world.daemon, &world.server, &issued.uri, label).await;
    world.confirm(&issued.activation_id, &digits).await.unwrap();
    let name = name.to_owned();
    Person { phone, name }
}

/// The PIN is right on this phone, whatever is asked elsewhere.
pub async fn unlocked(world: &World, person: &Person) {
    person.phone.suspend(&world.server).await.unwrap();
    let id = person.phone.resume(&world.server).await.unwrap().to_string();
    let asked = shown(world, person, &id).await;
    let resumed = person
        .phone
        .approve(&world.server, &asked, None, PIN, &mut OsRng)
        .await;
    assert_eq!(resumed.unwrap().state, FinalState::Approved);
}

async fn waits(world: &World, person: &Person) -> usize {
    person.phone.fetch(&world.server).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_to_the_phone_whose_pin_was_right_last_and_to_one_alone() {
    let mut world = World::with(&two()).await;
    let (first, _) = enrolled(&mut world).await;
    world.pass(1);
    let second = another(&world, &first.name, "second", (false, "")).await;
    for phone in [&first, &second] {
        assert_eq!(state(&world, phone).await, DeviceState::Active);
    }
    let (market, subject) = (world.market.clone(), world.subject(&world.market, &first).await);
    let newest = world.ask(&market, &subject).await;
    assert_eq!(
        (waits(&world, &first).await, waits(&world, &second).await),
        (0, 1)
    );
    // A wrong PIN makes nobody the one to be asked, and costs this phone alone.
    world.pass(1);
    unlocked(&world, &first).await;
    let on_second = shown(&world, &second, &newest.challenge_id).await;
    let code_of_page = Some(newest.match_code.as_str());
    let wrong = second
        .phone
        .approve(&world.server, &on_second, code_of_page, WRONG_PIN, &mut OsRng)
        .await;
    assert!(wrong.is_err());
    assert_eq!(world.attempts_left(&second.phone).await, 4);
    assert_eq!(world.attempts_left(&first.phone).await, 5);
    // One transaction of a backend at a time, whichever phone it waits on.
    let charged = world
        .try_ask(&market, crate::world::purchase(&subject))
        .await
        .unwrap_err();
    assert_eq!(code(&charged), "challenge.charged");
    world.pass(61);
    let next = world.ask(&market, &subject).await;
    assert_eq!(
        (waits(&world, &first).await, waits(&world, &second).await),
        (1, 0)
    );
    assert_eq!(
        world.verdict(&market, &newest.challenge_id).await.state(),
        State::Superseded
    );
    // "Not me" on one of them ends it for the backend altogether.
    let asked = shown(&world, &first, &next.challenge_id).await;
    first.phone.report(&world.server, &asked).await.unwrap();
    let blocked = world.try_ask(&market, crate::world::purchase(&subject)).await;
    assert_eq!(code(&blocked.unwrap_err()), "subject.refuses");
    // Without the one that was asked last the other one is.
    let other = world.backend("other", true).await;
    let subject = world.subject(&other, &first).await;
    first.phone.suspend(&world.server).await.unwrap();
    world.ask(&other, &subject).await;
    assert_eq!(waits(&world, &second).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_phone_too_many_is_refused_and_a_replacement_says_of_which() {
    let mut world = World::with(&two()).await;
    let (first, _) = enrolled(&mut world).await;
    let (stranger, _) = enrolled(&mut world).await;
    let second = another(&world, &first.name, "second", (false, "")).await;
    let (first_id, second_id) = (first.phone.device_id(), second.phone.device_id());
    let strangers = stranger.phone.device_id().to_string();
    for (asked, expected) in [
        ((false, ""), "subject.too_many_phones"),
        ((true, ""), "replacement.ambiguous"),
        ((true, strangers.as_str()), "replacement.unknown"),
        ((true, "dev_nonsense"), "field.invalid"),
        ((false, strangers.as_str()), "field.invalid"),
    ] {
        let refused = issue(&world, &first.name, asked).await.unwrap_err();
        assert_eq!(code(&refused), expected, "{asked:?}");
        let names = refused.message().contains(&first_id.to_string())
            && refused.message().contains(&second_id.to_string());
        assert_eq!(names, expected != "field.invalid", "{}", refused.message());
    }
    let named = first_id.to_string();
    let third = another(&world, &first.name, "third", (true, &named)).await;
    assert_eq!(state(&world, &first).await, DeviceState::Replaced);
    for phone in [&second, &third] {
        assert_eq!(state(&world, phone).await, DeviceState::Active);
    }
    // An old phone hands over its own place and no other.
    let fourth = handed_over(&world, &third).await;
    let full = issue(&world, &first.name, (false, "")).await.unwrap_err();
    assert_eq!(code(&full), "subject.too_many_phones");
    assert!(!full.message().contains(&fourth.phone.device_id().to_string()));
    world.pass(3_601);
    for _ in 0..100 {
        if state(&world, &fourth).await == DeviceState::Active {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(state(&world, &third).await, DeviceState::Replaced);
    assert_eq!(state(&world, &second).await, DeviceState::Active);
    assert_eq!(state(&world, &fourth).await, DeviceState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_phone_is_seen_on_the_first_and_can_be_vetoed_until_it_counts() {
    let slow = two().replace(
        "[channels.counter]\nquarantine_s = 0",
        "[channels.counter]\nquarantine_s = 3600",
    );
    let mut world = World::with(&slow).await;
    let (first, _) = enrolled(&mut world).await;
    world.pass(3_601);
    world.sign_in_again().await;
    world
        .ask(&world.market, &world.subject(&world.market, &first).await)
        .await;
    let none = first.phone.veto(&world.server, None).await;
    assert_eq!(none.err().unwrap().code(), "device.no_replacement");
    let second = another(&world, &first.name, "second", (false, "")).await;
    let device = first.phone.device(&world.server).await.unwrap();
    assert!(device.added_at.is_some() && device.replaced_at.is_none());
    let itself = second.phone.device(&world.server).await.unwrap();
    assert_eq!((itself.added_at, itself.replaced_at), (None, None));
    let turned = second.phone.veto(&world.server, None).await;
    assert_eq!(turned.err().unwrap().code(), "device.not_active");
    assert_eq!(
        first.phone.veto(&world.server, None).await.unwrap(),
        DeviceState::Revoked
    );
    assert_eq!(state(&world, &second).await, DeviceState::Revoked);
    let third = another(&world, &first.name, "third", (false, "")).await;
    world.pass(3_601);
    assert_eq!(state(&world, &third).await, DeviceState::Active);
    let late = first.phone.veto(&world.server, None).await;
    assert_eq!(late.err().unwrap().code(), "device.no_replacement");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_other_phone_sees_and_vetoes_what_a_stolen_one_hands_over_to() {
    let mut world = World::with(&two()).await;
    let (stolen, _) = enrolled(&mut world).await;
    let own = another(&world, &stolen.name, "own", (false, "")).await;
    let thief = handed_over(&world, &stolen).await;
    let device = own.phone.device(&world.server).await.unwrap();
    assert!(device.added_at.is_some() && device.replaced_at.is_none());
    assert_eq!(
        own.phone.veto(&world.server, None).await.unwrap(),
        DeviceState::Revoked
    );
    assert_eq!(state(&world, &thief).await, DeviceState::Revoked);
    assert_eq!(state(&world, &stolen).await, DeviceState::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_phone_lifts_no_block_that_the_owner_set_on_another() {
    let mut world = World::with(&two()).await;
    let (first, _) = enrolled(&mut world).await;
    let (market, subject) = (world.market.clone(), world.subject(&world.market, &first).await);
    let strange = world.ask(&market, &subject).await;
    let asked = shown(&world, &first, &strange.challenge_id).await;
    first.phone.report(&world.server, &asked).await.unwrap();
    another(&world, &first.name, "second", (false, "")).await;
    let blocked = world.try_ask(&market, crate::world::purchase(&subject)).await;
    assert_eq!(code(&blocked.unwrap_err()), "subject.refuses");
}
