//! The two objects of a key pair on a token: found by label, looked at, made, destroyed. Called by `pkcs11` and `places` alone.
//!
//! Invariant: a [`Pair`] is P-256 and its private half cannot leave the token. One that [`require_local`] has passed never could.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use p256::pkcs8::der::{Decode, asn1::OctetString};
use paraphe_proto::jwk::PublicKey;
use rand_core::{CryptoRng, RngCore};

use super::Label;
use super::error::TokenError;

/// `namedCurve` secp256r1 as DER (RFC 5480, section 2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// An attribute that a private key must have, and what is wrong with one that has not.
type Needed = (Attribute, &'static str);

const UNEXTRACTABLE: [Needed; 4] = [
    (
        Attribute::KeyType(KeyType::EC),
        "is not an elliptic-curve key: a P-256 key is allowed",
    ),
    (Attribute::Sign(true), "may not sign: CKA_SIGN must be true"),
    (
        Attribute::Sensitive(true),
        "can be read: CKA_SENSITIVE must be true",
    ),
    (
        Attribute::Extractable(false),
        "can leave the token: CKA_EXTRACTABLE must be false",
    ),
];

/// The token alone sets them (PKCS#11 v2.40 base specification, section 4.9).
const LOCAL: [Needed; 3] = [
    (
        Attribute::Local(true),
        "was not made on this token, so somebody else may hold it: CKA_LOCAL must be true",
    ),
    (
        Attribute::AlwaysSensitive(true),
        "could be read at some time: CKA_ALWAYS_SENSITIVE must be true",
    ),
    (
        Attribute::NeverExtractable(true),
        "could leave the token at some time: CKA_NEVER_EXTRACTABLE must be true",
    ),
];

/// A key pair that was looked at.
pub struct Pair {
    /// The private half, a handle.
    pub private: ObjectHandle,
    /// The public half.
    pub public: PublicKey,
}

/// The key pair of that label, if there is one.
///
/// # Errors
/// [`TokenError::Key`] when it is ambiguous, of another kind, extractable, or without its public half.
pub fn find(session: &Session, label: &Label) -> Result<Option<Pair>, TokenError> {
    let Some(private) = one(session, label, ObjectClass::PRIVATE_KEY)? else {
        return Ok(None);
    };
    require_unextractable(session, label, private)?;
    let public = one(session, label, ObjectClass::PUBLIC_KEY)?.ok_or_else(|| {
        label.refused(
            "has no public half of the same label on the token: import it there, or take another label",
        )
    })?;
    Ok(Some(Pair {
        private,
        public: read_public(session, label, public)?,
    }))
}

/// No public half of that label stands there alone, as one does where a deletion was cut short: a pair that is made beside it is ambiguous.
///
/// # Errors
/// [`TokenError::Key`].
pub fn require_no_lone_public(session: &Session, label: &Label) -> Result<(), TokenError> {
    match one(session, label, ObjectClass::PUBLIC_KEY)? {
        Some(_) => Err(label.refused(
            "has a public half on the token and no private one: delete that with the token's own tools, or take another label",
        )),
        None => Ok(()),
    }
}

/// The private half was made on this token and has never been anywhere else. What the token says of that, no caller of it can set.
///
/// # Errors
/// [`TokenError::Key`] for one that was imported, or could leave the token at some time.
pub fn require_local(session: &Session, label: &Label, pair: &Pair) -> Result<(), TokenError> {
    require(session, label, pair.private, &LOCAL)
}

/// A new key pair: the handles of its halves.
///
/// # Errors
/// Those of the token.
pub fn generate(
    session: &Session,
    label: &Label,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<[ObjectHandle; 2], TokenError> {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let shared = [
        Attribute::Token(true),
        Attribute::Label(label.text.clone().into_bytes()),
        Attribute::Id(id.to_vec()),
    ];
    let public = [
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(P256.to_vec()),
    ];
    let private = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let public = [shared.as_slice(), &public].concat();
    let private = [shared.as_slice(), &private].concat();
    let (public, private) = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
    Ok([private, public])
}

/// Takes a key off the token, its private half first; what a call that was cut short has left of it, too. Nothing is done where it is gone.
///
/// # Errors
/// [`TokenError::Key`] where another key has that label by now, or which one it is cannot be told; those of the token.
pub fn destroy(session: &Session, label: &Label, public: &PublicKey) -> Result<(), TokenError> {
    let private = one(session, label, ObjectClass::PRIVATE_KEY)?;
    match (private, one(session, label, ObjectClass::PUBLIC_KEY)?) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(label.refused("has no public half, so which key it is cannot be told")),
        (_, Some(object)) if read_public(session, label, object)? != *public => {
            Err(label.refused("is another one by now, and was left as it is"))
        }
        (private, Some(object)) => {
            let mut objects = private.into_iter().chain([object]);
            Ok(objects.try_for_each(|object| session.destroy_object(object))?)
        }
    }
}

fn one(session: &Session, label: &Label, class: ObjectClass) -> Result<Option<ObjectHandle>, TokenError> {
    let named = [
        Attribute::Class(class),
        Attribute::Label(label.text.clone().into_bytes()),
    ];
    match session.find_objects(&named)?.as_slice() {
        [] => Ok(None),
        [key] => Ok(Some(*key)),
        several => Err(label.refused(format!(
            "is ambiguous: {} objects of class {class} have that label, one is allowed",
            several.len()
        ))),
    }
}

fn require_unextractable(session: &Session, label: &Label, key: ObjectHandle) -> Result<(), TokenError> {
    require(session, label, key, &UNEXTRACTABLE)
}

fn require(session: &Session, label: &Label, key: ObjectHandle, needed: &[Needed]) -> Result<(), TokenError> {
    let asked: Vec<AttributeType> = needed.iter().map(|(needed, _)| needed.attribute_type()).collect();
    match missing(needed, &session.get_attributes(key, &asked)?) {
        Some(wrong) => Err(label.refused(wrong)),
        None => Ok(()),
    }
}

/// What is wrong with a key that has these attributes. One that the token does not tell is not there.
fn missing(needed: &[Needed], has: &[Attribute]) -> Option<&'static str> {
    let missing = needed.iter().find(|(needed, _)| !has.contains(needed));
    missing.map(|(_, wrong)| *wrong)
}

fn read_public(session: &Session, label: &Label, key: ObjectHandle) -> Result<PublicKey, TokenError> {
    let asked = [AttributeType::EcParams, AttributeType::EcPoint];
    let (mut curve, mut point) = (Vec::new(), Vec::new());
    for attribute in session.get_attributes(key, &asked)? {
        match attribute {
            Attribute::EcParams(value) => curve = value,
            Attribute::EcPoint(value) => point = value,
            _ => {}
        }
    }
    if curve != P256 {
        return Err(label.refused("is on another curve: P-256 is allowed"));
    }
    public_key(&point)
        .ok_or_else(|| label.refused("has a public half that is no uncompressed point of P-256"))
}

/// `CKA_EC_POINT` is the point in a DER OCTET STRING (PKCS#11 v2.40 current mechanisms, section 2.3.3); some tokens give it bare.
fn public_key(ec_point: &[u8]) -> Option<PublicKey> {
    let wrapped = OctetString::from_der(ec_point);
    let bytes = wrapped.as_ref().map_or(ec_point, OctetString::as_bytes);
    PublicKey::from_sec1(bytes).ok()
}

#[cfg(test)]
mod tests {
    use paraphe_proto::keys::{Signer, SoftwareKey};

    use super::*;

    #[test]
    fn a_key_that_was_elsewhere_is_refused_for_each_sign_of_it() {
        let has = |at: usize, kept: Option<Attribute>| {
            let mut has: Vec<Attribute> = LOCAL.map(|(needed, _)| needed).to_vec();
            has.splice(at..=at, kept);
            has
        };
        let whole: Vec<Attribute> = LOCAL.map(|(needed, _)| needed).to_vec();
        assert_eq!(missing(&LOCAL, &whole), None);
        let not = [
            Attribute::Local(false),
            Attribute::AlwaysSensitive(false),
            Attribute::NeverExtractable(false),
        ];
        for (at, not) in not.into_iter().enumerate() {
            let wrong = LOCAL.get(at).map(|(_, wrong)| *wrong);
            assert_eq!(missing(&LOCAL, &has(at, Some(not))), wrong);
            assert_eq!(missing(&LOCAL, &has(at, None)), wrong, "the token does not say");
        }
    }

    #[test]
    fn points_are_read_wrapped_or_bare_and_nothing_else_is() {
        let key = SoftwareKey::from_scalar(&[7; 32]).unwrap();
        let bare = key.public_key().as_sec1().to_vec();
        let wrapped = [&[0x04, 65], bare.as_slice()].concat();
        assert_eq!(public_key(&bare).as_ref(), Some(key.public_key()));
        assert_eq!(public_key(&wrapped).as_ref(), Some(key.public_key()));
        let mut off = wrapped.clone();
        *off.last_mut().unwrap() ^= 1;
        let longer = [wrapped.as_slice(), &[0]].concat();
        for bad in [off.as_slice(), &longer, &wrapped[..66], &[0x04, 0], &[]] {
            assert_eq!(public_key(bad), None, "{bad:?}");
        }
    }
}
