//! The issuer keys while one command changes them: nobody else does, and what is put is on the disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::{emergency, open};
use crate::cli::CommandError;
use crate::config::Config;
use crate::keys::{IssuerKeys, KeysError, Ring, TokenError, Undestroyed, lock};
use crate::open::StartError;
use crate::store::seal::Sealer;

/// What a step works on.
pub(super) struct Work {
    pub(super) config: Config,
    keys: IssuerKeys,
    sealer: Sealer,
    _lock: File,
}

impl Work {
    /// Takes the issuer keys of a configuration for one step.
    ///
    /// # Errors
    /// `keys.busy`, `keys.emergency_prepared`, what is wrong with the files.
    pub(super) fn begin(config: &Path) -> Result<Self, CommandError> {
        let config = Config::load(config)?;
        let path = &config.keys.issuer_keys_file;
        let lock = lock(path).map_err(StartError::from)?;
        emergency::require_none(path).map_err(StartError::from)?;
        let (keys, sealer) = open(&config)?;
        Ok(Self {
            config,
            keys,
            sealer,
            _lock: lock,
        })
    }

    /// The keys of this moment.
    pub(super) fn ring(&self) -> Arc<Ring> {
        self.keys.ring()
    }

    /// Puts these keys in the place of those in the file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn put(&self, ring: Ring) -> Result<(), StartError> {
        self.keys.follow(Arc::new(ring));
        Ok(self
            .keys
            .replace(&self.config.keys.issuer_keys_file, &self.sealer)?)
    }

    /// Destroys the retired keys that are still on the token, and takes those that are gone out of the file, which has named them till then.
    ///
    /// # Errors
    /// What is wrong with the file. A token that does not destroy them stops nothing: [`Destroyed::tell`] says so.
    pub(super) fn destroy_retired(&self) -> Result<Destroyed, StartError> {
        let before = self.ring();
        let (after, left) = before.destroy_retired();
        let is_left = |key: &&Undestroyed| after.undestroyed().iter().any(|left| left.kid() == key.kid());
        let gone = before.undestroyed().iter().filter(|key| !is_left(key));
        let gone: Vec<String> = gone.map(|key| key.label().to_owned()).collect();
        if !gone.is_empty() {
            self.put(after)?;
        }
        Ok(Destroyed { gone, left })
    }
}

/// What became of retired keys on a token.
#[must_use]
pub(super) struct Destroyed {
    gone: Vec<String>,
    left: Vec<(String, TokenError)>,
}

impl Destroyed {
    /// Both: what is left is what was left last.
    pub(super) fn after(self, earlier: Self) -> Self {
        Self {
            gone: earlier.gone.into_iter().chain(self.gone).collect(),
            left: self.left,
        }
    }

    /// Says so.
    ///
    /// # Errors
    /// `keys.not_destroyed` with those that are left.
    pub(super) fn tell(self, out: &mut impl Write) -> Result<(), CommandError> {
        for label in &self.gone {
            writeln!(out, "The retired key {label:?} is no longer on the token.")?;
        }
        if self.left.is_empty() {
            return Ok(());
        }
        let left = self.left.iter();
        let left: Vec<String> = left
            .map(|(label, error)| format!("{label:?} ({error})"))
            .collect();
        Err(StartError::from(KeysError::NotDestroyed(left.join(", "))).into())
    }
}
