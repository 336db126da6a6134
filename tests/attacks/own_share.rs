//! What a phone asks of itself is counted on that phone, and asking again while it waits asks nothing new (protocol.md section 6.2).

use paraphe_companion::{DeviceState, Error, FinalState};
use paraphe_proto::ids::ChallengeId;
use rand_core::OsRng;

use crate::hand::{shown, stolen_image};
use crate::own_phone::{HANDED_OVER, confirm, invited, taken};
use crate::several::{another, two};
use crate::suspension::{enrolled, state};
use crate::world::{PIN, Person, World};

/// The shares of a deployment that changed none of them.
fn ordinary() -> String {
    two().replace("[operators]\nrequests_per_10_min = 1000\n", "")
}

/// Raises what a possession key alone can raise, says no to it, and so on until the daemon has enough.
async fn exhaust(world: &World, clone: &Person) -> u32 {
    for count in 0..100 {
        match clone.phone.resume(&world.server).await {
            Ok(id) => {
                let asked = shown(world, clone, &id.to_string()).await;
                clone.phone.refuse(&world.server, &asked).await.unwrap();
            }
            Err(Error::Refused {
                code, retry_after_s, ..
            }) => {
                assert_eq!(code, "request.too_many");
                let wait_s = retry_after_s.unwrap();
                assert!((1..=600).contains(&wait_s), "{wait_s}");
                return count;
            }
            Err(other) => panic!("{other}"),
        }
    }
    panic!("there is no end to it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_suspended_phone_uses_up_no_share_of_the_persons_other_phone() {
    assert_ne!(ordinary(), two());
    let mut world = World::with(&ordinary()).await;
    let (stolen, _) = enrolled(&mut world).await;
    let own = another(&world, &stolen.name, "own", (false, "")).await;
    let clone = stolen_image(&world, &stolen);
    for person in [&stolen, &own] {
        person.phone.suspend(&world.server).await.unwrap();
    }
    assert_eq!(exhaust(&world, &clone).await, 10);
    let id = own.phone.resume(&world.server).await.unwrap().to_string();
    let asked = shown(&world, &own, &id).await;
    let resumed = own
        .phone
        .approve(&world.server, &asked, None, PIN, &mut OsRng)
        .await;
    assert_eq!(resumed.unwrap().state, FinalState::Approved);
    assert_eq!(state(&world, &own).await, DeviceState::Active);
    // It rings for a backend as ever.
    let subject = world.subject(&world.market, &own).await;
    world.ask(&world.market, &subject).await;
    let waiting = own.phone.fetch(&world.server).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert!(!waiting[0].quiet, "what the thief asked counts for no backend");
    // The stolen one has its share back when its time is over.
    world.pass(601);
    assert_eq!(exhaust(&world, &clone).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_waits_is_found_again_and_another_one_is_raised_once_it_is_answered() {
    let mut world = World::with(HANDED_OVER).await;
    let (person, _) = enrolled(&mut world).await;
    let other = world.backend("other", true).await;
    for backend in [&world.market.clone(), &other] {
        let subject = world.subject(backend, &person).await;
        let asked = world.ask(backend, &subject).await.challenge_id;
        let asked = shown(&world, &person, &asked).await;
        person.phone.report(&world.server, &asked).await.unwrap();
    }
    let (phone, server) = (&person.phone, &world.server);
    let one = "other".parse().unwrap();
    let everything = phone.lift(server, None).await.unwrap();
    let of_one = phone.lift(server, Some(&one)).await.unwrap();
    let change = phone.change_pin(server).await.unwrap().shown().challenge_id();
    let ids = [everything, of_one, change];
    assert!(everything != of_one && of_one != change, "different questions");
    assert_eq!(phone.fetch(server).await.unwrap().len(), 3);
    let again: [ChallengeId; 3] = [
        phone.lift(server, None).await.unwrap(),
        phone.lift(server, Some(&one)).await.unwrap(),
        phone.change_pin(server).await.unwrap().shown().challenge_id(),
    ];
    assert_eq!(again, ids);
    assert_eq!(phone.fetch(server).await.unwrap().len(), 3);
    // A wrong PIN leaves the question as it is; a no ends it.
    let asked = shown(&world, &person, &of_one.to_string()).await;
    let wrong = phone
        .approve(server, &asked, None, crate::world::WRONG_PIN, &mut OsRng)
        .await;
    assert!(matches!(wrong, Err(Error::WrongPin { .. })));
    assert_eq!(phone.lift(server, Some(&one)).await.unwrap(), of_one);
    phone.refuse(server, &asked).await.unwrap();
    assert_ne!(phone.lift(server, Some(&one)).await.unwrap(), of_one);

    phone.suspend(server).await.unwrap();
    let asked = phone.resume(server).await.unwrap();
    assert_eq!(phone.resume(server).await.unwrap(), asked);
    assert_eq!(phone.fetch(server).await.unwrap().len(), 1);
    world.pass(601);
    let late = person.phone.resume(&world.server).await.unwrap();
    assert_ne!(late, asked, "one that has expired is not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_whose_share_is_used_up_still_finds_what_waits_on_it() {
    let few = ordinary().replace(
        "[channels.counter]",
        "[operators]\nrequests_per_10_min = 1\n[channels.counter]",
    );
    let mut world = World::with(&few).await;
    let (old, _) = enrolled(&mut world).await;
    let invited = invited(&world, &old).await;
    let (new, digits) = taken(&world, &old, &invited, "new").await;
    let first = old
        .phone
        .confirm_replacement(&world.server, invited.activation_id);
    let first = first.await.unwrap().challenge_id();
    let too_many = old.phone.change_pin(&world.server).await.err().unwrap();
    assert_eq!(too_many.code(), "request.too_many");
    let again = old
        .phone
        .confirm_replacement(&world.server, invited.activation_id);
    assert_eq!(again.await.unwrap().challenge_id(), first);
    let confirmed = confirm(&world, &old, invited.activation_id, (&digits, PIN)).await;
    assert_eq!(confirmed.unwrap(), FinalState::Approved);
    assert_eq!(state(&world, &new).await, DeviceState::Quarantined);
}
