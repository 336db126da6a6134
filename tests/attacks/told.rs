//! Who watches is told by the commit itself: far sooner than the 30 s after which a stream looks again by itself.

use std::time::Duration;

use paraphe_companion::{Event, FinalState};
use paraphe_proto::v1;

use crate::hand::{OPEN, approve, ask};
use crate::world::{World, connect};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_and_a_backend_that_watch_are_told_at_once() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    let (listening, _) = connect(&world.daemon).await;
    let mut phone = person.phone.watch(&listening).await.unwrap();
    assert!(matches!(phone.next().await.unwrap(), Some(Event::CaughtUp)));
    let request = v1::WatchRequest {
        cursor: "0".to_owned(),
    };
    let request = world.as_account(&world.market, request);
    let mut backend = world.step_up().watch(request).await.unwrap().into_inner();

    for _ in 0..3 {
        let asked = ask(&world, &person).await;
        let event = tokio::time::timeout(SOON, phone.next()).await.unwrap();
        let Some(Event::Pending(pending)) = event.unwrap() else {
            panic!("a challenge")
        };
        assert_eq!(pending.challenge.unwrap().challenge_id(), asked.id());

        approve(&world, &person, &asked).await.unwrap();
        let event = tokio::time::timeout(SOON, phone.next()).await.unwrap();
        let Some(Event::Ended { challenge_id, state }) = event.unwrap() else {
            panic!("its end")
        };
        assert_eq!((challenge_id, state), (asked.id(), FinalState::Approved));
        let verdict = tokio::time::timeout(SOON, backend.message()).await.unwrap();
        assert_eq!(verdict.unwrap().unwrap().challenge_id, asked.reply.challenge_id);
    }
}
