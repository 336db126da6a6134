//! Quarantine, restart, stop and resume, sessions, what lies in the stolen file, and what the logs never hold.

use paraphe_proto::v1;
use rand_core::OsRng;
use tonic::Code;

use crate::world::{PIN, World, code};

const QUARANTINE: &str = "[profile]\ndemonstration = true\n[channels.counter]\nquarantine_s = 259200\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_in_quarantine_gets_no_requests_until_it_ends() {
    let mut world = World::with(QUARANTINE).await;
    let person = world.enrol().await;
    assert_eq!(
        person.phone.device(&world.server).await.unwrap().state.as_str(),
        "quarantined"
    );
    let subject = world.subject(&world.market, &person).await;
    let refused = world
        .try_ask(&world.market, crate::world::purchase(&subject))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "enrolment.required");
    world.pass(259_201);
    world.ask(&world.market, &subject).await;
    assert_eq!(
        person.phone.device(&world.server).await.unwrap().state.as_str(),
        "active"
    );
}

#[test]
fn a_signal_in_the_moment_in_which_it_listens_is_heeded() {
    let (mut daemon, _) = crate::daemon::Daemon::prepared(crate::daemon::DEMONSTRATION);
    for round in 0..12 {
        daemon.start();
        if round % 2 == 0 {
            daemon.hang_up();
        }
        assert_eq!(daemon.stop(), 0, "round {round}: it ended undrained");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_watches_as_unavailable_and_the_cursor_misses_nothing() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let market = world.market.clone();
    let subject = world.subject(&market, &person).await;
    let watch = |cursor: &str| v1::WatchRequest {
        cursor: cursor.to_owned(),
    };
    let mut stream = world
        .step_up()
        .watch(world.as_account(&market, watch("")))
        .await
        .unwrap()
        .into_inner();
    let first = world.ask(&market, &subject).await;
    let shown = world.shown(&person.phone).await;
    person
        .phone
        .approve(&world.server, &shown, Some(&first.match_code), PIN, &mut OsRng)
        .await
        .unwrap();
    let seen = stream.message().await.unwrap().unwrap();
    assert_eq!(
        (seen.challenge_id.as_str(), seen.state),
        (first.challenge_id.as_str(), 2)
    );
    assert!(!seen.assertion.is_empty());
    let second = world.ask(&market, &subject).await;
    let shown = world.shown(&person.phone).await;
    assert_eq!(world.daemon.stop(), 0);
    assert_eq!(stream.message().await.err().unwrap().code(), Code::Unavailable);
    world.start_again().await;
    person.phone.refuse(&world.server, &shown).await.unwrap();
    let resumed = world
        .step_up()
        .watch(world.as_account(&market, watch(&seen.cursor)))
        .await
        .unwrap();
    let next = resumed.into_inner().message().await.unwrap().unwrap();
    assert_eq!(
        (next.challenge_id.as_str(), next.state),
        (second.challenge_id.as_str(), 3)
    );
    let history = person.phone.history(&world.server, None, 0).await.unwrap();
    assert_eq!(
        history
            .entries
            .iter()
            .map(|entry| entry.state.as_str())
            .collect::<Vec<_>>()
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_itself_and_is_worth_nothing_without_the_terminal() {
    let mut world = World::new().await;
    let list = "/paraphe.v1.Admin/ListOperators";
    world
        .admin_client()
        .list_operators(world.as_admin(list, v1::ListOperatorsRequest {}))
        .await
        .unwrap();
    let mut stolen = world.as_admin(list, v1::ListOperatorsRequest {});
    stolen.metadata_mut().remove("dpop");
    assert_eq!(
        world
            .admin_client()
            .list_operators(stolen)
            .await
            .err()
            .unwrap()
            .code(),
        Code::Unauthenticated
    );
    let other = world.as_admin("/paraphe.v1.Admin/ListTerminals", v1::ListOperatorsRequest {});
    assert_eq!(
        world
            .admin_client()
            .list_operators(other)
            .await
            .err()
            .unwrap()
            .code(),
        Code::Unauthenticated
    );
    world.pass(1_801);
    let late = world.as_admin(list, v1::ListOperatorsRequest {});
    assert_eq!(
        world
            .admin_client()
            .list_operators(late)
            .await
            .err()
            .unwrap()
            .code(),
        Code::Unauthenticated
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stolen_file_and_the_logs_hold_no_person_no_pin_and_no_code() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let asked = world.ask(&world.market, &subject).await;
    let shown = world.shown(&person.phone).await;
    person
        .phone
        .approve(&world.server, &shown, Some(&asked.match_code), PIN, &mut OsRng)
        .await
        .unwrap();
    let token = world.admin.token.clone();
    assert_eq!(world.daemon.stop(), 0);
    let file = std::fs::read(world.daemon.path("paraphe.db")).unwrap();
    let log = world.daemon.log().into_bytes();
    assert!(log.len() > 200, "the daemon logs nothing");
    let holds = |bytes: &[u8], secret: &str| {
        bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes())
    };
    assert!(holds(&file, &asked.challenge_id));
    for secret in [
        person.name.as_str(),
        "1974-08-12",
        "TIG welding",
        &asked.match_code,
        PIN,
        &token,
        "eyJ",
    ] {
        let public = ["eyJ", asked.match_code.as_str()].contains(&secret);
        assert!(public || !holds(&file, secret), "the database holds {secret}");
        assert!(!holds(&log, secret), "the log holds {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_clear_column_and_another_rows_seal_are_refused() {
    let mut world = World::new().await;
    let (person, other) = (world.enrol().await, world.enrol().await);
    let subject = world.subject(&world.market, &person).await;
    world.daemon.stop();
    world.start_again().await;
    let file = rusqlite::Connection::open(world.daemon.path("paraphe.db")).unwrap();
    let (one, two) = (
        person.phone.device_id().to_string(),
        other.phone.device_id().to_string(),
    );
    let swap = "UPDATE device SET sealed = (SELECT sealed FROM device WHERE id = ?1) WHERE id = ?2";
    assert_eq!(file.execute(swap, [&two, &one]).unwrap(), 1);
    let revive = "UPDATE operator SET state = 'disabled' WHERE name = 'auditor'";
    assert_eq!(file.execute(revive, []).unwrap(), 1);
    drop(file);
    let refused = person.phone.device(&world.server).await.err().unwrap();
    assert_eq!(refused.code(), "store.tampered");
    let refused = world
        .try_ask(&world.market, crate::world::purchase(&subject))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "store.tampered");
    let list = v1::ListAuditEntriesRequest::default();
    let refused = world
        .admin_client()
        .list_audit_entries(world.as_account(&world.auditor, list))
        .await;
    assert_eq!(code(&refused.err().unwrap()), "store.tampered");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_in_order_within_one_second_and_page_by_page() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let mut asked = Vec::new();
    for _ in 0..5 {
        asked.push(world.ask(&world.market, &subject).await.challenge_id);
    }
    asked.reverse();
    let (mut seen, mut page): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let got = person
            .phone
            .history(&world.server, page.as_deref(), 2)
            .await
            .unwrap();
        seen.extend(got.entries.into_iter().map(|entry| entry.challenge_id));
        page = got.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(seen, asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_are_served() {
    let world = World::new().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(world.channel.clone());
    let check = tonic_health::pb::HealthCheckRequest {
        service: "paraphe.v1.StepUp".into(),
    };
    let status = health.check(check).await.unwrap().into_inner().status;
    assert_eq!(
        status,
        i32::from(tonic_health::pb::health_check_response::ServingStatus::Serving)
    );
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(world.channel.clone());
    let asked = reflection
        .server_reflection_info(tokio_stream::once(ask))
        .await
        .unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = asked
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
    else {
        panic!("no list of services");
    };
    for service in ["StepUp", "Companion", "Enrolment", "Session", "Admin"] {
        let name = format!("paraphe.v1.{service}");
        assert!(
            list.service.iter().any(|listed| listed.name == name),
            "{name} is not listed"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_client_certificate_is_its_backend_and_no_other_is() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let made = || rcgen::generate_simple_self_signed(vec!["backend.test".to_owned()]).unwrap();
    let (own, foreign) = (made(), made());
    let digest = ring::digest::digest(&ring::digest::SHA256, own.cert.der());
    let message = v1::RegisterRelyingPartyRequest {
        relying_party_id: "by-certificate".into(),
        display_name: "By certificate".into(),
        certificate_sha256: paraphe_proto::encoding::hex(digest.as_ref()),
        may_identify: true,
        ..Default::default()
    };
    let request = world.as_admin("/paraphe.v1.Admin/RegisterRelyingParty", message);
    world
        .admin_client()
        .register_relying_party(request)
        .await
        .unwrap();
    let check = v1::CheckRequest {
        person: Some(v1::check_request::Person::Identity(v1::PivotIdentity {
            family_name: person.name.clone(),
            given_names: "Anna".into(),
            birth_date: "1974-08-12".into(),
            birthplace: String::new(),
        })),
        action: "course.buy".into(),
        session_acr: String::new(),
    };
    for (certificate, known) in [(own, true), (foreign, false)] {
        let pem = certificate.cert.pem();
        let identity = tonic::transport::Identity::from_pem(pem, certificate.signing_key.serialize_pem());
        let ca = std::fs::read(world.daemon.path("ca.pem")).unwrap();
        let tls = tonic::transport::ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(ca))
            .identity(identity);
        let endpoint = tonic::transport::Endpoint::from_shared(world.daemon.url.clone()).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
        let answer = v1::step_up_client::StepUpClient::new(channel)
            .check(check.clone())
            .await;
        match answer {
            Ok(answer) => assert!(known && answer.into_inner().subject.starts_with("sub_")),
            Err(status) => assert!(!known && status.code() == Code::Unauthenticated, "{status:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_shown_for_thirteen_months_and_no_longer() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    world.ask(&world.market, &subject).await;
    world.pass(395 * 86_400);
    let kept = person.phone.history(&world.server, None, 0).await.unwrap();
    assert_eq!(kept.entries.len(), 1);
    world.pass(2 * 86_400);
    let gone = person.phone.history(&world.server, None, 0).await.unwrap();
    assert!(gone.entries.is_empty());
}
