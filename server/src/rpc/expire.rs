//! Runs what time alone does. Called by the sweeper of `start`, and by `StepUp.Get` for a challenge whose time
//! is over.

use paraphe_proto::time::Timestamp;
use tonic::Status;

use super::{Shared, status};
use crate::app::expiry::{self, Overdue};
use crate::domain::fault::{Fault, STORE_TAMPERED};

/// Sweeps until nothing is overdue; in how many steps. Where a row does not verify, everything else is moved by itself.
///
/// # Errors
/// Those of the store.
pub async fn all(shared: &Shared, now: Timestamp) -> Result<usize, Status> {
    let mut steps = 1;
    loop {
        match shared.daemon.write("expire", now, expiry::sweep).await {
            Ok(true) => {}
            Ok(false) => return Ok(steps),
            Err(fault) if is_tampered(&fault) => return each(shared, now).await.map(|()| steps),
            Err(fault) => return Err(status::status(fault)),
        }
        steps += 1;
    }
}

/// One transaction for each: the alarm is raised for a row that does not verify, which stays as it is.
async fn each(shared: &Shared, now: Timestamp) -> Result<(), Status> {
    for overdue in shared.read("overdue", now, expiry::overdue).await? {
        let name = match overdue {
            Overdue::Challenge(_) => "expire_challenge",
            Overdue::Device(_) => "move_device",
            Overdue::Activation(_) => "expire_activation",
        };
        let moved = shared
            .daemon
            .write(name, now, move |s| expiry::one(s, &overdue))
            .await;
        match moved {
            Ok(()) => {}
            Err(fault) if is_tampered(&fault) => {}
            Err(fault) => return Err(status::status(fault)),
        }
    }
    shared.write("tidy", now, expiry::tidy).await
}

fn is_tampered(fault: &Fault) -> bool {
    fault.code() == STORE_TAMPERED.code
}
