//! Act 1: the operator initialises the daemon and starts it.

use paraphe_proto::jwk::PublicKey;

use super::daemon::{Daemon, Initialised};
use super::stage::Stage;
use crate::channel::{Connection, Server};
use crate::commands::verify::root_key;
use crate::error::Result;
use crate::handset;

/// The daemon as everybody in the story knows it.
pub struct House {
    /// What `paraphed init` said.
    pub initialised: Initialised,
    /// Where it listens.
    pub server: Server,
    /// An open connection.
    pub connection: Connection,
    /// The phones' way to it.
    pub phones: paraphe_companion::Server,
    /// The root key that `init` made.
    pub root: PublicKey,
}

/// Plays the act.
///
/// # Errors
/// When the daemon cannot be initialised or does not listen.
pub async fn play(stage: &Stage, daemon: &Daemon) -> Result<House> {
    stage.act("Act 1: a daemon from nothing")?;
    stage.step("initialise the daemon")?;
    let initialised = daemon.init().await?;
    let root = root_key(&initialised.root_public_key_file)?;
    let names: Vec<&str> = initialised
        .administrators
        .iter()
        .map(|first| first.operator.as_str())
        .collect();
    stage.fact("issuer", &*initialised.issuer)?;
    stage.fact("root key", root.thumbprint())?;
    stage.fact("administrators", names.join(", "))?;

    stage.step("start the daemon")?;
    let server = serve(stage, daemon, &initialised).await?;
    let connection = server.connect().await?;
    let phones = handset::connect(&server).await?;
    Ok(House {
        initialised,
        server,
        connection,
        phones,
        root,
    })
}

/// Starts the daemon and waits until it says that it serves (gRPC health).
///
/// # Errors
/// When it does not.
pub async fn serve(stage: &Stage, daemon: &Daemon, initialised: &Initialised) -> Result<Server> {
    let running = daemon.serve().await?;
    let server = running.server(initialised);
    stage.fact("pid", running.pid.to_string())?;
    stage.fact("listens on", running.address.clone())?;
    stage.watch_daemon(running.process);
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel().await?);
    let request = tonic_health::pb::HealthCheckRequest {
        service: String::new(),
    };
    let status = health.check(request).await?.into_inner().status();
    super::stage::ensure(status == tonic_health::ServingStatus::Serving.into(), || {
        format!("its health is {status:?}.")
    })?;
    stage.good("TLS on loopback, gRPC health: serving")?;
    Ok(server)
}
