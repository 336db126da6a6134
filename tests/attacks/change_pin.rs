//! Row: many evaluations during a PIN change; and what an old phone image, an old proof, a clone or an impatient phone gets out of one.

use paraphe_companion::protocol::{self, Prover, method, send_pin_change};
use paraphe_companion::{Error, FinalState, KeyStore, Shown};
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::oprf::BlindState;
use paraphe_proto::statements::Evaluation;
use paraphe_proto::v1::{self, DeviceBody};
use rand_core::OsRng;

use crate::hand::{
    Asked, OPEN, Parts, approval, approve, ask, blind, code_of, keystore, send, shown, stolen_image, unlock,
};
use crate::theft::stored;
use crate::world::{PIN, Person, World};

pub const NEW: &str = "904716";

/// A PIN change by hand: approved with the old PIN, the approval key still open.
pub struct Opened {
    pub id: ChallengeId,
    pub shown: Shown,
    pub key: SoftwareKey,
}

pub async fn raised(world: &World, person: &Person) -> Asked {
    let id = protocol::ask_pin_change(&world.server, &person.phone.prover().unwrap()).await;
    Asked {
        shown: shown(world, person, &id.unwrap().to_string()).await,
        reply: v1::RequestResponse::default(),
    }
}

pub async fn opened(world: &World, person: &Person) -> Opened {
    let asked = raised(world, person).await;
    let unlocked = unlock(world, person, &asked).await;
    let outcome = send(world, person, asked.id(), &approval(&asked, &unlocked, "")).await;
    assert_eq!(outcome.unwrap().state, "approved");
    Opened {
        id: asked.id(),
        shown: asked.shown,
        key: unlocked.0,
    }
}

/// One blinded new PIN, evaluated.
pub async fn evaluate(
    world: &World,
    prover: &Prover,
    id: ChallengeId,
    pin: &str,
) -> Result<(BlindState, Evaluation), Error> {
    let (state, element) = blind(pin);
    let compact = protocol::request_pin_change_evaluation(&world.server, prover, id, &element).await?;
    Ok((state, serde_json::from_value(Parts::of(&compact).claims).unwrap()))
}

pub fn statement(person: &Person, opened: &Opened, epoch: u64, element: [u8; 32]) -> String {
    let issuer = crate::daemon::ISSUER.to_owned();
    let device = (person.phone.device_id(), epoch);
    protocol::pin_change_statement(issuer, &opened.key, opened.shown.sha256(), device, element).unwrap()
}

pub fn at_epoch(person: &Person, epoch: u64) -> Prover {
    let mut prover = person.phone.prover().unwrap();
    prover.epoch = epoch;
    prover
}

/// Whether a proof of this epoch is taken.
pub async fn is_taken(world: &World, person: &Person, epoch: u64) -> bool {
    let prover = at_epoch(person, epoch);
    let request = prover
        .prove_fresh(&world.server, method::DEVICE, &DeviceBody {})
        .await;
    world.server.client().device(request.unwrap()).await.is_ok()
}

pub async fn change(world: &World, person: &Person, old: &str, new: &str) -> Result<(), Error> {
    let mut change = person.phone.change_pin(&world.server).await?;
    change.finish(&world.server, old, new, &mut OsRng).await
}

/// One purchase with this PIN.
pub async fn buy(world: &World, person: &Person, pin: &str) -> Result<FinalState, Error> {
    confirm(world, person, &ask(world, person).await, pin).await
}

/// The answer to one that waits.
pub async fn confirm(world: &World, person: &Person, asked: &Asked, pin: &str) -> Result<FinalState, Error> {
    let code = Some(asked.reply.match_code.as_str());
    let phone = &person.phone;
    let receipt = phone
        .approve(&world.server, &asked.shown, code, pin, &mut OsRng)
        .await?;
    Ok(receipt.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_image_with_the_old_pin_is_worthless_after_the_change() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    assert_eq!(buy(&world, &anna, PIN).await.unwrap(), FinalState::Approved);
    let image = stolen_image(&world, &anna);
    let id = anna.phone.device_id();
    let old_key = stored(&world, id).oprf_key.unwrap();
    change(&world, &anna, PIN, NEW).await.unwrap();
    let device = stored(&world, id);
    assert_eq!(device.epoch, 2);
    assert!(device.oprf_key.unwrap().expose() != old_key.expose());
    // The daemon neither takes the image's proofs nor, when they lie about the epoch, evaluates under the key that is gone.
    let asked = ask(&world, &anna).await;
    assert_eq!(
        code_of(approve(&world, &image, &asked).await),
        "caller.unauthenticated"
    );
    let (state, element) = blind(PIN);
    let lying = at_epoch(&image, 2);
    let compact = protocol::request_evaluation(&world.server, &lying, asked.id(), &element)
        .await
        .unwrap();
    let mut evaluation: Evaluation = serde_json::from_value(Parts::of(&compact).claims).unwrap();
    assert_eq!(evaluation.epoch, 2);
    evaluation.epoch = 1;
    let (record, keys) = (image.phone.record(), keystore(&world, &image));
    let secret = keys
        .unseal(&record.key_label, &record.key.sealed_device_secret.0)
        .unwrap();
    let unwrapped = protocol::unwrap_approval_key(&record.key.wrapped, &secret, state, &evaluation);
    assert_eq!(unwrapped.err().unwrap().code(), "pin.wrong");
    assert_eq!(world.attempts_left(&anna.phone).await, 4, "and it was charged");
    // The owner's own phone: the new PIN, and nothing else.
    let wrong = confirm(&world, &anna, &asked, PIN).await.err().unwrap();
    assert!(
        matches!(wrong, Error::WrongPin { attempts_left: 3, .. }),
        "{wrong:?}"
    );
    let right = confirm(&world, &anna, &asked, NEW).await;
    assert_eq!(right.unwrap(), FinalState::Approved);
    assert_eq!(world.attempts_left(&anna.phone).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_of_the_old_epoch_are_refused_and_those_of_the_new_one_taken_whatever_was_remembered() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    // Challenge-bound calls make the daemon remember the keys; some are under way while the epoch moves.
    let flood: Vec<_> = (0..40)
        .map(|_| {
            let (server, prover, id) = (world.server.clone(), at_epoch(&anna, 1), asked.id());
            tokio::spawn(async move {
                let refusal = prover.refuse([0; 32], paraphe_proto::statements::RefusalDecision::Deny);
                protocol::send_refusal(&server, &prover, id, &refusal.unwrap()).await
            })
        })
        .collect();
    change(&world, &anna, PIN, NEW).await.unwrap();
    for call in flood {
        let refused = code_of(call.await.unwrap());
        assert!(
            ["refusal.mismatch", "caller.unauthenticated"].contains(&refused.as_str()),
            "{refused}"
        );
    }
    let (id, digest) = (asked.id(), asked.shown.sha256());
    for (epoch, taken) in [(1, false), (2, true), (3, false), (1, false)] {
        let prover = at_epoch(&anna, epoch);
        let element = blind(NEW).1;
        let unlocked = protocol::request_evaluation(&world.server, &prover, id, &element).await;
        assert_eq!(unlocked.is_ok(), taken, "{epoch}: {unlocked:?}");
        assert_eq!(is_taken(&world, &anna, epoch).await, taken);
    }
    let old = at_epoch(&anna, 1);
    let new_refusal = at_epoch(&anna, 2).refuse(digest, paraphe_proto::statements::RefusalDecision::Deny);
    let refusal = new_refusal.unwrap();
    let refused = protocol::send_refusal(&world.server, &old, id, &refusal).await;
    assert_eq!(code_of(refused), "caller.unauthenticated");
    let key = SoftwareKey::generate(&mut OsRng).unwrap();
    let forged = Parts::of(&refusal).sign(&key);
    let answered = protocol::send_approval(&world.server, &old, id, &forged).await;
    assert!(answered.is_err());
    let right = confirm(&world, &anna, &asked, NEW).await;
    assert_eq!(right.unwrap(), FinalState::Approved);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_evaluations_are_each_under_a_key_of_their_own_and_a_clone_gains_and_breaks_nothing() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let clone = stolen_image(&world, &anna);
    let opened = opened(&world, &anna).await;
    let (own, thief) = (anna.phone.prover().unwrap(), clone.phone.prover().unwrap());
    let (_, element) = blind(NEW);
    let request = || protocol::request_pin_change_evaluation(&world.server, &own, opened.id, &element);
    let evaluated = |compact: &str| Parts::of(compact).claims["evaluated"].clone();
    let first = evaluated(&request().await.unwrap());
    let mut outputs = Vec::new();
    for _ in 0..20 {
        let (state, evaluation) = evaluate(&world, &thief, opened.id, NEW).await.unwrap();
        assert_eq!((evaluation.epoch, evaluation.evaluation), (2, 0));
        outputs.push(*protocol::finalize(state, &evaluation).unwrap().expose());
    }
    assert_eq!(
        evaluated(&request().await.unwrap()),
        first,
        "the same element is answered alike"
    );
    assert_eq!(world.attempts_left(&anna.phone).await, 5, "nothing is charged");
    // The clone holds the possession key, not the approval key: it cannot finish with an element of its own.
    let turned = statement(&anna, &opened, 2, [9; 32]);
    let other = SoftwareKey::generate(&mut OsRng).unwrap();
    for key in [&*thief.key, &other as &dyn Signer] {
        let forged = Parts::of(&turned)
            .with_header("kid", key.public_key().thumbprint())
            .sign(key);
        let refused = send_pin_change(&world.server, &thief, opened.id, &forged).await;
        assert_eq!(code_of(refused), "statement.refused");
    }
    let asked = ask(&world, &anna).await;
    let named = statement(&anna, &opened, 2, element.sha256());
    assert_eq!(
        send_pin_change(&world.server, &own, opened.id, &named)
            .await
            .unwrap(),
        2
    );
    // None of the outputs is one of the key that is in use now.
    let (state, element) = blind(NEW);
    let prover = at_epoch(&anna, 2);
    let compact = protocol::request_evaluation(&world.server, &prover, asked.id(), &element).await;
    let evaluation: Evaluation = serde_json::from_value(Parts::of(&compact.unwrap()).claims).unwrap();
    outputs.push(*protocol::finalize(state, &evaluation).unwrap().expose());
    outputs.sort_unstable();
    outputs.dedup();
    assert_eq!(outputs.len(), 21, "each under a key of its own");
    let late = evaluate(&world, &prover, opened.id, NEW).await;
    assert_eq!(code_of(late), "pin_change.not_open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_of_the_old_epoch_buys_no_evaluation_under_the_new_key() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let element = blind("100001").1;
    let number = |compact: &str| Parts::of(compact).claims["evaluation"].as_u64().unwrap();
    let before = protocol::request_evaluation(&world.server, &at_epoch(&anna, 1), asked.id(), &element).await;
    let own = unlock(&world, &anna, &asked).await;
    change(&world, &anna, PIN, NEW).await.unwrap();
    let left = world.attempts_left(&anna.phone).await;
    let new = anna.phone.prover().unwrap();
    let after = protocol::request_evaluation(&world.server, &new, asked.id(), &element).await;
    assert!(
        number(&after.unwrap()) > number(&before.unwrap()) + 2,
        "charged anew"
    );
    assert_eq!(world.attempts_left(&anna.phone).await, left - 1);
    // Nor does an approval under the old epoch count, or credit anything.
    let late = approval(&asked, &own, &asked.reply.match_code);
    assert_eq!(
        code_of(send(&world, &anna, asked.id(), &late).await),
        "approval.mismatch"
    );
    assert_eq!(world.attempts_left(&anna.phone).await, left - 1);
    // The challenge itself was raised before the change and is approved after it.
    let code = Some(asked.reply.match_code.as_str());
    let receipt = anna
        .phone
        .approve(&world.server, &asked.shown, code, NEW, &mut OsRng)
        .await;
    assert_eq!(receipt.unwrap().state, FinalState::Approved);
}
