//! Challenges: one final state, nobody else's, nothing interpreted (protocol.md sections 6 and 7).

use paraphe_companion::FinalState;
use paraphe_proto::v1;
use rand_core::OsRng;
use tonic::Code;

use crate::world::{PIN, World, code, purchase};

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_answer_gets_the_first_outcome_also_after_a_restart() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let asked = world.ask(&world.market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let receipt = person
        .phone
        .approve(&world.server, &shown, Some(&asked.match_code), PIN, &mut OsRng)
        .await
        .unwrap();
    let first = world.verdict(&world.market, &asked.challenge_id).await;
    world.daemon.kill();
    world.start_again().await;
    let prover = person.phone.prover().unwrap();
    let again = paraphe_companion::protocol::send_approval(
        &world.server,
        &prover,
        shown.challenge_id(),
        &receipt.answer,
    );
    assert_eq!(again.await.unwrap().state, "approved");
    let second = world.verdict(&world.market, &asked.challenge_id).await;
    assert_eq!(
        (first.assertion, first.decided_at),
        (second.assertion, second.decided_at)
    );
    world.pass(61);
    assert_eq!(
        world.verdict(&world.market, &asked.challenge_id).await.assertion,
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_superseded_and_cancelled_challenges_and_those_of_others_are_not_answered() {
    let mut world = World::new().await;
    let (person, other) = (world.enrol().await, world.enrol().await);
    let market = world.market.clone();
    let subject = world.subject(&market, &person).await;
    let first = world.ask(&market, &subject).await;
    let superseded = world.shown(&person.phone).await;
    let second = world.ask(&market, &subject).await;
    assert_eq!(
        world.verdict(&market, &first.challenge_id).await.state,
        i32::from(v1::State::Superseded)
    );
    let late = person
        .phone
        .approve(
            &world.server,
            &superseded,
            Some(&first.match_code),
            PIN,
            &mut OsRng,
        )
        .await;
    assert_eq!(late.err().unwrap().code(), "challenge.superseded");
    let shown = world.shown(&person.phone).await;
    let prover = other.phone.prover().unwrap();
    let no = prover
        .refuse(shown.sha256(), paraphe_proto::statements::RefusalDecision::Deny)
        .unwrap();
    let foreign =
        paraphe_companion::protocol::send_refusal(&world.server, &prover, shown.challenge_id(), &no).await;
    assert_eq!(foreign.err().unwrap().code(), "challenge.not_found");
    let cancel = v1::CancelRequest {
        challenge_id: second.challenge_id.clone(),
    };
    world
        .step_up()
        .cancel(world.as_account(&market, cancel))
        .await
        .unwrap();
    let refused = person.phone.refuse(&world.server, &shown).await.err().unwrap();
    assert_eq!(refused.code(), "challenge.cancelled");
    let third = world.ask(&market, &subject).await;
    world.pass(301);
    assert_eq!(
        world.verdict(&market, &third.challenge_id).await.state,
        i32::from(v1::State::Expired)
    );
    assert_eq!(world.attempts_left(&person.phone).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_backend_cannot_see_or_use_what_is_anothers() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let thief = world.backend("thief", false).await;
    let subject = world.subject(&world.market, &person).await;
    let asked = world.ask(&world.market, &subject).await;
    let mut codes = Vec::new();
    for id in [asked.challenge_id.as_str(), "chl_aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let get = v1::GetRequest {
            challenge_id: id.to_owned(),
        };
        let status = world
            .step_up()
            .get(world.as_account(&thief, get))
            .await
            .err()
            .unwrap();
        codes.push((status.code(), status.message().to_owned()));
    }
    assert_eq!(codes[0], codes[1]);
    assert_eq!(codes[0].0, Code::NotFound);
    let foreign = world.try_ask(&thief, purchase(&subject)).await.err().unwrap();
    let missing = world.try_ask(&thief, purchase("sub_x")).await.err().unwrap();
    assert_eq!(
        (foreign.code(), foreign.message()),
        (missing.code(), missing.message())
    );
    let mut pretender = thief.clone();
    pretender.id = "market".into();
    let pretended = world.try_ask(&pretender, purchase(&subject)).await.err().unwrap();
    assert_eq!(pretended.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_returns_the_same_challenge_and_refuses_other_content() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let message = purchase(&subject);
    let first = world.try_ask(&world.market, message.clone()).await.unwrap();
    let again = world.try_ask(&world.market, message.clone()).await.unwrap();
    assert_eq!(
        (&first.challenge_id, &first.match_code),
        (&again.challenge_id, &again.match_code)
    );
    let other = v1::RequestRequest {
        locale: "fr".into(),
        ..message
    };
    let refused = world.try_ask(&world.market, other).await.err().unwrap();
    assert_eq!(
        (refused.code(), code(&refused).as_str()),
        (Code::AlreadyExists, "request.idempotency_key_reused")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_shown_as_they_are_or_refused() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    for bad in [
        "a\nb",
        "a\u{202e}b",
        "a\u{200b}b",
        "a\u{7}b",
        "",
        &"x".repeat(5_000),
    ] {
        let refused = world
            .try_ask(&world.market, titled(&subject, bad))
            .await
            .err()
            .unwrap();
        assert_eq!(code(&refused), "parameter.refused", "{bad:?}");
    }
    let mut missing = purchase(&subject);
    missing.parameters.remove("price");
    let refused = world.try_ask(&world.market, missing).await.err().unwrap();
    assert!(refused.message().contains("price"), "{}", refused.message());
    world
        .try_ask(&world.market, titled(&subject, "{ $price } ${price}"))
        .await
        .unwrap();
    let shown = world.shown(&person.phone).await;
    assert!(
        shown
            .document()
            .rows
            .iter()
            .any(|row| row.value == "{ $price } ${price}"),
        "{:?}",
        shown.document()
    );
}

fn titled(subject: &str, title: &str) -> v1::RequestRequest {
    let mut message = purchase(subject);
    let kind = Some(v1::parameter_value::Kind::Text(title.to_owned()));
    message
        .parameters
        .insert("title".into(), v1::ParameterValue { kind });
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn not_me_blocks_one_backend_two_freeze_and_a_pin_lifts() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let (market, shop) = (world.market.clone(), world.backend("shop", true).await);
    for backend in [&market, &shop] {
        let subject = world.subject(backend, &person).await;
        let asked = world.ask(backend, &subject).await;
        let shown = world.shown(&person.phone).await;
        let receipt = person.phone.report(&world.server, &shown).await.unwrap();
        assert_eq!(receipt.state, FinalState::Reported);
        assert_eq!(
            world.verdict(backend, &asked.challenge_id).await.state,
            i32::from(v1::State::Reported)
        );
        let refused = world.try_ask(backend, purchase(&subject)).await.err().unwrap();
        assert_eq!(code(&refused), "subject.refuses");
    }
    let third = world.backend("third", true).await;
    let subject = world.subject(&third, &person).await;
    let frozen = world.try_ask(&third, purchase(&subject)).await.err().unwrap();
    assert_eq!(code(&frozen), "subject.refuses");
    let unblocked = "third".parse().unwrap();
    let none = person.phone.lift(&world.server, Some(&unblocked)).await;
    let none = none.err().unwrap();
    assert_eq!(none.code(), "lift.nothing");
    assert!(
        none.to_string().ends_with("That relying party is not blocked."),
        "{none}"
    );
    person.phone.lift(&world.server, None).await.unwrap();
    let shown = world.shown(&person.phone).await;
    person
        .phone
        .approve(&world.server, &shown, None, PIN, &mut OsRng)
        .await
        .unwrap();
    world.try_ask(&third, purchase(&subject)).await.unwrap();
    let device = person.phone.device(&world.server).await.unwrap();
    assert!(device.blocked.is_empty() && device.frozen_since.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_spends_only_its_own_quota_and_is_told_how_long_to_wait() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let other = world.backend("other", true).await;
    let subject = world.subject(&world.market, &person).await;
    for _ in 0..5 {
        world.ask(&world.market, &subject).await;
    }
    let refused = world
        .try_ask(&world.market, purchase(&subject))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (refused.code(), code(&refused).as_str()),
        (Code::ResourceExhausted, "request.too_many")
    );
    let subject = world.subject(&other, &person).await;
    world.ask(&other, &subject).await;
}
