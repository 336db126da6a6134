//! The daemon dies at each named point of unlock, answer and activation; attempts and states are what the phone was told, and asking
//! again finishes what was begun (protocol.md sections 4 and 5).

use std::sync::Arc;

use paraphe_companion::{Activation, Argon2Cost, DeviceState, FinalState, Invitation, SoftwareKeyStore};
use paraphe_proto::v1::State;
use rand_core::OsRng;

use crate::hand::OPEN;
use crate::world::{PIN, WRONG_PIN, World, code};

impl World {
    /// The daemon dies the next time it gets there.
    pub fn kill_at(&self, point: &str) {
        std::fs::write(self.daemon.path("kill"), point).unwrap();
    }

    /// It did die there; it starts again on its folder.
    pub async fn died(&mut self) {
        let point = self.daemon.path("kill");
        assert!(
            !point.exists(),
            "it never got to {}",
            std::fs::read_to_string(&point).unwrap()
        );
        for _ in 0..100 {
            if self.daemon.has_ended() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(self.daemon.has_ended());
        self.start_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_the_charge_the_attempt_is_as_the_phone_was_told() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    let (market, subject) = (world.market.clone(), world.subject(&world.market, &person).await);
    // What is charged at a point before the reply, and after the same element was asked for again and was wrong.
    for (point, charged) in [("unlock:computed", 0), ("unlock:committed", 1)] {
        let before = world.attempts_left(&person.phone).await;
        let asked = world.ask(&market, &subject).await;
        let shown = world.shown(&person.phone).await;
        let page = Some(asked.match_code.as_str());
        world.kill_at(point);
        let lost = person
            .phone
            .approve(&world.server, &shown, page, WRONG_PIN, &mut OsRng)
            .await;
        assert!(lost.is_err());
        world.died().await;
        assert_eq!(
            world.attempts_left(&person.phone).await,
            before - charged,
            "{point}"
        );
        let wrong = person
            .phone
            .approve(&world.server, &shown, page, WRONG_PIN, &mut OsRng)
            .await;
        assert!(wrong.is_err());
        assert_eq!(
            world.attempts_left(&person.phone).await,
            before - 1,
            "{point}: once, not twice"
        );
        let right = person
            .phone
            .approve(&world.server, &shown, page, PIN, &mut OsRng)
            .await;
        assert_eq!(right.unwrap().state, FinalState::Approved);
        assert_eq!(world.attempts_left(&person.phone).await, 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_the_verdict_there_is_one_and_the_phone_gets_it_when_it_asks_again() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    let (market, subject) = (world.market.clone(), world.subject(&world.market, &person).await);
    for (point, then) in [
        ("answer:computed", State::Pending),
        ("answer:committed", State::Approved),
    ] {
        let asked = world.ask(&market, &subject).await;
        let shown = world.shown(&person.phone).await;
        let page = Some(asked.match_code.as_str());
        world.kill_at(point);
        let lost = person
            .phone
            .approve(&world.server, &shown, page, PIN, &mut OsRng)
            .await;
        assert!(lost.is_err());
        world.died().await;
        let verdict = world.verdict(&market, &asked.challenge_id).await;
        assert_eq!(verdict.state(), then, "{point}");
        let left = if then == State::Pending { 4 } else { 5 };
        assert_eq!(world.attempts_left(&person.phone).await, left, "{point}");
        let again = person
            .phone
            .approve(&world.server, &shown, page, PIN, &mut OsRng)
            .await;
        assert_eq!(again.unwrap().state, FinalState::Approved, "{point}");
        let now = world.verdict(&market, &asked.challenge_id).await;
        assert_eq!(now.state(), State::Approved);
        if then == State::Approved {
            assert_eq!(now.assertion, verdict.assertion, "the same one");
        }
        assert_eq!(world.attempts_left(&person.phone).await, 5);
    }
    for (point, then) in [
        ("refuse:computed", State::Pending),
        ("refuse:committed", State::Denied),
    ] {
        let asked = world.ask(&market, &subject).await;
        let shown = world.shown(&person.phone).await;
        world.kill_at(point);
        assert!(person.phone.refuse(&world.server, &shown).await.is_err());
        world.died().await;
        let verdict = world.verdict(&market, &asked.challenge_id).await;
        assert_eq!(verdict.state(), then, "{point}");
        let again = person.phone.refuse(&world.server, &shown).await.unwrap();
        assert_eq!(again.state, FinalState::Denied, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_of_an_activation_it_goes_on_and_makes_one_phone() {
    let mut world = World::with(OPEN).await;
    for step in [
        "begin_activation",
        "evaluate_activation",
        "finish_activation",
        "confirm_activation",
    ] {
        for moment in ["computed", "committed"] {
            let point = format!("{step}:{moment}");
            let phones = crate::tampering::rows(&world, "device").len();
            let (name, issued) = world.issue().await;
            let folder = world.daemon.path(&format!("phone-{name}"));
            let keys = || Arc::new(SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap());
            let invitation = || Invitation::from_uri(&issued.uri).unwrap();
            let cost = Argon2Cost::LOWEST;
            world.kill_at(&point);
            let mut begun = Activation::begin(&folder, keys(), invitation(), &world.server, &mut OsRng).await;
            if step == "begin_activation" {
                assert!(begun.is_err(), "{point}");
                world.died().await;
                begun = Activation::begin(&folder, keys(), invitation(), &world.server, &mut OsRng).await;
            }
            let mut begun = begun.unwrap();
            let mut done = begun.finish(&world.server, PIN, cost, &mut OsRng).await;
            if ["evaluate_activation", "finish_activation"].contains(&step) {
                assert!(done.is_err(), "{point}");
                world.died().await;
                done = match step {
                    "evaluate_activation" => begun.finish(&world.server, PIN, cost, &mut OsRng).await,
                    _ => begun.complete(&world.server).await,
                };
            }
            let done = done.unwrap();
            let mut confirmed = world.confirm(&issued.activation_id, &done.sas.to_string()).await;
            if step == "confirm_activation" {
                assert!(confirmed.is_err(), "{point}");
                world.died().await;
                confirmed = world.confirm(&issued.activation_id, &done.sas.to_string()).await;
                if moment == "committed" {
                    assert_eq!(
                        code(&confirmed.unwrap_err()),
                        "activation.state",
                        "it was confirmed"
                    );
                } else {
                    confirmed.unwrap();
                }
            } else {
                confirmed.unwrap();
            }
            let device = done.phone.device(&world.server).await.unwrap();
            assert_eq!(device.state, DeviceState::Active, "{point}");
            assert_eq!(
                crate::tampering::rows(&world, "device").len(),
                phones + 1,
                "{point}"
            );
            let person = crate::world::Person {
                phone: done.phone,
                name,
            };
            let subject = world.subject(&world.market.clone(), &person).await;
            let asked = world.ask(&world.market.clone(), &subject).await;
            let shown = world.shown(&person.phone).await;
            let page = Some(asked.match_code.as_str());
            let approved = person
                .phone
                .approve(&world.server, &shown, page, PIN, &mut OsRng)
                .await;
            assert_eq!(approved.unwrap().state, FinalState::Approved, "{point}");
        }
    }
}
