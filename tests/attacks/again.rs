//! After a lock or a noticed rollback a new identity check and a new device record are possible, and nothing else.

use paraphe_proto::v1;

use crate::hand::{OPEN, approve, ask, guess};
use crate::world::{Person, World, activate, code, passport, purchase};

/// A second enrolment of somebody, at the counter.
async fn enrol_again(world: &World, person: &Person) -> Result<Person, tonic::Status> {
    let open = v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    let case = world
        .enrolment()
        .open_case(world.as_clerk(open))
        .await?
        .into_inner();
    let evidence = v1::RecordEvidenceRequest {
        case_id: case.case_id.clone(),
        mrz: passport(&person.name),
        checks: vec![1, 2],
        accepted: true,
        ..Default::default()
    };
    world
        .enrolment()
        .record_evidence(world.as_clerk(evidence))
        .await?;
    let issued = world.try_issue(&case.case_id).await?;
    world.sign(&issued).await.unwrap();
    let name = format!("{}-again", person.name);
    let (phone, digits) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    world.confirm(&issued.activation_id, &digits).await?;
    assert_ne!(phone.device_id(), person.phone.device_id());
    // Keeps the folder's name and, for the backend, the person's.
    let keys = world.daemon.path(&format!("phone-{name}")).join("keys");
    assert!(keys.exists());
    Ok(Person {
        phone,
        name: person.name.clone(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_phone_is_locked_keeps_their_subject_on_a_new_phone() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let subject = world.subject(&world.market, &anna).await;
    let early = enrol_again(&world, &anna).await.err().unwrap();
    assert_eq!(code(&early), "subject.already_enrolled", "not while it is active");
    for wait in [0, 0, 61, 901, 61] {
        let asked = ask(&world, &anna).await;
        guess(&world, &anna, asked.id(), "100001").await.unwrap();
        world.pass(wait.max(61));
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let renewed = enrol_again(&world, &anna).await.unwrap();
    assert_eq!(world.subject(&world.market, &renewed).await, subject);
    let asked = ask(&world, &renewed).await;
    assert_eq!(
        approve(&world, &renewed, &asked).await.unwrap().state.as_str(),
        "approved"
    );
    assert_eq!(
        anna.phone.device(&world.server).await.unwrap().state.as_str(),
        "locked",
        "the old one stays locked"
    );
}

/// The phone says that it has seen more than the store knows: it approves nothing any more.
async fn notice_rollback(world: &World, anna: &Person) {
    let mut prover = anna.phone.prover().unwrap();
    prover.seen.evaluation = 9;
    let method = paraphe_companion::protocol::method::DEVICE;
    let request = prover
        .prove_fresh(&world.server, method, &v1::DeviceBody {})
        .await
        .unwrap();
    let noticed = world.server.client().device(request).await.err().unwrap();
    assert_eq!(code(&noticed), "device.rollback_noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_phone_noticed_a_rollback_can_be_enrolled_anew() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    notice_rollback(&world, &anna).await;
    let renewed = enrol_again(&world, &anna).await.unwrap();
    let asked = ask(&world, &renewed).await;
    approve(&world, &renewed, &asked).await.unwrap();
}

/// It approves nothing any more, so nobody waits for its veto: the new phone's quarantine is the person's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_noticed_a_rollback_makes_room_at_once() {
    let waits = OPEN.replace("quarantine_s = 0", "quarantine_s = 3600");
    let mut world = World::with(&waits).await;
    let anna = world.enrol().await;
    world.pass(3_601);
    world.sign_in_again().await;
    notice_rollback(&world, &anna).await;
    let passport = crate::world::passport_until(&anna.name, "350415");
    let case_id = world.verified("counter", &passport).await;
    let issued = crate::replacement::replacing(&world, &case_id).await.unwrap();
    world.sign(&issued).await.unwrap();
    let (new, digits) = activate(&world.daemon, &world.server, &issued.uri, "new").await;
    world.confirm(&issued.activation_id, &digits).await.unwrap();
    let state = new.device(&world.server).await.unwrap().state;
    assert_eq!(state.as_str(), "quarantined");
    let state = anna.phone.device(&world.server).await.unwrap().state;
    assert_eq!(state.as_str(), "replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_proofing_lifts_what_the_person_had_reported() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let shop = world.backend("shop", true).await;
    for backend in [&world.market.clone(), &shop] {
        let subject = world.subject(backend, &anna).await;
        world.ask(backend, &subject).await;
        let shown = world.shown(&anna.phone).await;
        anna.phone.report(&world.server, &shown).await.unwrap();
    }
    let subject = world.subject(&world.market, &anna).await;
    let frozen = world
        .try_ask(&world.market, purchase(&subject))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&frozen), "subject.refuses");
    notice_rollback(&world, &anna).await;
    let renewed = enrol_again(&world, &anna).await.unwrap();
    let asked = ask(&world, &renewed).await;
    approve(&world, &renewed, &asked).await.unwrap();
}
