//! The three steps of a rotation, for keys in the sealed file and on a token alike (protocol.md section 2.1). Called by `paraphed keys`.
//!
//! Invariant: what is refused has made no key anywhere.

use paraphe_proto::jws;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::{KeySet, KeyState, KeyUse};
use paraphe_proto::time::Timestamp;
use rand_core::{CryptoRng, RngCore};

use super::{Held, Ring, entries};
use crate::config::Pkcs11;
use crate::keys::KeysError;
use crate::keys::issuer::{self, IssuerKey};
use crate::keys::pkcs11::TokenError;

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
    /// the configuration with the version of the key set behind it.
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
        let version = self.version().saturating_add(1);
        let configured = [&section.challenge_key_label, &section.assertion_key_label];
        let [challenge, assertion] = configured.map(|label| format!("{label}-{version}"));
        let [given_challenge, given_assertion] = labels.map(|label| label.map(str::to_owned));
        let labels = [
            given_challenge.unwrap_or(challenge),
            given_assertion.unwrap_or(assertion),
        ];
        self.require_free(&labels)?;
        let connection = self.challenge.connection().ok_or(TokenError::SectionMissing)?;
        let new = issuer::make_on(connection, labels, rng)?;
        self.announced(new, issuer, now)
    }

    fn require_free(&self, labels: &[String; 2]) -> Result<(), KeysError> {
        let [challenge, assertion] = labels;
        let is_good = |label: &String| !label.is_empty() && label.trim() == label;
        if !is_good(challenge) || !is_good(assertion) {
            return Err(KeysError::Step(
                "a label is not empty and has no space at either end",
            ));
        }
        let private = || self.keys.iter().filter_map(|key| key.private.as_ref());
        let taken = |label: &String| private().any(|key| key.is_labelled(label));
        match challenge == assertion || taken(challenge) || taken(assertion) {
            true => Err(in_use()),
            false => Ok(()),
        }
    }

    fn announced(&self, new: [IssuerKey; 2], issuer: &str, now: Timestamp) -> Result<Self, KeysError> {
        let known = |key: &IssuerKey| self.keys.iter().any(|held| &held.public == key.public_key());
        let [challenge, assertion] = &new;
        if known(challenge) || known(assertion) || challenge.public_key() == assertion.public_key() {
            return Err(in_use());
        }
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
    /// [`Ring::destroy_gone`] has run.
    ///
    /// # Errors
    /// `keys.step` when no old key is active.
    pub fn retire(&self, issuer: &str, now: Timestamp) -> Result<Self, KeysError> {
        self.require_retire()?;
        let signing = [self.challenge.public_key(), self.assertion.public_key()];
        let mut keys = self.keys.clone();
        let old = |key: &&mut Held| key.state == KeyState::Active && !signing.contains(&&key.public);
        for key in keys.iter_mut().filter(old) {
            (key.state, key.private) = (KeyState::Retired, None);
        }
        self.stepped(keys, issuer, now)
    }

    /// Destroys on the token the private halves that `after`, which is on the disk, has no more; the labels of those that are still there.
    pub fn destroy_gone(&self, after: &Self) -> Vec<(String, TokenError)> {
        let held = |key: &Held| {
            let later = after.keys.iter().find(|later| later.public == key.public);
            later.is_some_and(|later| later.private.is_some())
        };
        let gone = self.keys.iter().filter(|key| !held(key));
        let gone = gone.filter_map(|key| key.private.as_ref()?.destroy().err());
        gone.collect()
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
        Self::new(keys, statements)
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
    KeysError::Step("a key of that label is in use already: name one of its own for each use")
}
