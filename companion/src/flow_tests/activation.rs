//! Activation: the six digits, crashes, and what a dishonest daemon gets.

use paraphe_proto::keys::Signer as _;

use super::{activated, begun};
use crate::testing::daemon::Daemon;
use crate::testing::{PIN, key, keystore, rng};
use crate::{Activation, Argon2Cost, DeviceState, Phone};

#[tokio::test]
async fn both_ends_compute_the_same_six_digits_and_the_phone_survives_a_restart() {
    let (dir, daemon, server, mut activation) = begun().await;
    let done = activation
        .finish(&server, PIN, Argon2Cost::LOWEST, &mut rng())
        .await
        .unwrap();
    assert_eq!(done.sas.to_string(), daemon.six_digits());
    drop(done);
    let phone = Phone::open(dir.path(), keystore(dir.path())).unwrap().unwrap();
    assert_eq!(phone.sas().unwrap(), daemon.six_digits());
    let state = phone.device(&server).await.unwrap().state;
    assert_eq!(state, DeviceState::AwaitingConfirmation);
    assert!(phone.sas().is_some());
    daemon.world().device_state = paraphe_proto::v1::DeviceState::Active;
    assert_eq!(phone.device(&server).await.unwrap().state, DeviceState::Active);
    assert!(
        Phone::open(dir.path(), keystore(dir.path()))
            .unwrap()
            .unwrap()
            .sas()
            .is_none()
    );
}

#[tokio::test]
async fn a_pin_that_breaks_the_policy_is_refused_before_anything_is_sent() {
    let (_dir, daemon, server, mut activation) = begun().await;
    let refused = activation
        .finish(&server, "123456", Argon2Cost::LOWEST, &mut rng())
        .await;
    assert_eq!(refused.err().unwrap().code(), "pin.run");
    assert_eq!(activation.check_pin("1111").unwrap_err().code(), "pin.too_short");
    assert!(!activation.pin_is_chosen());
    drop(daemon);
}

#[tokio::test]
async fn an_activation_goes_on_after_a_crash_at_any_step() {
    let (dir, daemon, server, activation) = begun().await;
    let device_id = activation.device_id();
    drop(activation);
    let mut resumed = Activation::resume(dir.path(), keystore(dir.path()))
        .unwrap()
        .unwrap();
    daemon.world().lost = vec!["FinishActivation", "FinishActivation"];
    let lost = resumed.finish(&server, PIN, Argon2Cost::LOWEST, &mut rng()).await;
    assert!(lost.err().unwrap().is_lost_reply());
    drop(resumed);
    assert!(Phone::open(dir.path(), keystore(dir.path())).unwrap().is_none());
    let invitation = daemon.invitation();
    let again = Activation::begin(dir.path(), keystore(dir.path()), invitation, &server, &mut rng()).await;
    let mut again = again.unwrap();
    let refused = again
        .finish(&server, "739204", Argon2Cost::LOWEST, &mut rng())
        .await;
    assert_eq!(refused.err().unwrap().code(), "activation.pin_is_chosen");
    let done = again.complete(&server).await.unwrap();
    assert_eq!(
        (done.phone.device_id(), done.sas.to_string()),
        (device_id, daemon.six_digits())
    );
    assert!(
        Activation::resume(dir.path(), keystore(dir.path()))
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_lost_offer_is_asked_for_again_with_the_same_possession_key() {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, server) = Daemon::start().await;
    daemon.world().lost = vec!["BeginActivation"; 2];
    for expected in [false, true] {
        let invitation = daemon.invitation();
        let begun =
            Activation::begin(dir.path(), keystore(dir.path()), invitation, &server, &mut rng()).await;
        assert_eq!(begun.is_ok(), expected);
    }
}

#[tokio::test]
async fn a_commitment_that_does_not_open_shows_no_digits_and_makes_no_phone() {
    let (dir, daemon, server, mut activation) = begun().await;
    daemon.world().sas_nonce = [6; 32];
    let refused = activation
        .finish(&server, PIN, Argon2Cost::LOWEST, &mut rng())
        .await;
    assert_eq!(refused.err().unwrap().code(), "activation.commitment");
    assert!(Phone::open(dir.path(), keystore(dir.path())).unwrap().is_none());
}

#[tokio::test]
async fn an_activation_under_a_key_that_evaluated_before_is_refused() {
    let (dir, daemon, server, mut activation) = begun().await;
    daemon.world().first_evaluation = 1;
    let refused = activation
        .finish(&server, PIN, Argon2Cost::LOWEST, &mut rng())
        .await;
    assert_eq!(refused.err().unwrap().code(), "evaluation.mismatch");
    let resumed = Activation::resume(dir.path(), keystore(dir.path()))
        .unwrap()
        .unwrap();
    assert!(!resumed.pin_is_chosen());
}

#[tokio::test]
async fn a_new_activation_replaces_the_phone_when_it_is_done_and_destroys_its_keys() {
    let (dir, _old_daemon, _old_server, old) = activated().await;
    let (daemon, server) = Daemon::start().await;
    let invitation = daemon.invitation();
    let begun = Activation::begin(dir.path(), keystore(dir.path()), invitation, &server, &mut rng()).await;
    let mut activation = begun.unwrap();
    let meanwhile = Phone::open(dir.path(), keystore(dir.path())).unwrap().unwrap();
    assert_eq!(meanwhile.device_id(), old.device_id());
    meanwhile.prover().unwrap();
    let done = activation
        .finish(&server, PIN, Argon2Cost::LOWEST, &mut rng())
        .await
        .unwrap();
    assert_eq!(done.phone.device_id(), daemon.world().device_id);
    done.phone.prover().unwrap();
    assert_eq!(old.prover().err().unwrap().code(), "keystore.missing");
    assert_eq!(
        old.remember_seen(old.record().seen).unwrap_err().code(),
        "state.replaced"
    );
}

#[tokio::test]
async fn an_activation_given_up_leaves_nothing() {
    let (dir, _daemon, _server, activation) = begun().await;
    activation.abandon().unwrap();
    assert!(
        Activation::resume(dir.path(), keystore(dir.path()))
            .unwrap()
            .is_none()
    );
    assert_eq!(std::fs::read_dir(dir.path().join("keys")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_offer_that_does_not_lead_back_to_the_root_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, server) = Daemon::start().await;
    let mut invitation = daemon.invitation();
    invitation.root_key = key().public_key().clone();
    let refused = Activation::begin(dir.path(), keystore(dir.path()), invitation, &server, &mut rng()).await;
    assert_eq!(refused.err().unwrap().code(), "statement.key");
    assert!(
        Activation::resume(dir.path(), keystore(dir.path()))
            .unwrap()
            .is_none()
    );
}
