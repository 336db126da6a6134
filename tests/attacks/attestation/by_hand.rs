//! The end of an activation by hand: attestations of others, and one that expires after it was accepted.

use std::sync::Arc;
use std::time::Duration;

use paraphe_companion::protocol::method;
use paraphe_companion::{Activation, Invitation};
use paraphe_proto::encoding::B64Vec;
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::v1;
use rand_core::OsRng;
use serde_json::json;

use super::under;
use crate::daemon::ISSUER;
use crate::fields::{inner_claims, sign_inner, sign_outer};
use crate::hand::blind;
use crate::secure_chip::makers::{self, Description, Held};
use crate::secure_chip::{Says, ThePhonesSecureChip};
use crate::world::{PIN, World, code, now};

/// A phone that has begun and answers by hand.
struct ByHand {
    begun: Activation,
    approval_key: SoftwareKey,
}

impl ByHand {
    async fn begin(world: &mut World, chip: Arc<ThePhonesSecureChip>) -> Self {
        let (name, issued) = world.issue().await;
        let folder = world.daemon.path(&format!("phone-{name}"));
        let invitation = Invitation::from_uri(&issued.uri).unwrap();
        let begun = Activation::begin(&folder, chip, invitation, &world.server, &mut OsRng)
            .await
            .unwrap();
        let body = v1::EvaluateActivationBody {
            activation_id: issued.activation_id,
            blinded_element: blind(PIN).1.as_bytes().to_vec(),
        };
        let prover = begun.prover().unwrap();
        let request = prover
            .prove_fresh(&world.server, method::EVALUATE_ACTIVATION, &body)
            .await
            .unwrap();
        world.server.client().evaluate_activation(request).await.unwrap();
        Self {
            begun,
            approval_key: SoftwareKey::generate(&mut OsRng).unwrap(),
        }
    }

    fn possession_key(&self) -> Held {
        Held::from(self.begun.prover().unwrap().key.public_key())
    }

    fn description(&self) -> Description {
        Description::of(ISSUER, &self.begun.activation_id())
    }

    async fn finish(&self, world: &World, keystore: &str, attestation: Vec<u8>) -> Result<(), tonic::Status> {
        let prover = self.begun.prover().unwrap();
        let mut claims = inner_claims(&self.begun, &self.approval_key);
        claims["keystore"] = json!(keystore);
        claims["attestation"] = json!(B64Vec(attestation));
        let activation = sign_outer(&sign_inner(&claims, &self.approval_key), &*prover.key);
        let activation_id = self.begun.activation_id().to_string();
        let body = v1::FinishActivationBody {
            activation_id,
            activation,
        };
        let request = prover
            .prove_fresh(&world.server, method::FINISH_ACTIVATION, &body)
            .await
            .unwrap();
        world.server.client().finish_activation(request).await.map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_is_for_one_key_and_one_activation_and_a_refused_one_spends_nothing() {
    let (mut world, maker) = under("policy = \"required\"\n").await;
    let other = ByHand::begin(&mut world, ThePhonesSecureChip::of(&maker, Says::Android(|d| d))).await;
    let phone = ByHand::begin(&mut world, ThePhonesSecureChip::of(&maker, Says::Android(|d| d))).await;
    let attest = |description: &Description, key: &Held| maker.attest(key, description.extension()).concat();
    let good = attest(&phone.description(), &phone.possession_key());
    let thefts = [
        (
            "the other phone's",
            attest(&other.description(), &other.possession_key()),
        ),
        (
            "of the other phone's key",
            attest(&phone.description(), &other.possession_key()),
        ),
        (
            "for the other activation",
            attest(&other.description(), &phone.possession_key()),
        ),
        ("cut off", good[..good.len() / 3].to_vec()),
        ("of more than 8 KiB", vec![0x30; 8_193]),
    ];
    for (what, attestation) in thefts {
        let refused = phone.finish(&world, "hardware", attestation).await.err().unwrap();
        assert_eq!(code(&refused), "attestation.refused", "{what}");
    }
    let refused = phone
        .finish(&world, "software", good.clone())
        .await
        .err()
        .unwrap();
    assert_eq!(
        code(&refused),
        "attestation.refused",
        "software, as the statement itself says"
    );
    phone.finish(&world, "hardware", good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_given_again_when_the_certificate_has_expired_meanwhile() {
    let (mut world, maker) = under("policy = \"required\"\n").await;
    let phone = ByHand::begin(&mut world, ThePhonesSecureChip::of(&maker, Says::Android(|d| d))).await;
    let mut params = makers::end_entity("Attested key");
    let ends = u64::try_from(now()).unwrap() + 60;
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(ends);
    params.custom_extensions.push(phone.description().extension());
    let leaf = params.signed_by(&phone.possession_key(), &maker.middle).unwrap();
    let chain = [leaf.der().as_ref(), maker.middle.der()].concat();
    phone.finish(&world, "hardware", chain.clone()).await.unwrap();
    let late = ByHand::begin(&mut world, ThePhonesSecureChip::of(&maker, Says::Android(|d| d))).await;
    world.pass(120);
    phone.finish(&world, "hardware", chain).await.unwrap();
    params.custom_extensions = vec![late.description().extension()];
    let leaf = params.signed_by(&late.possession_key(), &maker.middle).unwrap();
    let chain = [leaf.der().as_ref(), maker.middle.der()].concat();
    let refused = late.finish(&world, "hardware", chain).await.err().unwrap();
    assert_eq!(code(&refused), "attestation.refused");
    assert!(
        refused
            .message()
            .contains("Certificate 0 of the chain is not valid now"),
        "{refused}"
    );
}
