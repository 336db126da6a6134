//! Retired keys that may still be on the token: the sealed file names them until they are destroyed (protocol.md section 2.1).
//!
//! Called by `paraphed keys`. Invariant: a key is named here, on the disk, before its destruction is tried, and until it has succeeded.

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::statements::KeyUse;

use super::{Held, Ring};
use crate::keys::pkcs11::TokenError;

/// A retired key whose private half may still be on the token.
#[derive(Clone)]
pub struct Undestroyed {
    pub(in crate::keys) public: PublicKey,
    pub(in crate::keys) key_use: KeyUse,
    pub(in crate::keys) label: String,
}

impl Undestroyed {
    /// That key, if it is on a token.
    pub(super) fn of(key: &Held) -> Option<Self> {
        let label = key.private.as_ref()?.token_label()?;
        Some(Self {
            public: key.public.clone(),
            key_use: key.key_use,
            label: label.to_owned(),
        })
    }

    /// What it was for.
    pub fn key_use(&self) -> KeyUse {
        self.key_use
    }

    /// Its thumbprint.
    pub fn kid(&self) -> &str {
        self.public.thumbprint()
    }

    /// Its label on the token.
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl Ring {
    /// The retired keys that may still be on the token.
    pub fn undestroyed(&self) -> &[Undestroyed] {
        &self.undestroyed
    }

    pub(in crate::keys) fn with_undestroyed(self, undestroyed: Vec<Undestroyed>) -> Self {
        Self { undestroyed, ..self }
    }

    /// Destroys the retired keys that are still on the token: the ring that names only those which are left, and what each met.
    pub fn destroy_retired(&self) -> (Self, Vec<(String, TokenError)>) {
        let connection = self.challenge.connection();
        let destroyed = |key: &Undestroyed| match &connection {
            Some(connection) => connection.destroy(&key.label, &key.public),
            None => Err(TokenError::SectionMissing),
        };
        let (mut left, mut errors) = (Vec::new(), Vec::new());
        for key in &self.undestroyed {
            if let Err(error) = destroyed(key) {
                errors.push((key.label.clone(), error));
                left.push(key.clone());
            }
        }
        let ring = Self {
            keys: self.keys.clone(),
            statements: self.statements.clone(),
            undestroyed: left,
            challenge: self.challenge.clone(),
            assertion: self.assertion.clone(),
            jwks: self.jwks.clone(),
        };
        (ring, errors)
    }
}
