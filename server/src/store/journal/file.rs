//! The journal as a file that is written: made, opened at its end, added to. Called by `db::keeper`, `open` and `app::restore`'s command.
//! Invariants: what [`Journal::append`] returned is on the disk; after a failed write the file is cut back to its last good line before
//! the next; nothing else is ever changed in it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use paraphe_proto::encoding::base64url;
use ring::hmac;

use super::line::Line;
use super::read::start;
use super::{Contents, JournalError, Position};
use crate::domain::ended::Event;

const FORMAT: u32 = 1;

/// An open journal.
pub struct Journal {
    file: File,
    path: PathBuf,
    key: hmac::Key,
    last: Position,
    /// Tag of the last line.
    chain: String,
    /// Length of the good lines.
    length: u64,
    /// A write has failed: there may be more in the file than the good lines.
    overhang: bool,
    #[cfg(test)]
    fails: bool,
}

impl Journal {
    /// Makes a new one under a random `name`, durable with its directory entry; it appears under its path with its first line.
    ///
    /// # Errors
    /// `journal.exists`, `journal.io`.
    pub fn create(path: &Path, key: hmac::Key, name: &[u8; 16]) -> Result<Self, JournalError> {
        if path.exists() {
            return Err(JournalError::Exists(path.to_owned()));
        }
        let unfinished = path.with_extension("unfinished");
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(|error| JournalError::io(&unfinished, &error))?;
        let name = base64url(name);
        let mut journal = Self {
            file,
            path: path.to_owned(),
            key,
            last: start(name.clone()),
            chain: String::new(),
            length: 0,
            overhang: true,
            #[cfg(test)]
            fails: false,
        };
        journal.write(&Line::Journal { format: FORMAT, name })?;
        std::fs::rename(&unfinished, path).map_err(|error| JournalError::io(path, &error))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| JournalError::io(parent, &error))?;
        Ok(journal)
    }

    /// Opens one at the end of what was read and verified; what a crash has left of a line after it goes.
    ///
    /// # Errors
    /// `journal.io`.
    pub fn resume(path: &Path, key: hmac::Key, contents: &Contents) -> Result<Self, JournalError> {
        let file = OpenOptions::new().append(true).open(path);
        let file = file.map_err(|error| JournalError::io(path, &error))?;
        let last = contents.last.clone();
        let mut journal = Self {
            file,
            path: path.to_owned(),
            key,
            last: last.ok_or_else(|| JournalError::Foreign(path.to_owned()))?,
            chain: contents.chain.clone(),
            length: contents.length,
            overhang: contents.torn_bytes > 0,
            #[cfg(test)]
            fails: false,
        };
        journal.cut_back()?;
        Ok(journal)
    }

    /// The place of the last group.
    pub fn last(&self) -> &Position {
        &self.last
    }

    /// Adds the events of one group and returns its place once it is on the disk.
    ///
    /// # Errors
    /// `journal.io`: nothing of it counts.
    pub fn append(&mut self, events: Vec<Event>) -> Result<Position, JournalError> {
        let number = self.last.number.saturating_add(1);
        let prev = self.chain.clone();
        self.write(&Line::Group { number, prev, events })?;
        (self.last.number, self.last.tag) = (number, self.chain.clone());
        Ok(self.last.clone())
    }

    /// Notes that the commit of the last group came through.
    ///
    /// # Errors
    /// `journal.io`.
    pub fn committed(&mut self) -> Result<(), JournalError> {
        let prev = self.chain.clone();
        self.write(&Line::Committed {
            number: self.last.number,
            prev,
        })
    }

    fn write(&mut self, line: &Line) -> Result<(), JournalError> {
        self.cut_back()?;
        let encoded = line.encode(&self.key);
        let (bytes, tag) = encoded.map_err(|error| JournalError::Io {
            path: self.path.clone(),
            detail: error.to_string(),
        })?;
        self.overhang = true;
        #[cfg(test)]
        self.test_failure(&bytes)?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        written.map_err(|error| JournalError::io(&self.path, &error))?;
        self.overhang = false;
        self.length = self.length.saturating_add(bytes.len() as u64);
        self.chain = tag;
        Ok(())
    }

    fn cut_back(&mut self) -> Result<(), JournalError> {
        if self.overhang {
            let cut = self.file.set_len(self.length).and_then(|()| self.file.sync_all());
            cut.map_err(|error| JournalError::io(&self.path, &error))?;
            self.overhang = false;
        }
        Ok(())
    }
}

#[cfg(test)]
impl Journal {
    /// The next write stops halfway, as on a full disk.
    pub(super) fn fail_next_write(&mut self) {
        self.fails = true;
    }

    fn test_failure(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        if !std::mem::take(&mut self.fails) {
            return Ok(());
        }
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        self.file
            .write_all(half)
            .map_err(|error| JournalError::io(&self.path, &error))?;
        Err(JournalError::io(
            &self.path,
            &std::io::ErrorKind::StorageFull.into(),
        ))
    }
}
