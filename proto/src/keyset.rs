//! The phone's walk along the issuer's key sets, from the pinned root key on. Section 3 of protocol.md.
//!
//! A chain only ever advances from version n to n + 1. The first set is signed by the root key; a later one by a
//! `challenge` key that is active in the set before, or by the root key. Only `active` keys sign anything else.

use crate::{
    jwk::PublicKey,
    jws::{self, StatementError, Verified},
    statements::{KeySet, KeySetEntry, KeyState, KeyUse},
};

/// Why a key set was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// No statement at all.
    #[error("there is no key set")]
    Empty,
    /// The statement itself is wrong, or its key may not sign it.
    #[error("the key set was refused: {0}")]
    Statement(#[from] StatementError),
    /// Not the version after the one held.
    #[error("the key set has version {found}, expected {expected}")]
    Version {
        /// The version after the one held.
        expected: u64,
        /// The version of the statement.
        found: u64,
    },
    /// A `kid` is not the thumbprint of its key, or appears twice.
    #[error("the key set names a key wrongly or twice")]
    Kid,
}

impl KeySetError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "keyset.empty",
            Self::Statement(error) => error.code(),
            Self::Version { .. } => "keyset.version",
            Self::Kid => "keyset.kid",
        }
    }
}

/// The newest key set of one issuer that the root key leads to.
#[derive(Debug, Clone)]
pub struct KeySetChain {
    root: PublicKey,
    newest: Verified<KeySet>,
}

impl KeySetChain {
    /// Walks from the first key set to the last of `statements`.
    ///
    /// # Errors
    /// [`KeySetError`] at the first statement that is refused.
    pub fn walk(root: &PublicKey, statements: &[String], iss: &str) -> Result<Self, KeySetError> {
        let (first, later) = statements.split_first().ok_or(KeySetError::Empty)?;
        let newest = checked(jws::verify(first, root, iss)?, 1)?;
        let chain = Self {
            root: root.clone(),
            newest,
        };
        later
            .iter()
            .try_fold(chain, |chain, statement| chain.advance(statement))
    }

    /// The chain one version further.
    ///
    /// # Errors
    /// [`KeySetError`] when the statement is not the next key set; the chain held stays good.
    pub fn advance(&self, statement: &str) -> Result<Self, KeySetError> {
        let signer = |kid: &str| {
            let root = (self.root.thumbprint() == kid).then_some(&self.root);
            self.active_challenge_key(kid).or(root).cloned()
        };
        let newest = jws::verify_with(statement, &self.newest.claims().iss, signer)?;
        let newest = checked(newest, self.version().saturating_add(1))?;
        Ok(Self {
            root: self.root.clone(),
            newest,
        })
    }

    /// The key that signs challenges under this `kid` now.
    pub fn active_challenge_key(&self, kid: &str) -> Option<&PublicKey> {
        self.active_key(kid, KeyUse::Challenge)
    }

    /// The key that signs assertions under this `kid` now.
    pub fn active_assertion_key(&self, kid: &str) -> Option<&PublicKey> {
        self.active_key(kid, KeyUse::Assertion)
    }

    /// Version of the newest set.
    pub fn version(&self) -> u64 {
        self.newest.claims().version
    }

    /// The newest set.
    pub fn newest(&self) -> &Verified<KeySet> {
        &self.newest
    }

    fn active_key(&self, kid: &str, key_use: KeyUse) -> Option<&PublicKey> {
        let signs =
            |key: &&KeySetEntry| key.kid == kid && key.key_use == key_use && key.state == KeyState::Active;
        self.newest.claims().keys.iter().find(signs).map(|key| &key.jwk)
    }
}

fn checked(set: Verified<KeySet>, expected: u64) -> Result<Verified<KeySet>, KeySetError> {
    let found = set.claims().version;
    if found != expected {
        return Err(KeySetError::Version { expected, found });
    }
    let keys = &set.claims().keys;
    let repeated = |kid: &str| keys.iter().filter(|key| key.kid == kid).count() > 1;
    if keys
        .iter()
        .any(|key| key.kid != key.jwk.thumbprint() || repeated(&key.kid))
    {
        return Err(KeySetError::Kid);
    }
    Ok(set)
}

#[cfg(test)]
mod tests;
