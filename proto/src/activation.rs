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
        encoding::hex,
        keys::Signer,
        testing::{ISS, RFC7515_JWK, SeededRng, key},
    };

    fn secret(bytes: [u8; 16]) -> ActivationSecret {
        ActivationSecret(Zeroizing::new(bytes))
    }

    /// 0, 1, 2 … 15.
    fn counted() -> ActivationSecret {
        secret(std::array::from_fn(|index| index as u8))
    }

    fn read(text: &str) -> Result<[u8; 16], ActivationError> {
        ActivationSecret::from_code(text).map(|secret| *secret.0)
    }

    // The values of this test were computed with Python's hashlib, hmac and integers.
    #[test]
    fn everything_derived_is_pinned() {
        let secret = counted();
        assert_eq!(secret.code().as_str(), "000G-40R4-0M30-E209-185G-R38E-1W0H");
        assert_eq!(
            secret.activation_id().to_string(),
            "act_uq3rem343sq6o7i4vjukvp62ye"
        );
        let mac_key = secret.mac_key();
        assert_eq!(
            hex(mac_key.as_slice()),
            "0ec27f6109879e2685436a35293d0945eada820799e03504a8cc39ad736c45fa"
        );
        let possession_key = PublicKey::from_jwk_json(RFC7515_JWK).unwrap();
        let mac = begin_mac(&mac_key, ISS, &secret.activation_id(), &possession_key);
        assert_eq!(
            hex(&mac),
            "1dd9e3bcbc12be265f4dc23c7f7f9681db72a89a0eae1be6defef4159874a25d"
        );
        let uri = ActivationUri {
            secret,
            issuer: ISS.into(),
            root_key: possession_key,
        };
        assert_eq!(
            uri.to_text().as_str(),
            "paraphe:1:000G40R40M30E209185GR38E1W0H:A3_Nzidw9sRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRF:https://id.example"
        );
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        let written = "000G-40R4-0M30-E209-185G-R38E-1W0H";
        for text in [
            written.to_owned(),
            written.to_lowercase(),
            written.replace('-', ""),
            written.replace('-', " "),
            format!("  {written} "),
            written.replace('0', "O").replace('1', "I"),
            written.replace('0', "o").replace('1', "l"),
        ] {
            assert_eq!(read(&text), Ok(*counted().0), "{text}");
        }
    }

    #[test]
    fn incomplete_and_foreign_codes_are_refused() {
        let written = counted().code();
        let cut = &written[..written.len() - 1];
        for text in [
            "",
            "-",
            cut,
            &format!("{}0", *written),
            &written.replace('G', "U"),
            &written.replace('G', "é"),
        ] {
            assert_eq!(read(text), Err(ActivationError::CodeMalformed), "{text}");
        }
    }

    #[test]
    fn every_wrong_character_and_every_swap_is_noticed() {
        let written: Vec<char> = counted().code().replace('-', "").chars().collect();
        for position in 0..written.len() {
            for wrong in "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
                .chars()
                .filter(|wrong| *wrong != written[position])
            {
                let mut typed = written.clone();
                typed[position] = wrong;
                let typed: String = typed.into_iter().collect();
                assert_eq!(read(&typed), Err(ActivationError::CodeMistyped), "{typed}");
            }
        }
        for position in (1..written.len()).filter(|position| written[position - 1] != written[*position]) {
            let mut typed = written.clone();
            typed.swap(position - 1, position);
            let typed: String = typed.into_iter().collect();
            assert_eq!(read(&typed), Err(ActivationError::CodeMistyped), "{typed}");
        }
    }

    #[test]
    fn the_mac_is_for_one_activation_and_one_key() {
        let (mac_key, id) = (counted().mac_key(), counted().activation_id());
        let (phone, other) = (key(1), key(2));
        let mac = begin_mac(&mac_key, ISS, &id, phone.public_key());
        assert!(verify_begin_mac(&mac, &mac_key, ISS, &id, phone.public_key()));
        assert!(!verify_begin_mac(&mac, &mac_key, ISS, &id, other.public_key()));
        assert!(!verify_begin_mac(
            &mac,
            &mac_key,
            "https://other.example",
            &id,
            phone.public_key()
        ));
        assert!(!verify_begin_mac(
            &mac,
            &mac_key,
            ISS,
            &ActivationId::from_bytes([0; 16]),
            phone.public_key()
        ));
        assert!(!verify_begin_mac(&mac, &[0; 32], ISS, &id, phone.public_key()));
        assert!(!verify_begin_mac(
            &mac[..31],
            &mac_key,
            ISS,
            &id,
            phone.public_key()
        ));
        assert!(!verify_begin_mac(&[], &mac_key, ISS, &id, phone.public_key()));
    }

    #[test]
    fn secrets_are_drawn() {
        let mut rng = SeededRng::new(1);
        let (first, second) = (
            ActivationSecret::random(&mut rng),
            ActivationSecret::random(&mut rng),
        );
        assert_ne!(first.activation_id(), second.activation_id());
        assert_ne!(first.mac_key(), second.mac_key());
    }

    #[test]
    fn foreign_qr_codes_are_refused() {
        let root_key = key(1).public_key().clone();
        let good = ActivationUri {
            secret: counted(),
            issuer: "https://id.example:8443/a".into(),
            root_key,
        }
        .to_text();
        let read = ActivationUri::parse(&good).unwrap();
        assert_eq!(read.issuer, "https://id.example:8443/a");
        assert_eq!(&read.root_key, key(1).public_key());
        assert_eq!(read.secret.activation_id(), counted().activation_id());
        let refusal = |text: &str| ActivationUri::parse(text).map(|_| ()).unwrap_err();
        for text in [
            "",
            "https://id.example",
            "000G-40R4-0M30-E209-185G-R38E-1W0H",
            &good.replace("paraphe:1:", "paraphe:2:"),
            &good.replace("https://", "http://"),
            &good.replace(":https://id.example:8443/a", ""),
        ] {
            assert_eq!(refusal(text), ActivationError::Uri, "{text}");
        }
        let fields: Vec<&str> = good.splitn(5, ':').collect();
        let uncompressed = base64url(key(1).public_key().as_sec1());
        for root_key in ["", "AA", &fields[3].replace(&fields[3][..2], "BA"), &uncompressed] {
            let text = format!("paraphe:1:{}:{root_key}:{}", fields[2], fields[4]);
            assert_eq!(refusal(&text), ActivationError::Uri, "{text}");
        }
        assert_eq!(
            refusal(&good.replace("40R4", "40R5")),
            ActivationError::CodeMistyped
        );
    }

    proptest! {
        #[test]
        fn every_secret_comes_back(bytes: [u8; 16]) {
            prop_assert_eq!(read(&secret(bytes).code()), Ok(bytes));
        }

        #[test]
        fn single_typing_errors_are_noticed(bytes: [u8; 16], at in 0usize..28, shift in 1usize..32) {
            let alphabet: Vec<char> = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars().collect();
            let mut typed: Vec<char> = secret(bytes).code().replace('-', "").chars().collect();
            let right = alphabet.iter().position(|symbol| *symbol == typed[at]).unwrap();
            typed[at] = alphabet[(right + shift) % 32];
            let typed: String = typed.into_iter().collect();
            prop_assert_eq!(read(&typed), Err(ActivationError::CodeMistyped));
        }
    }
}
