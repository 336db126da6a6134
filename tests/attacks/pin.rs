//! PIN attempts (protocol.md section 4 and the rows of section 7 about them).

use paraphe_companion::{Error, FinalState, protocol};
use paraphe_proto::{oprf, pin::Pin, v1};
use rand_core::OsRng;

use crate::world::{PIN, Person, WRONG_PIN, World, code};

async fn wrong(world: &World, person: &Person, code: &str) -> Error {
    let shown = world.shown(&person.phone).await;
    person
        .phone
        .approve(&world.server, &shown, Some(code), WRONG_PIN, &mut OsRng)
        .await
        .err()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_charged_and_given_back_by_the_right_one() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let asked = world.ask(&world.market, &subject).await;
    let error = wrong(&world, &person, &asked.match_code).await;
    assert!(
        matches!(error, Error::WrongPin { attempts_left: 4, .. }),
        "{error:?}"
    );
    assert_eq!(world.attempts_left(&person.phone).await, 4);
    let shown = world.shown(&person.phone).await;
    let receipt = person
        .phone
        .approve(&world.server, &shown, Some(&asked.match_code), PIN, &mut OsRng)
        .await
        .unwrap();
    assert_eq!((receipt.state, receipt.attempts_left), (FinalState::Approved, 5));
    assert_eq!(
        world.verdict(&world.market, &asked.challenge_id).await.state,
        i32::from(v1::State::Approved)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn six_wrong_pins_across_restarts_wait_then_lock_and_destroy_the_key() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let mut asked = world.ask(&world.market, &subject).await;
    for _ in 0..3 {
        assert!(matches!(
            wrong(&world, &person, &asked.match_code).await,
            Error::WrongPin { .. }
        ));
        world.daemon.kill();
        world.start_again().await;
    }
    assert_eq!(
        wrong(&world, &person, &asked.match_code).await.code(),
        "device.wait"
    );
    for (wait, left) in [(60, 1), (900, 0)] {
        world.pass(wait);
        asked = match world.verdict(&world.market, &asked.challenge_id).await.state {
            1 => asked,
            _ => world.ask(&world.market, &subject).await,
        };
        let error = wrong(&world, &person, &asked.match_code).await;
        assert!(
            matches!(error, Error::WrongPin { attempts_left, .. } if attempts_left == left),
            "{error:?}"
        );
    }
    assert_eq!(
        wrong(&world, &person, &asked.match_code).await.code(),
        "device.last_try_made"
    );
    world.pass(61);
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    let device = person.phone.device(&world.server).await.unwrap();
    assert_eq!(device.state.as_str(), "locked");
    assert_eq!(
        world.verdict(&world.market, &asked.challenge_id).await.state,
        i32::from(v1::State::Failed)
    );
    let refused = world
        .try_ask(&world.market, crate::world::purchase(&subject))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "enrolment.required");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_parallel_unlocks_charge_three_evaluations_before_the_first_wait() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    world.ask(&world.market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let mut calls = Vec::new();
    for n in 0..50 {
        let (server, prover, id) = (
            world.server.clone(),
            person.phone.prover().unwrap(),
            shown.challenge_id(),
        );
        calls.push(tokio::spawn(async move {
            let pin = Pin::enter(&format!("{:06}", 100_000 + n)).unwrap();
            let (_, element) = oprf::blind(&pin, &mut OsRng).unwrap();
            protocol::request_evaluation(&server, &prover, id, &element).await
        }));
    }
    let mut answered = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => assert_eq!(error.code(), "device.wait"),
        }
    }
    assert_eq!(answered, 3);
    assert_eq!(world.attempts_left(&person.phone).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_element_is_answered_again_without_a_second_charge() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    world.ask(&world.market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let (_, element) = oprf::blind(&Pin::enter(WRONG_PIN).unwrap(), &mut OsRng).unwrap();
    for _ in 0..4 {
        let prover = person.phone.prover().unwrap();
        protocol::request_evaluation(&world.server, &prover, shown.challenge_id(), &element)
            .await
            .unwrap();
    }
    assert_eq!(world.attempts_left(&person.phone).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_bad_requests_by_a_stranger_spend_no_attempt() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let asked = world.ask(&world.market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let stranger = paraphe_proto::keys::SoftwareKey::generate(&mut OsRng).unwrap();
    let mut prover = person.phone.prover().unwrap();
    prover.key = Box::new(stranger);
    let (_, element) = oprf::blind(&Pin::enter(PIN).unwrap(), &mut OsRng).unwrap();
    for _ in 0..2_000 {
        let error =
            protocol::request_evaluation(&world.server, &prover, shown.challenge_id(), &element).await;
        assert_eq!(error.err().unwrap().code(), "caller.unauthenticated");
    }
    assert_eq!(world.attempts_left(&person.phone).await, 5);
    person
        .phone
        .approve(&world.server, &shown, Some(&asked.match_code), PIN, &mut OsRng)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_cannot_turn_right_pins_into_failures() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let market = world.market.clone();
    let subject = world.subject(&market, &person).await;
    let asked = world.ask(&market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let pin = Pin::enter(PIN).unwrap();
    let (state, element) = oprf::blind(&pin, &mut OsRng).unwrap();
    let prover = person.phone.prover().unwrap();
    let evaluation = protocol::request_evaluation(&world.server, &prover, shown.challenge_id(), &element)
        .await
        .unwrap();
    let cancel = v1::CancelRequest {
        challenge_id: asked.challenge_id.clone(),
    };
    let refused = world
        .step_up()
        .cancel(world.as_account(&market, cancel))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "challenge.charged");
    let newer = world
        .try_ask(&market, crate::world::purchase(&subject))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&newer), "challenge.charged");

    world.pass(301);
    let evaluation: paraphe_proto::statements::Evaluation = claims(&evaluation);
    let record = person.phone.record();
    let keystore = paraphe_companion::SoftwareKeyStore::open(
        world.daemon.path(&format!("phone-{}", person.name)).join("keys"),
        "test/1",
    )
    .unwrap();
    let key = protocol::open_approval_key(&record, &keystore, state, &evaluation).unwrap();
    let approval = protocol::approval_statement(
        prover.issuer.clone(),
        &key,
        shown.sha256(),
        &asked.match_code,
        &evaluation,
    );
    let late =
        protocol::send_approval(&world.server, &prover, shown.challenge_id(), &approval.unwrap()).await;
    assert_eq!(late.err().unwrap().code(), "challenge.expired");
    assert_eq!(world.attempts_left(&person.phone).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_match_code_ends_the_challenge_but_credits_the_pin() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let asked = world.ask(&world.market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let other = format!(
        "{:06}",
        (asked.match_code.parse::<u32>().unwrap() + 1) % 1_000_000
    );
    let receipt = person
        .phone
        .approve(&world.server, &shown, Some(&other), PIN, &mut OsRng)
        .await
        .unwrap();
    assert_eq!((receipt.state, receipt.attempts_left), (FinalState::Failed, 5));
    assert_eq!(
        world.verdict(&world.market, &asked.challenge_id).await.state,
        i32::from(v1::State::Failed)
    );
}

fn claims<T: serde::de::DeserializeOwned>(compact: &str) -> T {
    let payload = compact.split('.').nth(1).unwrap();
    serde_json::from_slice(&paraphe_proto::encoding::from_base64url(payload).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_guesses_between_approvals_is_ended_by_the_rolling_budget() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let mut guesses = 0;
    for _ in 0..25 {
        world.pass(7_200);
        let asked = match world
            .try_ask(&world.market, crate::world::purchase(&subject))
            .await
        {
            Ok(asked) => asked,
            Err(status) => {
                assert_eq!(code(&status), "enrolment.required");
                break;
            }
        };
        let shown = world.shown(&person.phone).await;
        let (_, element) = oprf::blind(&Pin::enter(WRONG_PIN).unwrap(), &mut OsRng).unwrap();
        let prover = person.phone.prover().unwrap();
        protocol::request_evaluation(&world.server, &prover, shown.challenge_id(), &element)
            .await
            .unwrap();
        guesses += 1;
        let owner = person
            .phone
            .approve(&world.server, &shown, Some(&asked.match_code), PIN, &mut OsRng)
            .await;
        assert!(owner.is_ok() || guesses == 20, "{owner:?}");
    }
    assert_eq!(guesses, 20);
    world.pass(61);
    assert_eq!(
        person.phone.device(&world.server).await.unwrap().state.as_str(),
        "locked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_evaluations_during_activation_are_each_under_a_key_of_their_own() {
    let mut world = World::new().await;
    let (_, issued) = world.issue().await;
    let folder = world.daemon.path("phone-many");
    let keystore = paraphe_companion::SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap();
    let invitation = paraphe_companion::Invitation::from_uri(&issued.uri).unwrap();
    let (keystore, mut rng) = (std::sync::Arc::new(keystore), OsRng);
    let begun =
        paraphe_companion::Activation::begin(&folder, keystore, invitation, &world.server, &mut rng).await;
    let prover = begun.unwrap().prover().unwrap();
    let (_, one) = oprf::blind(&Pin::enter(PIN).unwrap(), &mut OsRng).unwrap();
    let (_, two) = oprf::blind(&Pin::enter(WRONG_PIN).unwrap(), &mut OsRng).unwrap();
    let mut answers = Vec::new();
    for element in [&one, &one, &two, &one] {
        let body = v1::EvaluateActivationBody {
            activation_id: issued.activation_id.clone(),
            blinded_element: element.as_bytes().to_vec(),
        };
        let method = protocol::method::EVALUATE_ACTIVATION;
        let request = prover.prove_fresh(&world.server, method, &body).await.unwrap();
        let answer = world
            .server
            .client()
            .evaluate_activation(request)
            .await
            .unwrap()
            .into_inner();
        let evaluation: paraphe_proto::statements::Evaluation = claims(&answer.evaluation);
        answers.push(evaluation.evaluated);
    }
    assert_eq!(answers[0], answers[1], "the same element is answered alike");
    assert_ne!(answers[0], answers[3], "another element has drawn another key");
}
