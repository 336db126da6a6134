//! Wrong suspension codes are few a day, alike for everybody, and nothing of it tells who is known (protocol.md section 5).

use paraphe_companion::DeviceState;
use paraphe_proto::v1::Role;
use tonic_types::StatusExt;

use crate::hand::OPEN;
use crate::suspension::{enrolled, revoke, state, suspend};
use crate::world::{World, code};

const DAY_S: i64 = 86_400;

/// A day that does not end within the test.
pub fn within_a_day(world: &mut World) {
    let left = DAY_S - world.now().rem_euclid(DAY_S);
    if left < 600 {
        world.pass(left + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_a_day_and_then_none_is_looked_at() {
    let mut world = World::with(OPEN).await;
    within_a_day(&mut world);
    let (person, paper) = enrolled(&mut world).await;
    let (other, others) = enrolled(&mut world).await;
    let agent = world.operator("agent", &[Role::Support]).await;
    let boss = world.operator("boss", &[Role::Supervisor]).await;
    for n in 0..5 {
        let refused = suspend(&world, &agent, &person.name, &format!("00000-0000{n}")).await;
        assert_eq!(code(&refused.unwrap_err()), "suspension.refused", "{n}");
    }
    for told in ["00000-00009", paper.as_str()] {
        let refused = suspend(&world, &boss, &person.name, told).await.unwrap_err();
        assert_eq!(
            code(&refused),
            "suspension.too_many",
            "whoever asks, right or wrong"
        );
        let wait = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert!(wait.as_secs() > 0 && wait.as_secs() <= DAY_S as u64);
    }
    assert_eq!(state(&world, &person).await, DeviceState::Active);

    // It outlives the daemon, and touches nobody else.
    assert_eq!(world.daemon.stop(), 0);
    world.start_again().await;
    let still = suspend(&world, &agent, &person.name, &paper).await.unwrap_err();
    assert_eq!(code(&still), "suspension.too_many");
    suspend(&world, &agent, &other.name, &others).await.unwrap();
    assert_eq!(state(&world, &other).await, DeviceState::Suspended);

    let entries = world.audit().await;
    let outcome = |wanted: &str| {
        let mine = |entry: &&paraphe_proto::v1::AuditEntry| {
            entry.verb == "suspend_device" && entry.outcome == wanted
        };
        let found: Vec<_> = entries.iter().filter(mine).collect();
        assert!(found.iter().all(|entry| !entry.target.contains(&person.name)));
        found.len()
    };
    assert_eq!(outcome("suspension.refused"), 5);
    assert_eq!(outcome("suspension.too_many"), 3);

    // What is left to an owner whom a stranger keeps from suspending: a supervisor, the phone itself, and tomorrow.
    world.pass(DAY_S);
    world.sign_in_again().await;
    suspend(&world, &world.clerk, &person.name, &paper).await.unwrap();
    assert_eq!(state(&world, &person).await, DeviceState::Suspended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_used_the_codes_up_keeps_nobody_from_a_supervisor_or_the_phone() {
    let mut world = World::with(OPEN).await;
    within_a_day(&mut world);
    let (lost, _) = enrolled(&mut world).await;
    let (held, _) = enrolled(&mut world).await;
    let agent = world.operator("agent", &[Role::Support]).await;
    let boss = world.operator("boss", &[Role::Supervisor]).await;
    for person in [&lost, &held] {
        for _ in 0..6 {
            assert!(
                suspend(&world, &agent, &person.name, "00000-00000")
                    .await
                    .is_err()
            );
        }
    }
    assert_eq!(revoke(&world, &boss, &lost.name, "lost").await.unwrap(), 1);
    held.phone.suspend(&world.server).await.unwrap();
    assert_eq!(state(&world, &held).await, DeviceState::Suspended);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_alike_for_people_whom_nobody_knows() {
    let mut world = World::with(OPEN).await;
    within_a_day(&mut world);
    let (person, _) = enrolled(&mut world).await;
    let agent = world.operator("agent", &[Role::Support]).await;
    let mut told = Vec::new();
    for name in [person.name.as_str(), "NOBODY"] {
        let mut answers = Vec::new();
        for _ in 0..7 {
            let refused = suspend(&world, &agent, name, "00000-00000").await.unwrap_err();
            answers.push((code(&refused), refused.code(), refused.message().to_owned()));
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0][4].0, "suspension.refused");
    assert_eq!(told[0][5].0, "suspension.too_many");
}
