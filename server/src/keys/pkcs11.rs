//! Issuer keys on a PKCS#11 token (protocol.md section 2). `keys::file` opens them beside the sealed file; they sign by [`Signer`] like any other.
//!
//! Invariants: the token hashes nothing, since many lack `CKM_ECDSA_SHA256`: the digest is made here and signed by `CKM_ECDSA`. No signature leaves
//! this file that does not verify under the public key that was pinned when the key was opened, or that has the high `s`.
//! A session that fails is dropped, and another one opened once; so a token may go away and come back.

mod error;
mod objects;
mod places;
mod token;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use p256::ecdsa::Signature;
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::keys::{Signer, SigningError, verify_es256};
use paraphe_proto::statements::KeyUse;

pub use error::TokenError;
pub use places::{Places, Wanted};
pub use token::look;

use self::objects::Pair;
use self::token::{Access, Token};
use crate::config::Pkcs11;

/// Sessions that one key holds open at most, each used by one thread at a time.
const SESSIONS: usize = 4;

/// Signed once when a key is opened: it shows that both halves belong together.
const PROBE: &[u8] = b"paraphe/v1/token-probe";

/// What an error about a key names whose label stands in the sealed file.
const KEPT: &str = "token_label";

/// The label of a key and the configuration key that gave it.
#[derive(Clone)]
struct Label {
    setting: &'static str,
    text: String,
}

impl Label {
    fn refused(&self, detail: impl Into<String>) -> TokenError {
        TokenError::Key {
            setting: self.setting,
            label: self.text.clone(),
            detail: detail.into(),
        }
    }

    /// The label that a key had at `init`.
    fn configured(config: &Pkcs11, key_use: KeyUse) -> Self {
        let (setting, text) = match key_use {
            KeyUse::Challenge => ("challenge_key_label", &config.challenge_key_label),
            KeyUse::Assertion => ("assertion_key_label", &config.assertion_key_label),
        };
        Self {
            setting,
            text: text.clone(),
        }
    }

    /// The label of a key that came with a rotation.
    fn kept(text: String) -> Self {
        Self { setting: KEPT, text }
    }
}

/// A key whose private half never leaves its token.
pub struct TokenKey {
    token: Arc<Token>,
    label: Label,
    public: PublicKey,
    made: bool,
    sessions: [Mutex<Option<Open>>; SESSIONS],
    turn: AtomicUsize,
}

/// A session that has found the key.
struct Open {
    session: Session,
    key: ObjectHandle,
}

/// A token that is in use: keys on it share what was learnt about its PIN.
#[derive(Clone)]
pub struct Connection(Arc<Token>);

impl Connection {
    /// Loads the module and reads the PIN.
    ///
    /// # Errors
    /// [`TokenError`] naming the configuration key.
    pub fn open(config: &Pkcs11) -> Result<Self, TokenError> {
        Ok(Self(Arc::new(Token::connect(config)?)))
    }

    /// Looks at the places of two keys, challenge and assertion; nothing is made yet.
    ///
    /// # Errors
    /// [`TokenError`] naming the configuration key: also where something is that cannot be taken.
    pub fn look_at(&self, wanted: [Wanted; 2]) -> Result<Places, TokenError> {
        Places::look(&self.0, wanted)
    }

    /// Destroys both halves of a key, if the one of that label is still this one. Nothing is done where it is gone.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn destroy(&self, label: &str, public: &PublicKey) -> Result<(), TokenError> {
        let session = self.0.session(Access::Change)?;
        objects::destroy(&session, &Label::kept(label.to_owned()), public)
    }

    /// The key of that use: of the label that the file keeps, or else of the one in the configuration.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn key(&self, config: &Pkcs11, key_use: KeyUse, kept: Option<&str>) -> Result<TokenKey, TokenError> {
        let label = match kept {
            Some(text) => Label::kept(text.to_owned()),
            None => Label::configured(config, key_use),
        };
        let session = self.0.session(Access::Use)?;
        let pair = find(&session, &label)?;
        TokenKey::open(&self.0, label, session, pair)
    }
}

impl TokenKey {
    /// The key of this pair, which was found in this session.
    fn open(token: &Arc<Token>, label: Label, session: Session, pair: Pair) -> Result<Self, TokenError> {
        let opened = Self {
            token: Arc::clone(token),
            label,
            public: pair.public,
            made: false,
            sessions: Default::default(),
            turn: AtomicUsize::new(0),
        };
        let open = Open {
            session,
            key: pair.private,
        };
        let mut place = opened.place();
        *place = Some(open);
        opened.sign_once(&mut place, PROBE).map_err(|error| match error {
            TokenError::WrongSignature => opened
                .label
                .refused("does not fit its public half: the two objects of that label are of different keys"),
            other => other,
        })?;
        drop(place);
        Ok(opened)
    }

    /// The token that it is on.
    pub fn connection(&self) -> Connection {
        Connection(Arc::clone(&self.token))
    }

    /// Its label.
    pub fn label(&self) -> &str {
        &self.label.text
    }

    /// Its label, where the sealed file keeps it.
    pub fn kept_label(&self) -> Option<&str> {
        (self.label.setting == KEPT).then_some(self.label.text.as_str())
    }

    /// Whether this process has made it.
    pub fn was_made(&self) -> bool {
        self.made
    }

    /// Refuses a key that took the place of the one in the key set.
    ///
    /// # Errors
    /// [`TokenError::Key`].
    pub fn require_thumbprint(self, kid: &str) -> Result<Self, TokenError> {
        match self.public.thumbprint() == kid {
            true => Ok(self),
            false => Err(self.label.refused(format!(
                "is not the one of this deployment (its thumbprint is {}, {kid} is needed): phones would refuse what it signs",
                self.public.thumbprint()
            ))),
        }
    }

    /// A place in the pool: a free one, or else a turn at one.
    fn place(&self) -> MutexGuard<'_, Option<Open>> {
        if let Some(free) = self.sessions.iter().find_map(|place| place.try_lock().ok()) {
            return free;
        }
        let [first, ..] = &self.sessions;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % SESSIONS;
        let place = self.sessions.get(turn).unwrap_or(first);
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reopen(&self) -> Result<Open, TokenError> {
        let session = self.token.session(Access::Use)?;
        let key = find(&session, &self.label)?.private;
        Ok(Open { session, key })
    }

    /// Signs in the session of this place, or in a new one; the session stays there only if it has signed.
    fn sign_once(&self, place: &mut Option<Open>, message: &[u8]) -> Result<[u8; 64], TokenError> {
        let open = match place.take() {
            Some(open) => open,
            None => self.reopen()?,
        };
        let digest = ring::digest::digest(&ring::digest::SHA256, message);
        let raw = open.session.sign(&Mechanism::Ecdsa, open.key, digest.as_ref())?;
        let signature = checked(&self.public, message, &raw)?;
        *place = Some(open);
        Ok(signature)
    }
}

fn find(session: &Session, label: &Label) -> Result<Pair, TokenError> {
    let missing = match label.setting {
        KEPT => {
            "is not on the token: it came with a rotation, and must be there as long as it is not retired"
        }
        _ => "is not on the token: `paraphed init` makes it",
    };
    objects::find(session, label)?.ok_or_else(|| label.refused(missing))
}

/// The signature in its one form, if it is one by that key.
fn checked(key: &PublicKey, message: &[u8], raw: &[u8]) -> Result<[u8; 64], TokenError> {
    let signature = Signature::from_slice(raw).map_err(|_| TokenError::WrongSignature)?;
    let low: [u8; 64] = signature.normalize_s().unwrap_or(signature).to_bytes().into();
    match verify_es256(key, message, &low) {
        true => Ok(low),
        false => Err(TokenError::WrongSignature),
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningError> {
        let mut place = self.place();
        let had_session = place.is_some();
        let signed = match self.sign_once(&mut place, message) {
            Err(error) if had_session => {
                tracing::warn!(key = self.label.text, %error, "a session with the token failed; another one is opened");
                self.sign_once(&mut place, message)
            }
            first => first,
        };
        signed.map_err(|error| {
            tracing::error!(key = self.label.text, %error, "the token did not sign");
            SigningError
        })
    }
}

#[cfg(test)]
mod tests {
    use paraphe_proto::keys::{SoftwareKey, is_low_s};

    use super::*;

    #[test]
    fn only_the_keys_own_signature_passes_and_always_with_the_low_s() {
        let key = SoftwareKey::from_scalar(&[7; 32]).unwrap();
        let low = key.sign(b"message").unwrap();
        let (r, s) = Signature::from_slice(&low).unwrap().split_scalars();
        let high: [u8; 64] = Signature::from_scalars(r, -*s).unwrap().to_bytes().into();
        assert!(!is_low_s(&high));
        assert_eq!(checked(key.public_key(), b"message", &low).unwrap(), low);
        assert_eq!(checked(key.public_key(), b"message", &high).unwrap(), low);
        let other = SoftwareKey::from_scalar(&[8; 32]).unwrap();
        let foreign = other.sign(b"message").unwrap();
        for bad in [foreign.as_slice(), &low[..63], &[0; 64], &[]] {
            let refused = checked(key.public_key(), b"message", bad);
            assert!(matches!(refused, Err(TokenError::WrongSignature)), "{bad:?}");
        }
        assert!(checked(key.public_key(), b"another", &low).is_err());
    }
}
