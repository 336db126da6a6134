//! Wiring: an opened deployment → services → serving, and the order of stopping.

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
use tokio::signal::unix::SignalKind;
use tokio::sync::watch;
use tonic::Status;
use tonic::service::{LayerExt, Routes};

use crate::app::{Daemon, archive, expiry};
use crate::config::{AttestationPolicy, Config};
use crate::domain::fault::Fault;
use crate::edge::{self, PeerInfo, Signals};
use crate::http::{self, Jwks};
use crate::open::{self, StartError};
use crate::reload;
use crate::reseal as background;
use crate::rpc::authenticate::Credentials;
use crate::rpc::caller::CallerLayer;
use crate::rpc::nonce::Nonces;
use crate::rpc::phones::KnownPhones;
use crate::rpc::{Shared, admin, companion, enrolment, expire, session, step_up};
use crate::wake::Wakes;

/// Pause between two looks for what time alone moves.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Serves until a signal; `on_listening` gets the address with the true port.
///
/// # Errors
/// [`StartError`] before anything was answered, or when the listener gave up.
pub async fn run(config: Config, on_listening: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
    let opened = tokio::task::spawn_blocking(move || open::serving(config)).await;
    let (daemon, clock) = opened.map_err(Fault::internal)??;
    let ring = daemon.facts.keys.ring();
    reload::publish(&daemon, &ring, clock.now()?).await?;
    reload::end_orphans(&daemon, &ring, clock.now()?).await?;
    background::begin(&daemon, clock.now()?).await?;
    banners(&daemon.facts.config);
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(Shared {
        nonces: Nonces::new(&mut crate::entropy::system()),
        daemon,
        clock,
        credentials: Credentials::default(),
        known_phones: KnownPhones::default(),
        phones: Wakes::new(16),
        backends: Wakes::new(128),
        stopping,
    });
    shared.tell_watchers();
    let sweeper = tokio::spawn(sweep(Arc::clone(&shared)));
    let reloading = tokio::spawn(reload::on_hangup(
        Arc::clone(&shared),
        Signals::of(SignalKind::hangup()),
    ));
    let resealing = tokio::spawn(background::reseal(Arc::clone(&shared)));
    let facts = Arc::clone(&shared.daemon.facts);
    let known = Arc::clone(&shared);
    let recognise: edge::Recognise =
        Arc::new(move |headers, _: &PeerInfo| known.credentials.recognise(headers));
    let stopped = edge::shutdown_signal();
    let shutdown = async move {
        stopped.await;
        tracing::info!("stopping: open watches end, requests in progress are answered");
        stop.send_replace(true);
    };
    let routes = routes(&shared).await;
    let served = edge::serve(&facts.config, routes, recognise, shutdown, on_listening).await;
    sweeper.abort();
    reloading.abort();
    resealing.abort();
    shared.daemon.close().await?;
    Ok(served?)
}

fn banners(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if config.profile.demonstration {
        tracing::warn!(
            "DEMONSTRATION PROFILE: short lifetimes, quarantines of no length and specimen documents are accepted; not for real people"
        );
    }
    let most = config.attestation.unattested_acr.as_str();
    match config.attestation.policy {
        AttestationPolicy::Off => tracing::warn!(
            most,
            "key attestation is off: every key counts as `swk`, and levels come from the channel alone"
        ),
        AttestationPolicy::Recorded => tracing::warn!(
            most,
            "key attestation is not required: a phone without it counts as `swk`, and its level comes from the channel alone"
        ),
        AttestationPolicy::Required => {}
    }
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
    let facts = Arc::clone(&shared.daemon.facts);
    let jwks: Jwks = Arc::new(move || facts.keys.jwks());
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
        let few_expired = match move_on(&shared, now).await {
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
async fn move_on(shared: &Shared, now: Timestamp) -> Result<usize, Status> {
    match shared.read("is_due", now, expiry::is_due).await? {
        true => expire::all(shared, now).await,
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
