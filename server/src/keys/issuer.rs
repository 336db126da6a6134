//! One issuer key, wherever it lives: in the sealed file, open in memory, or on a token. Called by `IssuerKeys`.

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::keys::{Signer, SigningError, SoftwareKey};
use rand_core::{CryptoRng, RngCore};

use super::KeysError;
use super::pkcs11::{TokenKey, TokenKeys};
use crate::config::{Keys, Pkcs11};
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
            let keys = TokenKeys::make(section, rng)?;
            Ok([keys.challenge, keys.assertion].map(IssuerKey::Token))
        }
        None => Ok([SoftwareKey::generate(rng)?, SoftwareKey::generate(rng)?].map(IssuerKey::File)),
    }
}

/// Challenge and assertion keys on the token, which must be those whose public halves are sealed in the file.
///
/// # Errors
/// [`KeysError::Token`].
pub(super) fn on_token(section: &Pkcs11, sealed: [PublicKey; 2]) -> Result<[IssuerKey; 2], KeysError> {
    let keys = TokenKeys::open(section)?;
    let [challenge, assertion] = sealed;
    Ok([
        IssuerKey::Token(keys.challenge.require_thumbprint(challenge.thumbprint())?),
        IssuerKey::Token(keys.assertion.require_thumbprint(assertion.thumbprint())?),
    ])
}
