//! A new proofing puts a new phone in the place of the old one, which may veto it until then (protocol.md section 5).

use paraphe_companion::{DeviceState, FinalState};
use paraphe_proto::v1::{self, State};
use rand_core::OsRng;

use crate::hand::OPEN;
use crate::suspension::{enrolled, state};
use crate::world::{PIN, Person, World, activate, code, passport_of, passport_until};

/// A case of the same person, verified again.
async fn proofed_again(world: &World, person: &Person) -> String {
    world
        .verified("counter", &passport_until(&person.name, "350415"))
        .await
}

pub async fn replacing(world: &World, case_id: &str) -> Result<v1::IssueActivationResponse, tonic::Status> {
    let message = v1::IssueActivationRequest {
        case_id: case_id.to_owned(),
        replaces: true,
        ..Default::default()
    };
    let issued = world
        .enrolment()
        .issue_activation(world.as_clerk(message))
        .await?;
    Ok(issued.into_inner())
}

/// Counter phones wait for an hour here.
pub const QUARANTINED: &str = "[profile]\ndemonstration = true\n[step_up]\nmin_lifetime_s = 1\nrequests_per_10_min = 1000\n\
    [channels.counter]\nquarantine_s = 3600\n[channels.letter]\nquarantine_s = 0\n";

pub async fn replaced_in_an_hour(world: &mut World) -> (Person, Person) {
    let (old, _) = enrolled(world).await;
    world.pass(3_601);
    world.sign_in_again().await;
    until(world, &old, DeviceState::Active).await;
    let case_id = proofed_again(world, &old).await;
    let plain = world.try_issue(&case_id).await.unwrap_err();
    assert_eq!(code(&plain), "subject.already_enrolled");
    let issued = replacing(world, &case_id).await.unwrap();
    world.sign(&issued).await.unwrap();
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, "new").await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    let name = old.name.clone();
    (old, Person { phone, name })
}

pub async fn until(world: &World, person: &Person, expected: DeviceState) {
    for _ in 0..100 {
        if state(world, person).await == expected {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it is {} after 10 s", state(world, person).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_takes_the_place_of_the_old_one_when_its_quarantine_is_over() {
    let mut world = World::with(QUARANTINED).await;
    let (old, new) = replaced_in_an_hour(&mut world).await;
    assert_eq!(state(&world, &new).await, DeviceState::Quarantined);
    let device = old.phone.device(&world.server).await.unwrap();
    assert!(device.replaced_at.is_some());
    let (market, subject) = (world.market.clone(), world.subject(&world.market, &old).await);
    let asked = world.ask(&market, &subject).await;
    let shown = world.shown(&old.phone).await;
    let code_of_page = Some(asked.match_code.as_str());
    let approved = old
        .phone
        .approve(&world.server, &shown, code_of_page, PIN, &mut OsRng)
        .await;
    assert_eq!(approved.unwrap().state, FinalState::Approved);
    let veto = new.phone.veto(&world.server, None).await;
    assert_eq!(veto.err().unwrap().code(), "device.not_active");

    let waiting = world.ask(&market, &subject).await;
    world.pass(3_601);
    until(&world, &new, DeviceState::Active).await;
    assert_eq!(state(&world, &old).await, DeviceState::Replaced);
    let ended = world.verdict(&market, &waiting.challenge_id).await;
    assert!(matches!(ended.state(), State::Failed | State::Expired));
    let late = old.phone.veto(&world.server, None).await;
    assert_eq!(late.err().unwrap().code(), "device.replaced");
    let asked = world.ask(&market, &subject).await;
    let shown = world.shown(&new.phone).await;
    let code_of_page = Some(asked.match_code.as_str());
    let approved = new
        .phone
        .approve(&world.server, &shown, code_of_page, PIN, &mut OsRng)
        .await;
    assert_eq!(approved.unwrap().state, FinalState::Approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_phone_vetoes_a_new_one_and_goes_on() {
    let mut world = World::with(QUARANTINED).await;
    let (old, new) = replaced_in_an_hour(&mut world).await;
    assert_eq!(
        old.phone.veto(&world.server, None).await.unwrap(),
        DeviceState::Revoked
    );
    assert_eq!(state(&world, &new).await, DeviceState::Revoked);
    let device = old.phone.device(&world.server).await.unwrap();
    assert_eq!((device.state, device.replaced_at), (DeviceState::Active, None));
    let twice = old.phone.veto(&world.server, None).await;
    assert_eq!(twice.err().unwrap().code(), "device.no_replacement");
    world.pass(3_601);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(state(&world, &old).await, DeviceState::Active);
    assert_eq!(state(&world, &new).await, DeviceState::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_with_the_suspended_old_phone_cannot_veto_the_owners_new_one() {
    let mut world = World::with(QUARANTINED).await;
    let (old, new) = replaced_in_an_hour(&mut world).await;
    old.phone.suspend(&world.server).await.unwrap();
    let veto = old.phone.veto(&world.server, None).await;
    assert_eq!(veto.err().unwrap().code(), "device.suspended");
    world.pass(3_601);
    until(&world, &new, DeviceState::Active).await;
    assert_eq!(state(&world, &old).await, DeviceState::Replaced);
    let resume = old.phone.resume(&world.server).await;
    assert_eq!(resume.err().unwrap().code(), "device.replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_that_suspends_itself_does_not_hide_from_the_veto() {
    let mut world = World::with(QUARANTINED).await;
    let (old, new) = replaced_in_an_hour(&mut world).await;
    new.phone.suspend(&world.server).await.unwrap();
    let device = old.phone.device(&world.server).await.unwrap();
    assert!(device.replaced_at.is_some());
    assert_eq!(
        old.phone.veto(&world.server, None).await.unwrap(),
        DeviceState::Revoked
    );
    let resume = new.phone.resume(&world.server).await;
    assert_eq!(resume.err().unwrap().code(), "device.revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_sees_and_lifts_nothing_while_the_old_one_may_veto() {
    let mut world = World::with(QUARANTINED).await;
    let (old, _) = enrolled(&mut world).await;
    world.pass(3_601);
    world.sign_in_again().await;
    until(&world, &old, DeviceState::Active).await;
    let (market, subject) = (world.market.clone(), world.subject(&world.market, &old).await);
    world.ask(&market, &subject).await;
    let shown = world.shown(&old.phone).await;
    old.phone.report(&world.server, &shown).await.unwrap();
    let case_id = proofed_again(&world, &old).await;
    let issued = replacing(&world, &case_id).await.unwrap();
    world.sign(&issued).await.unwrap();
    let (new, sas) = activate(&world.daemon, &world.server, &issued.uri, "new").await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    let history = new.history(&world.server, None, 10).await;
    assert_eq!(history.err().unwrap().code(), "device.not_active");
    assert!(new.device(&world.server).await.unwrap().blocked.is_empty());
    assert_eq!(old.phone.device(&world.server).await.unwrap().blocked.len(), 1);
    world.pass(3_601);
    let new = Person {
        phone: new,
        name: old.name.clone(),
    };
    until(&world, &new, DeviceState::Active).await;
    assert!(new.phone.device(&world.server).await.unwrap().blocked.is_empty());
    assert!(new.phone.history(&world.server, None, 10).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_phone_that_ends_in_the_same_moment_stops_nobody_elses_time() {
    let mut world = World::with(QUARANTINED).await;
    let tomorrow = time::OffsetDateTime::from_unix_timestamp(world.now() + 86_400).unwrap();
    let date = tomorrow.date();
    let yymmdd = format!(
        "{:02}{:02}{:02}",
        date.year() % 100,
        u8::from(date.month()),
        date.day()
    );
    let (name, issued) = world.issue_with(&yymmdd).await;
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    let old = Person { phone, name };
    world.pass(3_601);
    world.sign_in_again().await;
    until(&world, &old, DeviceState::Active).await;
    // Until the store knows it too: what is due next is the document of the old one.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let case_id = proofed_again(&world, &old).await;
    let issued = replacing(&world, &case_id).await.unwrap();
    world.sign(&issued).await.unwrap();
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, "new").await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    let new = Person {
        phone,
        name: old.name.clone(),
    };
    assert_eq!(world.daemon.stop(), 0);
    world.pass(3 * 86_400);
    world.start_again().await;
    until(&world, &new, DeviceState::Active).await;
    until(&world, &old, DeviceState::Replaced).await;
    world.sign_in_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_document_alone_makes_nobody_another_person() {
    let mut world = World::with(OPEN).await;
    let (person, _) = enrolled(&mut world).await;
    let renewed = passport_of(&person.name, "M123456C7", "360101");
    let record = |birthplace: &str, previous: &str, another: bool| v1::RecordEvidenceRequest {
        mrz: renewed.clone(),
        checks: vec![1, 2],
        accepted: true,
        birthplace: birthplace.to_owned(),
        previous_document: previous.to_owned(),
        another_person: another,
        ..Default::default()
    };
    for (birthplace, previous, expected) in [
        ("", "", "subject.ambiguous"),
        ("75056", "", "subject.ambiguous"),
        ("", "UTO X999", "subject.no_such_document"),
        ("", "uto", "field.invalid"),
    ] {
        let case_id = world.open("counter").await;
        let message = v1::RecordEvidenceRequest {
            case_id,
            ..record(birthplace, previous, false)
        };
        let refused = world.enrolment().record_evidence(world.as_clerk(message)).await;
        assert_eq!(code(&refused.unwrap_err()), expected, "{birthplace} {previous}");
    }
    let case_id = world.open("counter").await;
    let message = v1::RecordEvidenceRequest {
        case_id: case_id.clone(),
        ..record("75056", "UTO L898902C3", false)
    };
    world
        .enrolment()
        .record_evidence(world.as_clerk(message))
        .await
        .unwrap();
    let plain = world.try_issue(&case_id).await.unwrap_err();
    assert_eq!(code(&plain), "subject.already_enrolled", "it is the same person");
    let issued = replacing(&world, &case_id).await.unwrap();
    world.sign(&issued).await.unwrap();
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, "renewed").await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    assert_eq!(state(&world, &person).await, DeviceState::Replaced);
    assert_eq!(
        phone.device(&world.server).await.unwrap().state,
        DeviceState::Active
    );
    // From now on the birthplace is known, and the new document.
    let case_id = world.open("counter").await;
    let message = v1::RecordEvidenceRequest {
        case_id: case_id.clone(),
        ..record("", "", false)
    };
    world
        .enrolment()
        .record_evidence(world.as_clerk(message))
        .await
        .unwrap();
    let other = v1::RecordEvidenceRequest {
        case_id: world.open("counter").await,
        mrz: passport_of(&person.name, "N765432C1", "360101"),
        ..record("69123", "", false)
    };
    world
        .enrolment()
        .record_evidence(world.as_clerk(other))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weaker_channel_replaces_nothing() {
    let mut world = World::with(QUARANTINED).await;
    let (old, _) = enrolled(&mut world).await;
    let letter = passport_until(&old.name, "350415");
    let case_id = world.verified("letter", &letter).await;
    let refused = replacing(&world, &case_id).await.unwrap_err();
    assert_eq!(code(&refused), "replacement.level");
    assert_eq!(state(&world, &old).await, DeviceState::Quarantined);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_still_in_quarantine_makes_room_at_once() {
    let mut world = World::with(QUARANTINED).await;
    let (first, _) = enrolled(&mut world).await;
    let case_id = proofed_again(&world, &first).await;
    let issued = replacing(&world, &case_id).await.unwrap();
    world.sign(&issued).await.unwrap();
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, "second").await;
    assert_eq!(state(&world, &first).await, DeviceState::Quarantined);
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    assert_eq!(state(&world, &first).await, DeviceState::Replaced);
    let second = phone.device(&world.server).await.unwrap();
    assert_eq!(second.state, DeviceState::Quarantined);
}
