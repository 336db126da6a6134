//! Follows the issuer keys file: at start and at SIGHUP the daemon publishes the key sets that are new in it, and then signs with
//! its keys. Streams stay open. Started by `start`; the certificate is read again by `edge`.
//!
//! Invariant: a file that does not follow from what was published changes nothing. Keys on a token that are in use already are not opened
//! again, and no PIN is tried while the token knows us.

use std::sync::Arc;

use paraphe_proto::time::Timestamp;

use crate::app::{Daemon, Scope, key_sets};
use crate::domain::fault::Fault;
use crate::edge::Signals;
use crate::keys::Ring;
use crate::open::StartError;
use crate::rpc::Shared;

/// Challenges that one transaction ends.
const STEP: usize = 200;

/// Reads the issuer keys again at every SIGHUP.
pub async fn on_hangup(shared: Arc<Shared>, mut hangups: Signals) {
    loop {
        hangups.next().await;
        match issuer_keys(&shared).await {
            Ok(version) => tracing::info!(version, "the issuer keys were read again"),
            Err(error) => {
                tracing::error!(code = error.code(), %error, "the issuer keys were not replaced");
            }
        }
    }
}

async fn issuer_keys(shared: &Shared) -> Result<u64, StartError> {
    let daemon = &shared.daemon;
    let facts = Arc::clone(&daemon.facts);
    let read = move || facts.keys.read_again(&facts.config.keys, &facts.sealer);
    let read = tokio::task::spawn_blocking(read).await;
    let ring = read.map_err(Fault::internal)??;
    publish(daemon, &ring, shared.clock.now()?).await?;
    let version = ring.version();
    daemon.facts.keys.follow(Arc::clone(&ring));
    end_orphans(daemon, &ring, shared.clock.now()?).await?;
    Ok(version)
}

/// What a key signed that an emergency has retired is shown by no phone any more, and ends. It follows from the key sets, not from a note
/// of what is to be done: whoever starts or reads the keys next finishes what a crash has cut short. Nothing is signed by those keys from
/// here on.
///
/// # Errors
/// Those of the store.
pub async fn end_orphans(daemon: &Daemon, ring: &Ring, now: Timestamp) -> Result<(), StartError> {
    let facts = &daemon.facts;
    let voided = ring.voided(facts.keys.root_public(), facts.issuer());
    if voided.is_empty() || !daemon.read("key_sets", now, key_sets::is_recent).await? {
        return Ok(());
    }
    let find = move |s: &mut Scope<'_, '_>| key_sets::orphans(s, &voided);
    let orphans = daemon.write("orphans", now, find).await?;
    let mut ended = 0;
    for step in orphans.chunks(STEP) {
        let step = step.to_vec();
        let verb = move |s: &mut Scope<'_, '_>| key_sets::end(s, &step);
        ended += daemon.write("end_orphans", now, verb).await?;
    }
    tracing::warn!(
        ended,
        "the root key replaced the issuer keys within the last hour: what the old ones signed has ended"
    );
    Ok(())
}

/// Publishes the key sets of `ring` that the database lacks.
///
/// # Errors
/// `keys.behind_database`, `keys.other_history`, `keys.chain`, and those of the store.
pub async fn publish(daemon: &Daemon, ring: &Ring, now: Timestamp) -> Result<(), StartError> {
    let facts = &daemon.facts;
    let known = daemon.read("key_sets", now, key_sets::known).await?;
    let publications = ring.unpublished(&known, facts.keys.root_public(), facts.issuer())?;
    if !publications.is_empty() {
        let verb = move |s: &mut Scope<'_, '_>| key_sets::publish(s, &publications);
        daemon.write("publish_key_sets", now, verb).await?;
    }
    Ok(())
}
