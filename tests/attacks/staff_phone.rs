//! An operator's phone is lost: an administrator gives them another under the same name, and what the lost one could do has ended.

use std::sync::Arc;

use paraphe_companion::{Activation, Invitation, Phone, SoftwareKeyStore};
use paraphe_proto::v1::{self, Role};
use rand_core::OsRng;
use tonic::Status;
use tonic_types::StatusExt;

use crate::hand::{OPEN, code_of};
use crate::world::{Clerk, DeskCall, World, activate, code};

pub const WHY: &str = "left on the train";

pub async fn replace(
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

pub async fn refused(world: &World, by: &Clerk, operator_id: &str, why: &str) -> String {
    code(&replace(world, by, operator_id, why).await.err().unwrap())
}

/// The request field that a refusal names.
pub fn field(status: &Status) -> String {
    let details = status.get_details_bad_request();
    let named = details.and_then(|details| details.field_violations.into_iter().next());
    named.map(|violation| violation.field).unwrap_or_default()
}

/// A new phone of theirs, whose six digits `by` types.
pub async fn rephone(
    world: &World,
    by: &Clerk,
    issued: &v1::IssueActivationResponse,
    folder: &str,
) -> Arc<Phone> {
    let (phone, digits) = activate(&world.daemon, &world.server, &issued.uri, folder).await;
    let confirmed = confirm(world, by, &issued.activation_id, &digits).await;
    confirmed.unwrap();
    Arc::new(phone)
}

async fn confirm(
    world: &World,
    by: &Clerk,
    activation_id: &str,
    digits: &str,
) -> Result<v1::Activation, Status> {
    let message = v1::ConfirmActivationRequest {
        activation_id: activation_id.to_owned(),
        code: digits.to_owned(),
    };
    let request = world.as_session(&by.session, v1::ConfirmActivationRequest::METHOD, message);
    Ok(world.enrolment().confirm_activation(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clerk_whose_phone_is_lost_goes_on_under_the_same_name() {
    let mut world = World::with(OPEN).await;
    let chief = world.operator("chief", &[Role::Administrator]).await;
    let (id, lost) = (world.clerk.id.clone(), Arc::clone(&world.clerk.phone));
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

    world.clerk.phone = rephone(&world, &chief, &issued, "found").await;
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
    let dead = begin(&world, &first, "late-phone").await;
    assert_eq!(dead, "activation.revoked", "the first one is not good any more");
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
    for id in [&chief.id, &world.auditor.id] {
        let status = replace(&world, &chief, id, WHY).await.err().unwrap();
        assert_eq!(field(&status), "operator_id", "{status}");
    }
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
    let disabled = replace(&world, &chief, &world.clerk.id, WHY).await;
    let disabled = disabled.err().unwrap();
    assert_eq!(
        (code(&disabled).as_str(), field(&disabled).as_str()),
        ("operator.disabled", "operator_id")
    );
    let state = world.clerk.phone.device(&world.server).await.unwrap().state;
    assert_eq!(state.as_str(), "active", "what is refused ends nothing");
}

/// What a phone is told that begins an activation.
async fn begin(world: &World, issued: &v1::IssueActivationResponse, folder: &str) -> String {
    let folder = world.daemon.path(folder);
    let keys = SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap();
    let invitation = Invitation::from_uri(&issued.uri).unwrap();
    let (server, mut rng) = (&world.server, OsRng);
    code_of(Activation::begin(&folder, Arc::new(keys), invitation, server, &mut rng).await)
}

async fn seen(world: &World, by: &Clerk, activation_id: &str) -> String {
    let message = v1::GetActivationRequest {
        activation_id: activation_id.to_owned(),
    };
    let request = world.as_session(&by.session, v1::GetActivationRequest::METHOD, message);
    let found = world.enrolment().get_activation(request).await.unwrap();
    found.into_inner().state
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stolen_phone_signed_enrols_nobody_once_it_was_replaced() {
    let mut world = World::with(OPEN).await;
    let chief = world.operator("chief", &[Role::Administrator]).await;
    let (_, out) = world.issue().await;
    let (_, taken) = world.issue().await;
    let (_, digits) = activate(&world.daemon, &world.server, &taken.uri, "taken").await;
    let honest = world.enrol().await;
    let issued = replace(&world, &chief, &world.clerk.id, WHY).await.unwrap();
    assert_eq!(begin(&world, &out, "late").await, "activation.revoked");

    // The clerk, on the new phone, sees that both are worth nothing, and cannot make one good by the digits.
    world.clerk.phone = rephone(&world, &chief, &issued, "found").await;
    world.sign_in_again().await;
    for one in [&out, &taken] {
        assert_eq!(seen(&world, &world.clerk, &one.activation_id).await, "revoked");
    }
    let typed = confirm(&world, &world.clerk, &taken.activation_id, &digits).await;
    assert_eq!(code(&typed.err().unwrap()), "activation.revoked");

    // What was used to its end stays, and what the new phone signs is good.
    let state = honest.phone.device(&world.server).await.unwrap().state;
    assert_eq!(state.as_str(), "active");
    world.enrol().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_stolen_phone_of_an_administrator_made_never_signs_in() {
    let world = World::with(OPEN).await;
    let chief = world.operator("chief", &[Role::Administrator]).await;
    let message = v1::CreateOperatorRequest {
        name: "thief".into(),
        roles: vec![Role::Administrator.into()],
    };
    let request = world.as_session(&chief.session, "/paraphe.v1.Admin/CreateOperator", message);
    let made = world.admin_client().create_operator(request).await.unwrap();
    let out = made.into_inner().activation.unwrap();
    let second = world.operator("second", &[Role::Administrator]).await;
    replace(&world, &second, &chief.id, WHY).await.unwrap();
    assert_eq!(begin(&world, &out, "thief").await, "activation.revoked");
}
