//! The three steps of a rotation, for keys in the sealed file and on a token alike (protocol.md section 2.1). Called by `paraphed keys`.
//!
//! Invariants: what is refused has made no key anywhere (where the file cannot be written afterwards, the next try names what stands on the
//! token by its label); a key that stood in any key set never comes in again.

use std::collections::HashSet;

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::{KeySet, KeyState, KeyUse};
use paraphe_proto::time::Timestamp;
use rand_core::{CryptoRng, RngCore};

use super::{Held, Ring, Undestroyed, entries};
use crate::config::Pkcs11;
use crate::keys::KeysError;
use crate::keys::issuer::IssuerKey;
use crate::keys::pkcs11::{TokenError, Wanted};

impl Ring {
    /// Whether [`Ring::next`] may be taken.
    ///
    /// # Errors
    /// `keys.step` while another rotation is under way.
    pub fn require_next(&self) -> Result<(), KeysError> {
        if self.has(KeyState::Next) {
            return Err(KeysError::Step(
                "the next keys are there already: `paraphed keys activate` them",
            ));
        }
        match self.is_overlapping() {
            true => Err(KeysError::Step(
                "two keys of a use are still active: `paraphed keys retire` the old ones first",
            )),
            false => Ok(()),
        }
    }

    /// The ring with one more key of each use, announced; the keys are in the sealed file.
    ///
    /// # Errors
    /// `keys.step` while another rotation is under way, and for keys on a token.
    pub fn next(
        &self,
        issuer: &str,
        rng: &mut (impl CryptoRng + RngCore),
        now: Timestamp,
    ) -> Result<Self, KeysError> {
        self.require_file()?;
        self.require_next()?;
        let new = [SoftwareKey::generate(rng)?, SoftwareKey::generate(rng)?].map(IssuerKey::File);
        self.announced(new, issuer, now)
    }

    /// The same for keys on the token: those of these labels are taken, and made where they are not there. Without a label it is that of
    /// the configuration with the version of the key set behind it, and no key that is there is taken.
    ///
    /// # Errors
    /// `keys.step` as [`Ring::next`], and where a key is in use already; `keys.token_*`.
    pub fn next_on_token(
        &self,
        section: &Pkcs11,
        labels: [Option<&str>; 2],
        issuer: &str,
        rng: &mut (impl CryptoRng + RngCore),
        now: Timestamp,
    ) -> Result<Self, KeysError> {
        self.require_next()?;
        let wanted = self.wanted(section, labels);
        self.require_free(&wanted)?;
        let connection = self.challenge.connection().ok_or(TokenError::SectionMissing)?;
        let places = connection.look_at(wanted)?;
        self.require_unknown(places.found(), issuer)?;
        let new = places.take(rng)?.map(IssuerKey::Token);
        self.announced(new, issuer, now)
    }

    fn wanted(&self, section: &Pkcs11, labels: [Option<&str>; 2]) -> [Wanted; 2] {
        let version = self.version().saturating_add(1);
        let wanted = |given: Option<&str>, configured: &str| match given {
            Some(label) => Wanted::given(label.to_owned()),
            None => Wanted::new(format!("{configured}-{version}")),
        };
        let [challenge, assertion] = labels;
        [
            wanted(challenge, &section.challenge_key_label),
            wanted(assertion, &section.assertion_key_label),
        ]
    }

    fn require_free(&self, wanted: &[Wanted; 2]) -> Result<(), KeysError> {
        let [challenge, assertion] = wanted.each_ref().map(Wanted::label);
        let is_good = |label: &str| !label.is_empty() && label.trim() == label;
        if !is_good(challenge) || !is_good(assertion) {
            return Err(KeysError::Step(
                "a label is not empty and has no space at either end",
            ));
        }
        let taken = |label: &str| {
            let mut private = self.keys.iter().filter_map(|key| key.private.as_ref());
            let mut retired = self.undestroyed.iter();
            private.any(|key| key.token_label() == Some(label)) || retired.any(|key| key.label == label)
        };
        match challenge == assertion || taken(challenge) || taken(assertion) {
            true => Err(in_use()),
            false => Ok(()),
        }
    }

    /// None of these keys stands in any key set, whatever became of it since, and no two are the same.
    pub(super) fn require_unknown<'a>(
        &self,
        keys: impl Iterator<Item = &'a PublicKey>,
        issuer: &str,
    ) -> Result<(), KeysError> {
        // Those of the first set stand in the second too.
        let mut known: HashSet<String> = self
            .keys
            .iter()
            .map(|key| key.public.thumbprint().to_owned())
            .collect();
        for statement in &self.statements {
            let set = jws::own_claims::<KeySet>(statement, issuer);
            let set = set.map_err(|error| KeysError::Chain(error.to_string()))?;
            known.extend(set.keys.iter().map(|entry| entry.jwk.thumbprint().to_owned()));
        }
        for key in keys {
            if !known.insert(key.thumbprint().to_owned()) {
                return Err(in_use());
            }
        }
        Ok(())
    }

    pub(super) fn announced(
        &self,
        new: [IssuerKey; 2],
        issuer: &str,
        now: Timestamp,
    ) -> Result<Self, KeysError> {
        self.require_unknown(new.iter().map(Signer::public_key), issuer)?;
        // What was retired signed nothing that is still open: it has no place in later sets.
        let kept = self.keys.iter().filter(|key| key.state != KeyState::Retired);
        let mut keys: Vec<Held> = kept.cloned().collect();
        let [challenge, assertion] = new;
        keys.push(Held::new(challenge, KeyUse::Challenge, KeyState::Next));
        keys.push(Held::new(assertion, KeyUse::Assertion, KeyState::Next));
        self.stepped(keys, issuer, now)
    }

    /// Whether [`Ring::activate`] may be taken.
    ///
    /// # Errors
    /// `keys.step` without next keys.
    pub fn require_activate(&self) -> Result<(), KeysError> {
        match self.has(KeyState::Next) {
            true => Ok(()),
            false => Err(KeysError::Step(
                "there are no next keys: make them with `paraphed keys next`",
            )),
        }
    }

    /// The ring in which the next keys sign. The old ones stay active: what they signed is in flight.
    ///
    /// # Errors
    /// `keys.step` without next keys.
    pub fn activate(&self, issuer: &str, now: Timestamp) -> Result<Self, KeysError> {
        self.require_activate()?;
        let mut keys = self.keys.clone();
        keys.iter_mut()
            .filter(|key| key.state == KeyState::Next)
            .for_each(|key| key.state = KeyState::Active);
        self.stepped(keys, issuer, now)
    }

    /// Whether [`Ring::retire`] may be taken.
    ///
    /// # Errors
    /// `keys.step` when no old key is active.
    pub fn require_retire(&self) -> Result<(), KeysError> {
        match self.is_overlapping() {
            true => Ok(()),
            false => Err(KeysError::Step(
                "no old key is active: `paraphed keys next` begins a rotation",
            )),
        }
    }

    /// The ring in which only the keys that sign are active; the private halves of the others are gone, those on a token once
    /// [`Ring::destroy_retired`] has run.
    ///
    /// # Errors
    /// `keys.step` when no old key is active.
    pub fn retire(&self, issuer: &str, now: Timestamp) -> Result<Self, KeysError> {
        self.require_retire()?;
        let signing = [self.challenge.public_key(), self.assertion.public_key()];
        let mut keys = self.keys.clone();
        let old = |key: &&mut Held| key.state == KeyState::Active && !signing.contains(&&key.public);
        let mut undestroyed = self.undestroyed.clone();
        for key in keys.iter_mut().filter(old) {
            undestroyed.extend(Undestroyed::of(key));
            (key.state, key.private) = (KeyState::Retired, None);
        }
        Ok(self.stepped(keys, issuer, now)?.with_undestroyed(undestroyed))
    }

    fn stepped(&self, keys: Vec<Held>, issuer: &str, now: Timestamp) -> Result<Self, KeysError> {
        let set = KeySet {
            iss: issuer.to_owned(),
            version: self.version().saturating_add(1),
            keys: entries(&keys),
            iat: now,
        };
        let signed =
            jws::sign(&set, &*self.challenge).map_err(|error| KeysError::Chain(error.to_string()))?;
        let mut statements = self.statements.clone();
        statements.push(signed.into_compact());
        Ok(Self::new(keys, statements)?.with_undestroyed(self.undestroyed.clone()))
    }

    /// The keys are in the sealed file.
    ///
    /// # Errors
    /// `keys.step`.
    pub(super) fn require_file(&self) -> Result<(), KeysError> {
        match self.is_on_token() {
            true => Err(KeysError::Step(
                "the issuer keys are on a PKCS#11 token: this is for those in the sealed file only",
            )),
            false => Ok(()),
        }
    }

    fn has(&self, state: KeyState) -> bool {
        self.keys.iter().any(|key| key.state == state)
    }

    fn is_overlapping(&self) -> bool {
        let active = self.keys.iter().filter(|key| key.state == KeyState::Active);
        active.count() > 2
    }
}

fn in_use() -> KeysError {
    KeysError::Step(
        "a key of that label is in use, or was an issuer key before: name one of its own, and new, for each use",
    )
}
