//! The secret that a clerk hands over, as QR code or typed code. Section 5 of protocol.md.
//!
//! The activation id and the MAC key are HKDF outputs of the secret: the daemon keeps those and never needs the secret
//! again, and who only knows the id cannot begin the activation. Secrets are wiped on drop.

use rand_core::{CryptoRng, RngCore};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    derive::hkdf_sha256,
    encoding::{base64url, from_base64url},
    ids::ActivationId,
    jwk::PublicKey,
    transcript::Transcript,
};

mod code;

/// Why a code or a QR code was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// Not 28 characters of the code's alphabet.
    #[error("the code is not complete: 28 letters and digits in seven groups of four")]
    CodeMalformed,
    /// The check characters do not fit.
    #[error("the code has a typing error: compare it group by group")]
    CodeMistyped,
    /// The QR code is not one of ours.
    #[error("this is not a Paraphe activation code")]
    Uri,
}

impl ActivationError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CodeMalformed => "activation.code_malformed",
            Self::CodeMistyped => "activation.code_mistyped",
            Self::Uri => "activation.uri",
        }
    }
}

/// The secret of one activation: 16 random bytes.
pub struct ActivationSecret(Zeroizing<[u8; 16]>);

impl ActivationSecret {
    /// A fresh secret.
    pub fn random(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut bytes = Zeroizing::new([0; 16]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(bytes)
    }

    /// The typed code: `XXXX-XXXX-XXXX-XXXX-XXXX-XXXX-XXXX` in Crockford's base 32, the secret and 12 check bits.
    pub fn code(&self) -> Zeroizing<String> {
        let digits = code::encode(&self.0);
        let mut grouped = Zeroizing::new(String::with_capacity(34));
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && index % 4 == 0 {
                grouped.push('-');
            }
            grouped.push(digit);
        }
        grouped
    }

    /// Reads a typed code. Case, hyphens and spaces do not matter; O is read as 0, I and L as 1.
    ///
    /// # Errors
    /// [`ActivationError::CodeMalformed`] or [`ActivationError::CodeMistyped`]; every single wrong character and every
    /// swap of two neighbours is noticed.
    pub fn from_code(text: &str) -> Result<Self, ActivationError> {
        code::decode(text).map(Self)
    }

    /// The public name of the activation.
    pub fn activation_id(&self) -> ActivationId {
        let mut id = [0; 16];
        hkdf_sha256(&[], self.0.as_slice(), "paraphe/v1/activation-id", &mut id);
        ActivationId::from_bytes(id)
    }

    /// The key by which the phone proves that it knows the secret.
    pub fn mac_key(&self) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        hkdf_sha256(&[], self.0.as_slice(), "paraphe/v1/activation-mac", &mut key);
        key
    }
}

/// The MAC of `BeginActivation`: HMAC-SHA-256 over issuer, activation id and possession key.
pub fn begin_mac(
    mac_key: &[u8; 32],
    iss: &str,
    activation_id: &ActivationId,
    possession_key: &PublicKey,
) -> [u8; 32] {
    Transcript::new("paraphe/v1/begin-activation")
        .field(iss.as_bytes())
        .field(activation_id.to_string().as_bytes())
        .field(possession_key.as_sec1())
        .hmac(mac_key)
}

/// Whether `mac` is [`begin_mac`] of the same, in constant time.
pub fn verify_begin_mac(
    mac: &[u8],
    mac_key: &[u8; 32],
    iss: &str,
    activation_id: &ActivationId,
    possession_key: &PublicKey,
) -> bool {
    begin_mac(mac_key, iss, activation_id, possession_key)
        .as_slice()
        .ct_eq(mac)
        .into()
}

/// Content of the QR code: the secret, and the issuer with the root key that the phone pins.
pub struct ActivationUri {
    /// The secret.
    pub secret: ActivationSecret,
    /// Issuer URL, `https://…`.
    pub issuer: String,
    /// The issuer's root key.
    pub root_key: PublicKey,
}

impl ActivationUri {
    /// The text `paraphe:1:<28 characters>:<root key, compressed, base64url>:<issuer>`.
    pub fn to_text(&self) -> Zeroizing<String> {
        let digits = code::encode(&self.secret.0);
        let root_key = base64url(&self.root_key.compressed());
        Zeroizing::new(format!(
            "paraphe:1:{}:{root_key}:{}",
            digits.as_str(),
            self.issuer
        ))
    }

    /// Reads the content of a QR code.
    ///
    /// # Errors
    /// [`ActivationError::Uri`] when it is not one of ours; the errors of [`ActivationSecret::from_code`].
    pub fn parse(text: &str) -> Result<Self, ActivationError> {
        let rest = text
            .trim()
            .strip_prefix("paraphe:1:")
            .ok_or(ActivationError::Uri)?;
        let (digits, rest) = rest.split_once(':').ok_or(ActivationError::Uri)?;
        let (root_key, issuer) = rest.split_once(':').ok_or(ActivationError::Uri)?;
        let root_key = from_base64url(root_key).map_err(|_| ActivationError::Uri)?;
        if root_key.len() != 33 || !issuer.starts_with("https://") {
            return Err(ActivationError::Uri);
        }
        Ok(Self {
            secret: ActivationSecret::from_code(digits)?,
            issuer: issuer.to_owned(),
            root_key: PublicKey::from_sec1(&root_key).map_err(|_| ActivationError::Uri)?,
        })
    }
}
