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

use super::{CommandError, print_json};
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::{IssuerKeys, KeysError, Ring, Undestroyed, read_master_key, read_public_key};
use crate::open::StartError;
use crate::store::db::Db;
use crate::store::meta;
use crate::store::record::StoreError;
use crate::store::seal::Sealer;

pub(super) mod emergency;
mod work;

use work::{Destroyed, Work};

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
    Next(NextArguments),
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

#[derive(Args)]
struct NextArguments {
    #[command(flatten)]
    step: StepArguments,
    /// On a token: label of the next challenge key, which is made unless it is there [default: the configured one with a number behind]
    #[arg(long, value_name = "LABEL")]
    challenge_key_label: Option<String>,
    /// The same for the next assertion key
    #[arg(long, value_name = "LABEL")]
    assertion_key_label: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// `keys.step`, `keys.too_early`, `keys.busy`, and what is wrong with the files; nothing is changed then. `keys.not_destroyed` where the
/// step is taken and a retired key is still on the token.
pub fn keys(arguments: &KeysArguments) -> Result<(), CommandError> {
    match &arguments.step {
        Step::List(arguments) => list(arguments),
        Step::Next(arguments) => next(arguments),
        Step::Activate(arguments) => step(
            arguments,
            NEXT_FOR_S,
            Ring::require_activate,
            |config, ring, now| ring.activate(config.issuer.as_str(), now),
        ),
        Step::Retire(arguments) => retire(arguments),
        Step::Emergency(arguments) => emergency::emergency(arguments),
    }
}

fn next(arguments: &NextArguments) -> Result<(), CommandError> {
    let labels = [&arguments.challenge_key_label, &arguments.assertion_key_label].map(Option::as_deref);
    step(&arguments.step, 0, Ring::require_next, |config, ring, now| {
        let (issuer, mut rng) = (config.issuer.as_str(), crate::entropy::system());
        match &config.keys.pkcs11 {
            Some(section) => ring.next_on_token(section, labels, issuer, &mut rng, now),
            None if labels != [None, None] => Err(KeysError::Step(
                "the issuer keys are in the sealed file, where they have no labels: leave the labels out",
            )),
            None => ring.next(issuer, &mut rng, now),
        }
    })
}

/// Once the old keys are retired, it destroys those that are still on the token, however often it is run.
fn retire(arguments: &StepArguments) -> Result<(), CommandError> {
    let work = Work::begin(&arguments.config)?;
    let is_left = !work.ring().undestroyed().is_empty();
    let earlier = work.destroy_retired()?;
    if is_left && work.ring().require_retire().is_err() {
        return earlier.tell(&mut anstream::stdout());
    }
    let take = |config: &Config, ring: &Ring, now| ring.retire(config.issuer.as_str(), now);
    take_step(
        &work,
        earlier,
        arguments.now,
        OVERLAP_S,
        Ring::require_retire,
        take,
    )
}

fn step(
    arguments: &StepArguments,
    wait_s: i64,
    may: impl FnOnce(&Ring) -> Result<(), KeysError>,
    take: impl FnOnce(&Config, &Ring, Timestamp) -> Result<Ring, KeysError>,
) -> Result<(), CommandError> {
    let work = Work::begin(&arguments.config)?;
    let earlier = work.destroy_retired()?;
    take_step(&work, earlier, arguments.now, wait_s, may, take)
}

fn take_step(
    work: &Work,
    earlier: Destroyed,
    at_once: bool,
    wait_s: i64,
    may: impl FnOnce(&Ring) -> Result<(), KeysError>,
    take: impl FnOnce(&Config, &Ring, Timestamp) -> Result<Ring, KeysError>,
) -> Result<(), CommandError> {
    let (config, ring, now) = (&work.config, work.ring(), now()?);
    may(&ring).map_err(StartError::from)?;
    let published = published(config)?;
    match at_once {
        true => require_followed(config, published.0, ring.version())?,
        false => require_published(published, ring.version(), wait_s, now).map_err(StartError::from)?,
    }
    let taken = take(config, &ring, now).map_err(StartError::from)?;
    work.put(taken)?;
    let destroyed = work.destroy_retired()?;
    let (taken, mut out) = (work.ring(), anstream::stdout());
    writeln!(
        out,
        "Key set {} is made. The daemon publishes it at its next reload: systemctl reload paraphed",
        taken.version()
    )?;
    for (key_use, kid, was_there) in taken.new_since(Some(&ring)) {
        writeln!(out, "{:<10} {kid:<44} {}", word(key_use), origin(was_there))?;
    }
    // What was left before was tried once more.
    destroyed.after(earlier).tell(&mut out)
}

/// How a key came to be used.
pub(super) fn origin(was_there: bool) -> &'static str {
    match was_there {
        true => "taken: it was on the token",
        false => "made",
    }
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

/// Without the waits, too, no step runs ahead of a daemon that serves: it would go on signing with a key that is said to be retired.
fn require_followed(config: &Config, newest: u64, version: u64) -> Result<(), StartError> {
    if newest < version && Db::is_served(&config.store.path)? {
        return Err(KeysError::TooEarly(format!(
            "the running daemon has not read key set {version} yet, and signs with the keys of key set {newest}: systemctl reload \
             paraphed, or stop it first"
        ))
        .into());
    }
    Ok(())
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
    /// Of an emergency: `prepared`, or `void` once a key has rotated since.
    emergency: Option<&'static str>,
    key_set: u64,
    published: u64,
    published_at: i64,
    keys: Vec<ListedKey>,
    /// Retired keys that may still be on the token.
    undestroyed: Vec<UndestroyedKey>,
}

#[derive(Serialize)]
struct UndestroyedKey {
    #[serde(rename = "use")]
    key_use: KeyUse,
    kid: String,
    label: String,
}

#[derive(Serialize)]
struct ListedKey {
    #[serde(rename = "use")]
    key_use: KeyUse,
    kid: String,
    state: KeyState,
    signs: bool,
}

impl UndestroyedKey {
    fn of(key: &Undestroyed) -> Self {
        Self {
            key_use: key.key_use(),
            kid: key.kid().to_owned(),
            label: key.label().to_owned(),
        }
    }
}

fn list(arguments: &ListArguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config)?;
    let (keys, sealer) = open(&config)?;
    let emergency = emergency::waiting(&config, &keys, &sealer).map_err(StartError::from)?;
    let (published, since) = published(&config)?;
    let ring = keys.ring();
    let listed = ring.list().map(|(key_use, kid, state, signs)| ListedKey {
        key_use,
        kid: kid.to_owned(),
        state,
        signs,
    });
    let listed = Listed {
        emergency: emergency.as_ref().map(|(_, void)| match void {
            true => "void",
            false => "prepared",
        }),
        key_set: ring.version(),
        published,
        published_at: since.as_secs(),
        keys: listed.collect(),
        undestroyed: ring.undestroyed().iter().map(UndestroyedKey::of).collect(),
    };
    if arguments.json {
        return print_json(&listed);
    }
    let mut out = anstream::stdout();
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
    for key in &listed.undestroyed {
        writeln!(
            out,
            "the retired {} key {} may still be on the token as {:?}: `paraphed keys retire` destroys it",
            word(key.key_use),
            key.kid,
            key.label
        )?;
    }
    match emergency {
        Some((path, true)) => writeln!(
            out,
            "an emergency was prepared before the last step and is worthless: remove {} and prepare it again",
            path.display()
        )?,
        Some((path, false)) => writeln!(
            out,
            "an emergency is prepared: apply it, or give it up by removing {}; next, activate and retire wait for that",
            path.display()
        )?,
        None => {}
    }
    Ok(())
}

pub(super) fn word(key_use: KeyUse) -> &'static str {
    match key_use {
        KeyUse::Challenge => "challenge",
        KeyUse::Assertion => "assertion",
    }
}

fn words(key_use: KeyUse, state: KeyState) -> (&'static str, &'static str) {
    let state = match state {
        KeyState::Next => "next",
        KeyState::Active => "active",
        KeyState::Retired => "retired",
    };
    (word(key_use), state)
}
