//! Rows: an expired, superseded or cancelled challenge; a backend that ends challenges or shows wrong codes under right PINs.
//! Refused, the challenge untouched, the right PIN credited, no failure counted.

use paraphe_proto::v1::{self, State};

use crate::hand::{Asked, OPEN, approval, approve, ask, code_of, guess, send, stolen_image, unlock};
use crate::world::{Person, World, code, purchase};

async fn end(world: &mut World, anna: &Person, asked: &Asked, how: State) -> &'static str {
    world.pass(61);
    match how {
        State::Expired => {
            world.pass(300);
            "challenge.expired"
        }
        State::Cancelled => {
            let cancel = v1::CancelRequest {
                challenge_id: asked.reply.challenge_id.clone(),
            };
            let request = world.as_account(&world.market, cancel);
            world.step_up().cancel(request).await.unwrap();
            "challenge.cancelled"
        }
        _ => {
            ask(world, anna).await;
            "challenge.superseded"
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_ended_is_not_approved_but_the_right_pin_is_credited_once() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    for how in [State::Expired, State::Cancelled, State::Superseded] {
        let asked = ask(&world, &anna).await;
        let unlocked = unlock(&world, &anna, &asked).await;
        let good = approval(&asked, &unlocked, &asked.reply.match_code);
        assert_eq!(world.attempts_left(&anna.phone).await, 4);
        let expected = end(&mut world, &anna, &asked, how).await;
        assert_eq!(code_of(send(&world, &anna, asked.id(), &good).await), expected);
        assert_eq!(
            world.attempts_left(&anna.phone).await,
            5,
            "{how:?}: the PIN was right"
        );
        let again = code_of(send(&world, &anna, asked.id(), &good).await);
        assert_eq!(
            again, expected,
            "{how:?}: repeated, it is told what it was told before"
        );
        assert_eq!(
            code_of(guess(&world, &anna, asked.id(), "111111").await),
            expected
        );
        assert_eq!(
            world
                .verdict(&world.market, &asked.reply.challenge_id)
                .await
                .state(),
            how
        );
        assert_eq!(world.attempts_left(&anna.phone).await, 5);
        world.pass(301);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_challenge_hides_no_guess_of_a_thief() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    guess(&world, &stolen_image(&world, &anna), asked.id(), "100001")
        .await
        .unwrap();
    end(&mut world, &anna, &asked, State::Cancelled).await;
    assert_eq!(world.attempts_left(&anna.phone).await, 4);
    ask(&world, &anna).await;
    assert_eq!(world.attempts_left(&anna.phone).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_wrong_codes_on_the_page_count_no_wrong_pin() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    for _ in 0..7 {
        let mut asked = ask(&world, &anna).await;
        let wrong = if asked.reply.match_code == "000000" {
            "000001"
        } else {
            "000000"
        };
        asked.reply.match_code = wrong.to_owned();
        let receipt = approve(&world, &anna, &asked).await.unwrap();
        assert_eq!((receipt.state.as_str(), receipt.attempts_left), ("failed", 5));
    }
    let asked = ask(&world, &anna).await;
    assert_eq!(
        approve(&world, &anna, &asked).await.unwrap().state.as_str(),
        "approved"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charged_challenge_stays_for_a_minute_whatever_the_backend_does() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let subject = world.subject(&world.market, &anna).await;
    let asked = ask(&world, &anna).await;
    let unlocked = unlock(&world, &anna, &asked).await;
    for wait in [0, 30, 25] {
        world.pass(wait);
        let newer = world
            .try_ask(&world.market, purchase(&subject))
            .await
            .err()
            .unwrap();
        assert_eq!(code(&newer), "challenge.charged");
        let cancel = v1::CancelRequest {
            challenge_id: asked.reply.challenge_id.clone(),
        };
        let refused = world
            .step_up()
            .cancel(world.as_account(&world.market, cancel))
            .await;
        assert_eq!(code(&refused.err().unwrap()), "challenge.charged");
    }
    let good = approval(&asked, &unlocked, &asked.reply.match_code);
    assert_eq!(
        send(&world, &anna, asked.id(), &good).await.unwrap().state,
        "approved"
    );
}
