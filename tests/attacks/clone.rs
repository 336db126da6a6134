//! Row: a clone guesses between an owner's approvals. The owner's approval credits only its own evaluation; the rolling budget
//! ends it.

use crate::hand::{OPEN, approval, approve, ask, code_of, guess, send, stolen_image, unlock};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_beside_an_active_owner_gets_twenty_guesses_in_thirty_days() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let clone = stolen_image(&world, &anna);
    let mut guesses = 0;
    for round in 0..30 {
        let asked = ask(&world, &anna).await;
        match guess(&world, &clone, asked.id(), &format!("6{round:05}")).await {
            Ok(_) => guesses += 1,
            Err(refused) => {
                assert_eq!(refused.code(), "device.last_try_made");
                break;
            }
        }
        match approve(&world, &anna, &asked).await {
            Ok(receipt) => assert_eq!(
                receipt.attempts_left,
                5.min(20 - guesses),
                "only its own is credited"
            ),
            Err(refused) => {
                assert_eq!((refused.code(), guesses), ("device.last_try_made", 20));
                break;
            }
        }
        world.pass(3_600);
    }
    assert_eq!(guesses, 20);
    world.pass(61);
    assert_eq!(
        anna.phone.device(&world.server).await.unwrap().state.as_str(),
        "locked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_leave_the_rolling_budget_after_thirty_days() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let clone = stolen_image(&world, &anna);
    for round in 0..17 {
        let asked = ask(&world, &anna).await;
        guess(&world, &clone, asked.id(), &format!("7{round:05}"))
            .await
            .unwrap();
        approve(&world, &anna, &asked).await.unwrap();
    }
    assert_eq!(world.attempts_left(&anna.phone).await, 3, "20 less 17");
    world.pass(31 * 86_400);
    assert_eq!(world.attempts_left(&anna.phone).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_under_an_evaluation_that_is_not_the_latest_is_stale() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let clone = stolen_image(&world, &anna);
    let asked = ask(&world, &anna).await;
    let own = unlock(&world, &anna, &asked).await;
    guess(&world, &clone, asked.id(), "100001").await.unwrap();
    let late = approval(&asked, &own, &asked.reply.match_code);
    assert_eq!(
        code_of(send(&world, &anna, asked.id(), &late).await),
        "evaluation.stale"
    );
    assert_eq!(
        world.attempts_left(&anna.phone).await,
        3,
        "nothing is credited by it"
    );
    let latest = unlock(&world, &anna, &asked).await;
    let good = approval(&asked, &latest, &asked.reply.match_code);
    let outcome = send(&world, &anna, asked.id(), &good).await.unwrap();
    assert_eq!((outcome.state.as_str(), outcome.attempts_left), ("approved", 5));
}
