//! `paraphed restore`: makes a database that was put back from a backup fit to be served from (protocol.md section 4, rule 6).
//!
//! Invariant: the database's lock is held throughout; whatever breaks off, the command can simply be run again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use paraphe_proto::time::Timestamp;

use self::report::Report;
use super::administrator::Administrator;
use super::{CommandError, confirm};
use crate::app::{Facts, Scope, administrator, restore as steps};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::ended::Event;
use crate::domain::fault::Result as Outcome;
use crate::open::{self, Opened, StartError};
use crate::store::db::{Db, DbError};
use crate::store::journal::{self, Contents, Journal, JournalError, Position, Standing};
use crate::store::record::Rows;

mod report;

pub(super) const LONG_ABOUT: &str = "Make a database that was put back from a backup fit to be served from.

A new restore epoch begins. What was revoked, locked, disabled or blocked since the backup is ended again, from the security journal. Every \
phone is left one PIN attempt, which the right PIN turns into all of them; one whose last attempt was made since the backup is locked. Activations that were not used, pending challenges and sessions end. \
Where no administrator is left with an active phone, one new administrator is issued.

Run it with the daemon stopped. If it breaks off, run it again. Where nothing shows that the database was put back, it is refused: see --rolled-back.";

/// Events that one transaction carries out.
const STEP: usize = 200;

/// Arguments of `paraphed restore`.
#[derive(Args)]
pub struct RestoreArguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The security journal is lost: suspend every phone, disable every service account, begin a new journal.
    #[arg(long)]
    without_journal: bool,
    /// Although nothing shows it, database and journal were put back together, e.g. with a snapshot of the whole machine.
    #[arg(long, conflicts_with = "without_journal")]
    rolled_back: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Named errors; nothing but the schema is changed before the question.
pub fn restore(arguments: &RestoreArguments) -> Result<(), CommandError> {
    let opened = open::deployment(Config::load(&arguments.config)?).map_err(|error| match error {
        StartError::Db(DbError::Missing { path }) => CommandError::NoBackup(path),
        other => other.into(),
    })?;
    let contents = match (judge(&opened), arguments.without_journal) {
        (Ok(_), true) => return Err(CommandError::JournalIsThere),
        (Ok(contents), false) => Some(contents),
        (Err(StartError::Journal(_)), true) => None,
        (Err(StartError::Journal(error)), false) => return Err(CommandError::NoJournal(error)),
        (Err(error), _) => return Err(error.into()),
    };
    let unseen = contents
        .as_ref()
        .is_some_and(|contents| !shows_put_back(&opened, contents));
    if unseen && !arguments.rolled_back {
        return Err(CommandError::NotPutBack);
    }
    let journal_at = contents.as_ref().and_then(|contents| contents.last_at);
    if !arguments.yes {
        report::announce(&opened, contents.as_ref(), unseen)?;
        confirm("to go on")?;
    }
    let now = Clock::starting_after(opened.known.last_seen.max(journal_at))
        .and_then(|clock| clock.now())
        .map_err(StartError::from)?;
    let run = Run::new(opened, now);
    let report = match contents {
        Some(contents) => run.with_journal(&contents)?,
        None => run.without_journal()?,
    };
    run.db.close_blocking()?;
    report.print(arguments.json)
}

/// The journal, if it verifies and reaches back to the backup.
fn judge(opened: &Opened) -> Result<Contents, StartError> {
    let path = &opened.facts.config.store.security_journal;
    let (key, place) = (opened.facts.keys.journal_key(), opened.known.place.as_ref());
    let contents = journal::read::<JournalError>(path, &key, place, |_, _| Ok(()))?;
    let Some(place) = place else {
        return Err(JournalError::DoesNotReach(path.clone()).into());
    };
    match contents.standing(place) {
        Standing::Level | Standing::InFlight(_) | Standing::DatabaseOlder(_) => Ok(contents),
        Standing::JournalOlder => Err(JournalError::Behind(path.clone()).into()),
        Standing::Other => Err(JournalError::DoesNotReach(path.clone()).into()),
    }
}

/// Whether the database shows that it is not the one that ran last: to restore that one would cost everybody their attempts for nothing.
fn shows_put_back(opened: &Opened, contents: &Contents) -> bool {
    let known = &opened.known;
    let stands = known.place.as_ref().map(|place| contents.standing(place));
    let went_on = !matches!(stands, Some(Standing::Level | Standing::InFlight(_)));
    known.copied_at.is_some() || known.restoring || went_on
}

/// A restore under way.
struct Run {
    facts: Arc<Facts>,
    db: Db,
    known: Option<Position>,
    now: Timestamp,
}

impl Run {
    fn new(opened: Opened, now: Timestamp) -> Self {
        opened.db.waive_journal();
        Self {
            facts: opened.facts,
            db: opened.db,
            known: opened.known.place,
            now,
        }
    }

    /// One transaction.
    fn step<T: Send + 'static>(
        &self,
        name: &'static str,
        mut verb: impl FnMut(&mut Scope<'_, '_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T, StartError> {
        let (facts, now) = (Arc::clone(&self.facts), self.now);
        let done = self.db.write_blocking(name, move |tx| {
            verb(&mut Scope {
                rows: Rows::new(tx, &facts.sealer),
                facts: &facts,
                now,
            })
        });
        Ok(done?)
    }

    fn with_journal(&self, contents: &Contents) -> Result<Report, CommandError> {
        let epoch = self
            .facts
            .restore_epoch
            .max(contents.restore_epoch)
            .saturating_add(1);
        let path = &self.facts.config.store.security_journal;
        let key = || Ok::<_, StartError>(self.facts.keys.journal_key());
        let journal = Journal::resume(path, key()?, contents).map_err(StartError::from)?;
        let place = self.note_epoch(journal, epoch)?;
        let mut report = Report::of(epoch, true);
        self.step("restore_begin", move |s| steps::begin(s, epoch))?;
        report.ended_again = self.replay(path, &key()?)?;
        self.repair(&mut report)?;
        let issued = self.step("restore_end", move |s| {
            let issued = administrator::issue_if_none(s, "paraphed", epoch)?;
            steps::end(s, &place, epoch, "ok")?;
            Ok(issued)
        })?;
        report.administrator = issued.map(Administrator::of);
        Ok(report)
    }

    fn without_journal(&self) -> Result<Report, CommandError> {
        let epoch = self.facts.restore_epoch.saturating_add(1);
        let path = &self.facts.config.store.security_journal;
        let mut report = Report::of(epoch, false);
        report.set_aside = set_aside(path, self.now)?;
        let place = self.note_epoch(open::new_journal(path, &self.facts.keys)?, epoch)?;
        self.step("restore_begin", move |s| steps::begin(s, epoch))?;
        report.services_disabled = self.step("restore_services", steps::disable_services)?;
        self.repair(&mut report)?;
        let issued = self.step("restore_end", move |s| {
            let issued = administrator::issue_if_none(s, "paraphed", epoch)?;
            steps::end(s, &place, epoch, "without_journal")?;
            Ok(issued)
        })?;
        report.administrator = issued.map(Administrator::of);
        Ok(report)
    }

    /// The journal holds the epoch before the database does, so that no epoch is ever used twice.
    fn note_epoch(&self, mut journal: Journal, epoch: u64) -> Result<Position, StartError> {
        let place = journal.append(vec![Event::RestoreEpoch(epoch), Event::At(self.now)])?;
        journal.committed()?;
        Ok(place)
    }

    /// Carries out what the journal says since the backup; how much of it changed anything.
    fn replay(&self, path: &Path, key: &ring::hmac::Key) -> Result<u64, StartError> {
        let since = self.known.as_ref().map_or(0, |place| place.number);
        let (mut events, mut changed) = (Vec::new(), 0);
        journal::read::<StartError>(path, key, None, |number, group| {
            if number > since {
                events.extend_from_slice(group);
            }
            if events.len() >= STEP {
                changed += self.carry_out(std::mem::take(&mut events))?;
            }
            Ok(())
        })?;
        Ok(changed + self.carry_out(events)?)
    }

    fn carry_out(&self, events: Vec<Event>) -> Result<u64, StartError> {
        self.step("restore_replay", move |s| {
            let mut changed = 0;
            for event in &events {
                changed += u64::from(steps::carry_out(s, event)?);
                steps::note_last_try(s, event)?;
            }
            Ok(changed)
        })
    }

    fn repair(&self, report: &mut Report) -> Result<(), StartError> {
        report.sessions_ended = self.step("restore_sessions", steps::end_sessions)?;
        report.activations_voided = self.until_none("restore_activations", steps::void_activations)?;
        report.challenges_voided = self.until_none("restore_challenges", steps::void_challenges)?;
        let (mut after, suspend) = (None, !report.with_journal);
        loop {
            let done = self.step("restore_devices", move |s| steps::cut(s, after, suspend))?;
            report.devices_cut += done.cut;
            report.devices_suspended += done.suspended;
            report.devices_unconfirmed += done.revoked;
            report.devices_locked += done.locked;
            after = done.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn until_none(
        &self,
        name: &'static str,
        verb: fn(&mut Scope<'_, '_>) -> Outcome<u64>,
    ) -> Result<u64, StartError> {
        let mut total = 0;
        loop {
            let count = self.step(name, verb)?;
            total += count;
            if count == 0 {
                return Ok(total);
            }
        }
    }
}

/// What stands in the place of a new journal is kept under another name.
fn set_aside(path: &Path, now: Timestamp) -> Result<Option<PathBuf>, CommandError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".set-aside-{}", now.as_secs()));
    let aside = path.with_file_name(name);
    if aside.exists() {
        return Err(CommandError::CopyExists(aside));
    }
    std::fs::rename(path, &aside)?;
    Ok(Some(aside))
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> Self {
        Self::Start(error.into())
    }
}
