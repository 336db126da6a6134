//! Reading a whole journal: every line is verified, in a few megabytes of memory whatever its length.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use paraphe_proto::time::Timestamp;
use ring::hmac;

use super::line::Line;
use super::{JournalError, Position, Standing, latest};
use crate::domain::ended::Event;

/// What a whole reading found.
#[derive(Debug, Default)]
pub struct Contents {
    /// The place of the last group; its number is 0 and its tag empty before the first.
    pub last: Option<Position>,
    /// What that group ended.
    pub last_events: Vec<Event>,
    /// Whether its commit came through.
    pub committed: bool,
    /// The highest restore epoch.
    pub restore_epoch: u64,
    /// The latest time at which the daemon was serving.
    pub last_at: Option<Timestamp>,
    /// Bytes at the end that a crash has left of a line.
    pub torn_bytes: u64,
    /// Bytes up to there.
    pub(super) length: u64,
    /// Tag of the last line.
    pub(super) chain: String,
    /// Whether the place that was looked for is there.
    known_is_there: bool,
}

impl Contents {
    /// The name of the journal.
    pub fn name(&self) -> &str {
        self.last.as_ref().map_or("", |last| &last.journal)
    }

    /// How many groups it holds.
    pub fn groups(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.number)
    }

    /// How the database stands that keeps the place `known`, which was looked for.
    pub fn standing(&self, known: &Position) -> Standing {
        if known.journal != self.name() {
            return Standing::Other;
        }
        match self.groups().checked_sub(known.number) {
            None => Standing::JournalOlder,
            Some(_) if !self.known_is_there => Standing::JournalOlder,
            Some(0) => Standing::Level,
            Some(1) if !self.committed => Standing::InFlight(self.last_events.clone()),
            Some(more) => Standing::DatabaseOlder(more),
        }
    }
}

/// Reads and verifies all of it; looks for the place `known`, and gives each group with its number to `each`.
///
/// # Errors
/// [`JournalError`]; those of `each`.
pub fn read<E: From<JournalError>>(
    path: &Path,
    key: &hmac::Key,
    known: Option<&Position>,
    mut each: impl FnMut(u64, &[Event]) -> Result<(), E>,
) -> Result<Contents, E> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => JournalError::Missing(path.to_owned()),
        _ => JournalError::io(path, &error),
    })?;
    let (mut lines, mut contents) = (BufReader::with_capacity(1 << 20, file), Contents::default());
    let mut bytes = Vec::new();
    for at in 1_u64.. {
        bytes.clear();
        let read = lines.read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| JournalError::io(path, &error))?;
        if read == 0 {
            break;
        }
        let Some((line, tag)) = Line::decode(&bytes, key) else {
            contents.torn_bytes = torn(lines, &bytes, key, path, at)?;
            break;
        };
        let follows = contents.take(line, tag, known, &mut each)?;
        if !follows {
            return Err(damaged(path, at).into());
        }
        contents.length = contents.length.saturating_add(bytes.len() as u64);
    }
    match contents.last {
        Some(_) => Ok(contents),
        None => Err(JournalError::Foreign(path.to_owned()).into()),
    }
}

impl Contents {
    /// Takes in the next line; `false` when it does not follow the one before.
    fn take<E>(
        &mut self,
        line: Line,
        tag: String,
        known: Option<&Position>,
        each: &mut impl FnMut(u64, &[Event]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let groups = self.groups();
        let follows = line.prev() == Some(&self.chain);
        match line {
            Line::Journal { format: 1, name } if self.last.is_none() => self.last = Some(start(name)),
            Line::Group { number, events, .. } if follows && number == groups + 1 => {
                each(number, &events)?;
                self.last_at = self.last_at.max(latest(&events));
                for event in &events {
                    if let Event::RestoreEpoch(epoch) = event {
                        self.restore_epoch = self.restore_epoch.max(*epoch);
                    }
                }
                (self.last_events, self.committed) = (events, false);
                if let Some(last) = &mut self.last {
                    (last.number, last.tag) = (number, tag.clone());
                }
            }
            Line::Committed { number, .. } if follows && number == groups => self.committed = true,
            _ => return Ok(false),
        }
        self.known_is_there |= known == self.last.as_ref();
        self.chain = tag;
        Ok(true)
    }
}

/// The place before the first group.
pub(super) fn start(name: String) -> Position {
    Position {
        journal: name,
        number: 0,
        tag: String::new(),
    }
}

/// How much is left of a line that a crash cut short: only the last one may be.
///
/// # Errors
/// `journal.damaged` when a good line comes after it.
fn torn(
    mut rest: impl BufRead,
    first: &[u8],
    key: &hmac::Key,
    path: &Path,
    at: u64,
) -> Result<u64, JournalError> {
    let (mut length, mut bytes) = (first.len() as u64, Vec::new());
    loop {
        bytes.clear();
        let read = rest.read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| JournalError::io(path, &error))?;
        if read == 0 {
            return Ok(length);
        }
        if Line::decode(&bytes, key).is_some() {
            return Err(damaged(path, at));
        }
        length = length.saturating_add(read as u64);
    }
}

fn damaged(path: &Path, line: u64) -> JournalError {
    JournalError::Damaged {
        path: path.to_owned(),
        line,
    }
}
