//! The public keys of identity-proofing providers (protocol.md section 5). Read at start, used by `app::evidence`.

use std::collections::BTreeMap;

use paraphe_proto::jwk::PublicKey;

use super::KeysError;
use super::file::read_public_key;
use crate::config::Proofing;

/// Keys by provider.
#[derive(Default)]
pub struct ProofingKeys(BTreeMap<String, Vec<PublicKey>>);

impl ProofingKeys {
    /// Reads every file that the configuration names.
    ///
    /// # Errors
    /// [`KeysError`] with the path.
    pub fn read(config: &Proofing) -> Result<Self, KeysError> {
        let mut keys = BTreeMap::new();
        for (name, provider) in &config.0 {
            let read: Result<Vec<_>, _> = provider
                .public_key_files
                .iter()
                .map(|path| read_public_key(path))
                .collect();
            keys.insert(name.as_str().to_owned(), read?);
        }
        Ok(Self(keys))
    }

    /// Whether a provider is still in the configuration.
    pub fn trusts(&self, provider: &str) -> bool {
        self.0.contains_key(provider)
    }

    /// The key of that thumbprint and the name of the provider that has it.
    pub fn by_thumbprint(&self, kid: &str) -> Option<(&str, &PublicKey)> {
        self.0.iter().find_map(|(name, keys)| {
            let key = keys.iter().find(|key| key.thumbprint() == kid)?;
            Some((name.as_str(), key))
        })
    }
}
