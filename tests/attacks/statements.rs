//! Proofs and signatures: any other method, body, device, epoch, issuer, signer, algorithm or second use is refused.

use paraphe_companion::protocol::{self, Prover, method};
use paraphe_proto::encoding::{base64url, from_base64url};
use paraphe_proto::statements::Freshness;
use paraphe_proto::v1::{DeviceBody, FetchBody, SignedRequest};
use rand_core::OsRng;

use crate::world::{PIN, Person, World, code};

async fn device(world: &World, request: SignedRequest) -> Result<(), String> {
    world
        .server
        .client()
        .device(request)
        .await
        .map(|_| ())
        .map_err(|status| code(&status))
}

async fn fresh(world: &World, prover: &Prover) -> SignedRequest {
    prover
        .prove_fresh(&world.server, method::DEVICE, &DeviceBody {})
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_counts_for_one_method_body_device_epoch_issuer_and_once() {
    let mut world = World::new().await;
    let (person, other) = (world.enrol().await, world.enrol().await);
    let refused = Err("caller.unauthenticated".to_owned());
    let prover = person.phone.prover().unwrap();
    let good = fresh(&world, &prover).await;
    assert_eq!(device(&world, good.clone()).await, Ok(()));
    assert_eq!(device(&world, good).await, Err("proof.nonce".to_owned()));
    let for_fetch = prover
        .prove_fresh(&world.server, method::FETCH, &FetchBody {})
        .await
        .unwrap();
    assert_eq!(device(&world, for_fetch).await, refused);
    let mut body = fresh(&world, &prover).await;
    body.body = vec![8, 1];
    assert_eq!(device(&world, body).await, refused);
    type Change = Box<dyn Fn(&mut Prover)>;
    let id = other.phone.device_id();
    let changes: Vec<Change> = vec![
        Box::new(move |prover| prover.device_id = id),
        Box::new(|prover| prover.epoch = 2),
        Box::new(|prover| prover.issuer = "https://elsewhere.test".into()),
        Box::new(|prover| {
            prover.key = Box::new(paraphe_proto::keys::SoftwareKey::generate(&mut OsRng).unwrap());
        }),
    ];
    for change in changes {
        let mut prover = person.phone.prover().unwrap();
        change(&mut prover);
        let request = fresh(&world, &prover).await;
        assert_eq!(device(&world, request).await, refused);
    }
    let foreign = prover
        .prove_bytes(method::DEVICE, vec![], Freshness::Nonce(base64url(&[7; 56])))
        .unwrap();
    assert_eq!(device(&world, foreign).await, Err("proof.nonce".to_owned()));
    world.pass(61);
    let late = {
        let world = &world;
        fresh(world, &prover).await
    };
    world.pass(61);
    assert_eq!(device(&world, late).await, Err("proof.nonce".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_algorithms_types_and_signatures_are_refused() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let prover = person.phone.prover().unwrap();
    for forge in forgeries() {
        let mut request = fresh(&world, &prover).await;
        request.proof = forge(&request.proof);
        assert_eq!(
            device(&world, request).await,
            Err("caller.unauthenticated".to_owned())
        );
    }
}

type Forgery = Box<dyn Fn(&str) -> String>;

fn forgeries() -> Vec<Forgery> {
    let header = |from: &'static str, to: &'static str| -> Forgery {
        Box::new(move |jws| {
            let parts: Vec<&str> = jws.split('.').collect();
            let text = String::from_utf8(from_base64url(parts[0]).unwrap()).unwrap();
            assert!(text.contains(from), "{text}");
            format!(
                "{}.{}.{}",
                base64url(text.replace(from, to).as_bytes()),
                parts[1],
                parts[2]
            )
        })
    };
    let signature = |change: fn(Vec<u8>) -> Vec<u8>| -> Forgery {
        Box::new(move |jws| {
            let (signed, last) = jws.rsplit_once('.').unwrap();
            format!("{signed}.{}", base64url(&change(from_base64url(last).unwrap())))
        })
    };
    vec![
        header("ES256", "none"),
        header("ES256", "HS256"),
        header("paraphe-proof+jwt", "paraphe-approval+jwt"),
        header("paraphe-proof+jwt", "JWT"),
        signature(|_| Vec::new()),
        signature(|mut bytes| {
            bytes[..32].fill(0);
            bytes
        }),
        signature(high_s),
        signature(|bytes| {
            let signature = p256::ecdsa::Signature::from_slice(&bytes).unwrap();
            signature.to_der().as_bytes().to_vec()
        }),
    ]
}

fn high_s(bytes: Vec<u8>) -> Vec<u8> {
    let signature = p256::ecdsa::Signature::from_slice(&bytes).unwrap();
    let (r, s) = signature.split_scalars();
    let high = p256::ecdsa::Signature::from_scalars(*r, *(-s)).unwrap();
    high.to_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_with_any_one_field_changed_is_refused_and_changes_nothing() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let subject = world.subject(&world.market, &person).await;
    let asked = world.ask(&world.market, &subject).await;
    let shown = world.shown(&person.phone).await;
    let (key, evaluation) = unlock(&world, &person, &shown).await;
    let prover = person.phone.prover().unwrap();
    let good = paraphe_proto::statements::Approval {
        iss: prover.issuer.clone(),
        challenge_sha256: shown.sha256().into(),
        decision: paraphe_proto::statements::ApprovalDecision::Approve,
        match_code: asked.match_code.clone(),
        device_id: prover.device_id,
        epoch: prover.epoch,
        evaluation: evaluation.evaluation,
        element_sha256: evaluation.element_sha256,
    };
    let json = serde_json::to_value(&good).unwrap();
    for (field, value) in [
        ("iss", serde_json::json!("https://elsewhere.test")),
        ("challenge_sha256", serde_json::json!(base64url(&[1; 32]))),
        ("device_id", serde_json::json!("dev_aaaaaaaaaaaaaaaaaaaaaaaaaa")),
        ("epoch", serde_json::json!(2)),
        ("evaluation", serde_json::json!(99)),
        ("element_sha256", serde_json::json!(base64url(&[1; 32]))),
    ] {
        let mut changed = json.clone();
        changed[field] = value;
        let changed: paraphe_proto::statements::Approval = serde_json::from_value(changed).unwrap();
        let compact = paraphe_proto::jws::sign(&changed, &key).unwrap().into_compact();
        let refused = protocol::send_approval(&world.server, &prover, shown.challenge_id(), &compact).await;
        let code = refused.err().unwrap().code().to_owned();
        assert!(
            ["statement.refused", "approval.mismatch", "evaluation.stale"].contains(&code.as_str()),
            "{field}: {code}"
        );
    }
    assert_eq!(world.verdict(&world.market, &asked.challenge_id).await.state, 1);
    assert_eq!(world.attempts_left(&person.phone).await, 4);
    let compact = paraphe_proto::jws::sign(&good, &key).unwrap().into_compact();
    let outcome = protocol::send_approval(&world.server, &prover, shown.challenge_id(), &compact)
        .await
        .unwrap();
    assert_eq!((outcome.state.as_str(), outcome.attempts_left), ("approved", 5));
}

async fn unlock(
    world: &World,
    person: &Person,
    shown: &paraphe_companion::Shown,
) -> (
    paraphe_proto::keys::SoftwareKey,
    paraphe_proto::statements::Evaluation,
) {
    let pin = paraphe_proto::pin::Pin::enter(PIN).unwrap();
    let (state, element) = paraphe_proto::oprf::blind(&pin, &mut OsRng).unwrap();
    let prover = person.phone.prover().unwrap();
    let id = shown.challenge_id();
    let compact = protocol::request_evaluation(&world.server, &prover, id, &element)
        .await
        .unwrap();
    let payload = compact.split('.').nth(1).unwrap().to_owned();
    let evaluation = serde_json::from_slice(&from_base64url(&payload).unwrap()).unwrap();
    let keys = world.daemon.path(&format!("phone-{}", person.name)).join("keys");
    let keystore = paraphe_companion::SoftwareKeyStore::open(keys, "test/1").unwrap();
    let key = protocol::open_approval_key(&person.phone.record(), &keystore, state, &evaluation).unwrap();
    (key, evaluation)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_saw_more_than_the_store_knows_is_refused() {
    let mut world = World::new().await;
    let person = world.enrol().await;
    let mut prover = person.phone.prover().unwrap();
    prover.seen.evaluation = 7;
    let request = fresh(&world, &prover).await;
    assert_eq!(
        device(&world, request).await,
        Err("device.rollback_noticed".to_owned())
    );
    prover.seen.evaluation = 0;
    let request = fresh(&world, &prover).await;
    assert_eq!(device(&world, request).await, Ok(()));
    let subject = world.subject(&world.market, &person).await;
    let refused = world
        .try_ask(&world.market, crate::world::purchase(&subject))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "enrolment.required");
    let clerk = world.clerk.clone();
    let open = paraphe_proto::v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    let case = world
        .enrolment()
        .open_case(world.as_account(&clerk, open))
        .await
        .unwrap()
        .into_inner();
    let evidence = paraphe_proto::v1::RecordEvidenceRequest {
        case_id: case.case_id.clone(),
        mrz: crate::world::passport(&person.name),
        checks: vec![1, 2],
        accepted: true,
        birthplace: String::new(),
    };
    world
        .enrolment()
        .record_evidence(world.as_account(&clerk, evidence))
        .await
        .unwrap();
    let issue = paraphe_proto::v1::IssueActivationRequest {
        case_id: case.case_id,
    };
    let issued = world
        .enrolment()
        .issue_activation(world.as_account(&clerk, issue))
        .await
        .unwrap()
        .into_inner();
    let (phone, sas) = crate::world::activate(&world.daemon, &world.server, &issued.uri, "anew").await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    assert_eq!(
        phone.device(&world.server).await.unwrap().state.as_str(),
        "active"
    );
}
