//! What happened to a person's phones stands in their history, with who and why, and nobody else reads it (protocol.md section 5).

use paraphe_companion::{DeviceState, Phone};
use paraphe_proto::v1::{DeviceEventsBody, Role};
use rand_core::OsRng;

use crate::change_pin::{NEW, change};
use crate::hand::{OPEN, ask, code_of, guess};
use crate::replacement::{QUARANTINED, replaced_in_an_hour, until};
use crate::suspension::{enrolled, revoke, state, suspend};
use crate::world::{PIN, Person, World, activate, code, passport_until};

/// Phone, event, who, why; oldest first.
type Told = Vec<(String, String, String, String)>;

async fn told(world: &World, phone: &Phone) -> Told {
    let page = phone.device_events(&world.server, None, 100).await.unwrap();
    assert!(page.next.is_none());
    let events = page.events.into_iter().rev();
    events
        .map(|event| (event.device_id, event.event, event.who, event.why))
        .collect()
}

/// Once so many are told: what time does is written once a second.
async fn told_all(world: &World, phone: &Phone, count: usize) -> Told {
    for _ in 0..100 {
        let seen = told(world, phone).await;
        if seen.len() >= count {
            assert_eq!(seen.len(), count, "{seen:?}");
            return seen;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("{:?} after 10 s", told(world, phone).await);
}

fn of(phone: &Phone, events: &[(&str, &str, &str)]) -> Told {
    let id = phone.device_id().to_string();
    let own =
        |(event, who, why): &(&str, &str, &str)| (id.clone(), (*event).into(), (*who).into(), (*why).into());
    events.iter().map(own).collect()
}

const ENROLLED: (&str, &str, &str) = ("enrolled", "own_phone", "counter");
const CONFIRMED: (&str, &str, &str) = ("confirmed", "clerk", "six_digits");

pub async fn go_on(world: &World, person: &Person) {
    person.phone.resume(&world.server).await.unwrap();
    let shown = world.shown(&person.phone).await;
    let approved = person
        .phone
        .approve(&world.server, &shown, None, PIN, &mut OsRng)
        .await;
    approved.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transition_is_in_the_history_with_who_and_why() {
    let mut world = World::with(OPEN).await;
    let (person, paper) = enrolled(&mut world).await;
    let (agent, boss) = (
        world.operator("agent", &[Role::Support]).await,
        world.operator("boss", &[Role::Supervisor]).await,
    );
    person.phone.suspend(&world.server).await.unwrap();
    go_on(&world, &person).await;
    suspend(&world, &agent, &person.name, &paper).await.unwrap();
    go_on(&world, &person).await;
    change(&world, &person, PIN, NEW).await.unwrap();
    let mut expected = of(
        &person.phone,
        &[
            ENROLLED,
            CONFIRMED,
            ("suspended", "own_phone", "asked"),
            ("resumed", "own_phone", "pin"),
            ("suspended", "person", "suspension_code"),
            ("resumed", "own_phone", "pin"),
            ("pin_changed", "own_phone", "pin"),
        ],
    );
    assert_eq!(told(&world, &person.phone).await, expected);

    revoke(&world, &boss, &person.name, "stolen on the train")
        .await
        .unwrap();
    let gone = person.phone.device_events(&world.server, None, 0).await;
    assert_eq!(gone.err().unwrap().code(), "device.revoked");
    let again = enrolled_again(&world, &person, "again").await;
    expected.extend(of(
        &person.phone,
        &[("revoked", "supervisor", "stolen on the train")],
    ));
    expected.extend(of(&again, &[ENROLLED, CONFIRMED]));
    // What time alone has done is written, and so told, within a second.
    assert_eq!(
        sorted(told_all(&world, &again, expected.len()).await),
        sorted(expected.clone())
    );
    let words = format!("{expected:?}");
    assert!(!words.contains(&boss.id) && !words.contains(&agent.id));

    assert_eq!(world.daemon.stop(), 0);
    world.start_again().await;
    assert_eq!(told(&world, &again).await, expected, "it outlives the daemon");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_time_and_wrong_pins_end_is_told_to_the_next_phone() {
    let mut world = World::with(OPEN).await;
    let (person, _) = enrolled(&mut world).await;
    for wait in [61, 61, 61, 901, 61] {
        let asked = ask(&world, &person).await;
        guess(&world, &person, asked.id(), "100001").await.unwrap();
        world.pass(wait);
    }
    until(&world, &person, DeviceState::Locked).await;
    world.sign_in_again().await;
    let again = enrolled_again(&world, &person, "again").await;
    let mut expected = of(
        &person.phone,
        &[ENROLLED, CONFIRMED, ("locked", "daemon", "attempts")],
    );
    expected.extend(of(&again, &[ENROLLED, CONFIRMED]));
    // What time alone has done is written, and so told, within a second.
    assert_eq!(
        sorted(told_all(&world, &again, expected.len()).await),
        sorted(expected.clone())
    );
    again.revoke(&world.server).await.unwrap();
    let last = enrolled_again(&world, &person, "last").await;
    expected.extend(of(&again, &[("revoked", "own_phone", "asked")]));
    expected.extend(of(&last, &[ENROLLED, CONFIRMED]));
    assert_eq!(sorted(told(&world, &last).await), sorted(expected));
}

fn sorted<T: Ord>(mut events: Vec<T>) -> Vec<T> {
    events.sort();
    events
}

async fn enrolled_again(world: &World, person: &Person, suffix: &str) -> Phone {
    let document = passport_until(&person.name, "350415");
    let case_id = world.verified("counter", &document).await;
    let issued = world.issue_for(&case_id).await;
    let name = format!("{}-{suffix}", person.name);
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    phone
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_told_to_both_sides_and_read_by_the_phone_that_counts() {
    let mut world = World::with(QUARANTINED).await;
    let (old, new) = replaced_in_an_hour(&mut world).await;
    let early = new.phone.device_events(&world.server, None, 0).await;
    assert_eq!(early.err().unwrap().code(), "device.not_active");
    let mut expected = of(
        &old.phone,
        &[ENROLLED, CONFIRMED, ("quarantine_ended", "daemon", "time")],
    );
    expected.extend(of(&new.phone, &[ENROLLED, CONFIRMED]));
    let seen = told_all(&world, &old.phone, expected.len()).await;
    assert!(expected.iter().all(|event| seen.contains(event)), "{seen:?}");
    world.pass(3_601);
    until(&world, &new, DeviceState::Active).await;
    let by = new.phone.device_id().to_string();
    let seen = told_all(&world, &new.phone, expected.len() + 2).await;
    let ended = of(&new.phone, &[("quarantine_ended", "daemon", "time")]);
    let replaced = of(&old.phone, &[("replaced", "daemon", &by)]);
    assert!(
        ended.iter().chain(&replaced).all(|event| seen.contains(event)),
        "{seen:?}"
    );
    let late = old.phone.device_events(&world.server, None, 0).await;
    assert_eq!(late.err().unwrap().code(), "device.replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_veto_is_told_as_the_old_phones() {
    let mut world = World::with(QUARANTINED).await;
    let (old, new) = replaced_in_an_hour(&mut world).await;
    old.phone.veto(&world.server, None).await.unwrap();
    let last = told(&world, &old.phone).await.pop().unwrap();
    let expected = of(&new.phone, &[("vetoed", "old_phone", "asked")]);
    assert_eq!([last], expected[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reads_what_happened_to_a_persons_phones() {
    let mut world = World::with(OPEN).await;
    let (person, _) = enrolled(&mut world).await;
    let (stranger, _) = enrolled(&mut world).await;
    for event in told(&world, &stranger.phone).await {
        assert_eq!(event.0, stranger.phone.device_id().to_string());
    }
    // A proof that was made for another method opens it no more than one of another phone.
    let prover = person.phone.prover().unwrap();
    let request = prover
        .prove_fresh(
            &world.server,
            "/paraphe.v1.Companion/History",
            &DeviceEventsBody::default(),
        )
        .await
        .unwrap();
    let crossed = world.server.client().device_events(request).await.unwrap_err();
    assert_eq!(code(&crossed), "caller.unauthenticated");
    person.phone.suspend(&world.server).await.unwrap();
    let held = person.phone.device_events(&world.server, None, 0).await;
    assert_eq!(held.err().unwrap().code(), "device.suspended");
    assert_eq!(state(&world, &person).await, DeviceState::Suspended);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_come_page_by_page_for_thirteen_months() {
    let mut world = World::with(OPEN).await;
    let (person, _) = enrolled(&mut world).await;
    for _ in 0..2 {
        person.phone.suspend(&world.server).await.unwrap();
        go_on(&world, &person).await;
    }
    let (mut seen, mut page): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let got = person
            .phone
            .device_events(&world.server, page.as_deref(), 4)
            .await
            .unwrap();
        seen.extend(got.events.into_iter().map(|event| event.event));
        page = got.next;
        if page.is_none() {
            break;
        }
    }
    let expected = [
        "resumed",
        "suspended",
        "resumed",
        "suspended",
        "confirmed",
        "enrolled",
    ];
    assert_eq!(seen, expected);
    let (server, phone) = (&world.server, &person.phone);
    assert_eq!(
        code_of(phone.device_events(server, None, 101).await),
        "field.invalid"
    );
    assert_eq!(
        code_of(phone.device_events(server, Some("x"), 1).await),
        "field.invalid"
    );
    world.pass(395 * 86_400);
    assert_eq!(told(&world, &person.phone).await.len(), 6);
    world.pass(2 * 86_400);
    assert!(told(&world, &person.phone).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_keeps_the_events_and_says_what_it_ended() {
    let mut world = World::with(OPEN).await;
    let (person, _) = enrolled(&mut world).await;
    crate::restore::back_up(&world);
    person.phone.suspend(&world.server).await.unwrap();
    crate::restore::put_back(&mut world, "backup");
    crate::restore::restored(&world, &[]);
    world.start_again().await;
    go_on(&world, &person).await;
    let expected = of(
        &person.phone,
        &[
            ENROLLED,
            CONFIRMED,
            ("suspended", "daemon", "restore"),
            ("resumed", "own_phone", "pin"),
        ],
    );
    assert_eq!(told(&world, &person.phone).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_document_and_a_noticed_rollback_are_told_to_the_next_phone() {
    let mut world = World::with(OPEN).await;
    let (yymmdd, end) = crate::document::last_day(&world, 1);
    let (name, issued) = world.issue_with(&yymmdd).await;
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    let first = Person { phone, name };
    world.pass(end - world.now());
    until(&world, &first, DeviceState::Expired).await;
    world.sign_in_again().await;
    let second = enrolled_again(&world, &first, "second").await;
    let mut expected = of(
        &first.phone,
        &[ENROLLED, CONFIRMED, ("expired", "daemon", "document")],
    );
    expected.extend(of(&second, &[ENROLLED, CONFIRMED]));
    assert_eq!(
        sorted(told_all(&world, &second, expected.len()).await),
        sorted(expected.clone())
    );

    // The second phone has seen an evaluation that the store does not know.
    let mut prover = second.prover().unwrap();
    prover.seen.evaluation = 7;
    for _ in 0..2 {
        let request = crate::statements::fresh(&world, &prover).await;
        let refused = crate::statements::device(&world, request).await;
        assert_eq!(refused, Err("device.rollback_noticed".to_owned()));
    }
    let third = enrolled_again(&world, &first, "third").await;
    expected.extend(of(&second, &[("rollback_noticed", "daemon", "rollback")]));
    expected.extend(of(&third, &[ENROLLED, CONFIRMED]));
    assert_eq!(
        sorted(told_all(&world, &third, expected.len()).await),
        sorted(expected)
    );
}
