//! The places of two keys on a token: looked at first, then each is taken where it is, and made where it is not. Called by `issuer`.
//!
//! Invariants: nothing is made before both were looked at; what is taken was made on this token and could never leave it, since whoever may
//! write there for a moment could put a key in its place that they know; of a call that fails no key stays.

use std::sync::Arc;

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::statements::KeyUse;
use rand_core::{CryptoRng, RngCore};

use super::error::TokenError;
use super::objects::{self, Pair};
use super::token::{Access, Token};
use super::{Label, TokenKey, find};
use crate::config::Pkcs11;

/// A label under which a key is wanted.
pub struct Wanted {
    label: Label,
    may_be_there: bool,
}

impl Wanted {
    /// The one of the configuration: the key is taken if it is there.
    pub fn configured(config: &Pkcs11, key_use: KeyUse) -> Self {
        Self {
            label: Label::configured(config, key_use),
            may_be_there: true,
        }
    }

    /// One that somebody has given: the key is taken if it is there.
    pub fn given(label: String) -> Self {
        Self {
            label: Label::kept(label),
            may_be_there: true,
        }
    }

    /// One that nobody has given, and anybody can guess: no key of it is taken.
    pub fn new(label: String) -> Self {
        Self {
            label: Label::kept(label),
            may_be_there: false,
        }
    }

    /// The label.
    pub fn label(&self) -> &str {
        &self.label.text
    }
}

struct Place {
    label: Label,
    found: Option<Pair>,
}

/// Two places that were looked at.
pub struct Places {
    token: Arc<Token>,
    session: Session,
    places: [Place; 2],
}

impl Places {
    pub(super) fn look(token: &Arc<Token>, wanted: [Wanted; 2]) -> Result<Self, TokenError> {
        let session = token.session(Access::Change)?;
        let [challenge, assertion] = wanted;
        Ok(Self {
            places: [place(&session, challenge)?, place(&session, assertion)?],
            token: Arc::clone(token),
            session,
        })
    }

    /// The public halves of the keys that are there.
    pub fn found(&self) -> impl Iterator<Item = &PublicKey> {
        let found = self.places.iter().filter_map(|place| place.found.as_ref());
        found.map(|pair| &pair.public)
    }

    /// The keys.
    ///
    /// # Errors
    /// [`TokenError`]; what was made is destroyed again then.
    pub fn take(self, rng: &mut (impl CryptoRng + RngCore)) -> Result<[TokenKey; 2], TokenError> {
        let mut made = Vec::new();
        let taken = self.take_or_make(rng, &mut made);
        if taken.is_err() {
            for object in made {
                if let Err(error) = self.session.destroy_object(object) {
                    tracing::warn!(%error, "a key that was made for nothing is still on the token");
                }
            }
        }
        taken
    }

    fn take_or_make(
        &self,
        rng: &mut (impl CryptoRng + RngCore),
        made: &mut Vec<ObjectHandle>,
    ) -> Result<[TokenKey; 2], TokenError> {
        for place in self.places.iter().filter(|place| place.found.is_none()) {
            made.extend(objects::generate(&self.session, &place.label, rng)?);
        }
        let [challenge, assertion] = &self.places;
        Ok([self.open(challenge)?, self.open(assertion)?])
    }

    /// The key of a place, looked at once more: one that was made was found by its label again.
    fn open(&self, place: &Place) -> Result<TokenKey, TokenError> {
        let session = self.token.session(Access::Use)?;
        let pair = find(&session, &place.label)?;
        objects::require_local(&session, &place.label, &pair)?;
        let key = TokenKey::open(&self.token, place.label.clone(), session, pair)?;
        Ok(TokenKey {
            made: place.found.is_none(),
            ..key
        })
    }
}

fn place(session: &Session, wanted: Wanted) -> Result<Place, TokenError> {
    let Wanted { label, may_be_there } = wanted;
    let found = objects::find(session, &label)?;
    match &found {
        None => objects::require_no_lone_public(session, &label)?,
        Some(_) if !may_be_there => {
            return Err(label.refused(
                "is on the token already, and nobody has named it: delete it with the token's own tools, give it by its label if it is \
                 yours, or give other labels",
            ));
        }
        Some(pair) => objects::require_local(session, &label, pair)?,
    }
    Ok(Place { label, found })
}
