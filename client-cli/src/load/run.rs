//! A load from its options to its report: phones and backends are brought up, the confirmations are run, all is counted.
//!
//! Called by `commands/load.rs`. Invariant: nothing is measured before every stream is open.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use paraphe_companion::IssuerKeys;
use paraphe_proto::ids::RelyingPartyId;
use rand_core::RngCore as _;
use tokio::task::JoinSet;

use super::backend::{self, Backend};
use super::calls::Calls;
use super::confirmation::Confirmations;
use super::fleet::Fleet;
use super::folder::{Folder, PhoneLine};
use super::journal::Journal;
use super::mix::Mix;
use super::pace::{self, Pace, Until};
use super::patience::{Patience, patiently};
use super::phone::LoadPhone;
use super::progress;
use super::report::Report;
use super::tally::Tally;
use super::{connections, subjects};
use crate::channel::{Connection, Server};
use crate::credentials::{Credentials, ReusedToken};
use crate::edge;
use crate::error::{Error, Result};
use crate::home::read_key;
use crate::output::Output;

/// A backend and its key, as typed: `ID=KEYFILE`.
#[derive(Clone, Debug)]
pub struct BackendOption {
    id: RelyingPartyId,
    key_file: PathBuf,
}

impl FromStr for BackendOption {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (id, key_file) = text.split_once('=').ok_or("write it as ID=KEYFILE")?;
        if key_file.is_empty() {
            return Err("write it as ID=KEYFILE".to_owned());
        }
        Ok(BackendOption {
            id: id.parse().map_err(|error| format!("{id}: {error}"))?,
            key_file: key_file.into(),
        })
    }
}

/// What a load is to be.
pub struct Plan {
    /// Folder of phones.
    pub from: PathBuf,
    /// Who asks.
    pub backends: Vec<BackendOption>,
    /// When confirmations begin.
    pub pace: Pace,
    /// When no more begin.
    pub until: Until,
    /// What people mean to do.
    pub mix: Mix,
    /// How failures are met.
    pub patience: Patience,
    /// Life of a challenge that is meant to expire, in seconds.
    pub expire_after_s: u32,
    /// Where what the clients learn goes.
    pub journal: Option<PathBuf>,
    /// Connections that the phones share at least.
    pub connections: usize,
    /// Whether each phone holds a stream open.
    pub watching: bool,
}

/// Runs a load.
///
/// # Errors
/// When it cannot begin; what happens to single confirmations is in the report.
pub async fn run(server: Server, mut plan: Plan, output: Output) -> Result<Report> {
    let folder = Folder::at(&plan.from);
    let issuer = folder.issuer()?;
    let server = Server {
        issuer: issuer.issuer.clone(),
        ..server
    };
    let mut lines = folder.phones()?;
    if lines.is_empty() {
        return Err(Error::NotFound(format!(
            "There is no phone in {}: `paraphe load prepare` makes some.",
            plan.from.display()
        )));
    }
    let tally = Arc::new(Tally::new()?);
    let journal = Arc::new(Journal::open(plan.journal.as_deref())?);
    let backends = backends(&server, &plan.backends, most_in_flight(plan.pace, lines.len())).await?;
    subjects::complete(&folder, &mut lines, &backends, output).await?;
    let phones = phones(&server, &plan, issuer.root_key, &lines, &backends).await?;
    let phone_count = phones.len();
    let mut fleet = Fleet::assemble(phones, plan.watching, plan.patience).await?;
    let streams = verdict_streams(&backends, &plan, &tally, &journal).await?;

    let confirmations = Arc::new(Confirmations {
        calls: Calls {
            patience: plan.patience,
            tally: Arc::clone(&tally),
        },
        journal: Arc::clone(&journal),
        expire_after_s: plan.expire_after_s,
    });
    let pace = within(plan.pace, phone_count, output);
    let began = Instant::now();
    let work = confirm(
        confirmations,
        pace,
        plan.until,
        &mut plan.mix,
        &backends,
        &mut fleet,
    );
    progress::shown(output, &tally, work).await;
    drop(streams);
    journal.finish()?;
    let counts = tally.counts();
    let elapsed = counts.last_answered.unwrap_or_else(Instant::now) - began;
    Ok(Report::new(phone_count, backends.len(), pace, elapsed, &counts))
}

/// More are never in flight than there are phones.
fn within(pace: Pace, phones: usize, output: Output) -> Pace {
    match pace {
        Pace::InFlight(most) if most > phones => {
            output.note(&format!(
                "  {phones} phones: at most {phones} confirmations are in flight."
            ));
            Pace::InFlight(phones)
        }
        pace => pace,
    }
}

/// A phone is used by one confirmation at a time, whatever the pace.
fn most_in_flight(pace: Pace, phones: usize) -> usize {
    match pace {
        Pace::InFlight(most) => most.min(phones),
        Pace::PerSecond(_) => phones,
    }
}

async fn backends(
    server: &Server,
    options: &[BackendOption],
    most_in_flight: usize,
) -> Result<Vec<Arc<Backend>>> {
    let mut load = [0; 6];
    edge::random().fill_bytes(&mut load);
    let load = paraphe_proto::encoding::hex(&load);
    let mut backends = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let id = option.id.to_string();
        let token = ReusedToken::new(id.clone(), read_key(&option.key_file)?, server.issuer.clone());
        let connections = connections::of_backend(server, connections::needed(1, most_in_flight)).await?;
        let as_backend =
            |connection: Connection| connection.step_up(Credentials::Reusing(Arc::clone(&token)));
        let clients = connections.into_iter().map(as_backend).collect();
        let prefix = format!("load-{load}-{index}-");
        backends.push(Arc::new(Backend::new(id, clients, prefix)));
    }
    Ok(backends)
}

async fn phones(
    server: &Server,
    plan: &Plan,
    root_key: paraphe_proto::jwk::PublicKey,
    lines: &[PhoneLine],
    backends: &[Arc<Backend>],
) -> Result<Vec<(Arc<LoadPhone>, Vec<String>)>> {
    let streams = if plan.watching { lines.len() } else { 0 };
    let needed = connections::needed(streams, most_in_flight(plan.pace, lines.len()));
    let connections = connections::of_phones(server, plan.connections.max(needed)).await?;
    let Some(first) = connections.first() else {
        return Ok(Vec::new());
    };
    let keys = Arc::new(IssuerKeys::fetch(first, server.issuer.clone(), root_key).await?);
    let mut phones = Vec::new();
    for (line, connection) in lines.iter().zip(connections.iter().cycle()) {
        let phone = LoadPhone::new(line, Arc::clone(&keys), connection.clone())?;
        let subject = |backend: &Arc<Backend>| line.subjects.get(&backend.id).cloned().unwrap_or_default();
        phones.push((Arc::new(phone), backends.iter().map(subject).collect()));
    }
    Ok(phones)
}

/// Opens each backend's stream. When one is over, whoever waits for a verdict is told.
async fn verdict_streams(
    backends: &[Arc<Backend>],
    plan: &Plan,
    tally: &Arc<Tally>,
    journal: &Arc<Journal>,
) -> Result<JoinSet<()>> {
    let mut streams = JoinSet::new();
    for backend in backends {
        let stream = patiently(|| backend.watch("")).await?;
        let (backend, patience) = (Arc::clone(backend), plan.patience);
        let (tally, journal) = (Arc::clone(tally), Arc::clone(journal));
        streams.spawn(async move {
            let error = backend::follow(
                Arc::clone(&backend),
                stream,
                patience,
                Arc::clone(&tally),
                journal,
            )
            .await;
            tally.ridden_out(error.code());
            backend.verdicts.close();
        });
    }
    Ok(streams)
}

/// Runs confirmations until it is time to stop, and waits for those that are under way, unless the operator insists.
async fn confirm(
    confirmations: Arc<Confirmations>,
    pace: Pace,
    until: Until,
    mix: &mut Mix,
    backends: &[Arc<Backend>],
    fleet: &mut Fleet,
) {
    let mut running = JoinSet::new();
    let mut turn = backends.iter().enumerate().cycle();
    let tally = Arc::clone(&confirmations.calls.tally);
    pace::drive(pace, until, fleet, &tally, |slot, place| {
        while running.try_join_next().is_some() {}
        let Some((index, backend)) = turn.next() else {
            return;
        };
        let (confirmations, backend, intent) = (Arc::clone(&confirmations), Arc::clone(backend), mix.next());
        running.spawn(async move { confirmations.run(slot, index, &backend, intent, place).await });
    })
    .await;
    let ended = async { while running.join_next().await.is_some() {} };
    tokio::select! {
        () = ended => {}
        () = pace::interrupted() => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    #[test]
    fn a_backend_is_named_with_its_key() {
        let option: BackendOption = "market=keys/a=b.pem".parse().unwrap();
        assert_eq!(
            (option.id.as_str(), option.key_file),
            ("market", PathBuf::from("keys/a=b.pem"))
        );
        for text in ["market", "market=", "=key.pem", "Not An Id=key.pem"] {
            assert!(text.parse::<BackendOption>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_more_are_in_flight_than_there_are_phones() {
        let output = Output::new(true);
        assert_eq!(within(Pace::InFlight(64), 4, output), Pace::InFlight(4));
        assert_eq!(within(Pace::InFlight(3), 4, output), Pace::InFlight(3));
        assert_eq!(within(Pace::PerSecond(9.0), 4, output), Pace::PerSecond(9.0));
    }
}
