//! One issuer key, wherever it lives: in the sealed file, open in memory, or on a token. Called by `IssuerKeys`.

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::keys::{Signer, SigningError, SoftwareKey};
use paraphe_proto::statements::KeyUse;
use rand_core::{CryptoRng, RngCore};

use super::KeysError;
use super::pkcs11::{Connection, TokenKey, Wanted};
use crate::config::Keys;
use crate::domain::secret::Secret;

/// A key that signs for the issuer.
pub(super) enum IssuerKey {
    File(SoftwareKey),
    Token(TokenKey),
}

impl IssuerKey {
    /// Whether signing waits for a token.
    pub(super) fn is_on_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// What is sealed of it; nothing for a key on a token.
    pub(super) fn to_scalar(&self) -> Option<Secret<32>> {
        match self {
            Self::File(key) => Some(Secret::new(*key.to_scalar())),
            Self::Token(_) => None,
        }
    }

    /// The token that it is on.
    pub(super) fn connection(&self) -> Option<Connection> {
        match self {
            Self::File(_) => None,
            Self::Token(key) => Some(key.connection()),
        }
    }

    /// Its label on the token.
    pub(super) fn token_label(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Token(key) => Some(key.label()),
        }
    }

    /// Its label on the token, where the configuration does not name it.
    pub(super) fn label(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Token(key) => key.kept_label(),
        }
    }

    /// Whether it was there, on the token, before this process: opened or taken, not made.
    pub(super) fn was_there(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Token(key) => !key.was_made(),
        }
    }

    fn signer(&self) -> &dyn Signer {
        match self {
            Self::File(key) => key,
            Self::Token(key) => key,
        }
    }
}

impl Signer for IssuerKey {
    fn public_key(&self) -> &PublicKey {
        self.signer().public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningError> {
        self.signer().sign(message)
    }
}

/// New challenge and assertion keys where the configuration wants them.
///
/// # Errors
/// [`KeysError`] when the system's randomness or the token fails.
pub(super) fn generate(
    config: &Keys,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<[IssuerKey; 2], KeysError> {
    match &config.pkcs11 {
        Some(section) => {
            let wanted = [KeyUse::Challenge, KeyUse::Assertion];
            let wanted = wanted.map(|key_use| Wanted::configured(section, key_use));
            let places = Connection::open(section)?.look_at(wanted)?;
            Ok(places.take(rng)?.map(IssuerKey::Token))
        }
        None => Ok([SoftwareKey::generate(rng)?, SoftwareKey::generate(rng)?].map(IssuerKey::File)),
    }
}
