//! The verbs against a daemon that lives in the test: what is charged, what survives a lost reply or a crash, what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use tempfile::TempDir;

use crate::testing::daemon::Daemon;
use crate::testing::{CODE, PIN, keystore, rng};
use crate::{Activation, Argon2Cost, Error, FinalState, Phone, Server, Shown};

mod activation;
mod answers;
mod change_pin;
mod replacement;

async fn begun() -> (TempDir, Daemon, Server, Activation) {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, server) = Daemon::start().await;
    let invitation = daemon.invitation();
    let begun = Activation::begin(dir.path(), keystore(dir.path()), invitation, &server, &mut rng()).await;
    (dir, daemon, server, begun.unwrap())
}

async fn activated() -> (TempDir, Daemon, Server, Phone) {
    let (dir, daemon, server, mut activation) = begun().await;
    let activated = activation
        .finish(&server, PIN, Argon2Cost::LOWEST, &mut rng())
        .await
        .unwrap();
    (dir, daemon, server, activated.phone)
}

async fn approve(phone: &Phone, server: &Server, shown: &Shown, pin: &str) -> Result<FinalState, Error> {
    let receipt = phone.approve(server, shown, Some(CODE), pin, &mut rng()).await?;
    assert_eq!(receipt.challenge, shown.compact());
    Ok(receipt.state)
}
