//! Key attestation, by policy: who is enrolled, what their assertions say, and what is refused.

use std::io::Write as _;
use std::sync::Arc;

use paraphe_companion::{Activated, Activation, Argon2Cost, Error, Invitation, KeyStore, SoftwareKeyStore};
use paraphe_proto::v1;
use rand_core::OsRng;
use serde_json::{Value, json};

use crate::hand::{OPEN, Parts};
use crate::secure_chip::makers::{
    self, AppAttest, Description, Maker, PACKAGE, SIGNED_BY, number, root_of_trust,
};
use crate::secure_chip::{Says, ThePhonesSecureChip};
use crate::world::{PIN, Person, World, code};

mod by_hand;

const RULES: &str = r#"
[attestation.android]
root_certificates_file = "makers.pem"
[[attestation.android.apps]]
package = "example.paraphe.app"
signing_certificates_sha256 = ["5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"]
[attestation.apple]
root_certificates_file = "makers.pem"
app_ids = ["ABCDE12345.example.paraphe"]
"#;

/// A deployment whose staff is enrolled and that has this policy from now on.
async fn under(policy: &str) -> (World, Arc<Maker>) {
    let mut world = World::with(OPEN).await;
    let maker = Arc::new(Maker::new());
    std::fs::write(world.daemon.path("makers.pem"), maker.root.pem()).unwrap();
    let path = world.daemon.path("paraphed.toml");
    let mut config = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    write!(config, "\n[attestation]\n{policy}{RULES}").unwrap();
    world.daemon.kill();
    world.start_again().await;
    (world, maker)
}

/// A person at the counter with this phone: its part of the activation, and the activation's id.
async fn activate(
    world: &mut World,
    keystore: Arc<dyn KeyStore>,
) -> (String, String, Result<Activated, Error>) {
    let (name, issued) = world.issue().await;
    let folder = world.daemon.path(&format!("phone-{name}"));
    let invitation = Invitation::from_uri(&issued.uri).unwrap();
    let mut begun = Activation::begin(&folder, keystore, invitation, &world.server, &mut OsRng)
        .await
        .unwrap();
    let done = begun
        .finish(&world.server, PIN, Argon2Cost::LOWEST, &mut OsRng)
        .await;
    (name, issued.activation_id, done)
}

async fn enrol(world: &mut World, keystore: Arc<dyn KeyStore>) -> (Person, v1::Activation) {
    let (name, id, done) = activate(world, keystore).await;
    let done = done.unwrap();
    let confirmed = world.confirm(&id, &done.sas.to_string()).await.unwrap();
    (
        Person {
            phone: done.phone,
            name,
        },
        confirmed,
    )
}

fn software(world: &World, name: &str) -> Arc<dyn KeyStore> {
    let folder = world.daemon.path(&format!("keys-{name}"));
    Arc::new(SoftwareKeyStore::open(folder, "test/1").unwrap())
}

/// What the assertion of a purchase says.
async fn assertion(world: &World, person: &Person) -> Value {
    let subject = world.subject(&world.market, person).await;
    let asked = world.ask(&world.market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let code = Some(asked.match_code.as_str());
    person
        .phone
        .approve(&world.server, &shown, code, PIN, &mut OsRng)
        .await
        .unwrap();
    let verdict = world.verdict(&world.market, &asked.challenge_id).await;
    Parts::of(&verdict.assertion).claims
}

fn refusal(done: Result<Activated, Error>) -> (String, String) {
    let error = done.err().expect("it is refused");
    (error.code().to_owned(), error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_required_a_phone_that_brings_it_is_enrolled_and_its_assertions_say_hwk() {
    let (mut world, maker) = under("policy = \"required\"\n").await;
    let android = |d: Description| Description {
        attestation_level: 2,
        key_level: 2,
        ..d
    };
    let phones = [
        (Says::Android(android), "android_key", "strongbox", PACKAGE),
        (
            Says::Apple(|a| a),
            "apple_app_attest",
            "secure_enclave",
            makers::APP_ID,
        ),
    ];
    for (says, kind, level, application) in phones {
        let chip = ThePhonesSecureChip::of(&maker, says);
        let (person, confirmed) = enrol(&mut world, chip).await;
        assert_eq!(confirmed.device.unwrap().key_storage, "hwk");
        let device = person.phone.device(&world.server).await.unwrap();
        let verified = device.attestation.unwrap();
        let shown = (
            verified.kind.as_str(),
            verified.security_level.as_str(),
            verified.application.as_str(),
        );
        assert_eq!(shown, (kind, level, application));
        let claims = assertion(&world, &person).await;
        assert_eq!(claims["amr"], json!(["pin", "hwk", "pop", "mfa"]));
        assert_eq!(claims["acr"], "eidas2");
        // It is stored: another start knows it.
        world.daemon.kill();
        world.start_again().await;
        let device = person.phone.device(&world.server).await.unwrap();
        assert_eq!(device.attestation.unwrap().kind, kind);
        let get = v1::GetStatementsRequest {
            challenge_id: claims["txn"].as_str().unwrap().to_owned(),
        };
        let statements = world
            .admin_client()
            .get_statements(world.as_account(&world.auditor, get))
            .await;
        let statements = statements.unwrap().into_inner();
        assert_eq!(statements.attestation.unwrap().security_level, level);
        assert!(
            statements.activation.len() > 3_000,
            "an auditor can verify it again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_required_a_phone_without_it_is_refused() {
    let (mut world, _) = under("policy = \"required\"\n").await;
    let keys = software(&world, "none");
    let (_, id, done) = activate(&mut world, keys).await;
    let (refused, said) = refusal(done);
    assert_eq!(refused, "attestation.required", "{said}");
    let get = v1::GetActivationRequest { activation_id: id };
    let view = world
        .enrolment()
        .get_activation(world.as_clerk(get))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((view.state.as_str(), view.device), ("begun", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_hostile_phone_brings_is_refused_for_what_it_is() {
    let (mut world, maker) = under("policy = \"required\"\n").await;
    let strange = Arc::new(Maker::new());
    let another = [8; 32];
    let cases: Vec<(Says, &Arc<Maker>, &str)> = vec![
        (
            Says::Android(|d| d),
            &strange,
            "does not end at a root that this service trusts",
        ),
        (
            Says::Apple(|a| a),
            &strange,
            "does not end at a root that this service trusts",
        ),
        (
            Says::Android(|d| Description { key_level: 0, ..d }),
            &maker,
            "not in hardware",
        ),
        (
            Says::Android(|d| d.hardware(702, number(2))),
            &maker,
            "not generated in the secure hardware",
        ),
        (
            Says::Android(|d| d.hardware(704, root_of_trust(false, 0))),
            &maker,
            "boot loader of the device is unlocked",
        ),
        (
            Says::Android(|d| d.without(704)),
            &maker,
            "did not start verified",
        ),
        (
            Says::Android(|d| d.hardware(704, root_of_trust(true, 2))),
            &maker,
            "did not start verified",
        ),
        (
            Says::Android(|d| d.application(&["example.fake.app"], &[SIGNED_BY])),
            &maker,
            "one app that this service knows",
        ),
        (
            Says::Android(|d| d.application(&[PACKAGE], &[[8; 32]])),
            &maker,
            "signed by a certificate",
        ),
        (
            Says::Android(|d| Description { version: 2, ..d }),
            &maker,
            "older than version 3",
        ),
        (
            Says::Apple(|a| AppAttest { counter: 1, ..a }),
            &maker,
            "its counter is not 0",
        ),
        (
            Says::Apple(|a| AppAttest {
                aaguid: *b"appattestdevelop",
                ..a
            }),
            &maker,
            "other App Attest environment",
        ),
        (
            Says::Apple(|_| AppAttest::over([8; 32])),
            &maker,
            "made for another activation",
        ),
        (
            Says::Bytes(AppAttest::over(another).attest(&maker)),
            &maker,
            "made for another activation",
        ),
        (Says::Bytes(b"hello".to_vec()), &maker, "cannot be read"),
        (Says::Bytes(Vec::new()), &maker, "cannot be read"),
    ];
    for (says, maker, expected) in cases {
        let (_, _, done) = activate(&mut world, ThePhonesSecureChip::of(maker, says)).await;
        let (refused, said) = refusal(done);
        assert_eq!(refused, "attestation.refused", "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_recorded_a_phone_without_it_has_the_lower_level_and_a_wrong_one_is_refused() {
    let (mut world, maker) = under("policy = \"recorded\"\nunattested_acr = \"eidas1\"\n").await;
    let chip = ThePhonesSecureChip::of(&maker, Says::Android(|d| d));
    let (attested, _) = enrol(&mut world, chip).await;
    let claims = assertion(&world, &attested).await;
    assert_eq!(
        (&claims["amr"][1], &claims["acr"]),
        (&json!("hwk"), &json!("eidas2"))
    );

    let wrong = ThePhonesSecureChip::of(&maker, Says::Android(|d| Description { key_level: 0, ..d }));
    let (_, _, done) = activate(&mut world, wrong).await;
    assert_eq!(refusal(done).0, "attestation.refused");

    let keys = software(&world, "low");
    let (plain, confirmed) = enrol(&mut world, keys).await;
    assert_eq!(confirmed.device.unwrap().key_storage, "swk");
    assert_eq!(plain.phone.device(&world.server).await.unwrap().attestation, None);
    let subject = world.subject(&world.market, &plain).await;
    let purchase = crate::world::purchase(&subject);
    let refused = world.try_ask(&world.market, purchase).await.err().unwrap();
    assert_eq!(code(&refused), "enrolment.required", "buying needs eidas2");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_off_it_is_not_looked_at_and_nothing_says_hwk() {
    let (mut world, maker) = under("policy = \"off\"\n").await;
    for says in [Says::Bytes(b"hello".to_vec()), Says::Android(|d| d)] {
        let (person, confirmed) = enrol(&mut world, ThePhonesSecureChip::of(&maker, says)).await;
        assert_eq!(confirmed.device.unwrap().key_storage, "swk");
        let claims = assertion(&world, &person).await;
        assert_eq!(
            claims["amr"],
            json!(["pin", "swk", "pop", "mfa"]),
            "a phone's word is no attestation"
        );
    }
    assert!(world.daemon.log().contains("key attestation is off"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_roots_is_said_before_a_start() {
    let (mut world, maker) = under("policy = \"required\"\n").await;
    assert_eq!(world.daemon.stop(), 0);
    let check = |daemon: &crate::daemon::Daemon| {
        let output = daemon.command("check-config").output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    };
    assert_eq!(check(&world.daemon).0, 0);
    let file = world.daemon.path("makers.pem");
    let wrong = [
        ("", "no CERTIFICATE is in it"),
        (&*maker.middle.pem(), "certificate 1: it is not a root"),
    ];
    for (text, expected) in wrong {
        std::fs::write(&file, text).unwrap();
        let (exit, said) = check(&world.daemon);
        assert_eq!(exit, 3, "{said}");
        let named = said.contains("config.attestation_file: attestation.android.root_certificates_file = ");
        assert!(named && said.contains(expected), "{said}");
        let (said, exit) = world.daemon.fail_to_start();
        assert!(exit == 3 && said.contains(expected), "{said}");
    }
    std::fs::remove_file(&file).unwrap();
    let (exit, said) = check(&world.daemon);
    assert_eq!(exit, 0);
    assert!(
        said.contains("not there yet: attestation.apple.root_certificates_file = "),
        "{said}"
    );
    assert_eq!(world.daemon.fail_to_start().1, 3);
}
