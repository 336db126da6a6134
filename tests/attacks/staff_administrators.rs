//! No deployment is left without an administrator who can sign in, and no program makes one.

use std::sync::Arc;

use paraphe_proto::v1::{self, Role};
use tonic::Status;

use crate::hand::OPEN;
use crate::restore::{back_up, put_back, restored};
use crate::staff_phone::{WHY, field, refused, rephone, replace};
use crate::world::{Clerk, World, activate, code, sign_in};

async fn id_of(world: &World, name: &str) -> String {
    let request = world.as_admin("/paraphe.v1.Admin/ListOperators", v1::ListOperatorsRequest {});
    let listed = world.admin_client().list_operators(request).await.unwrap();
    let mut all = listed.into_inner().operators.into_iter();
    all.find(|one| one.name == name).unwrap().operator_id
}

async fn disable(world: &World, by: &Clerk, id: &str) -> Result<(), Status> {
    let message = v1::DisableOperatorRequest {
        operator_id: id.to_owned(),
    };
    let request = world.as_session(&by.session, "/paraphe.v1.Admin/DisableOperator", message);
    world.admin_client().disable_operator(request).await.map(drop)
}

/// The first administrator; the phone is not theirs.
async fn first(world: &World) -> Clerk {
    Clerk {
        id: id_of(world, "admin-1").await,
        session: world.admin.clone(),
        phone: Arc::clone(&world.clerk.phone),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_ends_every_administrators_phone_issues_a_new_one() {
    let mut world = World::with(OPEN).await;
    let chief = world.operator("chief", &[Role::Administrator]).await;
    // Whoever takes the name keeps nobody from restoring.
    world.operator("restore-1", &[Role::Clerk]).await;
    back_up(&world);
    let admin = first(&world).await;
    let issued = replace(&world, &admin, &chief.id, WHY).await.unwrap();
    let phone = rephone(&world, &admin, &issued, "chief-2").await;
    let at = (&world.channel, &world.server);
    let (terminal, mut chief) = (Arc::clone(&chief.session.terminal), chief);
    chief.session.token = sign_in(at, &phone, &terminal, "chief", world.now()).await;
    let issued = replace(&world, &chief, &admin.id, WHY).await.unwrap();
    rephone(&world, &chief, &issued, "admin-2").await;

    put_back(&mut world, "backup");
    let report = restored(&world, &[]);
    let new = &report["administrator"];
    assert_eq!(new["operator"], "restore-1.2", "{report}");
    world.start_again().await;
    let uri = new["uri"].as_str().unwrap();
    let (phone, _) = activate(&world.daemon, &world.server, uri, "restored").await;
    let at = (&world.channel, &world.server);
    world.admin.token = sign_in(at, &phone, &world.admin.terminal, "restore-1.2", world.now()).await;
    let issued = replace(&world, &first(&world).await, &chief.id, WHY).await;
    assert!(issued.is_ok(), "{:?}", issued.err());

    // Where one can sign in, none is issued.
    assert_eq!(world.daemon.stop(), 0);
    let report = restored(&world, &["--rolled-back"]);
    assert!(report["administrator"].is_null(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_with_a_phone_is_neither_disabled_nor_given_another() {
    let world = World::with(OPEN).await;
    world.service("robot", &[Role::Administrator]).await;
    let chief = world.operator("chief", &[Role::Administrator]).await;
    let admin = first(&world).await;
    replace(&world, &admin, &chief.id, WHY).await.unwrap();
    let last = disable(&world, &admin, &admin.id).await.err().unwrap();
    assert_eq!(
        (code(&last).as_str(), field(&last).as_str()),
        ("operator.last_administrator", "operator_id")
    );
    disable(&world, &admin, &chief.id).await.unwrap();

    // An administrator whose own phone has stopped ends no other's.
    let (one, two) = (
        world.operator("one", &[Role::Administrator]).await,
        world.operator("two", &[Role::Administrator]).await,
    );
    replace(&world, &one, &admin.id, WHY).await.unwrap();
    one.phone.suspend(&world.server).await.unwrap();
    let told = refused(&world, &one, &two.id, WHY).await;
    assert_eq!(told, "operator.last_administrator");
    let state = two.phone.device(&world.server).await.unwrap().state;
    assert_eq!(state.as_str(), "active");
}

/// The one administrator who can sign in may be a thief, and nobody there may end them: root has the last word.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_owns_the_machine_issues_an_administrator_who_ends_the_last_one() {
    let mut world = World::with(OPEN).await;
    let thief = first(&world).await;
    let issue = |world: &World| {
        let mut command = world.daemon.command("issue-administrator");
        command.args(["--yes", "--json"]).output().unwrap()
    };
    let served = issue(&world);
    assert!(!served.status.success(), "while the daemon serves");
    assert_eq!(world.daemon.stop(), 0);
    let issued = issue(&world);
    assert!(
        issued.status.success(),
        "{}",
        String::from_utf8_lossy(&issued.stderr)
    );
    let issued: serde_json::Value = serde_json::from_slice(&issued.stdout).unwrap();
    world.start_again().await;
    let uri = issued["uri"].as_str().unwrap();
    let name = issued["operator"].as_str().unwrap();
    let (phone, _) = activate(&world.daemon, &world.server, uri, "issued").await;
    let at = (&world.channel, &world.server);
    world.admin.token = sign_in(at, &phone, &world.admin.terminal, name, world.now()).await;
    disable(&world, &first(&world).await, &thief.id).await.unwrap();
    let trail = world.audit().await;
    let made = trail
        .iter()
        .find(|entry| entry.verb == "create_operator" && entry.actor == "paraphed");
    assert!(made.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_makes_no_operator_and_gives_nobody_a_phone() {
    let world = World::with(OPEN).await;
    let robot = world.service("robot", &[Role::Administrator]).await;
    let create = v1::CreateOperatorRequest {
        name: "puppet".into(),
        roles: vec![Role::Clerk.into()],
    };
    let made = world
        .admin_client()
        .create_operator(world.as_account(&robot, create))
        .await;
    assert_eq!(code(&made.err().unwrap()), "caller.program");
    for id in [id_of(&world, "admin-1").await, world.clerk.id.clone()] {
        let message = v1::ReplaceOperatorPhoneRequest {
            operator_id: id,
            reason: WHY.into(),
        };
        let request = world.as_account(&robot, message);
        let replaced = world.admin_client().replace_operator_phone(request).await;
        assert_eq!(code(&replaced.err().unwrap()), "caller.program");
    }
    let state = world.clerk.phone.device(&world.server).await.unwrap().state;
    assert_eq!(state.as_str(), "active");
    let trail = world.audit().await;
    let refusals = trail.iter().filter(|entry| entry.outcome == "caller.program");
    assert_eq!(refusals.filter(|entry| entry.actor == robot.id).count(), 3);
}
