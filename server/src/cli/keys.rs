//! `paraphed keys`: the steps of a rotation of the issuer keys (operations.md, "Rotating the issuer keys").
//!
//! Each step changes the sealed file alone; the daemon follows it at `systemctl reload`. When the daemon did so is read from its
//! database, so that a step whose reload was forgotten is not taken twice.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use paraphe_proto::statements::{KeyState, KeyUse};
use paraphe_proto::time::Timestamp;
use serde::Serialize;

use super::CommandError;
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::{IssuerKeys, KeysError, Ring, lock, read_master_key, read_public_key};
use crate::open::StartError;
use crate::store::db::Db;
use crate::store::meta;
use crate::store::record::StoreError;
use crate::store::seal::Sealer;

pub(super) mod emergency;

/// Backends may keep the JWK set for 300 s: the next assertion key is in every copy after twice that.
const NEXT_FOR_S: i64 = 600;
/// No challenge lives longer than 600 s, no assertion longer than 60 s; the rest of the hour is for activations in progress.
const OVERLAP_S: i64 = 3_600;

/// Arguments of `paraphed keys`.
#[derive(Args)]
pub struct KeysArguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Show the issuer keys and what can be done next.
    List(ListArguments),
    /// Make the next pair of keys and announce it to phones and backends.
    Next(StepArguments),
    /// Sign with the next keys from now on; the old ones stay good for what they signed.
    Activate(StepArguments),
    /// Retire the old keys and destroy their private halves.
    Retire(StepArguments),
    /// Replace keys that may be stolen at once, by a key set that the root key signs offline.
    Emergency(emergency::EmergencyArguments),
}

#[derive(Args)]
struct ListArguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StepArguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Do not wait until phones and backends know the step before: for a key that may be stolen.
    #[arg(long)]
    now: bool,
}

/// Runs the command.
///
/// # Errors
/// `keys.step`, `keys.too_early`, `keys.busy`, and what is wrong with the files; nothing is changed then.
pub fn keys(arguments: &KeysArguments) -> Result<(), CommandError> {
    match &arguments.step {
        Step::List(arguments) => list(arguments),
        Step::Next(arguments) => step(arguments, 0, |issuer, ring, now| {
            ring.next(issuer, &mut crate::entropy::system(), now)
        }),
        Step::Activate(arguments) => step(arguments, NEXT_FOR_S, |issuer, ring, now| {
            ring.activate(issuer, now)
        }),
        Step::Retire(arguments) => step(arguments, OVERLAP_S, |issuer, ring, now| ring.retire(issuer, now)),
        Step::Emergency(arguments) => emergency::emergency(arguments),
    }
}

fn step(
    arguments: &StepArguments,
    wait_s: i64,
    take: impl FnOnce(&str, &Ring, Timestamp) -> Result<Ring, KeysError>,
) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config)?;
    let path = &config.keys.issuer_keys_file;
    let _lock = lock(path).map_err(StartError::from)?;
    let (keys, sealer) = open(&config)?;
    let now = now()?;
    let ring = keys.ring();
    let taken = take(config.issuer.as_str(), &ring, now).map_err(StartError::from)?;
    if !arguments.now {
        require_published(published(&config)?, ring.version(), wait_s, now).map_err(StartError::from)?;
    }
    let version = taken.version();
    keys.follow(std::sync::Arc::new(taken));
    keys.replace(path, &sealer).map_err(StartError::from)?;
    let mut out = anstream::stdout();
    writeln!(
        out,
        "Key set {version} is made. The daemon publishes it at its next reload: systemctl reload paraphed"
    )?;
    Ok(())
}

fn now() -> Result<Timestamp, StartError> {
    Ok(Clock::starting_after(None).and_then(|clock| clock.now())?)
}

fn open(config: &Config) -> Result<(IssuerKeys, Sealer), StartError> {
    let files = &config.keys;
    let sealer = Sealer::new(&read_master_key(&files.master_key_file)?);
    let root = read_public_key(&files.root_public_key_file)?;
    let keys = IssuerKeys::read(files, &sealer, root)?;
    Ok((keys, sealer))
}

/// The newest key set that the daemon serves and since when; the first one has always been there.
fn published(config: &Config) -> Result<(u64, Timestamp), StartError> {
    let found = Db::peek(&config.store.path, meta::key_set_published);
    let found = found.map_err(|error: StoreError| match error {
        StoreError::Db(error) => StartError::Db(error),
        other => StartError::Fault(other.into()),
    })?;
    Ok(found.unwrap_or((1, Timestamp::from_secs(0))))
}

fn require_published(
    (newest, since): (u64, Timestamp),
    version: u64,
    wait_s: i64,
    now: Timestamp,
) -> Result<(), KeysError> {
    if newest < version {
        return Err(KeysError::TooEarly(format!(
            "the daemon has not published key set {version} yet: systemctl reload paraphed"
        )));
    }
    let left_s = since.plus_s(wait_s).as_secs().saturating_sub(now.as_secs());
    if left_s > 0 {
        return Err(KeysError::TooEarly(format!(
            "not everybody knows key set {version} yet: try again in {left_s} s, or say --now when the old key may be stolen"
        )));
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    key_set: u64,
    published: u64,
    published_at: i64,
    keys: Vec<ListedKey>,
}

#[derive(Serialize)]
struct ListedKey {
    #[serde(rename = "use")]
    key_use: KeyUse,
    kid: String,
    state: KeyState,
    signs: bool,
}

fn list(arguments: &ListArguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config)?;
    let (keys, _) = open(&config)?;
    let (published, since) = published(&config)?;
    let ring = keys.ring();
    let listed = ring.list().map(|(key_use, kid, state, signs)| ListedKey {
        key_use,
        kid: kid.to_owned(),
        state,
        signs,
    });
    let listed = Listed {
        key_set: ring.version(),
        published,
        published_at: since.as_secs(),
        keys: listed.collect(),
    };
    let mut out = anstream::stdout();
    if arguments.json {
        let json = serde_json::to_string_pretty(&listed).map_err(crate::domain::fault::Fault::internal);
        writeln!(out, "{}", json.map_err(StartError::from)?)?;
        return Ok(());
    }
    for key in &listed.keys {
        let signs = if key.signs { "signs" } else { "" };
        let (key_use, state) = words(key.key_use, key.state);
        writeln!(out, "{key_use:<10} {:<44} {state:<8} {signs}", key.kid)?;
    }
    writeln!(
        out,
        "key set {}, of which the daemon serves {published}",
        listed.key_set
    )?;
    Ok(())
}

fn words(key_use: KeyUse, state: KeyState) -> (&'static str, &'static str) {
    let key_use = match key_use {
        KeyUse::Challenge => "challenge",
        KeyUse::Assertion => "assertion",
    };
    let state = match state {
        KeyState::Next => "next",
        KeyState::Active => "active",
        KeyState::Retired => "retired",
    };
    (key_use, state)
}
