//! Row: forged tokens of backends and proofs of terminals; points that are not on the curve, wherever a key or element comes in.

use paraphe_companion::protocol::method;
use paraphe_proto::encoding::base64url;
use paraphe_proto::jwt::dpop;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::Freshness;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{self, UnlockBody};
use rand_core::OsRng;
use serde_json::json;
use tonic::{Code, Request};

use crate::daemon::ISSUER;
use crate::forgeries::{forgeries, minus};
use crate::hand::{OPEN, Parts, ask, blind};
use crate::world::{World, code, jti};

#[tokio::test(flavor = "multi_thread")]
async fn every_forged_token_of_a_backend_is_refused() {
    let world = World::with(OPEN).await;
    let market = &world.market;
    let ask = async |token: &str| {
        let mut request = Request::new(v1::GetRequest {
            challenge_id: "chl_aaaaaaaaaaaaaaaaaaaaaaaaaa".into(),
        });
        let Ok(value) = format!("Bearer {token}").parse() else {
            return Code::Unauthenticated;
        };
        request.metadata_mut().insert("authorization", value);
        world.step_up().get(request).await.err().unwrap().code()
    };
    let good = market.token(ISSUER, world.now(), 200);
    for (what, forged) in forgeries(&good, &*market.key, "paraphe-proof+jwt", false) {
        if what == "a space" {
            continue; // HTTP trims it.
        }
        assert_eq!(ask(&forged).await, Code::Unauthenticated, "{what}");
    }
    let subject = Parts::of(&good).with_claim("sub", "shop").sign(&*market.key);
    assert_eq!(ask(&subject).await, Code::Unauthenticated, "iss and sub differ");
    let timeless = |name: &str| {
        let mut parts = Parts::of(&good);
        parts.claims.as_object_mut().unwrap().remove(name);
        parts.sign(&*market.key)
    };
    for claim in ["exp", "iat", "aud", "iss", "sub"] {
        assert_eq!(
            ask(&timeless(claim)).await,
            Code::Unauthenticated,
            "without {claim}"
        );
    }
    assert_eq!(ask(&good).await, Code::NotFound);
    let again = Parts::of(&Parts::of(&good).sign(&*market.key));
    let high = [again.signature[..32].to_vec(), minus(&again.signature[32..])].concat();
    assert_eq!(
        ask(&again.with_signature(high).compact()).await,
        Code::NotFound,
        "others may have either s"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forged_dpop_proof_is_refused() {
    let world = World::with(OPEN).await;
    let (terminal, token) = (&*world.admin.terminal, &world.admin.token);
    let path = "/paraphe.v1.Session/WhoAmI";
    let fresh = || {
        dpop::sign(
            terminal,
            path,
            ISSUER,
            Some(token),
            Timestamp::from_secs(world.now()),
            &jti(),
        )
        .unwrap()
    };
    let ask = async |proof: &str| {
        let mut request = Request::new(v1::WhoAmIRequest {});
        request
            .metadata_mut()
            .insert("authorization", format!("DPoP {token}").parse().unwrap());
        request.metadata_mut().insert("dpop", proof.parse().unwrap());
        v1::session_client::SessionClient::new(world.channel.clone())
            .who_am_i(request)
            .await
            .map_err(|s| s.code())
    };
    let count = forgeries(&fresh(), terminal, "JWT", false).len();
    for at in 0..count {
        let (what, forged) = forgeries(&fresh(), terminal, "JWT", false).swap_remove(at);
        if what == "a space" {
            continue; // HTTP trims it.
        }
        assert_eq!(ask(&forged).await.err(), Some(Code::Unauthenticated), "{what}");
    }
    let off_curve = {
        let mut parts = Parts::of(&fresh());
        parts.header["jwk"]["y"] = base64url(&[5; 32]).into();
        parts.sign(terminal)
    };
    assert_eq!(
        ask(&off_curve).await.err(),
        Some(Code::Unauthenticated),
        "a point off the curve"
    );
    let with_private = {
        let mut parts = Parts::of(&fresh());
        parts.header["jwk"]["d"] = base64url(&[5; 32]).into();
        parts.sign(terminal)
    };
    assert_eq!(
        ask(&with_private).await.err(),
        Some(Code::Unauthenticated),
        "a private key in it"
    );
    ask(&Parts::of(&fresh()).sign(terminal)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_are_not_on_the_curve_are_refused_everywhere() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let prover = anna.phone.prover().unwrap();
    let good = blind("739145").1.as_bytes().to_vec();
    let mut off_curve = good.clone();
    // Half of all x have no y: the next ones are tried until one has none.
    while paraphe_proto::jwk::PublicKey::from_sec1(&off_curve).is_ok() {
        off_curve[32] = off_curve[32].wrapping_add(1);
    }
    let identity = vec![0];
    let uncompressed = paraphe_proto::jwk::PublicKey::from_sec1(&good)
        .unwrap()
        .as_sec1()
        .to_vec();
    for element in [
        off_curve.clone(),
        identity,
        uncompressed,
        vec![0; 33],
        vec![],
        good[..32].to_vec(),
    ] {
        let body = UnlockBody {
            challenge_id: asked.reply.challenge_id.clone(),
            blinded_element: element,
        };
        let request = prover
            .prove(method::UNLOCK, &body, Freshness::Challenge(asked.id()))
            .unwrap();
        let refused = world.server.client().unlock(request).await.err().unwrap();
        assert_eq!(code(&refused), "element.invalid");
    }
    assert_eq!(world.attempts_left(&anna.phone).await, 5);
    let (_, issued) = world.issue().await;
    let mut point = uncompressed_off_curve();
    for possession_key in [point.clone(), vec![4; 65], vec![], {
        point[0] = 0;
        point
    }] {
        let begin = v1::BeginActivationRequest {
            activation_id: issued.activation_id.clone(),
            possession_key,
            mac: vec![0; 32],
        };
        let refused = world.server.client().begin_activation(begin).await.err().unwrap();
        assert_eq!(code(&refused), "field.invalid");
    }
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": base64url(&[5; 32]), "y": base64url(&[5; 32])});
    let message = v1::RegisterRelyingPartyRequest {
        relying_party_id: "off-curve".into(),
        display_name: "Off".into(),
        public_jwk: jwk.to_string(),
        ..Default::default()
    };
    let request = world.as_admin("/paraphe.v1.Admin/RegisterRelyingParty", message);
    let refused = world
        .admin_client()
        .register_relying_party(request)
        .await
        .err()
        .unwrap();
    assert_eq!(code(&refused), "field.invalid");
}

fn uncompressed_off_curve() -> Vec<u8> {
    let mut point = SoftwareKey::generate(&mut OsRng)
        .unwrap()
        .public_key()
        .as_sec1()
        .to_vec();
    point[64] ^= 1;
    point
}
