//! Wiring: configuration → keys → store → services → serving, and the order of stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use paraphe_proto::time::Timestamp;
use paraphe_proto::v1;
use paraphe_proto::v1::admin_server::AdminServer;
use paraphe_proto::v1::companion_server::CompanionServer;
use paraphe_proto::v1::enrolment_server::EnrolmentServer;
use paraphe_proto::v1::session_server::SessionServer;
use paraphe_proto::v1::step_up_server::StepUpServer;
use thiserror::Error;
use tokio::sync::watch;
use tonic::Status;
use tonic::service::{LayerExt, Routes};

use crate::app::{Daemon, Facts, archive, bootstrap, expiry};
use crate::clock::{Clock, ClockError};
use crate::config::Config;
use crate::domain::catalogue::{Catalogue, CatalogueError, LifetimeBounds};
use crate::domain::fault::Fault;
use crate::edge::{self, PeerInfo, ServeError};
use crate::http::{self, Jwks};
use crate::keys::{IssuerKeys, KeysError, ProofingKeys, read_master_key, read_public_key};
use crate::rpc::authenticate::Credentials;
use crate::rpc::caller::CallerLayer;
use crate::rpc::nonce::Nonces;
use crate::rpc::phones::KnownPhones;
use crate::rpc::{Shared, admin, companion, enrolment, session, step_up};
use crate::store::db::{Db, DbError, Options};
use crate::store::meta;
use crate::store::record::Rows;
use crate::store::seal::Sealer;
use crate::wake::Wakes;

/// Pause between two looks for what time alone moves.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Why the daemon does not start, or stopped.
#[derive(Debug, Error)]
pub enum StartError {
    /// Key files.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The action catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The catalogue's file.
    #[error("{path} cannot be read ({source}): check `actions_file`")]
    ActionsFile {
        /// The file.
        path: std::path::PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The listener.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The master key is not the one of this database.
    #[error("the database was sealed with another master key: check `keys.master_key_file`")]
    WrongMasterKey,
    /// The database belongs to another issuer.
    #[error("the database belongs to the issuer {0}: check `issuer` and `store.path`")]
    OtherIssuer(String),
    /// A use case failed at start.
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl StartError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Keys(error) => error.code(),
            Self::Db(error) => error.code(),
            Self::Clock(error) => error.code(),
            Self::Catalogue(error) => error.code(),
            Self::ActionsFile { .. } => "catalogue.unreadable",
            Self::Serve(error) => error.code(),
            Self::WrongMasterKey => "store.wrong_master_key",
            Self::OtherIssuer(_) => "store.other_issuer",
            Self::Fault(fault) => fault.code(),
        }
    }
}

/// The catalogue that the configuration names.
///
/// # Errors
/// `catalogue.*`.
pub fn load_catalogue(config: &Config) -> Result<Catalogue, StartError> {
    let path = &config.actions_file;
    let text = std::fs::read_to_string(path).map_err(|source| StartError::ActionsFile {
        path: path.clone(),
        source,
    })?;
    let bounds = LifetimeBounds {
        min_s: config.step_up.min_lifetime_s,
        max_s: config.step_up.max_lifetime_s,
    };
    Ok(Catalogue::parse(&text, bounds)?)
}

fn open(config: Config) -> Result<(Daemon, Clock), StartError> {
    let catalogue = load_catalogue(&config)?;
    let sealer = Sealer::new(&read_master_key(&config.keys.master_key_file)?);
    let root = read_public_key(&config.keys.root_public_key_file)?;
    let db = Db::open(&config.store.path, Options::default())?;
    let keys = IssuerKeys::read(&config.keys.issuer_keys_file, &sealer, root)?;
    let facts = Arc::new(Facts {
        proofing: ProofingKeys::read(&config.proofing)?,
        config,
        catalogue,
        keys,
        sealer,
        restore_epoch: 0,
    });
    let known = Arc::clone(&facts);
    let (check, issuer, seen) = db.read_blocking("open", move |tx| {
        let mut rows = Rows::new(tx, &known.sealer);
        let check = meta::load(&mut rows, bootstrap::CHECK_VALUE)?;
        Ok::<_, Fault>((
            check,
            meta::load(&mut rows, bootstrap::ISSUER)?,
            meta::last_seen(&mut rows)?,
        ))
    })?;
    if facts
        .sealer
        .verify_check_value(&check.unwrap_or_default())
        .is_err()
    {
        return Err(StartError::WrongMasterKey);
    }
    let issuer = String::from_utf8_lossy(&issuer.unwrap_or_default()).into_owned();
    if issuer != facts.issuer() {
        return Err(StartError::OtherIssuer(issuer));
    }
    let clock = Clock::starting_after(seen)?;
    Ok((Daemon::new(facts, db), clock))
}

/// Serves until a signal; `on_listening` gets the address with the true port.
///
/// # Errors
/// [`StartError`] before anything was answered, or when the listener gave up.
pub async fn run(config: Config, on_listening: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
    let opened = tokio::task::spawn_blocking(move || open(config)).await;
    let (daemon, clock) = opened.map_err(Fault::internal)??;
    banners(&daemon.facts.config);
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(Shared {
        nonces: Nonces::new(&mut crate::entropy::system()),
        daemon,
        clock,
        credentials: Credentials::default(),
        known_phones: KnownPhones::default(),
        phones: Wakes::new(),
        backends: Wakes::new(),
        stopping,
    });
    let sweeper = tokio::spawn(sweep(Arc::clone(&shared)));
    let facts = Arc::clone(&shared.daemon.facts);
    let known = Arc::clone(&shared);
    let recognise: edge::Recognise =
        Arc::new(move |headers, _: &PeerInfo| known.credentials.recognise(headers));
    let shutdown = async move {
        edge::shutdown_signal().await;
        tracing::info!("stopping: open watches end, requests in progress are answered");
        stop.send_replace(true);
    };
    let routes = routes(&shared).await;
    let served = edge::serve(&facts.config, routes, recognise, shutdown, on_listening).await;
    sweeper.abort();
    shared.daemon.close().await?;
    Ok(served?)
}

fn banners(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if config.profile.demonstration {
        tracing::warn!(
            "DEMONSTRATION PROFILE: short lifetimes, no quarantine, specimen documents accepted; not for real people"
        );
    }
    tracing::warn!(
        "key attestation is off: every key counts as `swk`, and levels come from the channel alone"
    );
}

async fn routes(shared: &Arc<Shared>) -> Routes {
    let most = shared.daemon.facts.config.limits.max_message_bytes;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<StepUpServer<step_up::StepUpService>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    let layer = tower::ServiceBuilder::new()
        .layer(CallerLayer(Arc::clone(shared)))
        .into_inner();
    let mut routes = Routes::builder();
    macro_rules! serve {
        ($server:ident, $service:expr) => {
            let service = $server::new($service(Arc::clone(shared)))
                .max_decoding_message_size(most)
                .max_encoding_message_size(4 * 1024 * 1024);
            routes.add_service(layer.clone().named_layer(service));
        };
    }
    serve!(StepUpServer, step_up::StepUpService);
    serve!(CompanionServer, companion::CompanionService);
    serve!(EnrolmentServer, enrolment::EnrolmentService);
    serve!(SessionServer, session::SessionService);
    serve!(AdminServer, admin::AdminService);
    routes.add_service(health_service);
    match reflection {
        Ok(reflection) => {
            routes.add_service(reflection);
        }
        Err(error) => tracing::error!(%error, "reflection is not served"),
    }
    let mut routes = routes.routes();
    let jwks: Arc<str> = shared.daemon.facts.keys.jwks().into();
    let jwks: Jwks = Arc::new(move || Arc::clone(&jwks));
    let router = std::mem::take(routes.axum_router_mut())
        .merge(http::router(jwks))
        .fallback(http::unknown);
    *routes.axum_router_mut() = router;
    routes
}

async fn sweep(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tick.tick().await;
        let Ok(now) = shared.now() else { continue };
        shared.nonces.forget(now);
        shared.credentials.forget(now);
        let few_expired = match expire(&shared, now).await {
            Ok(steps) => steps <= 1,
            Err(status) => {
                tracing::error!(%status, "what is overdue could not be read or moved");
                false
            }
        };
        if few_expired && let Err(error) = archive(&shared.daemon, now).await {
            tracing::error!(%error, "what is past could not be archived");
        }
    }
}

/// Moves what is overdue; in how many steps.
async fn expire(shared: &Shared, now: Timestamp) -> Result<usize, Status> {
    match shared.read("is_due", now, expiry::is_due).await? {
        true => step_up::expire(shared, now).await,
        false => Ok(0),
    }
}

/// A few steps of the archive, others in between.
async fn archive(daemon: &Daemon, now: Timestamp) -> Result<(), Fault> {
    if !daemon.read("archive_is_due", now, archive::is_due).await? {
        return Ok(());
    }
    for _ in 0..archive::STEPS {
        if !daemon.write("archive", now, archive::step).await? {
            break;
        }
    }
    Ok(())
}
