//! The master key of the configuration, and during a rotation the one before. Read at start.

use super::KeysError;
use super::file::read_master_key;
use crate::config::Keys;
use crate::store::seal::{MasterKey, Sealer};

/// The configured master keys.
pub struct MasterKeys {
    current: MasterKey,
    previous: Option<MasterKey>,
}

impl MasterKeys {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// [`KeysError`] with the path; `keys.same_master_key` when both files hold one key.
    pub fn read(config: &Keys) -> Result<Self, KeysError> {
        let current = read_master_key(&config.master_key_file)?;
        let previous = config.previous_master_key_file.as_deref();
        let previous = previous.map(read_master_key).transpose()?;
        if previous.as_ref().is_some_and(|previous| previous.is(&current)) {
            return Err(KeysError::SameMasterKey);
        }
        Ok(Self { current, previous })
    }

    /// Opens rows under either key.
    pub fn sealer(&self) -> Sealer {
        match &self.previous {
            Some(previous) => Sealer::rotating(&self.current, previous),
            None => Sealer::new(&self.current),
        }
    }

    /// Opens what is under the new key alone: the issuer keys, which the command that makes the new key seals again.
    pub fn current(&self) -> Sealer {
        Sealer::new(&self.current)
    }

    /// Opens what is under the key before alone.
    pub fn previous(&self) -> Option<Sealer> {
        self.previous.as_ref().map(Sealer::new)
    }
}
