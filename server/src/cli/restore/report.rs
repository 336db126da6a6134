//! What `paraphed restore` says: before, so that somebody can say no, and after, with the next step.

use std::io::Write;
use std::path::PathBuf;

use paraphe_proto::time::Timestamp;
use serde::Serialize;

use super::super::administrator::Administrator;
use super::CommandError;
use crate::cli::print_json;
use crate::open::Opened;
use crate::store::journal::Contents;

/// What was done.
#[derive(Serialize)]
pub(super) struct Report {
    restore_epoch: u64,
    pub(super) with_journal: bool,
    pub(super) ended_again: u64,
    pub(super) devices_cut: u64,
    pub(super) devices_suspended: u64,
    pub(super) devices_unconfirmed: u64,
    pub(super) devices_locked: u64,
    pub(super) activations_voided: u64,
    pub(super) challenges_voided: u64,
    pub(super) sessions_ended: u64,
    pub(super) services_disabled: u64,
    /// Where the journal that does not verify was put.
    pub(super) set_aside: Option<PathBuf>,
    /// Somebody who can sign in, where no phone is left that may.
    pub(super) administrator: Option<Administrator>,
}

/// What is going to happen; `unseen` where nothing but the operator's word says that the database was put back.
pub(super) fn announce(
    opened: &Opened,
    contents: Option<&Contents>,
    unseen: bool,
) -> Result<(), CommandError> {
    let mut out = anstream::stderr();
    let store = &opened.facts.config.store;
    writeln!(
        out,
        "database          {}, written last at {}",
        store.path.display(),
        utc(opened.known.last_seen)
    )?;
    match contents {
        Some(contents) => {
            let since = opened.known.place.as_ref().map_or(0, |place| place.number);
            writeln!(
                out,
                "security journal  {}, written last at {}, entries since the backup: {}\n",
                store.security_journal.display(),
                utc(contents.last_at),
                contents.groups().saturating_sub(since)
            )?;
            if contents.torn_bytes > 0 {
                writeln!(out, "A crash cut its last line short: that line is left out.\n")?;
            }
            let which = match unseen {
                true => {
                    "Nothing shows that they were put back: what was ended since then is in neither of them. End again what you know of."
                }
                false => {
                    "The journal must be the one that the daemon wrote last, not a copy from the backup: compare the times."
                }
            };
            writeln!(
                out,
                "{which}\n\
                 What was ended since the backup ends again; every phone is left one PIN attempt; unused activations, pending\n\
                 challenges and sessions end. Verdicts, enrolments and registrations since the backup are lost."
            )?;
        }
        None => writeln!(
            out,
            "security journal  none that belongs to this backup\n\n\
             EVERY PHONE IS SUSPENDED and every service account disabled; unused activations, pending challenges and sessions end.\n\
             Who cannot resume their phone with its PIN needs a new identity check. A new journal begins, and one new administrator."
        )?,
    }
    Ok(())
}

fn utc(at: Option<Timestamp>) -> String {
    let at = at.and_then(|at| time::OffsetDateTime::from_unix_timestamp(at.as_secs()).ok());
    at.map_or_else(
        || "an unknown time".to_owned(),
        |at| {
            let (date, time) = (at.date(), at.time());
            format!(
                "{date} {:02}:{:02}:{:02} UTC",
                time.hour(),
                time.minute(),
                time.second()
            )
        },
    )
}

impl Report {
    pub(super) fn of(restore_epoch: u64, with_journal: bool) -> Self {
        Self {
            restore_epoch,
            with_journal,
            ended_again: 0,
            devices_cut: 0,
            devices_suspended: 0,
            devices_unconfirmed: 0,
            devices_locked: 0,
            activations_voided: 0,
            challenges_voided: 0,
            sessions_ended: 0,
            services_disabled: 0,
            set_aside: None,
            administrator: None,
        }
    }

    pub(super) fn print(&self, json: bool) -> Result<(), CommandError> {
        if json {
            return print_json(self);
        }
        let mut out = anstream::stdout();
        writeln!(out, "Restored: restore epoch {} begins.\n", self.restore_epoch)?;
        for (what, count) in [
            ("ended again from the journal", self.ended_again),
            ("phones cut to one attempt", self.devices_cut),
            ("phones locked, last attempt made", self.devices_locked),
            ("phones suspended", self.devices_suspended),
            ("phones never confirmed, revoked", self.devices_unconfirmed),
            ("activations voided", self.activations_voided),
            ("challenges voided", self.challenges_voided),
            ("sessions ended", self.sessions_ended),
            ("service accounts disabled", self.services_disabled),
        ] {
            writeln!(out, "  {what:<34}{count:>10}")?;
        }
        if let Some(aside) = &self.set_aside {
            writeln!(
                out,
                "\nThe journal that does not belong to this backup is now {}.",
                aside.display()
            )?;
        }
        if let Some(new) = &self.administrator {
            writeln!(out, "\n{}", new.text())?;
        }
        writeln!(
            out,
            "\nNext: start the daemon (`systemctl start paraphed`), and tell your backends that verdicts since the backup are lost."
        )?;
        Ok(())
    }
}
