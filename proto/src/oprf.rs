//! The oblivious PIN evaluation: RFC 9497, mode OPRF, suite P256-SHA256, by the crate voprf. Section 4 of protocol.md.
//!
//! The phone calls [`blind`] and [`BlindState::finalize`], the daemon [`OprfKey::evaluate`]. The daemon learns nothing about
//! the PIN, the phone nothing about the key. Elements are points of the curve other than the identity: only the check can
//! make one. A blinding is used up by its one evaluation.

use std::fmt;

use p256::NistP256;
use rand_core::{CryptoRng, RngCore};
use voprf::{OprfClient, OprfServer};
use zeroize::Zeroizing;

use crate::{derive::sha256, encoding::hex, pin::Pin};

/// A key or an element that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OprfError {
    /// Not a point of P-256 in compressed form, or the identity.
    #[error("not an element of the group: a compressed point of P-256 (33 bytes) other than the identity")]
    Element,
    /// 0 or not below the group's order.
    #[error("not an OPRF key")]
    Key,
    /// The PIN could not be mapped to the curve.
    #[error("the PIN cannot be evaluated")]
    Input,
}

impl OprfError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Element => "oprf.element",
            Self::Key => "oprf.key",
            Self::Input => "oprf.input",
        }
    }
}

/// An element that travels: its parsed form and its one encoding.
macro_rules! element {
    ($(#[$doc:meta])* $name:ident, $element:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            element: voprf::$element<NistP256>,
            bytes: [u8; 33],
        }

        impl $name {
            /// Parses a compressed point (SEC 1, 33 bytes).
            ///
            /// # Errors
            /// [`OprfError::Element`] when it is off the curve, the identity or in another encoding.
            pub fn parse(bytes: &[u8]) -> Result<Self, OprfError> {
                let bytes: [u8; 33] = bytes.try_into().map_err(|_| OprfError::Element)?;
                if !matches!(bytes.first(), Some(2 | 3)) {
                    return Err(OprfError::Element);
                }
                let element = voprf::$element::deserialize(&bytes).map_err(|_| OprfError::Element)?;
                Ok(Self { element, bytes })
            }

            fn from_element(element: voprf::$element<NistP256>) -> Self {
                let bytes = element.serialize().into();
                Self { element, bytes }
            }

            /// The compressed point (SEC 1).
            pub const fn as_bytes(&self) -> &[u8; 33] {
                &self.bytes
            }

            /// SHA-256 of the compressed point.
            pub fn sha256(&self) -> [u8; 32] {
                sha256(&self.bytes)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.bytes == other.bytes
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.bytes))
            }
        }
    };
}

element!(
    /// A blinded PIN, on its way to the daemon.
    BlindedElement, BlindedElement
);
element!(
    /// The daemon's answer to a blinded PIN.
    EvaluatedElement, EvaluationElement
);

/// The daemon's key for one device and PIN epoch.
pub struct OprfKey(OprfServer<NistP256>);

impl OprfKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`OprfError::Key`] with negligible probability.
    pub fn random(rng: &mut (impl CryptoRng + RngCore)) -> Result<Self, OprfError> {
        OprfServer::new(rng).map(Self).map_err(|_| OprfError::Key)
    }

    /// The key that belongs to `info` under a secret `seed` (RFC 9497, section 3.2.1, `DeriveKeyPair`).
    ///
    /// # Errors
    /// [`OprfError::Key`] with negligible probability, or when `info` is longer than 64 KiB.
    pub fn derive(seed: &[u8; 32], info: &[u8]) -> Result<Self, OprfError> {
        OprfServer::new_from_seed(seed, info)
            .map(Self)
            .map_err(|_| OprfError::Key)
    }

    /// The key with this scalar, big-endian.
    ///
    /// # Errors
    /// [`OprfError::Key`] when it is 0 or not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, OprfError> {
        OprfServer::new_with_key(bytes)
            .map(Self)
            .map_err(|_| OprfError::Key)
    }

    /// The scalar, big-endian.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.serialize().into())
    }

    /// Evaluates a blinded PIN (RFC 9497, section 3.3.1, `BlindEvaluate`).
    pub fn evaluate(&self, blinded: &BlindedElement) -> EvaluatedElement {
        EvaluatedElement::from_element(self.0.blind_evaluate(&blinded.element))
    }
}

/// What the phone keeps between blinding and unblinding one PIN.
pub struct BlindState {
    client: OprfClient<NistP256>,
    input: Zeroizing<Vec<u8>>,
}

/// The OPRF's output for one PIN under one key, 32 bytes.
pub struct OprfOutput(Zeroizing<[u8; 32]>);

impl OprfOutput {
    /// The bytes, for deriving the unlock key.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Blinds a PIN (RFC 9497, section 3.3.1, `Blind`).
///
/// # Errors
/// [`OprfError::Input`] with negligible probability.
pub fn blind(
    pin: &Pin,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(BlindState, BlindedElement), OprfError> {
    blind_input(pin.expose().as_bytes(), rng)
}

fn blind_input(
    input: &[u8],
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(BlindState, BlindedElement), OprfError> {
    let blinded = OprfClient::<NistP256>::blind(input, rng).map_err(|_| OprfError::Input)?;
    let state = BlindState {
        client: blinded.state,
        input: Zeroizing::new(input.to_vec()),
    };
    Ok((state, BlindedElement::from_element(blinded.message)))
}

impl BlindState {
    /// Unblinds the daemon's answer (RFC 9497, section 3.3.1, `Finalize`).
    ///
    /// # Errors
    /// [`OprfError::Input`], which a state of [`blind`] never causes.
    pub fn finalize(self, evaluated: &EvaluatedElement) -> Result<OprfOutput, OprfError> {
        let output = self
            .client
            .finalize(&self.input, &evaluated.element)
            .map_err(|_| OprfError::Input)?;
        Ok(OprfOutput(Zeroizing::new(output.into())))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        encoding::from_hex,
        testing::{FixedRng, SeededRng, key},
    };

    const KEY: &str = "159749d750713afe245d2d39ccfaae8381c53ce92d098a9375ee70739c7ac0bf";
    const BLIND: &str = "3338fa65ec36e0290022b48eb562889d89dbfa691d1cde91517fa222ed7ad364";
    /// RFC 9497, appendix A.3.1: input, blinded element, evaluated element, output.
    const VECTORS: [[&str; 4]; 2] = [
        [
            "00",
            "03723a1e5c09b8b9c18d1dcbca29e8007e95f14f4732d9346d490ffc195110368d",
            "030de02ffec47a1fd53efcdd1c6faf5bdc270912b8749e783c7ca75bb412958832",
            "a0b34de5fa4c5b6da07e72af73cc507cceeb48981b97b7285fc375345fe495dd",
        ],
        [
            "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
            "03cc1df781f1c2240a64d1c297b3f3d16262ef5d4cf102734882675c26231b0838",
            "03a0395fe3828f2476ffcd1f4fe540e5a8489322d398be3c4e5a869db7fcb7c52c",
            "c748ca6dd327f0ce85f4ae3a8cd6d4d5390bbb804c9e12dcf94f853fece3dcce",
        ],
    ];

    fn pin(digits: &str) -> Pin {
        Pin::enter(digits).unwrap()
    }

    /// Both ends in one place.
    fn evaluate(digits: &str, key: &OprfKey, seed: u64) -> [u8; 32] {
        let (state, blinded) = blind(&pin(digits), &mut SeededRng::new(seed)).unwrap();
        let received = BlindedElement::parse(blinded.as_bytes()).unwrap();
        let answer = EvaluatedElement::parse(key.evaluate(&received).as_bytes()).unwrap();
        *state.finalize(&answer).unwrap().expose()
    }

    /// RFC 9497, appendix A.3.1: the seed and the key information of the suite's vectors.
    #[test]
    fn the_published_key_is_derived_and_another_seed_or_information_gives_another() {
        let derived =
            |seed, info: &[u8]| hex(OprfKey::derive(&[seed; 32], info).unwrap().to_bytes().as_slice());
        assert_eq!(derived(0xa3, b"test key"), KEY);
        assert_ne!(derived(0xa4, b"test key"), KEY);
        assert_ne!(derived(0xa3, b"test keys"), KEY);
    }

    #[test]
    fn the_published_vectors_come_out() {
        let key = OprfKey::from_bytes(&from_hex(KEY).unwrap().try_into().unwrap()).unwrap();
        for [input, blinded, evaluated, output] in VECTORS {
            let mut rng = FixedRng(from_hex(BLIND).unwrap());
            let (state, element) = blind_input(&from_hex(input).unwrap(), &mut rng).unwrap();
            assert_eq!(hex(element.as_bytes()), blinded);
            let answer = key.evaluate(&element);
            assert_eq!(hex(answer.as_bytes()), evaluated);
            assert_eq!(hex(state.finalize(&answer).unwrap().expose()), output);
        }
    }

    #[test]
    fn output_depends_on_pin_and_key_but_not_on_the_blind() {
        let mut rng = SeededRng::new(1);
        let (key, other) = (
            OprfKey::random(&mut rng).unwrap(),
            OprfKey::random(&mut rng).unwrap(),
        );
        assert_eq!(evaluate("482913", &key, 2), evaluate("482913", &key, 3));
        assert_ne!(evaluate("482913", &key, 2), evaluate("482914", &key, 2));
        assert_ne!(evaluate("482913", &key, 2), evaluate("482913", &other, 2));
        let stored = OprfKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(evaluate("482913", &stored, 4), evaluate("482913", &key, 2));
    }

    #[test]
    fn the_same_pin_is_blinded_otherwise_every_time() {
        let mut rng = SeededRng::new(1);
        let (_, first) = blind(&pin("482913"), &mut rng).unwrap();
        let (_, second) = blind(&pin("482913"), &mut rng).unwrap();
        assert_ne!(first, second);
        assert_ne!(first.sha256(), second.sha256());
        assert_eq!(first.sha256(), sha256(first.as_bytes()));
    }

    #[test]
    fn what_is_not_an_element_is_refused() {
        let point = crate::keys::Signer::public_key(&key(1)).clone();
        assert!(BlindedElement::parse(&point.compressed()).is_ok());
        let tagged = |tag| {
            let mut bytes = point.compressed();
            bytes[0] = tag;
            bytes.to_vec()
        };
        let off_curve = [&[2][..], &[0xff; 32]].concat();
        let long = [&point.compressed()[..], &[0]].concat();
        for bytes in [
            vec![],
            vec![0],
            vec![0; 33],
            tagged(0),
            tagged(4),
            tagged(5),
            off_curve,
            long,
            point.as_sec1().to_vec(),
        ] {
            assert_eq!(
                BlindedElement::parse(&bytes).unwrap_err(),
                OprfError::Element,
                "{bytes:02x?}"
            );
            assert_eq!(
                EvaluatedElement::parse(&bytes).unwrap_err(),
                OprfError::Element,
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for bytes in [[0; 32], [0xff; 32]] {
            assert_eq!(
                OprfKey::from_bytes(&bytes).map(|_| ()).unwrap_err(),
                OprfError::Key
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_bytes_are_an_element_or_refused(bytes in prop::collection::vec(any::<u8>(), 30..36)) {
            if let Ok(element) = BlindedElement::parse(&bytes) {
                prop_assert_eq!(&element.as_bytes()[..], &bytes[..]);
            }
        }
    }
}
