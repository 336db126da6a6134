//! The clerk's own phone signs each enrolment (protocol.md sections 3 and 5): nobody is enrolled by a terminal alone.

use paraphe_companion::protocol::{self, Signed};
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::oprf;
use paraphe_proto::pin::Pin;
use paraphe_proto::statements::{Enrolment, Evaluation};
use paraphe_proto::v1::{self, Role};
use rand_core::OsRng;

use crate::hand::{OPEN, Parts};
use crate::world::{PIN, WRONG_PIN, World, activate, code, passport};

/// A verified case of the clerk.
async fn verified(world: &World, family: &str) -> String {
    world.verified("counter", &passport(family)).await
}

async fn state(world: &World, issued: &v1::IssueActivationResponse) -> String {
    let get = v1::GetActivationRequest {
        activation_id: issued.activation_id.clone(),
    };
    let found = world.enrolment().get_activation(world.as_clerk(get)).await;
    found.unwrap().into_inner().state
}

async fn begin(world: &World, issued: &v1::IssueActivationResponse, name: &str) -> String {
    let folder = world.daemon.path(&format!("phone-{name}"));
    let keys = paraphe_companion::SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap();
    let invitation = paraphe_companion::Invitation::from_uri(&issued.uri).unwrap();
    let keys = std::sync::Arc::new(keys);
    let begun =
        paraphe_companion::Activation::begin(&folder, keys, invitation, &world.server, &mut OsRng).await;
    begun
        .err()
        .map_or("begun".to_owned(), |error| error.code().to_owned())
}

async fn shown(world: &World, issued: &v1::IssueActivationResponse) -> paraphe_companion::Shown {
    let pending = world.clerk.phone.fetch(&world.server).await.unwrap();
    let mut shown = pending.into_iter().map(|pending| pending.challenge.unwrap());
    let asked = shown.find(|shown| shown.challenge_id().to_string() == issued.challenge_id);
    asked.unwrap()
}

/// The clerk's approval key, opened by one evaluation.
async fn unlock(world: &World, shown: &paraphe_companion::Shown) -> (SoftwareKey, Evaluation) {
    let phone = &world.clerk.phone;
    let (blind, element) = oprf::blind(&Pin::enter(PIN).unwrap(), &mut OsRng).unwrap();
    let prover = phone.prover().unwrap();
    let id = shown.challenge_id();
    let compact = protocol::request_evaluation(&world.server, &prover, id, &element).await;
    let evaluation: Evaluation = serde_json::from_value(Parts::of(&compact.unwrap()).claims).unwrap();
    let folder = world.daemon.path("phone-clerk-desk").join("keys");
    let keys = paraphe_companion::SoftwareKeyStore::open(folder, "test/1").unwrap();
    let key = protocol::open_approval_key(&phone.record(), &keys, blind, &evaluation).unwrap();
    (key, evaluation)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_is_good_only_once_the_clerks_phone_has_signed_it() {
    let world = World::with(OPEN).await;
    let case_id = verified(&world, "SIGNED").await;
    let issued = world.try_issue(&case_id).await.unwrap();
    assert_eq!(state(&world, &issued).await, "awaiting_signature");
    assert_eq!(begin(&world, &issued, "early").await, "activation.unsigned");
    let asked = shown(&world, &issued).await;
    let rows: Vec<&str> = asked
        .document()
        .rows
        .iter()
        .map(|row| row.value.as_str())
        .collect();
    let person = ["SIGNED", "ANNA", "1974-08-12", "–", "UTO P …02C3"];
    let enrolment = ["document_genuine, holder_likeness", "counter", "eidas2"];
    assert_eq!(rows, [person.as_slice(), &enrolment].concat());
    world.sign(&issued).await.unwrap();
    assert_eq!(state(&world, &issued).await, "issued");
    let (_, digits) = activate(&world.daemon, &world.server, &issued.uri, "SIGNED").await;
    let confirmed = world.confirm(&issued.activation_id, &digits).await.unwrap();
    assert_eq!(confirmed.state, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_of_the_clerks_phone_or_none_at_all_leaves_the_activation_unsigned() {
    let mut world = World::with(OPEN).await;
    let case_id = verified(&world, "REFUSED").await;
    let issued = world.try_issue(&case_id).await.unwrap();
    let asked = shown(&world, &issued).await;
    world.clerk.phone.refuse(&world.server, &asked).await.unwrap();
    assert_eq!(state(&world, &issued).await, "unsigned");
    assert_eq!(begin(&world, &issued, "refused").await, "activation.unsigned");

    // Another one takes its place, also while it waits: a clerk has one to sign at a time.
    let second = world.try_issue(&case_id).await.unwrap();
    let third = world.try_issue(&case_id).await.unwrap();
    assert_eq!(state(&world, &second).await, "unsigned");
    world.pass(301);
    assert_eq!(state(&world, &third).await, "unsigned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_no_phone_and_cannot_issue() {
    let world = World::with(OPEN).await;
    let robot = world.service("robot", &[Role::Clerk]).await;
    let open = v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    let case = world.enrolment().open_case(world.as_account(&robot, open)).await;
    let case_id = case.unwrap().into_inner().case_id;
    let evidence = v1::RecordEvidenceRequest {
        case_id: case_id.clone(),
        mrz: passport("ROBOT"),
        checks: vec![1, 2],
        accepted: true,
        ..Default::default()
    };
    let recorded = world
        .enrolment()
        .record_evidence(world.as_account(&robot, evidence))
        .await;
    recorded.unwrap();
    let issue = v1::IssueActivationRequest {
        case_id,
        replaces: false,
        ..Default::default()
    };
    let refused = world
        .enrolment()
        .issue_activation(world.as_account(&robot, issue))
        .await;
    assert_eq!(code(&refused.unwrap_err()), "operator.no_phone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_statement_changed_in_any_field_is_refused_even_when_the_clerks_phone_signs_it() {
    let world = World::with(OPEN).await;
    let case_id = verified(&world, "CHANGED").await;
    let issued = world.try_issue(&case_id).await.unwrap();
    let asked = shown(&world, &issued).await;
    let refused = answer(&world, &issued, &asked, |_, _| None).await.unwrap_err();
    assert_eq!(refused.code(), "enrolment.mismatch", "none at all");
    let fields = crate::fields::changes(&serde_json::to_value(sample(&asked)).unwrap());
    assert!(fields.len() > 20, "{}", fields.len());
    for (number, (path, _)) in fields.iter().enumerate() {
        for signed in [false, true] {
            let forge = |key: &SoftwareKey, good: String| {
                let parts = Parts::of(&good);
                let (_, claims) = crate::fields::changes(&parts.claims).swap_remove(number);
                let changed = Parts { claims, ..parts };
                Some(if signed {
                    changed.sign(key)
                } else {
                    changed.compact()
                })
            };
            let refused = answer(&world, &issued, &asked, forge).await;
            assert_eq!(refused.expect_err(path).code(), "enrolment.mismatch", "{path}");
        }
    }
    assert_eq!(state(&world, &issued).await, "awaiting_signature");
    let left = world
        .clerk
        .phone
        .device(&world.server)
        .await
        .unwrap()
        .attempts_left;
    assert_eq!(left, 5, "each of these PINs was right, and is credited");
    let outcome = answer(&world, &issued, &asked, |_, good| Some(good))
        .await
        .unwrap();
    assert_eq!(outcome.state, "approved");
    assert_eq!(state(&world, &issued).await, "issued");
}

/// A statement of the shape that the clerk's phone signs, for the names of its fields.
fn sample(asked: &paraphe_companion::Shown) -> Enrolment {
    Enrolment {
        iss: String::new(),
        challenge_sha256: [0; 32].into(),
        device_id: paraphe_proto::ids::DeviceId::from_bytes([0; 16]),
        epoch: 1,
        evaluation: 1,
        enrolled: asked.enrolment().unwrap().clone(),
    }
}

/// Unlocks anew and answers with what `forge` makes of the good enrolment statement.
async fn answer(
    world: &World,
    issued: &v1::IssueActivationResponse,
    asked: &paraphe_companion::Shown,
    forge: impl FnOnce(&SoftwareKey, String) -> Option<String>,
) -> Result<v1::Outcome, paraphe_companion::Error> {
    let (key, evaluation) = unlock(world, asked).await;
    let (issuer, sha) = (crate::daemon::ISSUER.to_owned(), asked.sha256());
    let code = issued.match_code.as_str();
    let approval = protocol::approval_statement(issuer.clone(), &key, sha, code, &evaluation)?;
    let good = protocol::enrolment_statement(issuer, &key, sha, asked.enrolment().unwrap(), &evaluation)?;
    let signed = Signed {
        approval,
        enrolment: forge(&key, good),
    };
    let prover = world.clerk.phone.prover()?;
    protocol::send_answer(&world.server, &prover, asked.challenge_id(), &signed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_or_code_signs_nothing_and_a_disabled_clerk_signs_no_more() {
    let world = World::with(OPEN).await;
    let case_id = verified(&world, "DISABLED").await;
    let issued = world.try_issue(&case_id).await.unwrap();
    let asked = shown(&world, &issued).await;
    let (phone, server) = (&world.clerk.phone, &world.server);
    let code = Some(issued.match_code.as_str());
    let wrong = phone
        .approve(server, &asked, code, WRONG_PIN, &mut OsRng)
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), "pin.wrong");
    assert_eq!(state(&world, &issued).await, "awaiting_signature");
    let disable = v1::DisableOperatorRequest {
        operator_id: world.clerk.id.clone(),
    };
    let request = world.as_admin("/paraphe.v1.Admin/DisableOperator", disable);
    world.admin_client().disable_operator(request).await.unwrap();
    let receipt = phone
        .approve(server, &asked, code, PIN, &mut OsRng)
        .await
        .unwrap();
    assert_eq!(
        receipt.state.to_string(),
        "failed",
        "the PIN was right, the clerk is none any more"
    );
    assert_eq!(begin(&world, &issued, "disabled").await, "activation.revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_ends_nothing_and_makes_nobody_known() {
    let mut world = World::with(OPEN).await;
    let (name, signed) = world.issue().await;
    let again = verified(&world, &name).await;
    let unsigned = world.try_issue(&again).await.unwrap();
    assert_eq!(
        state(&world, &signed).await,
        "issued",
        "an unsigned one takes no place"
    );
    assert_eq!(state(&world, &unsigned).await, "awaiting_signature");
    let (_, digits) = activate(&world.daemon, &world.server, &signed.uri, &name).await;
    world.confirm(&signed.activation_id, &digits).await.unwrap();

    let ghost = verified(&world, "GHOST").await;
    world.try_issue(&ghost).await.unwrap();
    let identity = v1::PivotIdentity {
        family_name: "GHOST".into(),
        given_names: "ANNA".into(),
        birth_date: "1974-08-12".into(),
        birthplace: String::new(),
    };
    let check = v1::CheckRequest {
        person: Some(v1::check_request::Person::Identity(identity)),
        action: "course.buy".into(),
        session_acr: String::new(),
    };
    let checked = world
        .step_up()
        .check(world.as_account(&world.market, check))
        .await;
    let checked = checked.unwrap().into_inner();
    assert_eq!(checked.decision(), v1::Decision::EnrolmentRequired);
    assert_eq!(checked.subject, "", "nobody of that name is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_changed_after_it_was_shown_is_not_what_was_signed() {
    let world = World::with(OPEN).await;
    let case_id = verified(&world, "SHOWN").await;
    let issued = world.try_issue(&case_id).await.unwrap();
    let other = v1::RecordEvidenceRequest {
        case_id,
        mrz: passport("SWAPPED"),
        checks: vec![1, 2],
        accepted: true,
        ..Default::default()
    };
    world
        .enrolment()
        .record_evidence(world.as_clerk(other))
        .await
        .unwrap();
    let receipt = world.sign(&issued).await.unwrap();
    assert_eq!(receipt.state.to_string(), "failed");
    assert_eq!(begin(&world, &issued, "swapped").await, "activation.unsigned");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_disabled_clerk_signed_before_enrols_nobody_any_more() {
    let mut world = World::with(OPEN).await;
    let (_, begun) = world.issue().await;
    assert_eq!(begin(&world, &begun, "begun").await, "begun");
    let (_, issued) = world.issue().await;
    let disable = v1::DisableOperatorRequest {
        operator_id: world.clerk.id.clone(),
    };
    let request = world.as_admin("/paraphe.v1.Admin/DisableOperator", disable);
    world.admin_client().disable_operator(request).await.unwrap();
    assert_eq!(begin(&world, &issued, "late").await, "activation.revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clerk_who_says_not_me_ends_the_session_that_asked() {
    let world = World::with(OPEN).await;
    let case_id = verified(&world, "STOLEN").await;
    let issued = world.try_issue(&case_id).await.unwrap();
    let asked = shown(&world, &issued).await;
    world.clerk.phone.report(&world.server, &asked).await.unwrap();
    let refused = world.try_issue(&case_id).await.unwrap_err();
    assert_eq!(
        code(&refused),
        "caller.unauthenticated",
        "the terminal is logged out"
    );
    assert_eq!(begin(&world, &issued, "stolen").await, "activation.revoked");
}
