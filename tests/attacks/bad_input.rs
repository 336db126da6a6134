//! Bad input at start and at the door: each a named error that says what to do, nothing half done.

use std::path::Path;

use paraphe_proto::v1;
use tonic::Code;

use crate::daemon::{DEMONSTRATION, Daemon, ISSUER};
use crate::world::{World, code, purchase};

fn refused(daemon: &Daemon, expected: &str, exit: i32) {
    let (said, status) = daemon.fail_to_start();
    assert!(said.contains(&format!("paraphed: {expected}: ")), "{said}");
    assert_eq!(status, exit, "{said}");
}

fn rewrite(daemon: &Daemon, from: &str, to: &str) {
    let path = daemon.path("paraphed.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_daemon_does_not_start_on_what_is_wrong_and_says_why() {
    let (daemon, _) = Daemon::prepared(DEMONSTRATION);
    let again = daemon.command("init").output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("keys.exists"));

    let master = std::fs::read(daemon.path("master.key")).unwrap();
    std::fs::write(daemon.path("master.key"), "0".repeat(64)).unwrap();
    refused(&daemon, "store.wrong_master_key", 5);
    std::fs::remove_file(daemon.path("master.key")).unwrap();
    refused(&daemon, "keys.missing", 5);
    std::fs::create_dir(daemon.path("master.key")).unwrap();
    refused(&daemon, "keys.unreadable", 5);
    std::fs::remove_dir(daemon.path("master.key")).unwrap();
    std::fs::write(daemon.path("master.key"), "short").unwrap();
    refused(&daemon, "keys.malformed", 5);
    std::fs::write(daemon.path("master.key"), master).unwrap();

    rewrite(&daemon, ISSUER, "https://other.test");
    refused(&daemon, "store.other_issuer", 4);
    rewrite(&daemon, "https://other.test", ISSUER);
    rewrite(&daemon, "[tls]", "[tls]\nprivate_key = \"x\"");
    let (said, status) = daemon.fail_to_start();
    assert!(said.contains("private_key") && status == 3, "{said}");
    rewrite(&daemon, "[tls]\nprivate_key = \"x\"", "[tls]");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    rewrite(&daemon, "127.0.0.1:0", &address);
    refused(&daemon, "listen.in_use", 6);
    rewrite(&daemon, &address, "127.0.0.1:0");
    daemon.clock(-3_600);
    refused(&daemon, "clock.behind_database", 4);
    daemon.clock(0);
}

#[test]
fn a_database_that_is_not_ours_newer_damaged_or_missing_is_left_alone() {
    let (daemon, _) = Daemon::prepared(DEMONSTRATION);
    let path = daemon.path("paraphe.db");
    let good = std::fs::read(&path).unwrap();
    let sql = |text: &str| {
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(text)
            .unwrap()
    };
    sql("PRAGMA user_version = 99");
    refused(&daemon, "store.newer", 4);
    std::fs::write(&path, &good).unwrap();
    sql("PRAGMA application_id = 7");
    refused(&daemon, "store.foreign", 4);
    let mut damaged = good.clone();
    for byte in damaged.iter_mut().skip(4_096).step_by(7) {
        *byte ^= 0xff;
    }
    std::fs::write(&path, &damaged).unwrap();
    let (said, status) = daemon.fail_to_start();
    assert!(said.contains("store.corrupt") && status == 4, "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
    std::fs::remove_file(&path).unwrap();
    refused(&daemon, "store.missing", 4);
}

#[test]
fn a_template_that_cannot_render_is_refused_at_load() {
    let (daemon, _) = Daemon::prepared(DEMONSTRATION);
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/actions.toml");
    let text = std::fs::read_to_string(&sample).unwrap();
    let broken = text.replacen("{ $title }", "{ $titel }", 1);
    assert_ne!(text, broken);
    std::fs::write(daemon.path("actions.toml"), broken).unwrap();
    rewrite(&daemon, &sample.display().to_string(), "actions.toml");
    let (said, status) = daemon.fail_to_start();
    assert!(
        said.contains("catalogue.") && said.contains("titel") && status == 3,
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_are_refused_with_their_field() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let cases: Vec<(&str, &str, v1::RequestRequest)> = vec![
        (
            "action.unknown",
            "action",
            v1::RequestRequest {
                action: "course.steal".into(),
                ..purchase(&subject)
            },
        ),
        (
            "action.unknown",
            "action",
            v1::RequestRequest {
                action: "paraphe.login".into(),
                ..purchase(&subject)
            },
        ),
        (
            "action.locale_unknown",
            "locale",
            v1::RequestRequest {
                locale: "de".into(),
                ..purchase(&subject)
            },
        ),
        (
            "request.lifetime",
            "lifetime_s",
            v1::RequestRequest {
                lifetime_s: 9_999,
                ..purchase(&subject)
            },
        ),
        (
            "request.match",
            "match",
            v1::RequestRequest {
                r#match: 1,
                ..purchase(&subject)
            },
        ),
        (
            "field.invalid",
            "idempotency_key",
            v1::RequestRequest {
                idempotency_key: "a b".into(),
                ..purchase(&subject)
            },
        ),
        (
            "subject.not_found",
            "subject",
            v1::RequestRequest {
                subject: "sub_x".into(),
                ..purchase(&subject)
            },
        ),
    ];
    for (expected, field, message) in cases {
        let status = world.try_ask(&world.market, message).await.err().unwrap();
        assert_eq!(code(&status), expected);
        use tonic_types::StatusExt;
        let details = status.get_details_bad_request().unwrap();
        assert_eq!(details.field_violations[0].field, field);
    }
    assert!(person.phone.fetch(&world.server).await.unwrap().is_empty());
    let big = v1::RequestRequest {
        locale: "x".repeat(3_000_000),
        ..purchase(&subject)
    };
    let status = world.try_ask(&world.market, big).await.err().unwrap();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted),
        "{status:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_expired_too_long_foreign_or_unsigned_look_alike() {
    let world = World::new().await;
    let now = world.now();
    let market = &world.market;
    let tokens = [
        market.token(ISSUER, now - 400, 200),
        market.token(ISSUER, now, 301),
        market.token("https://elsewhere.test", now, 200),
        market.token(ISSUER, now + 600, 200),
        "x.y.z".to_owned(),
    ];
    let mut said = std::collections::BTreeSet::new();
    for token in tokens {
        let mut request = tonic::Request::new(v1::GetRequest::default());
        request
            .metadata_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        let status = world.step_up().get(request).await.err().unwrap();
        said.insert((status.code() as i32, status.message().to_owned(), code(&status)));
    }
    let nothing = world
        .step_up()
        .get(v1::GetRequest::default())
        .await
        .err()
        .unwrap();
    said.insert((
        nothing.code() as i32,
        nothing.message().to_owned(),
        code(&nothing),
    ));
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(nothing.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_while_running_refuses_until_it_is_right() {
    let world = World::new().await;
    world.daemon.clock(-3_600);
    let mut companion = world.server.client();
    let status = companion.nonce(v1::NonceRequest {}).await.err().unwrap();
    assert_eq!(
        (status.code(), code(&status).as_str()),
        (Code::Unavailable, "clock.went_back")
    );
    world.daemon.clock(0);
    companion.nonce(v1::NonceRequest {}).await.unwrap();
}
