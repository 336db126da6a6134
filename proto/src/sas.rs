//! The six digits that the clerk types from the phone: a short authentication string. Section 5 of protocol.md.
//!
//! The daemon commits to `sas_nonce` in the offer, before the phone's keys are fixed, and opens it after: a thief who relays
//! the QR code cannot grind keys until the digits agree.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::{
    derive::{hkdf_sha256, sha256},
    ids::{ActivationId, DeviceId},
    jwk::PublicKey,
    transcript::Transcript,
};

/// Six digits. Equality only in constant time, by [`Sas::ct_eq`].
#[derive(Clone, Copy)]
pub struct Sas(u32);

/// Everything both ends must agree on.
pub struct SasInput<'a> {
    /// Issuer URL.
    pub issuer: &'a str,
    /// The activation.
    pub activation_id: &'a ActivationId,
    /// The id of the offer.
    pub device_id: &'a DeviceId,
    /// SHA-256 of the offer's compact JWS.
    pub offer_sha256: &'a [u8; 32],
    /// The nonce of the offer.
    pub nonce: &'a [u8; 32],
    /// The phone's possession key.
    pub possession_key: &'a PublicKey,
    /// The phone's approval key.
    pub approval_key: &'a PublicKey,
}

/// Text that is not six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the code is not six digits")]
pub struct SasError;

impl SasError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        "activation.code_malformed"
    }
}

/// The commitment to `sas_nonce`: its SHA-256.
pub fn commitment(sas_nonce: &[u8; 32]) -> [u8; 32] {
    sha256(sas_nonce)
}

/// Whether `sas_nonce` opens the commitment of the offer. The phone checks it before it shows the digits.
pub fn opens(sas_nonce: &[u8; 32], commitment: &[u8; 32]) -> bool {
    sha256(sas_nonce).ct_eq(commitment).into()
}

/// The six digits: HKDF-SHA-256 of the transcript with `sas_nonce` as salt, 16 bytes as a number modulo 10^6.
pub fn compute(input: &SasInput<'_>, sas_nonce: &[u8; 32]) -> Sas {
    let transcript = Transcript::new("paraphe/v1/sas")
        .field(input.issuer.as_bytes())
        .field(input.activation_id.to_string().as_bytes())
        .field(input.device_id.to_string().as_bytes())
        .field(input.offer_sha256)
        .field(input.nonce)
        .field(input.possession_key.as_sec1())
        .field(input.approval_key.as_sec1());
    let mut bytes = [0; 16];
    hkdf_sha256(sas_nonce, transcript.bytes(), "", &mut bytes);
    Sas((u128::from_be_bytes(bytes) % 1_000_000) as u32)
}

impl Sas {
    /// Reads six digits; spaces are ignored.
    ///
    /// # Errors
    /// [`SasError`] when the text is anything else.
    pub fn parse(text: &str) -> Result<Self, SasError> {
        let digits: String = text.chars().filter(|character| *character != ' ').collect();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SasError);
        }
        digits.parse().map(Self).map_err(|_| SasError)
    }

    /// Whether both are the same, in constant time.
    pub fn ct_eq(&self, other: &Self) -> bool {
        ConstantTimeEq::ct_eq(&self.0, &other.0).into()
    }
}

impl fmt::Display for Sas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
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
    use super::*;
    use crate::testing::{RFC7515_JWK, RFC9449_JWK};

    struct Sample {
        issuer: &'static str,
        activation_id: ActivationId,
        device_id: DeviceId,
        offer_sha256: [u8; 32],
        nonce: [u8; 32],
        possession_key: PublicKey,
        approval_key: PublicKey,
        sas_nonce: [u8; 32],
    }

    fn sample() -> Sample {
        Sample {
            issuer: "https://id.example",
            activation_id: "act_uq3rem343sq6o7i4vjukvp62ye".parse().unwrap(),
            device_id: DeviceId::from_bytes([0xff; 16]),
            offer_sha256: [1; 32],
            nonce: [2; 32],
            possession_key: PublicKey::from_jwk_json(RFC7515_JWK).unwrap(),
            approval_key: PublicKey::from_jwk_json(RFC9449_JWK).unwrap(),
            sas_nonce: [3; 32],
        }
    }

    fn digits(sample: &Sample) -> String {
        let input = SasInput {
            issuer: sample.issuer,
            activation_id: &sample.activation_id,
            device_id: &sample.device_id,
            offer_sha256: &sample.offer_sha256,
            nonce: &sample.nonce,
            possession_key: &sample.possession_key,
            approval_key: &sample.approval_key,
        };
        compute(&input, &sample.sas_nonce).to_string()
    }

    #[test]
    fn digits_are_pinned() {
        // Computed with Python's hashlib and hmac.
        assert_eq!(digits(&sample()), "828706");
    }

    #[test]
    fn every_part_changes_the_digits() {
        let changed: [fn(&mut Sample); 8] = [
            |sample| sample.issuer = "https://id.example.org",
            |sample| sample.activation_id = ActivationId::from_bytes([0; 16]),
            |sample| sample.device_id = DeviceId::from_bytes([0; 16]),
            |sample| sample.offer_sha256[31] ^= 1,
            |sample| sample.nonce[0] ^= 1,
            |sample| sample.possession_key = sample.approval_key.clone(),
            |sample| sample.approval_key = sample.possession_key.clone(),
            |sample| sample.sas_nonce[0] ^= 1,
        ];
        for (index, change) in changed.iter().enumerate() {
            let mut other = sample();
            change(&mut other);
            assert_ne!(digits(&other), digits(&sample()), "change {index}");
        }
    }

    #[test]
    fn a_commitment_opens_with_its_nonce_only() {
        let committed = commitment(&[3; 32]);
        assert!(opens(&[3; 32], &committed));
        assert!(!opens(&[4; 32], &committed));
    }

    #[test]
    fn digits_are_read_as_people_write_them() {
        let sas = Sas::parse("007 913").unwrap();
        assert_eq!(sas.to_string(), "007913");
        assert!(sas.ct_eq(&Sas::parse(" 0 0 7 9 1 3 ").unwrap()));
        assert!(!sas.ct_eq(&Sas::parse("007914").unwrap()));
        for text in [
            "",
            "00791",
            "0079133",
            "00791a",
            "+07913",
            "007-913",
            "００７９１３",
        ] {
            assert!(Sas::parse(text).is_err(), "{text:?}");
        }
    }
}
