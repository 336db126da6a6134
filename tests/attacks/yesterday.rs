//! A deployment written by an earlier release opens today, with its phones, and nothing in it is lost.
//!
//! `fixtures/schema-N.tar.gz` is a folder that the release with schema N left behind: configuration, keys, database, two phones, and a
//! person's phone (PIN 739145) with an approved, a refused and a pending challenge and one wrong PIN charged.

use std::process::Command;
use std::sync::Arc;

use paraphe_companion::{Phone, SoftwareKeyStore};
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::v1::step_up_client::StepUpClient;
use rand_core::OsRng;
use tonic::Request;

use crate::daemon::Daemon;
use crate::world::{Account, PIN, activate, connect, now, purchase};

const ISSUER: &str = "https://paraphe.localhost";

/// Ten minutes after the fixture was made, by the daemon's clock.
const THEN: i64 = 1_795_797_300;

fn yesterday(schema: u32) -> Daemon {
    let (daemon, _) = Daemon::prepared("");
    let fixture = format!("{}/fixtures/schema-{schema}.tar.gz", env!("CARGO_MANIFEST_DIR"));
    for file in daemon.folder.path().read_dir().unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let unpacked = Command::new("tar")
        .args(["-xzf", &fixture, "-C"])
        .arg(daemon.folder.path())
        .status();
    assert!(unpacked.unwrap().success());
    daemon.clock(THEN - now());
    daemon
}

fn market(daemon: &Daemon) -> Account {
    let pem = std::fs::read_to_string(daemon.path("market.pem")).unwrap();
    Account {
        id: "course-marketplace".into(),
        key: Arc::new(SoftwareKey::from_pkcs8_pem(&pem).unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_the_first_schema_opens_and_goes_on() {
    let mut daemon = yesterday(1);
    daemon.start();
    let (server, channel) = connect(&daemon).await;
    let folder = daemon.path("phones/anna");
    let keys = SoftwareKeyStore::open(folder.join("keystore"), "test/1").unwrap();
    let phone = Phone::open(&folder, Arc::new(keys)).unwrap().unwrap();
    let device = phone.device(&server).await.unwrap();
    assert_eq!(
        device.attempts_left, 4,
        "a wrong PIN of yesterday is not given back"
    );
    let history = phone.history(&server, None, 0).await.unwrap().entries;
    let states: Vec<&str> = history.iter().map(|entry| entry.state.as_str()).collect();
    assert_eq!(states, ["expired", "denied", "approved"]);

    let market = market(&daemon);
    let subject = std::fs::read_to_string(daemon.path("subject")).unwrap();
    let mut request = Request::new(purchase(subject.trim()));
    let token = format!("Bearer {}", market.token(ISSUER, THEN, 200));
    request
        .metadata_mut()
        .insert("authorization", token.parse().unwrap());
    let asked = StepUpClient::new(channel)
        .request(request)
        .await
        .unwrap()
        .into_inner();
    let shown = phone.fetch(&server).await.unwrap().remove(0).challenge.unwrap();
    let code = Some(asked.match_code.as_str());
    let receipt = phone
        .approve(&server, &shown, code, PIN, &mut OsRng)
        .await
        .unwrap();
    assert_eq!(receipt.state.to_string(), "approved");
    assert_eq!(phone.device(&server).await.unwrap().attempts_left, 5);

    // The keys of that release rotate, and its phone follows.
    for step in ["next", "activate", "retire"] {
        crate::rotation::follow(&daemon, &[step, "--now"]).await;
    }
    assert!(phone.refresh_keys(&server).await.unwrap());
    assert_eq!(phone.record().trust.key_sets.len(), 4);

    // An activation that was handed out before clerks signed enrolments is still good.
    let uri = std::fs::read_to_string(daemon.path("waiting.uri")).unwrap();
    let (_, digits) = activate(&daemon, &server, uri.trim(), "waiting").await;
    assert_eq!(digits.len(), 6);

    // What that release wrote is archived like the rest.
    daemon.clock(THEN - now() + 3 * 86_400);
    crate::archive::wait(&daemon).await;
    let history = phone.history(&server, None, 0).await.unwrap().entries;
    let states: Vec<&str> = history.iter().map(|entry| entry.state.as_str()).collect();
    assert_eq!(states, ["approved", "expired", "denied", "approved"]);
    assert_eq!(daemon.stop(), 0);
}
