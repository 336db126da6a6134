//! A restore without the security journal suspends an old phone and the new one that rests on its word: in whichever order they are
//! resumed, the old one can veto for a whole quarantine, and a code on paper ends it (protocol.md sections 4.2 and 5.2).

use std::sync::Arc;

use paraphe_companion::{DeviceState, Phone};
use paraphe_proto::v1::Role;
use rand_core::OsRng;

use crate::own_phone::{HANDED_OVER, handed_over, until};
use crate::restore::{JOURNAL, back_up, put_back, restored};
use crate::suspension::{enrolled, state, suspend};
use crate::world::{PIN, Person, World, sign_in};

async fn resumed(world: &World, phone: &Phone) {
    phone.resume(&world.server).await.unwrap();
    let shown = world.shown(phone).await;
    let approved = phone.approve(&world.server, &shown, None, PIN, &mut OsRng).await;
    approved.unwrap();
}

/// The PIN lets a suspended phone go on.
pub async fn go_on(world: &World, person: &Person) {
    resumed(world, &person.phone).await;
}

/// Both are suspended and nothing is withdrawn: nobody knows what the journal would say.
async fn restored_without_journal(world: &mut World, phones: [&Person; 2]) {
    back_up(world);
    put_back(world, "backup");
    std::fs::remove_file(world.daemon.path(JOURNAL)).unwrap();
    restored(world, &["--without-journal"]);
    world.start_again().await;
    for person in phones {
        assert_eq!(state(world, person).await, DeviceState::Suspended);
    }
}

async fn swept() {
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_that_is_resumed_first_waits_for_the_old_one_and_takes_over_after_a_whole_quarantine() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let new = handed_over(&world, &old).await;
    restored_without_journal(&mut world, [&old, &new]).await;
    go_on(&world, &new).await;
    for _ in 0..2 {
        world.pass(3_601);
        swept().await;
        assert_eq!(state(&world, &new).await, DeviceState::Quarantined);
        assert_eq!(state(&world, &old).await, DeviceState::Suspended);
    }
    go_on(&world, &old).await;
    swept().await;
    let device = old.phone.device(&world.server).await.unwrap();
    let at = device.replaced_at.unwrap().as_secs();
    assert!(at >= world.now() + 3_500, "{at} is a whole quarantine from now");
    assert_eq!(state(&world, &new).await, DeviceState::Quarantined);
    world.pass(3_601);
    until(&world, &new, DeviceState::Active).await;
    assert_eq!(state(&world, &old).await, DeviceState::Replaced);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_who_resumes_the_new_phone_last_leaves_the_owner_a_whole_quarantine_for_the_veto() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let thief = handed_over(&world, &old).await;
    restored_without_journal(&mut world, [&old, &thief]).await;
    // Its time goes on while nobody can veto.
    world.pass(3_601);
    go_on(&world, &old).await;
    go_on(&world, &thief).await;
    swept().await;
    assert_eq!(state(&world, &old).await, DeviceState::Active);
    assert_eq!(state(&world, &thief).await, DeviceState::Quarantined);
    world.pass(3_000);
    let seen = old.phone.device(&world.server).await.unwrap();
    let which = seen.newcomers.first().map(|new| new.device_id);
    assert_eq!(which, Some(thief.phone.device_id()));
    let vetoed = old.phone.veto(&world.server, which).await;
    assert_eq!(vetoed.unwrap(), DeviceState::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_that_waits_ends_with_the_old_one() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let new = handed_over(&world, &old).await;
    restored_without_journal(&mut world, [&old, &new]).await;
    go_on(&world, &new).await;
    world.pass(3_601);
    swept().await;
    assert_eq!(state(&world, &new).await, DeviceState::Quarantined);
    old.phone.revoke(&world.server).await.unwrap();
    world.pass(3_601);
    until(&world, &new, DeviceState::Revoked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_on_paper_withdraws_what_a_suspended_phone_handed_over_to() {
    let mut world = World::with(HANDED_OVER).await;
    let mut agent = world.operator("agent", &[Role::Support]).await;
    let (old, paper) = enrolled(&mut world).await;
    let thief = handed_over(&world, &old).await;
    restored_without_journal(&mut world, [&old, &thief]).await;
    let phone = Arc::clone(&agent.phone);
    resumed(&world, &phone).await;
    let at = (&world.channel, &world.server);
    let terminal = &agent.session.terminal;
    agent.session.token = sign_in(at, &phone, terminal, "agent", world.now()).await;
    // The thief's phone goes on already, so that the code finds only the old one suspended.
    go_on(&world, &thief).await;
    let told = suspend(&world, &agent, &old.name, &paper).await.unwrap();
    assert_eq!(told, "suspended");
    assert_eq!(state(&world, &thief).await, DeviceState::Revoked);
    assert_eq!(state(&world, &old).await, DeviceState::Suspended);
    go_on(&world, &old).await;
    let device = old.phone.device(&world.server).await.unwrap();
    assert!(device.replaced_at.is_none() && device.newcomers.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_restore_that_resumes_both_again_leaves_a_whole_quarantine_for_the_veto_too() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let thief = handed_over(&world, &old).await;
    restored_without_journal(&mut world, [&old, &thief]).await;
    // The thief's time goes by before the backup, the two resumptions come after it.
    world.pass(3_601);
    std::fs::remove_file(world.daemon.path("backup")).unwrap();
    back_up(&world);
    go_on(&world, &old).await;
    go_on(&world, &thief).await;
    put_back(&mut world, "backup");
    restored(&world, &[]);
    world.start_again().await;
    swept().await;
    assert_eq!(state(&world, &old).await, DeviceState::Active);
    assert_eq!(state(&world, &thief).await, DeviceState::Quarantined);
    world.pass(3_000);
    let vetoed = old.phone.veto(&world.server, Some(thief.phone.device_id())).await;
    assert_eq!(vetoed.unwrap(), DeviceState::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_closed_meanwhile_shortens_no_quarantine_that_begins_again() {
    let mut world = World::with(HANDED_OVER).await;
    let (old, _) = enrolled(&mut world).await;
    let thief = handed_over(&world, &old).await;
    restored_without_journal(&mut world, [&old, &thief]).await;
    assert_eq!(world.daemon.stop(), 0);
    let path = world.daemon.path("paraphed.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let open = "[channels.own_phone]\nquarantine_s = 3600\n";
    assert!(text.contains(open));
    std::fs::write(&path, text.replace(open, "")).unwrap();
    world.start_again().await;
    go_on(&world, &old).await;
    go_on(&world, &thief).await;
    world.pass(86_400);
    swept().await;
    assert_eq!(state(&world, &thief).await, DeviceState::Quarantined);
    let vetoed = old.phone.veto(&world.server, Some(thief.phone.device_id())).await;
    assert_eq!(vetoed.unwrap(), DeviceState::Revoked);
}
