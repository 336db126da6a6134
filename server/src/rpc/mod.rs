//! gRPC: one file per service. Each handler decodes into a command, reads `now` once, runs one named transaction and encodes; the commit
//! itself tells the watchers. `caller` authenticates before any handler runs; `status` maps every fault.

pub mod admin;
pub mod authenticate;
pub mod caller;
pub mod companion;
pub mod decode;
pub mod encode;
pub mod enrolment;
pub mod expire;
pub mod nonce;
pub mod phones;
pub mod proof;
pub mod session;
pub mod status;
pub mod step_up;
pub mod watch;

use std::sync::Arc;

use paraphe_proto::ids::DeviceId;
use paraphe_proto::time::Timestamp;
use tokio::sync::watch as channel;
use tonic::Status;

use crate::app::{Daemon, Scope, session as sessions};
use crate::clock::Clock;
use crate::domain::challenge::Challenge;
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::operator::Acting;
use crate::wake::Wakes;

/// What every service shares.
pub struct Shared {
    /// The use cases.
    pub daemon: Daemon,
    /// The one clock.
    pub clock: Clock,
    /// Nonces of proofs.
    pub nonces: nonce::Nonces,
    /// Credentials that were verified and are still good.
    pub credentials: authenticate::Credentials,
    /// Keys of phones that have called lately.
    pub known_phones: phones::KnownPhones,
    /// Watching phones.
    pub phones: Arc<Wakes<DeviceId, Arc<Challenge>>>,
    /// Watching backends.
    pub backends: Arc<Wakes<String, Arc<Challenge>>>,
    /// Turns true when the daemon stops; watches end then.
    pub stopping: channel::Receiver<bool>,
}

impl Shared {
    /// The time of this request.
    ///
    /// # Errors
    /// `clock.went_back`.
    pub fn now(&self) -> std::result::Result<Timestamp, Status> {
        self.clock.now().map_err(|error| {
            tracing::error!(%error, "the clock cannot be trusted");
            status::status(crate::domain::fault::CLOCK_WENT_BACK.fault())
        })
    }

    /// Runs one transaction and maps its fault.
    ///
    /// # Errors
    /// The fault's status.
    pub async fn write<T: Send + 'static>(
        &self,
        name: &'static str,
        now: Timestamp,
        verb: impl FnMut(&mut Scope<'_, '_>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Status> {
        self.daemon.write(name, now, verb).await.map_err(status::status)
    }

    /// The same on a reader's snapshot.
    ///
    /// # Errors
    /// The fault's status.
    pub async fn read<T: Send + 'static>(
        &self,
        name: &'static str,
        now: Timestamp,
        verb: impl FnMut(&mut Scope<'_, '_>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Status> {
        self.daemon.read(name, now, verb).await.map_err(status::status)
    }

    /// An operator's transaction: it is stored only if the caller may still act then, and what a rule refuses is audited too.
    ///
    /// # Errors
    /// The fault's status.
    pub async fn operate<T: Send + 'static>(
        &self,
        name: &'static str,
        by: Acting,
        target: String,
        now: Timestamp,
        mut verb: impl FnMut(&mut Scope<'_, '_>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Status> {
        let actor = by.id();
        let checked = move |s: &mut Scope<'_, '_>| {
            sessions::require_still(s, &by)?;
            verb(s)
        };
        match self.daemon.write(name, now, checked).await {
            Ok(done) => Ok(done),
            Err(fault) => {
                self.audit_refusal(name, actor, target, now, &fault).await;
                Err(status::status(fault))
            }
        }
    }

    /// [`Shared::operate`] for what makes, changes or disables an account: callers are read again afterwards.
    ///
    /// # Errors
    /// The fault's status.
    pub async fn administer<T: Send + 'static>(
        &self,
        name: &'static str,
        by: Acting,
        target: String,
        now: Timestamp,
        verb: impl FnMut(&mut Scope<'_, '_>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Status> {
        let done = self.operate(name, by, target, now, verb).await;
        self.credentials.changed();
        done
    }

    async fn audit_refusal(
        &self,
        name: &'static str,
        actor: String,
        target: String,
        now: Timestamp,
        fault: &Fault,
    ) {
        let audited = matches!(
            fault.rule.kind,
            Kind::Forbidden | Kind::NotFound | Kind::Precondition | Kind::Exists
        );
        if !audited {
            return;
        }
        let code = fault.code();
        let entry = move |s: &mut Scope<'_, '_>| s.audit(&actor, name, &target, code);
        if let Err(error) = self.daemon.write("audit_refusal", now, entry).await {
            tracing::error!(%error, "a refusal could not be audited");
        }
    }

    /// From now on those who watch a challenge, its phone and its backend, are told what it has become, whoever moves it.
    pub fn tell_watchers(&self) {
        let (phones, backends) = (Arc::clone(&self.phones), Arc::clone(&self.backends));
        self.daemon.listen(Box::new(move |challenge| {
            phones.wake(&challenge.device_id, challenge);
            backends.wake(&challenge.relying_party_id, challenge);
        }));
    }
}
