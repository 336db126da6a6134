//! What lies on the disk after the power has gone, before the daemon sees it: a copy is recovered, and every sealed row must open and
//! every sequence be without a gap. Called by `campaign` between the loss and the next start.

use std::collections::BTreeMap;
use std::path::Path;

use paraphe_server::domain::activation::Activation;
use paraphe_server::domain::case::Case;
use paraphe_server::domain::challenge::Challenge;
use paraphe_server::domain::device::{Device, DeviceEvent};
use paraphe_server::domain::operator::{Operator, Session, Terminal};
use paraphe_server::domain::relying_party::RelyingParty;
use paraphe_server::domain::subject::{Block, Pairwise, Subject};
use paraphe_server::domain::suspension::WrongCodes;
use paraphe_server::keys::read_master_key;
use paraphe_server::store::audit::Entry;
use paraphe_server::store::challenge;
use paraphe_server::store::db::{Db, DbError, Options};
use paraphe_server::store::past::Past;
use paraphe_server::store::record::{Record, Rows, StoreError, Stored};
use paraphe_server::store::seal::Sealer;

#[derive(Debug)]
struct Unsound(String);

impl From<DbError> for Unsound {
    fn from(error: DbError) -> Self {
        Self(error.to_string())
    }
}

impl From<StoreError> for Unsound {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// What is wrong with the database in `folder`, if anything.
pub async fn unsound(folder: &Path) -> Option<String> {
    let copy = tempfile::tempdir().unwrap();
    for file in ["paraphe.db", "paraphe.db-wal"] {
        let from = folder.join(file);
        if from.exists() {
            std::fs::copy(from, copy.path().join(file)).unwrap();
        }
    }
    let sealer = Sealer::new(&read_master_key(&folder.join("master.key")).unwrap());
    let path = copy.path().join("paraphe.db");
    let checked = recovered(&path, sealer).await;
    checked.err().map(|Unsound(what)| format!("the database: {what}"))
}

async fn recovered(path: &Path, sealer: Sealer) -> Result<(), Unsound> {
    let db = Db::open(path, Options::default())?;
    let looked = db.read("look", move |tx| look(&mut Rows::new(tx, &sealer))).await;
    db.close().await?;
    looked
}

fn look(rows: &mut Rows<'_, '_>) -> Result<(), Unsound> {
    all::<Subject>(rows)?;
    all::<Case>(rows)?;
    all::<Activation>(rows)?;
    all::<Device>(rows)?;
    all::<Block>(rows)?;
    all::<Pairwise>(rows)?;
    all::<Operator>(rows)?;
    all::<Terminal>(rows)?;
    all::<Session>(rows)?;
    all::<WrongCodes>(rows)?;
    let mut events: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in all::<DeviceEvent>(rows)? {
        let of_person = events.entry(event.subject_id.to_string()).or_default();
        of_person.push(event.number);
    }
    for (subject, numbers) in events {
        gapless(&format!("the phones of {subject}"), numbers)?;
    }
    let entries = all::<Entry>(rows)?;
    gapless(
        "the audit trail",
        entries.iter().map(|entry| entry.number).collect(),
    )?;
    let (mut verdicts, mut histories): (BTreeMap<String, Vec<u64>>, BTreeMap<String, Vec<u64>>) =
        Default::default();
    let recent = all::<Challenge>(rows)?.into_iter().map(|row| row.record);
    let past = all::<Past>(rows)?.into_iter().map(|row| row.record.0);
    for challenge in recent.chain(past) {
        let history = histories.entry(challenge.subject_id.to_string()).or_default();
        history.push(challenge.subject_number);
        if let Some(number) = challenge.verdict_number {
            verdicts
                .entry(challenge.relying_party_id.clone())
                .or_default()
                .push(number);
        }
    }
    for (subject, numbers) in histories {
        gapless(&format!("the history of {subject}"), numbers)?;
    }
    for party in all::<RelyingParty>(rows)? {
        let numbers = verdicts.remove(&party.id).unwrap_or_default();
        let last = challenge::last_verdict_number(rows, &party.id)?;
        if numbers.len() as u64 != last {
            let count = numbers.len();
            return Err(Unsound(format!(
                "{last} verdicts of {} are numbered, {count} are there",
                party.id
            )));
        }
        gapless(&format!("the verdicts of {}", party.id), numbers)?;
    }
    Ok(())
}

/// Every row opens: its clear columns are those that were sealed.
fn all<R: Record>(rows: &mut Rows<'_, '_>) -> Result<Vec<Stored<R>>, Unsound> {
    Ok(rows.select("version > $1", &[0_i64.into()])?)
}

fn gapless(what: &str, mut numbers: Vec<u64>) -> Result<(), Unsound> {
    numbers.sort_unstable();
    match (1..).zip(&numbers).find(|(expected, number)| expected != *number) {
        None => Ok(()),
        Some((expected, number)) => Err(Unsound(format!(
            "{what} has number {number} where {expected} should be"
        ))),
    }
}
