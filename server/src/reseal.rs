//! Seals every row again under a new master key while the daemon serves: small steps with pauses, others in between.
//! Started by `start`; ends when the key before is needed no more.

use std::sync::Arc;
use std::time::Duration;

use paraphe_proto::time::Timestamp;

use crate::app::{Daemon, reseal};
use crate::domain::fault::Fault;
use crate::rpc::Shared;

/// Between two steps.
const PAUSE: Duration = Duration::from_millis(20);
/// For readers that began before the last step: no read takes as long.
const READERS: Duration = Duration::from_secs(2);
/// After a step that failed.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// Ties a rotation that begins to its new key, before anything is sealed with it.
///
/// # Errors
/// Those of the store.
pub async fn begin(daemon: &Daemon, now: Timestamp) -> Result<(), Fault> {
    let keys = &daemon.facts.config.keys;
    match (daemon.facts.sealer.is_rotating(), &keys.previous_master_key_file) {
        (true, _) => daemon.write("begin_reseal", now, reseal::begin).await,
        (false, Some(path)) => {
            tracing::warn!(path = %path.display(), "the previous master key is not needed any more: take `keys.previous_master_key_file` out and destroy the file");
            Ok(())
        }
        (false, None) => Ok(()),
    }
}

/// Runs until every row is under the new key; nothing where no rotation is under way.
pub async fn reseal(shared: Arc<Shared>) {
    let sealer = &shared.daemon.facts.sealer;
    if !sealer.is_rotating() {
        return;
    }
    tracing::info!("the master key is rotated: every row is sealed again in the background");
    loop {
        match step(&shared).await {
            Ok(true) => break,
            Ok(false) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                tracing::error!(code = error.code(), %error, "rows could not be sealed again; tried again later");
                tokio::time::sleep(LONG_PAUSE).await;
            }
        }
    }
    tokio::time::sleep(READERS).await;
    sealer.forget_previous();
    tracing::info!(
        "every row is under the new master key: take `keys.previous_master_key_file` out and destroy the file; older backups need it"
    );
}

async fn step(shared: &Shared) -> Result<bool, Fault> {
    let now = shared.clock.now().map_err(Fault::internal)?;
    shared.daemon.write("reseal", now, reseal::step).await
}
