//! An operator's phone is lost: an administrator gives them another under the same name, and what the lost one could do has ended.

use paraphe_proto::v1::{self, Role};
use tonic::Status;

use crate::hand::OPEN;
use crate::world::{Clerk, World, activate, code};

const WHY: &str = "left on the train";

async fn replace(
    world: &World,
    by: &Clerk,
    operator_id: &str,
    why: &str,
) -> Result<v1::IssueActivationResponse, Status> {
    let message = v1::ReplaceOperatorPhoneRequest {
        operator_id: operator_id.to_owned(),
        reason: why.to_owned(),
    };
    let method = "/paraphe.v1.Admin/ReplaceOperatorPhone";
    let request = world.as_session(&by.session, method, message);
    let done = world.admin_client().replace_operator_phone(request).await?;
    Ok(done.into_inner().activation.unwrap())
}

async fn refused(world: &World, by: &Clerk, operator_id: &str, why: &str) -> String {
    code(&replace(world, by, operator_id, why).await.err().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clerk_whose_phone_is_lost_goes_on_under_the_same_name() {
    let mut world = World::with(OPEN).await;
    let chief = world.operator("chief", &[Role::Administrator]).await;
    let (id, lost) = (world.clerk.id.clone(), std::sync::Arc::clone(&world.clerk.phone));
    let open = || v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    world.enrolment().open_case(world.as_clerk(open())).await.unwrap();
    let issued = replace(&world, &chief, &id, WHY).await.unwrap();
    assert!(issued.suspension_code.is_empty());

    // The lost phone and the session that it opened are worth nothing.
    let state = lost.device(&world.server).await.unwrap().state;
    assert_eq!(state.as_str(), "revoked");
    let late = world.enrolment().open_case(world.as_clerk(open())).await;
    assert_eq!(code(&late.err().unwrap()), "caller.unauthenticated");

    let (phone, digits) = activate(&world.daemon, &world.server, &issued.uri, "found").await;
    let confirm = |by: &Clerk| {
        let message = v1::ConfirmActivationRequest {
            activation_id: issued.activation_id.clone(),
            code: digits.clone(),
        };
        world.as_session(&by.session, "/paraphe.v1.Enrolment/ConfirmActivation", message)
    };
    world
        .enrolment()
        .confirm_activation(confirm(&chief))
        .await
        .unwrap();
    world.clerk.phone = std::sync::Arc::new(phone);
    world.sign_in_again().await;
    world.enrol().await;

    let trail = world.audit().await;
    let entry = trail
        .iter()
        .find(|entry| entry.verb == "replace_operator_phone")
        .unwrap();
    assert_eq!((&entry.actor, &entry.target), (&chief.id, &id));
    assert!(entry.outcome.contains(WHY), "{}", entry.outcome);
    let events = world
        .clerk
        .phone
        .device_events(&world.server, None, 100)
        .await
        .unwrap();
    let ended = events
        .events
        .iter()
        .find(|event| event.event == "revoked")
        .unwrap();
    assert_eq!((ended.who.as_str(), ended.why.as_str()), ("administrator", WHY));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_that_was_not_used_in_time_costs_nobody_their_name() {
    let mut world = World::with(OPEN).await;
    let create = |world: &World| {
        let message = v1::CreateOperatorRequest {
            name: "late".into(),
            roles: vec![Role::Clerk.into()],
        };
        world.as_admin("/paraphe.v1.Admin/CreateOperator", message)
    };
    let made = world
        .admin_client()
        .create_operator(create(&world))
        .await
        .unwrap()
        .into_inner();
    let (id, first) = (made.operator.unwrap().operator_id, made.activation.unwrap());
    let twice = world
        .admin_client()
        .create_operator(create(&world))
        .await
        .err()
        .unwrap();
    assert!(
        code(&twice) == "operator.exists" && twice.message().contains("same name"),
        "{twice}"
    );
    world.clerk.session = world.admin.clone();
    let by = world.clerk.clone();
    let second = replace(&world, &by, &id, WHY).await.unwrap();
    assert_ne!(first.activation_id, second.activation_id);
    let invitation = paraphe_companion::Invitation::from_uri(&first.uri).unwrap();
    let folder = world.daemon.path("late-phone");
    let keystore = paraphe_companion::SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap();
    let mut rng = rand_core::OsRng;
    let begun = paraphe_companion::Activation::begin(
        &folder,
        std::sync::Arc::new(keystore),
        invitation,
        &world.server,
        &mut rng,
    );
    let dead = begun.await.err().unwrap();
    assert_eq!(
        dead.code(),
        "activation.revoked",
        "the first one is not good any more"
    );
    activate(&world.daemon, &world.server, &second.uri, "late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_themselves_a_phone_and_nobody_else_gets_one() {
    let world = World::with(OPEN).await;
    let chief = world.operator("chief", &[Role::Administrator]).await;
    assert_eq!(refused(&world, &chief, &chief.id, WHY).await, "operator.own");
    assert_eq!(
        refused(&world, &chief, &world.auditor.id, WHY).await,
        "operator.no_person"
    );
    let nobody = paraphe_proto::ids::OperatorId::from_bytes([7; 16]).to_string();
    for (id, why, expected) in [
        (nobody.as_str(), WHY, "operator.not_found"),
        ("dev_1", WHY, "field.invalid"),
        (world.clerk.id.as_str(), "", "field.invalid"),
    ] {
        assert_eq!(refused(&world, &chief, id, why).await, expected, "{id}");
    }
    let by_clerk = refused(&world, &world.clerk, &chief.id, WHY).await;
    assert_eq!(by_clerk, "caller.forbidden");
    let disable = v1::DisableOperatorRequest {
        operator_id: world.clerk.id.clone(),
    };
    let request = world.as_admin("/paraphe.v1.Admin/DisableOperator", disable);
    world.admin_client().disable_operator(request).await.unwrap();
    assert_eq!(
        refused(&world, &chief, &world.clerk.id, WHY).await,
        "operator.disabled"
    );
    let state = world.clerk.phone.device(&world.server).await.unwrap().state;
    assert_eq!(state.as_str(), "active", "what is refused ends nothing");
}
