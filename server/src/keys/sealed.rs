//! What the issuer keys file holds under the master key, in the form of this release and of the one before.
//!
//! Invariant: the issuer keys that are not retired are all in the file or all on the token, as the configuration says; a key on the token is
//! the one whose public half is sealed here.

use std::path::Path;
use std::sync::{Arc, RwLock};

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::keys::{KeyError, SoftwareKey};
use paraphe_proto::statements::{KeyState, KeyUse};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::issuer::IssuerKey;
use super::pkcs11::{Connection, TokenError};
use super::ring::{Held, Ring, Undestroyed};
use super::{IssuerKeys, KeysError};
use crate::config::Pkcs11;
use crate::domain::secret::{Bytes, Secret};
use crate::store::seal::{SealError, Sealer};

const TABLE: &str = "issuer_keys";
const ID: &str = "file";
/// Two keys, both active.
const TWO_KEYS: u64 = 1;
/// Any number of keys with their states, and the key sets after the first.
const RING: u64 = 2;

/// Where the configuration says that the issuer keys are.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    pub(super) token: Option<&'a Pkcs11>,
    /// The keys that are open already: those on a token are not opened again, and no PIN is tried that they do not need.
    pub(super) open: Option<&'a Ring>,
}

/// What releases before rotation sealed.
#[derive(Deserialize)]
struct SealedTwo {
    challenge: Secret<32>,
    assertion: Secret<32>,
    lookup: Secret<32>,
    pairwise: Secret<32>,
}

#[derive(Serialize, Deserialize)]
struct SealedRing {
    keys: Vec<SealedKey>,
    key_sets: Vec<String>,
    lookup: Secret<32>,
    pairwise: Secret<32>,
    #[serde(default)]
    undestroyed: Vec<SealedUndestroyed>,
}

/// A retired key that may still be on the token.
#[derive(Serialize, Deserialize)]
struct SealedUndestroyed {
    public: Bytes<65>,
    key_use: KeyUse,
    label: String,
}

#[derive(Serialize, Deserialize)]
struct SealedKey {
    public: Bytes<65>,
    key_use: KeyUse,
    state: KeyState,
    private: Option<Secret<32>>,
    /// Its private half is on a token instead.
    #[serde(default)]
    on_token: bool,
    /// Its label there, where it is another than the one in the configuration.
    #[serde(default)]
    label: Option<String>,
}

/// Opens the contents of the file, and the token where the issuer keys are on one.
///
/// # Errors
/// [`KeysError`] with the path, or the configuration key of the token.
pub(super) fn open(
    place: &Place<'_>,
    blob: &[u8],
    sealer: &Sealer,
    root: PublicKey,
) -> Result<IssuerKeys, KeysError> {
    let named = |error| match error {
        SealError::Tampered { .. } => KeysError::WrongMasterKey(place.path.to_owned()),
        other => malformed(place.path, &other),
    };
    let (ring, lookup, pairwise) = match sealer.open_record::<SealedRing>(TABLE, ID, RING, blob) {
        Ok(sealed) => (sealed.ring(place)?, sealed.lookup, sealed.pairwise),
        Err(SealError::Tampered { .. }) => {
            let sealed: SealedTwo = sealer.open_record(TABLE, ID, TWO_KEYS, blob).map_err(named)?;
            (sealed.ring(place)?, sealed.lookup, sealed.pairwise)
        }
        Err(other) => return Err(malformed(place.path, &other)),
    };
    Ok(IssuerKeys {
        ring: RwLock::new(Arc::new(ring)),
        lookup: Zeroizing::new(*lookup.expose()),
        pairwise: Zeroizing::new(*pairwise.expose()),
        root,
    })
}

/// The contents of the file.
///
/// # Errors
/// [`KeysError::Malformed`] with the path.
pub(super) fn seal(keys: &IssuerKeys, path: &Path, sealer: &Sealer) -> Result<Vec<u8>, KeysError> {
    let ring = keys.ring();
    let held = ring.keys().iter().map(|key| SealedKey {
        public: Bytes(*key.public.as_sec1()),
        key_use: key.key_use,
        state: key.state,
        private: key.private.as_ref().and_then(|key| key.to_scalar()),
        on_token: key.private.as_ref().is_some_and(|key| key.is_on_token()),
        label: key
            .private
            .as_ref()
            .and_then(|key| key.label())
            .map(str::to_owned),
    });
    let sealed = SealedRing {
        keys: held.collect(),
        key_sets: ring.statements().to_vec(),
        lookup: Secret::new(*keys.lookup),
        pairwise: Secret::new(*keys.pairwise),
        undestroyed: ring.undestroyed().iter().map(SealedUndestroyed::of).collect(),
    };
    sealer
        .seal_record(TABLE, ID, RING, &sealed)
        .map_err(|error| malformed(path, &error))
}

impl Place<'_> {
    /// The keys are in the file: the configuration names no token.
    fn require_file(&self) -> Result<(), KeysError> {
        match self.token {
            Some(_) => Err(TokenError::KeysInFile(self.path.to_owned()).into()),
            None => Ok(()),
        }
    }

    /// The keys are on the token that the configuration names.
    fn require_token(&self) -> Result<&Pkcs11, KeysError> {
        self.token.ok_or_else(|| TokenError::SectionMissing.into())
    }
}

impl SealedTwo {
    fn ring(&self, place: &Place<'_>) -> Result<Ring, KeysError> {
        place.require_file()?;
        let key = |secret: &Secret<32>| SoftwareKey::from_scalar(secret.expose()).map(IssuerKey::File);
        Ring::first(key(&self.challenge)?, key(&self.assertion)?)
    }
}

impl SealedUndestroyed {
    fn of(key: &Undestroyed) -> Self {
        Self {
            public: Bytes(*key.public.as_sec1()),
            key_use: key.key_use,
            label: key.label.clone(),
        }
    }

    fn open(&self) -> Result<Undestroyed, KeyError> {
        Ok(Undestroyed {
            public: PublicKey::from_sec1(&self.public.0).map_err(|_| KeyError)?,
            key_use: self.key_use,
            label: self.label.clone(),
        })
    }
}

impl SealedRing {
    fn ring(&self, place: &Place<'_>) -> Result<Ring, KeysError> {
        let undestroyed: Result<Vec<_>, KeyError> =
            self.undestroyed.iter().map(SealedUndestroyed::open).collect();
        Ok(self.keys_of(place)?.with_undestroyed(undestroyed?))
    }

    fn keys_of(&self, place: &Place<'_>) -> Result<Ring, KeysError> {
        if self.keys.iter().any(|key| key.on_token) {
            return self.ring_on_token(place);
        }
        place.require_file()?;
        let keys: Result<Vec<Held>, KeyError> = self.keys.iter().map(SealedKey::in_file).collect();
        Ring::new(keys?, self.key_sets.clone())
    }

    /// No private half is in the file: that of a key which is not retired is on the token.
    fn ring_on_token(&self, place: &Place<'_>) -> Result<Ring, KeysError> {
        let section = place.require_token()?;
        let fits =
            |key: &SealedKey| key.private.is_none() && key.on_token == (key.state != KeyState::Retired);
        if !self.keys.iter().all(fits) {
            return Err(mixed(place.path));
        }
        let connection = place.open.and_then(|ring| ring.challenge().connection());
        let connection = match connection {
            Some(open) => open,
            None => Connection::open(section)?,
        };
        let on_token = |key: &SealedKey| key.on_token(section, &connection, place.open);
        let keys: Result<Vec<Held>, KeysError> = self.keys.iter().map(on_token).collect();
        Ring::new(keys?, self.key_sets.clone())
    }
}

impl SealedKey {
    fn public(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_sec1(&self.public.0).map_err(|_| KeyError)
    }

    /// Open already, or opened by its label, which must lead to the key whose public half is sealed here.
    fn on_token(
        &self,
        section: &Pkcs11,
        connection: &Connection,
        open: Option<&Ring>,
    ) -> Result<Held, KeysError> {
        let public = self.public()?;
        let held = open.and_then(|ring| ring.keys().iter().find(|held| held.public == public));
        let private = match (self.on_token, held.and_then(|held| held.private.clone())) {
            (false, _) => None,
            (true, Some(held)) if held.is_on_token() => Some(held),
            (true, _) => {
                let key = connection.key(section, self.key_use, self.label.as_deref())?;
                let key = key.require_thumbprint(public.thumbprint())?;
                Some(Arc::new(IssuerKey::Token(key)))
            }
        };
        Ok(Held {
            public,
            key_use: self.key_use,
            state: self.state,
            private,
        })
    }

    fn in_file(&self) -> Result<Held, KeyError> {
        let private = self.private.as_ref();
        let private = private.map(|secret| SoftwareKey::from_scalar(secret.expose()).map(IssuerKey::File));
        Ok(Held {
            public: self.public()?,
            key_use: self.key_use,
            state: self.state,
            private: private.transpose()?.map(Arc::new),
        })
    }
}

fn mixed(path: &Path) -> KeysError {
    KeysError::Malformed {
        path: path.to_owned(),
        detail: "of issuer keys on a token none is in the file, and no retired one is on the token"
            .to_owned(),
    }
}

fn malformed(path: &Path, error: &SealError) -> KeysError {
    KeysError::Malformed {
        path: path.to_owned(),
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
