//! An operator's phone is in other hands: what it approved becomes no session once it was replaced, stopped or disowned, and no call is
//! stored whose session ended meanwhile.

use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::v1::{Role, State};

use crate::hand::OPEN;
use crate::staff_phone::{WHY, replace};
use crate::world::{Clerk, World, ask_login, begin_login, code, complete_login};

/// A login that a thief of phone, PIN and terminal had approved, and keeps.
async fn approved(world: &World, of: &Clerk, name: &str) -> String {
    let at = (&world.channel, &world.server);
    begin_login(at, &of.phone, &of.session.terminal, name, world.now()).await
}

async fn redeemed(world: &World, terminal: &SoftwareKey, id: &str) -> String {
    let done = complete_login(&world.channel, terminal, id, world.now()).await;
    match done {
        Ok(done) if done.token.is_empty() => "no token".to_owned(),
        Ok(_) => "a token".to_owned(),
        Err(status) => code(&status),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_approved_on_a_stolen_phone_is_not_redeemed_once_it_was_replaced() {
    let world = World::with(OPEN).await;
    let chief = world.operator("chief", &[Role::Administrator]).await;
    let honest = world.operator("honest", &[Role::Administrator]).await;
    let kept = approved(&world, &chief, "chief").await;
    replace(&world, &honest, &chief.id, WHY).await.unwrap();
    let told = redeemed(&world, &chief.session.terminal, &kept).await;
    assert_eq!(told, "caller.unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_approved_on_a_phone_that_was_stopped_since_is_not_redeemed() {
    let world = World::with(OPEN).await;
    for (name, revoked) in [("suspended", false), ("revoked", true)] {
        let one = world.operator(name, &[Role::Clerk]).await;
        let kept = approved(&world, &one, name).await;
        match revoked {
            true => one.phone.revoke(&world.server).await.unwrap(),
            false => one.phone.suspend(&world.server).await.unwrap(),
        };
        let told = redeemed(&world, &one.session.terminal, &kept).await;
        assert_eq!(told, "caller.unauthenticated", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_me_ends_also_a_login_that_was_approved_and_not_redeemed() {
    let world = World::with(OPEN).await;
    let clerk = &world.clerk;
    let kept = approved(&world, clerk, "clerk-desk").await;
    let asked = ask_login(&world.channel, &clerk.session.terminal, "clerk-desk", world.now()).await;
    asked.unwrap();
    let shown = world.shown(&clerk.phone).await;
    clerk.phone.report(&world.server, &shown).await.unwrap();
    let told = redeemed(&world, &clerk.session.terminal, &kept).await;
    assert_eq!(told, "caller.unauthenticated");
    // The phone itself is good: its holder signs in again.
    let fresh = approved(&world, clerk, "clerk-desk").await;
    let told = redeemed(&world, &clerk.session.terminal, &fresh).await;
    assert_eq!(told, "a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_administrators_who_replace_each_other_at_once_one_is_too_late() {
    let world = World::with(OPEN).await;
    for round in 0..4 {
        let (one, other) = (format!("one-{round}"), format!("other-{round}"));
        let one = world.operator(&one, &[Role::Administrator]).await;
        let other = world.operator(&other, &[Role::Administrator]).await;
        let both = tokio::join!(
            replace(&world, &one, &other.id, WHY),
            replace(&world, &other, &one.id, WHY),
        );
        let late = match both {
            (Ok(_), Err(late)) | (Err(late), Ok(_)) => late,
            (one, other) => panic!("{:?} {:?}", one.err(), other.err()),
        };
        assert_eq!(code(&late), "caller.unauthenticated");
    }
}

/// Two that look the same on the phone: the code of the newer one, typed into the older one, would end it as failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_begun_again_leaves_one_question_on_the_phone_and_none_of_another_terminal_ends() {
    let world = World::with(OPEN).await;
    let one = world.operator("clerk-one", &[Role::Clerk]).await;
    let other = &world.admin.terminal;
    let elsewhere = ask_login(&world.channel, other, "clerk-one", world.now())
        .await
        .unwrap();
    let terminal = &one.session.terminal;
    let first = ask_login(&world.channel, terminal, "clerk-one", world.now())
        .await
        .unwrap();
    let again = ask_login(&world.channel, terminal, "clerk-one", world.now())
        .await
        .unwrap();
    let shown = one.phone.fetch(&world.server).await.unwrap().into_iter();
    let shown: Vec<String> = shown
        .map(|pending| pending.challenge.unwrap().challenge_id().to_string())
        .collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.contains(&elsewhere.challenge_id) && shown.contains(&again.challenge_id));
    let ended = complete_login(&world.channel, terminal, &first.challenge_id, world.now()).await;
    assert_eq!(ended.unwrap().state(), State::Superseded);
}
