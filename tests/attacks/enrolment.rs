//! Activations and clerks (protocol.md section 5).

use std::sync::Arc;

use paraphe_companion::{Activation, Invitation, SoftwareKeyStore};
use paraphe_proto::v1::{self, Role};
use rand_core::OsRng;

use crate::world::{World, activate, code, passport};

#[tokio::test(flavor = "multi_thread")]
async fn three_wrong_digits_revoke_activation_and_phone() {
    let mut world = World::new().await;
    let (name, issued) = world.issue().await;
    let (phone, sas) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    let wrong = format!("{:06}", (sas.parse::<u32>().unwrap() + 1) % 1_000_000);
    for said in ["Tries left: 2.", "Tries left: 1.", "the activation is revoked"] {
        let refused = world.confirm(&issued.activation_id, &wrong).await.err().unwrap();
        assert_eq!(code(&refused), "activation.digits_wrong");
        assert!(refused.message().contains(said), "{}", refused.message());
    }
    let refused = world.confirm(&issued.activation_id, &sas).await.err().unwrap();
    assert_eq!(code(&refused), "activation.revoked");
    assert_eq!(
        phone.device(&world.server).await.unwrap().state.as_str(),
        "revoked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_or_expired_activation_code_is_refused() {
    let mut world = World::new().await;
    let (name, issued) = world.issue().await;
    let (phone, _) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    assert_eq!(begin(&world, &issued.uri, "thief").await, "activation.used");
    let unconfirmed = phone.history(&world.server, None, 0).await.err().unwrap();
    assert_eq!(unconfirmed.code(), "device.not_active");
    let (_, issued) = world.issue().await;
    world.pass(601);
    assert_eq!(begin(&world, &issued.uri, "late").await, "activation.expired");
}

async fn begin(world: &World, uri: &str, name: &str) -> String {
    let folder = world.daemon.path(&format!("phone-{name}"));
    let keystore = Arc::new(SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap());
    let invitation = Invitation::from_uri(uri).unwrap();
    let begun = Activation::begin(&folder, keystore, invitation, &world.server, &mut OsRng).await;
    begun.err().unwrap().code().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_knows_the_activation_id_burns_nothing() {
    let mut world = World::new().await;
    let (name, issued) = world.issue().await;
    let mut companion = world.server.client();
    for id in [issued.activation_id.as_str(), "act_aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let key = paraphe_proto::keys::SoftwareKey::generate(&mut OsRng).unwrap();
        use paraphe_proto::keys::Signer;
        let request = v1::BeginActivationRequest {
            activation_id: id.to_owned(),
            possession_key: key.public_key().as_sec1().to_vec(),
            mac: vec![0; 32],
        };
        let refused = companion.begin_activation(request).await.err().unwrap();
        assert_eq!(code(&refused), "activation.not_found");
    }
    activate(&world.daemon, &world.server, &issued.uri, &name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clerk_confirms_only_their_own_and_refusals_are_audited() {
    let mut world = World::new().await;
    let (name, issued) = world.issue().await;
    let (_, sas) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    let other = world.service("other-clerk", &[Role::Clerk]).await;
    let message = v1::ConfirmActivationRequest {
        activation_id: issued.activation_id.clone(),
        code: sas.clone(),
    };
    let refused = world
        .enrolment()
        .confirm_activation(world.as_account(&other, message))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "activation.not_found");
    let list = v1::ListAuditEntriesRequest {
        after: 0,
        page_size: 500,
    };
    let trail = world
        .admin_client()
        .list_audit_entries(world.as_account(&world.auditor, list))
        .await
        .unwrap();
    let seen = trail.into_inner().entries.into_iter().any(|entry| {
        entry.actor == other.id
            && entry.verb == "confirm_activation"
            && entry.outcome == "activation.not_found"
    });
    assert!(seen);
    world.confirm(&issued.activation_id, &sas).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_check_digit_names_the_field_and_stores_nothing() {
    let world = World::new().await;
    let open = v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    let case = world
        .enrolment()
        .open_case(world.as_clerk(open))
        .await
        .unwrap()
        .into_inner();
    let evidence = |mrz: String, checks: Vec<i32>| v1::RecordEvidenceRequest {
        case_id: case.case_id.clone(),
        mrz,
        checks,
        accepted: true,
        ..Default::default()
    };
    let all = vec![
        v1::Check::DocumentGenuine.into(),
        v1::Check::HolderLikeness.into(),
    ];
    let typo = passport("TYPO").replace("740812", "740813");
    let request = world.as_clerk(evidence(typo, all));
    let refused = world.enrolment().record_evidence(request).await.err().unwrap();
    assert_eq!(code(&refused), "mrz.refused");
    assert!(
        refused.message().to_lowercase().contains("birth"),
        "{}",
        refused.message()
    );
    let unchecked = evidence(passport("GOOD"), vec![v1::Check::DocumentGenuine.into()]);
    let refused = world
        .enrolment()
        .record_evidence(world.as_clerk(unchecked))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "evidence.checks_missing");
    let get = v1::GetCaseRequest {
        case_id: case.case_id.clone(),
    };
    let found = world
        .enrolment()
        .get_case(world.as_clerk(get))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.state, "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_phone_is_not_enrolled_twice() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let open = v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    let case = world
        .enrolment()
        .open_case(world.as_clerk(open))
        .await
        .unwrap()
        .into_inner();
    let evidence = v1::RecordEvidenceRequest {
        case_id: case.case_id.clone(),
        mrz: passport(&person.name),
        checks: vec![
            v1::Check::DocumentGenuine.into(),
            v1::Check::HolderLikeness.into(),
        ],
        accepted: true,
        ..Default::default()
    };
    world
        .enrolment()
        .record_evidence(world.as_clerk(evidence))
        .await
        .unwrap();
    let issue = v1::IssueActivationRequest {
        case_id: case.case_id,
        replaces: false,
        ..Default::default()
    };
    let refused = world
        .enrolment()
        .issue_activation(world.as_clerk(issue))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "subject.already_enrolled");
}

const TWO_PEOPLE: &str =
    "[profile]\ndemonstration = true\n[channels.counter]\nquarantine_s = 0\nsecond_clerk = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn where_two_people_are_asked_for_one_is_not_enough() {
    let world = World::with(TWO_PEOPLE).await;
    let second = world.service("second-clerk", &[Role::Clerk]).await;
    let open = v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    let case = world
        .enrolment()
        .open_case(world.as_clerk(open))
        .await
        .unwrap()
        .into_inner();
    let evidence = |family: &str| v1::RecordEvidenceRequest {
        case_id: case.case_id.clone(),
        mrz: passport(family),
        checks: vec![
            v1::Check::DocumentGenuine.into(),
            v1::Check::HolderLikeness.into(),
        ],
        accepted: true,
        ..Default::default()
    };
    let request = world.as_clerk(evidence("GENUINE"));
    let recorded = world
        .enrolment()
        .record_evidence(request)
        .await
        .unwrap()
        .into_inner();
    assert!(recorded.countersignature_required);
    let issue = || v1::IssueActivationRequest {
        case_id: case.case_id.clone(),
        replaces: false,
        ..Default::default()
    };
    let alone = world
        .enrolment()
        .issue_activation(world.as_clerk(issue()))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&alone), "case.state");
    let sign = || v1::CountersignRequest {
        case_id: case.case_id.clone(),
    };
    let own = world
        .enrolment()
        .countersign(world.as_clerk(sign()))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&own), "case.own");
    let get = v1::GetCaseRequest {
        case_id: case.case_id.clone(),
    };
    let read = world
        .enrolment()
        .get_case(world.as_account(&second, get))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(read.document.unwrap().family_name, "GENUINE");
    let request = world.as_clerk(evidence("SWAPPED"));
    let swapped = world.enrolment().record_evidence(request).await.err().unwrap();
    assert_eq!(code(&swapped), "case.state");
    world
        .enrolment()
        .countersign(world.as_account(&second, sign()))
        .await
        .unwrap();
    world
        .enrolment()
        .issue_activation(world.as_clerk(issue()))
        .await
        .unwrap();
}
