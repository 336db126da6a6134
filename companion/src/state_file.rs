//! The phone's file, which survives restarts and crashes.
//!
//! Called by `activate` and `phone`. Invariants: the file is either the old or the new state, never half of one; it is
//! readable by its owner alone; two processes on one folder take turns and never undo each other's writes; a file that is
//! not understood is left as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;
use crate::files;
use crate::state::{FORMAT, PhoneState};

/// The state file of one folder.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    lock: PathBuf,
}

impl StateFile {
    /// The file `phone.json` in `dir`, a folder made with mode 0700 unless it exists.
    ///
    /// # Errors
    /// [`StateError::Io`] when the folder cannot be made.
    pub fn at(dir: &Path) -> Result<Self, StateError> {
        files::create_private_dir(dir).map_err(|error| io_error(dir, error))?;
        Ok(Self {
            path: dir.join("phone.json"),
            lock: dir.join("phone.lock"),
        })
    }

    /// The state; an empty one where there is no file.
    ///
    /// # Errors
    /// [`StateError`] when the file cannot be read or is not understood.
    pub fn load(&self) -> Result<PhoneState, StateError> {
        Ok(match self.read()? {
            None => PhoneState::default(),
            Some(bytes) => self.parse(&bytes)?,
        })
    }

    /// Changes the state and has it on disk when this returns; when `change` fails nothing is written.
    ///
    /// # Errors
    /// What `change` returns, or [`StateError`] when the file cannot be read, locked or written.
    pub fn update<T>(&self, change: impl FnOnce(&mut PhoneState) -> Result<T, Error>) -> Result<T, Error> {
        let _turn = files::lock(&self.lock).map_err(|error| io_error(&self.lock, error))?;
        let before = self.read()?;
        let mut state = match &before {
            None => PhoneState::default(),
            Some(bytes) => self.parse(bytes)?,
        };
        let result = change(&mut state)?;
        let after = serde_json::to_vec_pretty(&state).map_err(|error| self.corrupt(&error))?;
        if before.as_deref() != Some(after.as_slice()) {
            files::replace(&self.path, &after).map_err(|error| io_error(&self.path, error))?;
        }
        Ok(result)
    }

    fn read(&self) -> Result<Option<Vec<u8>>, StateError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&self.path, error)),
        }
    }

    /// The format is looked at first, so that a newer file is called newer and not corrupt.
    fn parse(&self, bytes: &[u8]) -> Result<PhoneState, StateError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(bytes).map_err(|error| self.corrupt(&error))?;
        if format > FORMAT {
            return Err(StateError::Newer {
                path: self.path.display().to_string(),
                format,
            });
        }
        serde_json::from_slice(bytes).map_err(|error| self.corrupt(&error))
    }

    fn corrupt(&self, error: &serde_json::Error) -> StateError {
        StateError::Corrupt {
            path: self.path.display().to_string(),
            line: error.line(),
        }
    }
}

fn io_error(path: &Path, source: io::Error) -> StateError {
    StateError::Io {
        path: path.display().to_string(),
        source,
    }
}

/// Why the phone's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is not a phone's state.
    #[error("{path} is not a phone's state (line {line}); restore it, or move it away and activate again")]
    Corrupt {
        /// The file.
        path: String,
        /// Line of the first fault.
        line: usize,
    },
    /// The file was written by a newer version.
    #[error("{path} has format {format}, which a newer version wrote; update this one")]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        format: u32,
    },
    /// This phone is not activated, or was activated anew meanwhile.
    #[error("this phone is no longer the device it was; open it again")]
    Replaced,
}

impl StateError {
    /// The stable code, such as `state.corrupt`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "state.io",
            Self::Corrupt { .. } => "state.corrupt",
            Self::Newer { .. } => "state.newer",
            Self::Replaced => "state.replaced",
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::{Issuer, locked_device};

    fn change(file: &StateFile, change: impl FnOnce(&mut PhoneState)) {
        let changed = file.update(|state| {
            change(state);
            Ok(())
        });
        changed.unwrap();
    }

    fn written(dir: &Path) -> StateFile {
        let device = locked_device(dir, &Issuer::new());
        let file = StateFile::at(dir).unwrap();
        change(&file, |state| state.device = Some(device.record));
        file
    }

    #[test]
    fn what_was_written_is_read_back_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = written(dir.path());
        let (first, again) = (
            file.load().unwrap(),
            StateFile::at(dir.path()).unwrap().load().unwrap(),
        );
        let text = |state| serde_json::to_string(&state).unwrap();
        assert!(again.device.is_some());
        assert_eq!(text(first), text(again));
        let mode = fs::metadata(dir.path().join("phone.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// A second name of the old file still shows the old bytes: it was replaced, not written over.
    #[test]
    fn a_write_replaces_the_file_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = written(dir.path());
        let before = fs::read(dir.path().join("phone.json")).unwrap();
        fs::hard_link(dir.path().join("phone.json"), dir.path().join("old")).unwrap();
        change(&file, |state| state.device.as_mut().unwrap().seen.evaluation = 7);
        assert_eq!(fs::read(dir.path().join("old")).unwrap(), before);
        assert_eq!(file.load().unwrap().device.unwrap().seen.evaluation, 7);
    }

    #[test]
    fn what_a_crash_left_behind_is_ignored_and_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let file = written(dir.path());
        fs::write(dir.path().join("phone.json.new"), "{\"form").unwrap();
        assert!(file.load().unwrap().device.is_some());
        change(&file, |state| state.device.as_mut().unwrap().epoch = 2);
        assert_eq!(file.load().unwrap().device.unwrap().epoch, 2);
        assert!(!dir.path().join("phone.json.new").exists());
    }

    #[test]
    fn a_change_that_fails_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = written(dir.path());
        let failed: Result<(), Error> = file.update(|state| {
            state.device = None;
            Err(StateError::Replaced.into())
        });
        assert_eq!(failed.unwrap_err().code(), "state.replaced");
        assert!(file.load().unwrap().device.is_some());
    }

    #[test]
    fn changes_from_two_sides_are_both_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = written(dir.path());
        let add = || {
            for _ in 0..25 {
                let file = StateFile::at(dir.path()).unwrap();
                change(&file, |state| state.device.as_mut().unwrap().epoch += 1);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(add);
            scope.spawn(add);
        });
        assert_eq!(file.load().unwrap().device.unwrap().epoch, 51);
    }

    #[test]
    fn a_file_that_is_not_understood_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::at(dir.path()).unwrap();
        let path = dir.path().join("phone.json");
        for (text, code) in [
            ("{\"format\":2,\"brain\":[]}", "state.newer"),
            ("{\"format\":1,\"brain\":[]}", "state.corrupt"),
            ("{\"format\":1", "state.corrupt"),
            ("", "state.corrupt"),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(file.load().unwrap_err().code(), code, "{text}");
            assert_eq!(file.update(|_| Ok(())).unwrap_err().code(), code, "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn no_pin_and_no_plain_key_is_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let issuer = Issuer::new();
        let device = locked_device(dir.path(), &issuer);
        let text = serde_json::to_string(&device.record).unwrap();
        let scalar = paraphe_proto::encoding::base64url(device.approval_key.to_scalar().as_slice());
        let secret = paraphe_proto::encoding::base64url(&[7; 32]);
        assert!(!text.contains(&scalar) && !text.contains(&secret) && !text.contains(crate::testing::PIN));
    }
}
