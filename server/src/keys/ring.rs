//! The issuer's key pairs and their life: next, active, retired (protocol.md section 2.1). Called by `IssuerKeys`, by
//! `paraphed keys`, and by the daemon when it reads the key file again.
//!
//! Invariants: one key of each use signs, the youngest that is active; a step makes exactly one key set, signed by the challenge
//! key that signs before it; the private half of a retired key is gone, or its label on the token is kept until it is.

use std::sync::Arc;

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::keys::Signer;
use paraphe_proto::keyset::KeySetChain;
use paraphe_proto::statements::{KeySet, KeySetEntry, KeyState, KeyUse};
use paraphe_proto::time::Timestamp;

use super::KeysError;
use super::issuer::IssuerKey;

mod emergency;
mod steps;
mod undestroyed;

pub use undestroyed::Undestroyed;

/// One issuer key.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) public: PublicKey,
    pub(super) key_use: KeyUse,
    pub(super) state: KeyState,
    /// None once it is retired.
    pub(super) private: Option<Arc<IssuerKey>>,
}

impl Held {
    fn new(key: IssuerKey, key_use: KeyUse, state: KeyState) -> Self {
        Self {
            public: key.public_key().clone(),
            key_use,
            state,
            private: Some(Arc::new(key)),
        }
    }
}

/// All issuer keys at one version of the key set.
pub struct Ring {
    keys: Vec<Held>,
    /// The key sets after the first, which the root key signed at `init`.
    statements: Vec<String>,
    undestroyed: Vec<Undestroyed>,
    challenge: Arc<IssuerKey>,
    assertion: Arc<IssuerKey>,
    jwks: Arc<str>,
}

/// A key set that phones cannot fetch yet, and what it changes: a verb of the audit trail and the key.
pub struct Publication {
    /// Version of the set.
    pub version: u64,
    /// The signed set.
    pub statement: String,
    /// Verb and `kid`.
    pub changes: Vec<(&'static str, String)>,
    /// The root key signed it: an emergency.
    pub by_root: bool,
}

impl Ring {
    pub(super) fn new(keys: Vec<Held>, statements: Vec<String>) -> Result<Self, KeysError> {
        let signing = |key_use| {
            let mut signs = keys
                .iter()
                .filter(|key| key.key_use == key_use && key.state == KeyState::Active);
            signs
                .next_back()
                .and_then(|key| key.private.clone())
                .ok_or(KeysError::NoActiveKey)
        };
        let (challenge, assertion) = (signing(KeyUse::Challenge)?, signing(KeyUse::Assertion)?);
        Ok(Self {
            jwks: jwks(&keys).into(),
            challenge,
            assertion,
            keys,
            statements,
            undestroyed: Vec::new(),
        })
    }

    /// A ring of one active key of each use.
    ///
    /// # Errors
    /// [`KeysError::NoActiveKey`], which an active key of each use never meets.
    pub(super) fn first(challenge: IssuerKey, assertion: IssuerKey) -> Result<Self, KeysError> {
        let keys = vec![
            Held::new(challenge, KeyUse::Challenge, KeyState::Active),
            Held::new(assertion, KeyUse::Assertion, KeyState::Active),
        ];
        Self::new(keys, Vec::new())
    }

    /// Version of the key set that holds exactly these keys.
    pub fn version(&self) -> u64 {
        u64::try_from(self.statements.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// What each key is for, its `kid` and its state, oldest first; whether it signs now.
    pub fn list(&self) -> impl Iterator<Item = (KeyUse, &str, KeyState, bool)> {
        self.keys.iter().map(|key| {
            let kid = key.public.thumbprint();
            let signs = [&self.challenge, &self.assertion]
                .iter()
                .any(|signer| signer.public_key().thumbprint() == kid);
            (key.key_use, kid, key.state, signs)
        })
    }

    /// What each key is for that `before` had not, its `kid`, and whether it was there on the token already.
    pub fn new_since(&self, before: Option<&Self>) -> impl Iterator<Item = (KeyUse, &str, bool)> {
        let is_new = move |key: &&Held| {
            let mut known = before.into_iter().flat_map(|ring| &ring.keys);
            !known.any(|known| known.public == key.public)
        };
        self.keys.iter().filter(is_new).map(|key| {
            let was_there = key.private.as_ref().is_some_and(|private| private.was_there());
            (key.key_use, key.public.thumbprint(), was_there)
        })
    }

    /// The first key set, to be signed by the root key.
    pub(super) fn first_set(&self, issuer: &str, now: Timestamp) -> KeySet {
        KeySet {
            iss: issuer.to_owned(),
            version: 1,
            keys: entries(&self.keys),
            iat: now,
        }
    }

    /// What this ring adds to the `known` key sets, which start with version 1. All of it follows from the root key, or nothing is
    /// published: a set that phones refuse would part them from the daemon for good.
    ///
    /// # Errors
    /// `keys.behind_database`, `keys.other_history`, `keys.chain`.
    pub fn unpublished(
        &self,
        known: &[String],
        root: &PublicKey,
        issuer: &str,
    ) -> Result<Vec<Publication>, KeysError> {
        let refused = |error: paraphe_proto::keyset::KeySetError| KeysError::Chain(error.to_string());
        let database = u64::try_from(known.len()).unwrap_or(u64::MAX);
        if database > self.version() {
            return Err(KeysError::BehindDatabase {
                file: self.version(),
                database,
            });
        }
        let later = known.get(1..).unwrap_or_default();
        if let Some(at) = later
            .iter()
            .zip(&self.statements)
            .position(|(ours, theirs)| ours != theirs)
        {
            return Err(KeysError::OtherHistory(at.saturating_add(2)));
        }
        let mut chain = KeySetChain::walk(root, known, issuer).map_err(refused)?;
        let mut publications = Vec::new();
        for statement in self.statements.get(later.len()..).unwrap_or_default() {
            let next = chain.advance(statement).map_err(refused)?;
            let kid = jws::unverified_kid::<KeySet>(statement).unwrap_or_default();
            publications.push(Publication {
                by_root: kid == root.thumbprint(),
                version: next.version(),
                statement: statement.clone(),
                changes: changes(chain.newest().claims(), next.newest().claims()),
            });
            chain = next;
        }
        if chain.newest().claims().keys != entries(&self.keys) {
            return Err(KeysError::OtherHistory(self.statements.len().saturating_add(1)));
        }
        Ok(publications)
    }

    pub(super) fn keys(&self) -> &[Held] {
        &self.keys
    }

    pub(super) fn statements(&self) -> &[String] {
        &self.statements
    }

    pub(super) fn challenge(&self) -> &Arc<IssuerKey> {
        &self.challenge
    }

    pub(super) fn assertion(&self) -> &Arc<IssuerKey> {
        &self.assertion
    }

    /// Whether phones that know these keys show what this challenge key signed.
    pub fn is_active_challenge(&self, kid: &str) -> bool {
        self.active_challenge(kid).is_some()
    }

    /// The active challenge key of this `kid`, if there is one.
    pub(super) fn active_challenge(&self, kid: &str) -> Option<&Arc<IssuerKey>> {
        let mut active = self
            .keys
            .iter()
            .filter(|key| key.key_use == KeyUse::Challenge && key.state == KeyState::Active);
        active
            .find(|key| key.public.thumbprint() == kid)
            .and_then(|key| key.private.as_ref())
    }

    /// The JWK set for backends (RFC 7517): assertion keys that sign, soon will, or lately did.
    pub(super) fn jwks(&self) -> Arc<str> {
        Arc::clone(&self.jwks)
    }

    /// Whether signing waits for a token.
    pub fn is_on_token(&self) -> bool {
        self.challenge.is_on_token()
    }
}

fn entries(keys: &[Held]) -> Vec<KeySetEntry> {
    let entry = |key: &Held| KeySetEntry {
        jwk: key.public.clone(),
        kid: key.public.thumbprint().to_owned(),
        key_use: key.key_use,
        state: key.state,
    };
    keys.iter().map(entry).collect()
}

fn jwks(keys: &[Held]) -> String {
    let listed = keys
        .iter()
        .filter(|key| key.key_use == KeyUse::Assertion && key.state != KeyState::Retired);
    let jwks: Vec<_> = listed
        .map(|key| {
            let mut jwk = key.public.to_jwk();
            jwk.kid = Some(key.public.thumbprint().to_owned());
            jwk.key_use = Some("sig".to_owned());
            jwk.alg = Some("ES256".to_owned());
            jwk
        })
        .collect();
    serde_json::json!({ "keys": jwks }).to_string()
}

/// Keys of another state than in the set before.
fn changes(before: &KeySet, after: &KeySet) -> Vec<(&'static str, String)> {
    let known = |entry: &&KeySetEntry| {
        let earlier = before.keys.iter().find(|known| known.kid == entry.kid);
        earlier.is_none_or(|known| known.state != entry.state)
    };
    let changed = after.keys.iter().filter(known);
    changed
        .map(|entry| (verb(entry.state), entry.kid.clone()))
        .collect()
}

fn verb(state: KeyState) -> &'static str {
    match state {
        KeyState::Next => "key_next",
        KeyState::Active => "key_activate",
        KeyState::Retired => "key_retire",
    }
}

#[cfg(test)]
mod tests;
