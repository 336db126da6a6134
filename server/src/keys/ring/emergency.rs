//! The key set of an emergency: every key is replaced at once, and the root key, which is kept offline, signs (protocol.md section 2.1).
//!
//! Called by `paraphed keys emergency`. Invariant: nothing but the set that was prepared here, signed by the root key, takes the place of the
//! keys that are in use.

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::statements::{KeySet, KeyState, KeyUse};
use paraphe_proto::time::Timestamp;
use rand_core::{CryptoRng, RngCore};

use super::{Held, Ring, entries};
use crate::keys::KeysError;
use crate::keys::issuer::IssuerKey;

impl Ring {
    /// The ring in which a new pair alone is active and every other key is retired, its private half gone. It has no key set yet: the
    /// root key signs [`Ring::unsigned_set`].
    ///
    /// # Errors
    /// `keys.step` for keys on a token.
    pub fn emergency(&self, rng: &mut (impl CryptoRng + RngCore)) -> Result<Self, KeysError> {
        self.require_file()?;
        let kept = self.keys.iter().filter(|key| key.state != KeyState::Retired);
        let mut keys: Vec<Held> = kept.cloned().collect();
        for key in &mut keys {
            (key.state, key.private) = (KeyState::Retired, None);
        }
        for key_use in [KeyUse::Challenge, KeyUse::Assertion] {
            let key = IssuerKey::File(SoftwareKey::generate(rng)?);
            keys.push(Held::new(key, key_use, KeyState::Active));
        }
        Self::new(keys, self.statements.clone())
    }

    /// The set of a ring that [`Ring::emergency`] made, to be signed by the root key.
    pub fn unsigned_set(&self, issuer: &str, now: Timestamp) -> KeySet {
        KeySet {
            iss: issuer.to_owned(),
            version: self.version().saturating_add(1),
            keys: entries(&self.keys),
            iat: now,
        }
    }

    /// Whether `prepared`, which [`Ring::emergency`] made, can still take the place of this ring: no key has rotated since.
    pub fn is_at(&self, prepared: &Self) -> bool {
        prepared.statements == self.statements
    }

    /// Whether `statement` is the newest key set of this ring.
    pub fn ends_with(&self, statement: &str) -> bool {
        self.statements.last().is_some_and(|last| last == statement)
    }

    /// The challenge keys that an emergency has retired: nothing that they signed counts. Keys that a rotation has retired are not among them.
    pub fn voided(&self, root: &PublicKey, issuer: &str) -> Vec<String> {
        let by_root = |statement: &&String| {
            let kid = jws::unverified_kid::<KeySet>(statement);
            kid.is_ok_and(|kid| kid == root.thumbprint())
        };
        let sets = self.statements.iter().filter(by_root);
        let sets = sets.filter_map(|statement| jws::own_claims::<KeySet>(statement, issuer).ok());
        let keys = sets.flat_map(|set| set.keys);
        keys.filter(|key| key.key_use == KeyUse::Challenge && key.state == KeyState::Retired)
            .map(|key| key.kid)
            .collect()
    }

    /// The ring that [`Ring::emergency`] made, `prepared`, with its signed set.
    ///
    /// # Errors
    /// `keys.step` where this ring has moved on since; `keys.not_by_root` for a statement that the root key did not sign; `keys.other_set`
    /// where it is not the set that was prepared.
    pub fn replaced_by(
        &self,
        prepared: &Self,
        statement: &str,
        root: &PublicKey,
        issuer: &str,
    ) -> Result<Self, KeysError> {
        if !self.is_at(prepared) {
            return Err(KeysError::Step(
                "the issuer keys were rotated since this emergency was prepared: remove the prepared file, and prepare it again",
            ));
        }
        let signed = jws::verify::<KeySet>(statement, root, issuer);
        let signed = signed.map_err(|error| KeysError::NotByRoot(error.to_string()))?;
        let (set, version) = (signed.claims(), self.version().saturating_add(1));
        if set.version != version || set.keys != entries(&prepared.keys) {
            return Err(KeysError::OtherSet(version));
        }
        let mut statements = self.statements.clone();
        statements.push(statement.to_owned());
        Self::new(prepared.keys.clone(), statements)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_types)]
mod tests {
    use paraphe_proto::keys::Signer;
    use rand_core::OsRng;

    use super::*;

    const ISS: &str = "https://paraphe.test";
    const AT: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn key() -> IssuerKey {
        IssuerKey::File(SoftwareKey::generate(&mut OsRng).unwrap())
    }

    fn signed(set: &KeySet, by: &SoftwareKey) -> String {
        jws::sign(set, by).unwrap().into_compact()
    }

    fn code<T>(outcome: Result<T, KeysError>) -> &'static str {
        outcome.err().map_or("", |error| error.code())
    }

    #[test]
    fn every_key_is_replaced_at_once_by_the_root_key_alone() {
        let root = SoftwareKey::generate(&mut OsRng).unwrap();
        let ring = Ring::first(key(), key()).unwrap();
        let known = [signed(&ring.first_set(ISS, AT), &root)];
        let ring = ring.next(ISS, &mut OsRng, AT).unwrap();
        let prepared = ring.emergency(&mut OsRng).unwrap();
        assert!(prepared.keys()[..4].iter().all(|key| key.private.is_none()));
        let set = prepared.unsigned_set(ISS, AT);
        let statement = signed(&set, &root);
        let new = ring
            .replaced_by(&prepared, &statement, root.public_key(), ISS)
            .unwrap();
        assert_eq!((new.version(), new.ends_with(&statement)), (3, true));
        // What the emergency retired is voided, and stays so; what a rotation retires is not.
        let old = ring.keys().iter().filter(|key| key.key_use == KeyUse::Challenge);
        let old: Vec<_> = old.map(|key| key.public.thumbprint().to_owned()).collect();
        assert!(ring.voided(root.public_key(), ISS).is_empty());
        assert_eq!(new.voided(root.public_key(), ISS), old);
        let later = new.next(ISS, &mut OsRng, AT).unwrap();
        let later = later.activate(ISS, AT).unwrap().retire(ISS, AT).unwrap();
        assert!(later.keys().iter().any(|key| key.state == KeyState::Retired));
        assert_eq!(later.voided(root.public_key(), ISS), old);
        let published = new.unpublished(&known, root.public_key(), ISS).unwrap();
        let emergencies: Vec<bool> = published.iter().map(|set| set.by_root).collect();
        assert_eq!(emergencies, [false, true]);

        let stranger = SoftwareKey::generate(&mut OsRng).unwrap();
        let refused = |statement: &str| code(ring.replaced_by(&prepared, statement, root.public_key(), ISS));
        assert_eq!(refused(&signed(&set, &stranger)), "keys.not_by_root");
        assert_eq!(refused("nothing"), "keys.not_by_root");
        let old = jws::sign(&set, &**ring.challenge()).unwrap().into_compact();
        assert_eq!(refused(&old), "keys.not_by_root", "the stolen key itself");
        let later = KeySet {
            version: 4,
            ..set.clone()
        };
        assert_eq!(refused(&signed(&later, &root)), "keys.other_set");
        let mut other = set.clone();
        other.keys.pop();
        assert_eq!(refused(&signed(&other, &root)), "keys.other_set");
        let elsewhere = KeySet {
            iss: "https://elsewhere.test".to_owned(),
            ..set
        };
        assert_eq!(refused(&signed(&elsewhere, &root)), "keys.not_by_root");
        let moved = ring.activate(ISS, AT).unwrap();
        assert_eq!(
            code(moved.replaced_by(&prepared, &statement, root.public_key(), ISS)),
            "keys.step"
        );
    }
}
