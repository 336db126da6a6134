//! A phone is stopped by whoever holds it or has its code; nothing but its PIN lets it go on (protocol.md section 5).

use paraphe_companion::{DeviceState, FinalState};
use paraphe_proto::v1::{self, Role, State};
use rand_core::OsRng;
use tonic_types::StatusExt;

use crate::hand::OPEN;
use crate::world::{Clerk, PIN, Person, WRONG_PIN, World, activate, code, purchase};

const SUSPEND: &str = "/paraphe.v1.Enrolment/SuspendDevice";
const REVOKE: &str = "/paraphe.v1.Enrolment/RevokeDevice";

/// A person with the code that they keep on paper.
pub async fn enrolled(world: &mut World) -> (Person, String) {
    let (name, issued) = world.issue().await;
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    (Person { phone, name }, issued.suspension_code)
}

fn identity(name: &str) -> v1::PivotIdentity {
    v1::PivotIdentity {
        family_name: name.to_owned(),
        given_names: "ANNA".into(),
        birth_date: "1974-08-12".into(),
        birthplace: String::new(),
    }
}

pub async fn suspend(world: &World, by: &Clerk, name: &str, code: &str) -> Result<String, tonic::Status> {
    let message = v1::SuspendDeviceRequest {
        identity: Some(identity(name)),
        suspension_code: code.to_owned(),
    };
    let request = world.as_session(&by.session, SUSPEND, message);
    let suspended = world.enrolment().suspend_device(request).await?;
    Ok(suspended.into_inner().state)
}

/// What support types when a person calls with their code.
pub async fn suspend_by_code(world: &World, name: &str, paper: &str) -> String {
    let agent = world.operator("agent", &[Role::Support]).await;
    suspend(world, &agent, name, paper).await.unwrap()
}

pub async fn revoke(world: &World, by: &Clerk, name: &str, reason: &str) -> Result<u32, tonic::Status> {
    let message = v1::RevokeDeviceRequest {
        identity: Some(identity(name)),
        reason: reason.to_owned(),
    };
    let request = world.as_session(&by.session, REVOKE, message);
    let revoked = world.enrolment().revoke_device(request).await?;
    Ok(revoked.into_inner().revoked)
}

pub async fn state(world: &World, person: &Person) -> DeviceState {
    person.phone.device(&world.server).await.unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_phone_answers_nothing_until_its_pin_lets_it_go_on() {
    let mut world = World::with(OPEN).await;
    let (person, _) = enrolled(&mut world).await;
    let (market, subject) = (world.market.clone(), world.subject(&world.market, &person).await);
    let asked = world.ask(&market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let now = person.phone.suspend(&world.server).await.unwrap();
    assert_eq!(now, DeviceState::Suspended);
    assert_eq!(
        world.verdict(&market, &asked.challenge_id).await.state(),
        State::Failed
    );
    let code_of_page = Some(asked.match_code.as_str());
    let late = person
        .phone
        .approve(&world.server, &shown, code_of_page, PIN, &mut OsRng)
        .await;
    assert_eq!(late.err().unwrap().code(), "device.suspended");
    let again = person.phone.suspend(&world.server).await;
    assert_eq!(again.err().unwrap().code(), "device.suspended");
    let refused = world.try_ask(&market, purchase(&subject)).await;
    assert_eq!(code(&refused.unwrap_err()), "enrolment.required");
    let history = person.phone.history(&world.server, None, 10).await;
    assert_eq!(history.err().unwrap().code(), "device.suspended");
    let lift = person.phone.lift(&world.server, None).await;
    assert_eq!(lift.err().unwrap().code(), "device.suspended");

    person.phone.resume(&world.server).await.unwrap();
    let shown = world.shown(&person.phone).await;
    let wrong = person
        .phone
        .approve(&world.server, &shown, None, WRONG_PIN, &mut OsRng)
        .await;
    assert!(wrong.is_err());
    assert_eq!(state(&world, &person).await, DeviceState::Suspended);
    let receipt = person
        .phone
        .approve(&world.server, &shown, None, PIN, &mut OsRng)
        .await
        .unwrap();
    assert_eq!(receipt.state, FinalState::Approved);
    assert_eq!(state(&world, &person).await, DeviceState::Active);
    assert_eq!(world.attempts_left(&person.phone).await, 5);
    let idle = person.phone.resume(&world.server).await;
    assert_eq!(idle.err().unwrap().code(), "device.not_suspended");
    world.ask(&market, &subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_to_resume_leaves_the_phone_suspended_and_wrong_pins_lock_it() {
    let mut world = World::with(OPEN).await;
    let (person, _) = enrolled(&mut world).await;
    person.phone.suspend(&world.server).await.unwrap();
    person.phone.resume(&world.server).await.unwrap();
    let shown = world.shown(&person.phone).await;
    person.phone.refuse(&world.server, &shown).await.unwrap();
    assert_eq!(state(&world, &person).await, DeviceState::Suspended);
    for wait_s in [0, 0, 0, 61, 901] {
        world.pass(wait_s);
        person.phone.resume(&world.server).await.unwrap();
        let mut waiting = person.phone.fetch(&world.server).await.unwrap();
        let shown = waiting.pop().unwrap().challenge.unwrap();
        let wrong = person
            .phone
            .approve(&world.server, &shown, None, WRONG_PIN, &mut OsRng)
            .await;
        assert!(wrong.is_err());
        world.pass(301);
    }
    assert_eq!(state(&world, &person).await, DeviceState::Locked);
    let refused = person.phone.resume(&world.server).await;
    assert_eq!(refused.err().unwrap().code(), "device.locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_on_paper_suspends_by_telephone_and_support_never_resumes() {
    let mut world = World::with(OPEN).await;
    let (person, paper) = enrolled(&mut world).await;
    let (other, others) = enrolled(&mut world).await;
    let agent = world.operator("agent", &[Role::Support]).await;
    for (name, code_told) in [
        (person.name.as_str(), others.as_str()),
        ("NOBODY", paper.as_str()),
        (person.name.as_str(), "00000-00000"),
    ] {
        let refused = suspend(&world, &agent, name, code_told).await.unwrap_err();
        assert_eq!(code(&refused), "suspension.refused", "{name}");
    }
    assert_eq!(state(&world, &person).await, DeviceState::Active);
    let spaced = paper.replace('-', " ");
    assert_eq!(
        suspend(&world, &agent, &person.name, &spaced).await.unwrap(),
        "suspended"
    );
    assert_eq!(
        suspend(&world, &agent, &person.name, &paper).await.unwrap(),
        "suspended"
    );
    assert_eq!(state(&world, &person).await, DeviceState::Suspended);
    assert_eq!(state(&world, &other).await, DeviceState::Active);
    let forbidden = revoke(&world, &agent, &person.name, "asked").await.unwrap_err();
    assert_eq!(code(&forbidden), "caller.forbidden");
    let entries = world.audit().await;
    let suspended: Vec<_> = entries
        .iter()
        .filter(|entry| entry.verb == "suspend_device" && entry.outcome == "suspension_code")
        .collect();
    assert_eq!(suspended.len(), 1);
    assert_eq!(suspended[0].actor, agent.id);
    let refused = entries
        .iter()
        .filter(|entry| entry.verb == "suspend_device" && entry.outcome == "suspension.refused");
    assert_eq!(refused.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_ends_a_phone_with_a_reason_and_its_holder_without() {
    let mut world = World::with(OPEN).await;
    let (person, paper) = enrolled(&mut world).await;
    let (other, _) = enrolled(&mut world).await;
    let boss = world.operator("boss", &[Role::Supervisor]).await;
    for reason in ["", "line\nbreak", &"x".repeat(201)] {
        let refused = revoke(&world, &boss, &person.name, reason).await.unwrap_err();
        let details = refused.get_details_bad_request().unwrap();
        assert_eq!(details.field_violations[0].field, "reason");
    }
    assert_eq!(
        code(&revoke(&world, &boss, "NOBODY", "r").await.unwrap_err()),
        "subject.no_phone"
    );
    person.phone.suspend(&world.server).await.unwrap();
    assert_eq!(
        revoke(&world, &boss, &person.name, "stolen, reported")
            .await
            .unwrap(),
        1
    );
    assert_eq!(state(&world, &person).await, DeviceState::Revoked);
    let refused = person.phone.resume(&world.server).await;
    assert_eq!(refused.err().unwrap().code(), "device.revoked");
    let gone = suspend(&world, &boss, &person.name, &paper).await.unwrap_err();
    assert_eq!(code(&gone), "suspension.refused");
    assert_eq!(
        other.phone.revoke(&world.server).await.unwrap(),
        DeviceState::Revoked
    );
    let twice = other.phone.revoke(&world.server).await;
    assert_eq!(twice.err().unwrap().code(), "device.revoked");
    // What was handed out for another phone ends too, also where there is no phone.
    let case_id = world
        .verified("counter", &crate::world::passport(&person.name))
        .await;
    let issued = world.issue_for(&case_id).await;
    assert_eq!(revoke(&world, &boss, &person.name, "again").await.unwrap(), 0);
    let get = v1::GetActivationRequest {
        activation_id: issued.activation_id,
    };
    let ended = world
        .enrolment()
        .get_activation(world.as_clerk(get))
        .await
        .unwrap();
    assert_eq!(ended.into_inner().state, "revoked");
    let entries = world.audit().await;
    let why = entries.iter().filter(|entry| entry.verb == "revoke_device");
    let why: Vec<_> = why.map(|entry| entry.outcome.as_str()).collect();
    assert!(
        why.contains(&"reason: stolen, reported") && why.contains(&"own_phone"),
        "{why:?}"
    );
}
