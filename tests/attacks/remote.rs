//! Remote proofing rests on what a provider signed for this case, and on two people who looked at it (protocol.md section 5).

use paraphe_proto::ids::CaseId;
use paraphe_proto::jws;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::{Proofing, ProofingOutcome};
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{self, Role};
use rand_core::OsRng;
use tonic_types::StatusExt;

use crate::daemon::ISSUER;
use crate::hand::OPEN;
use crate::world::{World, activate, code, passport};

/// Stands for an identity-proofing provider: the key is real, nobody looked at anybody.
struct Provider {
    key: SoftwareKey,
}

impl Provider {
    fn new() -> Self {
        Self {
            key: SoftwareKey::generate(&mut OsRng).unwrap(),
        }
    }

    fn jwk(&self) -> String {
        serde_json::to_string(&self.key.public_key().to_jwk()).unwrap()
    }

    fn sign(&self, claims: &Proofing) -> String {
        jws::sign(claims, &self.key).unwrap().into_compact()
    }
}

/// A world with the provider `ident-1`, and another one called `ident-2`.
async fn world() -> (World, Provider, Provider) {
    let folder = tempfile::tempdir().unwrap().keep();
    let (first, second) = (Provider::new(), Provider::new());
    std::fs::write(folder.join("1.jwk.json"), first.jwk()).unwrap();
    std::fs::write(folder.join("2.jwk.json"), second.jwk()).unwrap();
    let at = folder.display();
    let extra = format!(
        "{OPEN}[channels.remote]\nquarantine_s = 0\n[proofing.ident-1]\npublic_key_files = [\"{at}/1.jwk.json\"]\n\
         [proofing.ident-2]\npublic_key_files = [\"{at}/2.jwk.json\"]\n"
    );
    let world = World::with(&extra).await;
    std::fs::remove_dir_all(&folder).unwrap();
    (world, first, second)
}

fn good(world: &World, case_id: &str) -> Proofing {
    Proofing {
        iss: ISSUER.to_owned(),
        provider: "ident-1".into(),
        case_id: case_id.parse::<CaseId>().unwrap(),
        outcome: ProofingOutcome::Passed,
        mrz: passport("AFAR"),
        birthplace: String::new(),
        checks: vec!["document_genuine".into(), "holder_likeness".into(), "chip".into()],
        iat: Timestamp::from_secs(world.now()),
        exp: Timestamp::from_secs(world.now() + 3_600),
    }
}

fn with(case_id: &str, proofing: String) -> v1::RecordEvidenceRequest {
    v1::RecordEvidenceRequest {
        case_id: case_id.to_owned(),
        mrz: String::new(),
        checks: Vec::new(),
        accepted: true,
        birthplace: String::new(),
        proofing,
        ..Default::default()
    }
}

async fn record(world: &World, message: v1::RecordEvidenceRequest) -> Result<v1::Case, tonic::Status> {
    let recorded = world.enrolment().record_evidence(world.as_clerk(message)).await?;
    Ok(recorded.into_inner())
}

fn fields(status: &tonic::Status) -> Vec<String> {
    let details = status.get_details_bad_request();
    let violations = details
        .map(|details| details.field_violations)
        .unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_result_and_two_people_enrol_from_afar() {
    let (world, provider, _) = world().await;
    let case_id = world.open("remote").await;
    let proofing = provider.sign(&good(&world, &case_id));
    let recorded = record(&world, with(&case_id, proofing)).await.unwrap();
    assert_eq!(recorded.state, "verified");
    assert_eq!(recorded.proofing_provider, "ident-1");
    assert_eq!(recorded.document.unwrap().family_name, "AFAR");
    let alone = world.try_issue(&case_id).await;
    assert_eq!(code(&alone.unwrap_err()), "case.state");
    let second = world.operator("second", &[Role::Clerk]).await;
    let sign = v1::CountersignRequest {
        case_id: case_id.clone(),
    };
    let request = world.as_session(&second.session, "/paraphe.v1.Enrolment/Countersign", sign);
    world.enrolment().countersign(request).await.unwrap();
    let issued = world.issue_for(&case_id).await;
    let (_, digits) = activate(&world.daemon, &world.server, &issued.uri, "afar").await;
    let confirmed = world.confirm(&issued.activation_id, &digits).await.unwrap();
    assert_eq!(confirmed.state, "confirmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_clerk_types_takes_the_place_of_the_providers_word() {
    let (world, provider, _) = world().await;
    let case_id = world.open("remote").await;
    let missing = record(&world, with(&case_id, String::new())).await.unwrap_err();
    assert_eq!(
        (code(&missing), fields(&missing)),
        ("proofing.missing".into(), vec!["proofing".into()])
    );
    let proofing = provider.sign(&good(&world, &case_id));
    let typed = [
        (
            "mrz",
            v1::RecordEvidenceRequest {
                mrz: passport("OTHER"),
                ..with(&case_id, proofing.clone())
            },
        ),
        (
            "checks",
            v1::RecordEvidenceRequest {
                checks: vec![1],
                ..with(&case_id, proofing.clone())
            },
        ),
        (
            "birthplace",
            v1::RecordEvidenceRequest {
                birthplace: "75056".into(),
                ..with(&case_id, proofing.clone())
            },
        ),
    ];
    for (field, message) in typed {
        let refused = record(&world, message).await.unwrap_err();
        assert_eq!(
            (code(&refused), fields(&refused)),
            ("field.invalid".into(), vec![field.into()])
        );
    }
    let counter = world.open("counter").await;
    let mut at_counter = with(&counter, proofing.clone());
    at_counter.mrz = passport("AFAR");
    at_counter.checks = vec![1, 2];
    let refused = record(&world, at_counter).await.unwrap_err();
    assert_eq!(
        (code(&refused), fields(&refused)),
        ("field.invalid".into(), vec!["proofing".into()])
    );
    let mut long = with(&case_id, proofing.clone());
    long.proofing = "x".repeat(8_193);
    assert_eq!(fields(&record(&world, long).await.unwrap_err()), ["proofing"]);
    record(&world, with(&case_id, proofing)).await.unwrap();
}

/// A change to what the provider signs, and the code that it must end in.
type Wrong = (&'static str, fn(&mut Proofing), &'static str);

const WRONG: [Wrong; 11] = [
    (
        "issuer",
        |p| p.iss = "https://other.example".into(),
        "proofing.refused",
    ),
    ("provider", |p| p.provider = "ident-2".into(), "proofing.refused"),
    (
        "case",
        |p| p.case_id = CaseId::from_bytes([9; 16]),
        "proofing.refused",
    ),
    (
        "outcome",
        |p| p.outcome = ProofingOutcome::Failed,
        "proofing.refused",
    ),
    (
        "check digit",
        |p| p.mrz = p.mrz.replace("740812", "740813"),
        "mrz.refused",
    ),
    ("expired document", |p| p.mrz = expired(), "document.expired"),
    ("birthplace", |p| p.birthplace = "??".into(), "field.invalid"),
    (
        "fewer checks",
        |p| p.checks.truncate(1),
        "evidence.checks_missing",
    ),
    (
        "unknown check",
        |p| p.checks.push("telepathy".into()),
        "proofing.refused",
    ),
    ("from tomorrow", |p| shift(p, 86_400), "proofing.refused"),
    ("long over", |p| shift(p, -86_400), "proofing.refused"),
];

fn expired() -> String {
    crate::world::passport_until("AFAR", "200101").replace("UTO", "FRA")
}

fn shift(proofing: &mut Proofing, seconds: i64) {
    proofing.iat = proofing.iat.plus_s(seconds);
    proofing.exp = proofing.exp.plus_s(seconds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_with_any_one_thing_wrong_is_refused_and_changes_nothing() {
    let (world, provider, second) = world().await;
    let case_id = world.open("remote").await;
    for (name, change, expected) in WRONG {
        let mut claims = good(&world, &case_id);
        change(&mut claims);
        let refused = record(&world, with(&case_id, provider.sign(&claims))).await;
        let refused = refused.expect_err(name);
        assert_eq!(code(&refused), expected, "{name}: {refused}");
        assert_eq!(fields(&refused), ["proofing"], "{name}");
    }
    let mut endless = good(&world, &case_id);
    endless.exp = endless.iat.plus_s(8 * 86_400);
    let honest = good(&world, &case_id);
    let (head, signature) = {
        let compact = provider.sign(&honest);
        let (head, signature) = compact.rsplit_once('.').unwrap();
        (head.to_owned(), signature.to_owned())
    };
    let other = second.sign(&honest).rsplit_once('.').unwrap().1.to_owned();
    let forged = [
        ("a week and a day", provider.sign(&endless)),
        ("another provider's key", second.sign(&honest)),
        ("an unknown key", Provider::new().sign(&honest)),
        ("another's signature", format!("{head}.{other}")),
        ("no signature", format!("{head}.")),
        ("cut short", signature),
    ];
    for (name, proofing) in forged {
        let refused = record(&world, with(&case_id, proofing)).await.expect_err(name);
        assert_eq!(code(&refused), "proofing.refused", "{name}: {refused}");
    }
    let get = v1::GetCaseRequest {
        case_id: case_id.clone(),
    };
    let case = world
        .enrolment()
        .get_case(world.as_clerk(get))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(case.state, "open");
    record(&world, with(&case_id, provider.sign(&honest)))
        .await
        .unwrap();
}
