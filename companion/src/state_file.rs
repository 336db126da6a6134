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
