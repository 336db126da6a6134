//! Proofs and signatures: any other method, body, device, epoch, issuer, signer, algorithm or second use is refused.

use paraphe_companion::protocol::{Prover, method};
use paraphe_proto::encoding::base64url;
use paraphe_proto::statements::Freshness;
use paraphe_proto::v1::{DeviceBody, FetchBody, SignedRequest};
use rand_core::OsRng;

use crate::world::{World, code};

pub async fn device(world: &World, request: SignedRequest) -> Result<(), String> {
    world
        .server
        .client()
        .device(request)
        .await
        .map(|_| ())
        .map_err(|status| code(&status))
}

pub async fn fresh(world: &World, prover: &Prover) -> SignedRequest {
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
    let open = paraphe_proto::v1::OpenCaseRequest {
        channel: "counter".into(),
    };
    let case = world
        .enrolment()
        .open_case(world.as_clerk(open))
        .await
        .unwrap()
        .into_inner();
    let evidence = paraphe_proto::v1::RecordEvidenceRequest {
        case_id: case.case_id.clone(),
        mrz: crate::world::passport(&person.name),
        checks: vec![1, 2],
        accepted: true,
        ..Default::default()
    };
    world
        .enrolment()
        .record_evidence(world.as_clerk(evidence))
        .await
        .unwrap();
    let issued = world.issue_for(&case.case_id).await;
    let (phone, sas) = crate::world::activate(&world.daemon, &world.server, &issued.uri, "anew").await;
    world.confirm(&issued.activation_id, &sas).await.unwrap();
    assert_eq!(
        phone.device(&world.server).await.unwrap().state.as_str(),
        "active"
    );
}
