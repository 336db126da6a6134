//! Rows: many evaluations during activation; a relaying thief of the QR code; a code that is used again.

use std::sync::Arc;

use paraphe_companion::protocol::{Prover, method};
use paraphe_companion::{Activation, Argon2Cost, Invitation, SoftwareKeyStore};
use paraphe_proto::v1;
use rand_core::OsRng;

use crate::hand::{OPEN, Parts, blind};
use crate::world::{PIN, World, activate, code};

async fn begin(world: &World, uri: &str, name: &str) -> Result<Activation, paraphe_companion::Error> {
    let folder = world.daemon.path(&format!("phone-{name}"));
    let keys = Arc::new(SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap());
    Activation::begin(
        &folder,
        keys,
        Invitation::from_uri(uri).unwrap(),
        &world.server,
        &mut OsRng,
    )
    .await
}

async fn evaluate(
    world: &World,
    prover: &Prover,
    activation: &str,
    element: &[u8],
) -> Result<String, tonic::Status> {
    let body = v1::EvaluateActivationBody {
        activation_id: activation.to_owned(),
        blinded_element: element.to_vec(),
    };
    let request = prover
        .prove_fresh(&world.server, method::EVALUATE_ACTIVATION, &body)
        .await
        .unwrap();
    let reply = world
        .server
        .client()
        .evaluate_activation(request)
        .await?
        .into_inner();
    let claims = Parts::of(&reply.evaluation).claims;
    assert_eq!(
        (claims["evaluation"].as_u64(), claims["context"].as_str()),
        (Some(0), Some(activation))
    );
    Ok(claims["evaluated"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_evaluations_during_activation_are_each_under_a_key_of_their_own() {
    let mut world = World::with(OPEN).await;
    let (name, issued) = world.issue().await;
    let mut begun = begin(&world, &issued.uri, &name).await.unwrap();
    let (prover, id) = (begun.prover().unwrap(), issued.activation_id.as_str());
    let element = blind(PIN).1.as_bytes().to_vec();
    let first = evaluate(&world, &prover, id, &element).await.unwrap();
    assert_eq!(
        evaluate(&world, &prover, id, &element).await.unwrap(),
        first,
        "the same element is answered alike"
    );
    let mut seen = vec![first];
    for number in 0..20 {
        let other = blind(&format!("8{number:05}")).1;
        evaluate(&world, &prover, id, other.as_bytes()).await.unwrap();
        let again = evaluate(&world, &prover, id, &element).await.unwrap();
        assert!(!seen.contains(&again), "another element draws another key");
        seen.push(again);
    }
    let done = begun
        .finish(&world.server, PIN, Argon2Cost::LOWEST, &mut OsRng)
        .await
        .unwrap();
    let late = evaluate(&world, &prover, id, &element).await.err().unwrap();
    assert_eq!(code(&late), "activation.state", "none after the statement");
    world.confirm(id, &done.sas.to_string()).await.unwrap();
    let late = evaluate(&world, &prover, id, &element).await.err().unwrap();
    assert_eq!(code(&late), "activation.state");
    assert_eq!(world.attempts_left(&done.phone).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thief_who_relays_the_code_shows_other_digits_and_has_three_tries() {
    let mut world = World::with(OPEN).await;
    let (name, issued) = world.issue().await;
    let (thief, thief_digits) = activate(&world.daemon, &world.server, &issued.uri, "thief").await;
    let refused = begin(&world, &issued.uri, &name).await.err().unwrap();
    assert_eq!(refused.code(), "activation.used", "the owner notices at once");
    for (number, left) in [(1, 2), (2, 1), (3, 0)] {
        let wrong = format!(
            "{:06}",
            (thief_digits.parse::<u32>().unwrap() + number) % 1_000_000
        );
        let refused = world.confirm(&issued.activation_id, &wrong).await.err().unwrap();
        assert_eq!(code(&refused), "activation.digits_wrong");
        let view = v1::GetActivationRequest {
            activation_id: issued.activation_id.clone(),
        };
        let view = world
            .enrolment()
            .get_activation(world.as_clerk(view))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(view.tries_left, left);
    }
    let late = world
        .confirm(&issued.activation_id, &thief_digits)
        .await
        .err()
        .unwrap();
    assert_eq!(code(&late), "activation.revoked");
    assert_eq!(
        thief.device(&world.server).await.unwrap().state.as_str(),
        "revoked"
    );
    assert_eq!(
        begin(&world, &issued.uri, "again").await.err().unwrap().code(),
        "activation.revoked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nonce_of_the_six_digits_was_committed_to_before_the_keys_were_known() {
    let mut world = World::with(OPEN).await;
    let (name, issued) = world.issue().await;
    let begun = begin(&world, &issued.uri, &name).await.unwrap();
    let (prover, id) = (begun.prover().unwrap(), issued.activation_id.as_str());
    evaluate(&world, &prover, id, blind(PIN).1.as_bytes())
        .await
        .unwrap();
    let key = paraphe_proto::keys::SoftwareKey::generate(&mut OsRng).unwrap();
    let inner = crate::fields::sign_inner(&crate::fields::inner_claims(&begun, &key), &key);
    let activation = crate::fields::sign_outer(&inner, &*prover.key);
    let finish = async |activation: String| {
        let body = v1::FinishActivationBody {
            activation_id: id.to_owned(),
            activation,
        };
        let request = prover
            .prove_fresh(&world.server, method::FINISH_ACTIVATION, &body)
            .await
            .unwrap();
        world.server.client().finish_activation(request).await
    };
    let finished = finish(activation.clone()).await.unwrap().into_inner();
    let nonce: [u8; 32] = finished.sas_nonce.clone().try_into().unwrap();
    assert!(paraphe_proto::sas::opens(
        &nonce,
        begun.offer().claims().sas_commitment.as_bytes()
    ));
    let ground = paraphe_proto::keys::SoftwareKey::generate(&mut OsRng).unwrap();
    let inner = crate::fields::sign_inner(&crate::fields::inner_claims(&begun, &ground), &ground);
    let refused = finish(crate::fields::sign_outer(&inner, &*prover.key))
        .await
        .err()
        .unwrap();
    assert_eq!(
        code(&refused),
        "activation.used",
        "no second key once the nonce is open"
    );
    assert_eq!(finish(activation).await.unwrap().into_inner(), finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_code_is_good_once_and_a_newer_one_ends_it() {
    let mut world = World::with(OPEN).await;
    let (name, issued) = world.issue().await;
    let (_, digits) = activate(&world.daemon, &world.server, &issued.uri, &name).await;
    world.confirm(&issued.activation_id, &digits).await.unwrap();
    assert_eq!(
        begin(&world, &issued.uri, "second").await.err().unwrap().code(),
        "activation.used"
    );
    let again = world.confirm(&issued.activation_id, &digits).await.err().unwrap();
    assert_eq!(code(&again), "activation.state");
    assert!(again.message().ends_with("It is `confirmed`."), "{again}");
    let (_, expiring) = world.issue().await;
    let late = begin(&world, &expiring.uri, "late").await.unwrap();
    world.pass(601);
    let prover = late.prover().unwrap();
    let refused = evaluate(&world, &prover, &expiring.activation_id, blind(PIN).1.as_bytes())
        .await
        .err()
        .unwrap();
    // Once swept the activation has forgotten its key, and the proof is nobody's.
    assert!(
        ["activation.expired", "caller.unauthenticated"].contains(&code(&refused).as_str()),
        "{refused:?}"
    );
}
