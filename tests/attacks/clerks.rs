//! Row: a clerk confirms an enrolment they may not, countersigns their own case; a support agent enrols. Refused and audited.

use paraphe_proto::v1::{self, Role};
use tonic::Code;

use crate::hand::OPEN;
use crate::world::{World, code};

#[tokio::test(flavor = "multi_thread")]
async fn a_support_agent_may_do_nothing_of_an_enrolment_and_a_clerk_countersigns_no_own_case() {
    let two = format!("{OPEN}second_clerk = true\n");
    let world = World::with(&two).await;
    let support = world.service("support", &[Role::Support]).await;
    let colleague = world.service("colleague", &[Role::Clerk]).await;
    let supervisor = world.service("supervisor", &[Role::Supervisor]).await;
    let open = || v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    let refused = world
        .enrolment()
        .open_case(world.as_account(&support, open()))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (refused.code(), code(&refused).as_str()),
        (Code::PermissionDenied, "caller.forbidden")
    );
    let case = world
        .enrolment()
        .open_case(world.as_clerk(open()))
        .await
        .unwrap()
        .into_inner();
    assert!(case.countersignature_required);
    let evidence = v1::RecordEvidenceRequest {
        case_id: case.case_id.clone(),
        mrz: crate::world::passport("TWOPEOPLE"),
        checks: vec![1, 2],
        accepted: true,
        ..Default::default()
    };
    let other = world
        .enrolment()
        .record_evidence(world.as_account(&colleague, evidence.clone()))
        .await;
    assert_eq!(
        code(&other.err().unwrap()),
        "case.not_found",
        "a colleague's case"
    );
    world
        .enrolment()
        .record_evidence(world.as_clerk(evidence))
        .await
        .unwrap();
    let issue = || v1::IssueActivationRequest {
        case_id: case.case_id.clone(),
        replaces: false,
        ..Default::default()
    };
    let alone = world.enrolment().issue_activation(world.as_clerk(issue())).await;
    assert_eq!(code(&alone.err().unwrap()), "case.state", "one person is not two");
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
    let agent = world
        .enrolment()
        .countersign(world.as_account(&support, sign()))
        .await
        .err()
        .unwrap();
    assert_eq!(agent.code(), Code::PermissionDenied);
    world
        .enrolment()
        .countersign(world.as_account(&supervisor, sign()))
        .await
        .unwrap();
    world
        .enrolment()
        .issue_activation(world.as_clerk(issue()))
        .await
        .unwrap();
    let list = v1::ListAuditEntriesRequest {
        after: 0,
        page_size: 500,
    };
    let trail = world
        .admin_client()
        .list_audit_entries(world.as_account(&world.auditor, list))
        .await;
    let refusals: Vec<_> = trail
        .unwrap()
        .into_inner()
        .entries
        .into_iter()
        .filter(|e| e.target == case.case_id)
        .collect();
    for outcome in ["case.own", "case.not_found", "case.state"] {
        assert!(
            refusals.iter().any(|entry| entry.outcome == outcome),
            "{outcome} is audited: {refusals:?}"
        );
    }
}
