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
