//! The issuer's keys as this phone knows them: walked from the root key that the activation pinned.
//!
//! Called by `activate` and `phone`. Invariants: a key set is accepted only as the next version, never an older or a later
//! one; a statement only by a key that is `challenge` and `active` in the newest set. The protocol: section 3.

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws::{self, Statement, Verified};
use paraphe_proto::keyset::KeySetChain;
use paraphe_proto::v1::KeySetsRequest;

use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::request::resend;
use crate::state::Trust;

/// The issuer's keys.
pub struct IssuerKeys {
    trust: Trust,
    chain: KeySetChain,
}

impl IssuerKeys {
    /// Walks the statements of a file from the root key on.
    ///
    /// # Errors
    /// [`Error::Untrusted`] when one does not follow from those before it.
    pub fn walk(trust: Trust) -> Result<Self, Error> {
        let chain = KeySetChain::walk(&trust.root_key, &trust.key_sets, &trust.issuer)
            .map_err(|error| Error::untrusted(error.code(), error.to_string()))?;
        Ok(Self { trust, chain })
    }

    /// Fetches and walks all key sets of an issuer that the phone meets for the first time.
    ///
    /// # Errors
    /// When the daemon does not answer, or what it gives does not follow from the root key.
    pub async fn fetch(server: &Server, issuer: String, root_key: PublicKey) -> Result<Self, Error> {
        let key_sets = key_sets(server, 0).await?;
        Self::walk(Trust {
            issuer,
            root_key,
            key_sets,
        })
    }

    /// The keys with everything newer that the daemon has; `None` when it has nothing newer.
    ///
    /// # Errors
    /// Like [`IssuerKeys::fetch`].
    pub async fn refreshed(&self, server: &Server) -> Result<Option<Self>, Error> {
        let newer = key_sets(server, self.version()).await?;
        if newer.is_empty() {
            return Ok(None);
        }
        self.extended(newer).map(Some)
    }

    /// The keys after these further statements.
    ///
    /// # Errors
    /// [`Error::Untrusted`] when one does not follow from those before it.
    pub fn extended(&self, newer: Vec<String>) -> Result<Self, Error> {
        let mut trust = self.trust.clone();
        trust.key_sets.extend(newer);
        Self::walk(trust)
    }

    /// Verifies a statement of the issuer by a `challenge` key that is active now.
    ///
    /// # Errors
    /// [`Error::Untrusted`] with a code `statement.…`.
    pub fn verify<S: Statement>(&self, compact: &str) -> Result<Verified<S>, Error> {
        jws::verify_with(compact, &self.trust.issuer, |kid| {
            self.chain.active_challenge_key(kid).cloned()
        })
        .map_err(|error| Error::untrusted(error.code(), error.to_string()))
    }

    /// Version of the newest key set.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.chain.version()
    }

    /// The issuer's URL.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.trust.issuer
    }

    /// What a file keeps of it.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }
}

async fn key_sets(server: &Server, after_version: u64) -> Result<Vec<String>, Error> {
    let send = || async {
        let request = with_deadline(KeySetsRequest { after_version });
        Ok(server.client().key_sets(request).await?.into_inner().statements)
    };
    resend(send).await
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use paraphe_proto::statements::{KeyState, KeyUse};

    use super::*;
    use crate::testing::{Issuer, key, key_set};

    #[test]
    fn the_walk_goes_one_version_at_a_time_and_never_back() {
        let issuer = Issuer::new();
        let keys = issuer.keys();
        let active = [(&issuer.key, KeyUse::Challenge, KeyState::Active)];
        let set = |version, signer| key_set(version, &active, signer);
        let second = keys.extended(vec![set(2, &issuer.key)]).unwrap();
        assert_eq!((second.version(), second.trust().key_sets.len()), (2, 2));
        assert_eq!(second.extended(vec![set(3, &issuer.root)]).unwrap().version(), 3);
        for (statement, code) in [
            (set(4, &issuer.key), "keyset.version"),
            (set(2, &issuer.key), "keyset.version"),
            (issuer.first_key_set(), "keyset.version"),
            (set(3, &key()), "statement.key"),
        ] {
            assert_eq!(second.extended(vec![statement]).err().unwrap().code(), code);
        }
    }

    #[test]
    fn a_phone_without_a_key_set_trusts_nobody() {
        let mut trust = Issuer::new().trust();
        trust.key_sets.clear();
        assert_eq!(IssuerKeys::walk(trust).err().unwrap().code(), "keyset.empty");
    }
}
