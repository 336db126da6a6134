//! The approval key at rest on the phone. Called by `companion`; section 4 of protocol.md.
//!
//! `unlock_key = HKDF-SHA256( Argon2id( OPRF output, salt ) ‖ device secret, "paraphe/v1/unlock" )`, and the key's scalar
//! under AES-256-GCM with device id and PIN epoch as associated data. Nothing in the record tells a right PIN from a wrong
//! one without an evaluation by the daemon.

use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::{CryptoRng, RngCore};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    derive::hkdf_sha256,
    encoding::{B64, B64Vec},
    ids::DeviceId,
    keys::SoftwareKey,
    oprf::OprfOutput,
    transcript::Transcript,
};

const VERSION: u8 = 1;

/// Cost of one Argon2id computation (RFC 9106); a field of the record, so that it can rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argon2Cost {
    /// Memory in KiB, at least 8 per lane.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Argon2Cost {
    /// For phones: 19 MiB, two passes.
    pub const DEFAULT: Self = Self {
        memory_kib: 19_456,
        iterations: 2,
        lanes: 1,
    };
    /// For load generators and tests. The OPRF alone still costs one online attempt per guess.
    pub const LOWEST: Self = Self {
        memory_kib: 8,
        iterations: 1,
        lanes: 1,
    };
    /// The most that a stored record may ask for.
    const HIGHEST: Self = Self {
        memory_kib: 1_048_576,
        iterations: 16,
        lanes: 16,
    };

    fn params(self) -> Option<Params> {
        let within = self.memory_kib <= Self::HIGHEST.memory_kib
            && self.iterations <= Self::HIGHEST.iterations
            && self.lanes <= Self::HIGHEST.lanes;
        within
            .then(|| Params::new(self.memory_kib, self.iterations, self.lanes, Some(32)).ok())
            .flatten()
    }
}

/// The approval key as it lies in the phone's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKey {
    /// Version of the construction: 1.
    pub version: u8,
    /// Cost of the Argon2id step.
    pub cost: Argon2Cost,
    /// Salt of the Argon2id step.
    pub salt: B64<16>,
    /// AES-GCM nonce.
    pub nonce: B64<12>,
    /// The scalar (32 bytes) and the tag (16 bytes).
    pub ciphertext: B64Vec,
}

/// The key could not be wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the approval key cannot be wrapped at this Argon2 cost")]
pub struct WrapError;

impl WrapError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        "pin.cost"
    }
}

/// The key did not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The PIN was wrong; or the record, the device or the epoch is another one, which looks the same.
    #[error("the PIN is wrong")]
    WrongPin,
    /// A record of another version, or at a cost that no phone writes.
    #[error("the wrapped approval key was written by another version of the app: update the app")]
    Record,
}

impl UnwrapError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongPin => "pin.wrong",
            Self::Record => "pin.record",
        }
    }
}

/// Wraps an approval key under the PIN that `output` came from.
///
/// # Errors
/// [`WrapError`] when Argon2 refuses the cost.
pub fn wrap(
    key: &SoftwareKey,
    output: &OprfOutput,
    device_secret: &[u8; 32],
    device_id: &DeviceId,
    epoch: u64,
    cost: Argon2Cost,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<WrappedKey, WrapError> {
    let (mut salt, mut nonce) = ([0; 16], [0; 12]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut nonce);
    let cipher = unlock_cipher(output, device_secret, &salt, cost).ok_or(WrapError)?;
    // Sealing in place would grow the vector and leave a copy behind: the tag is appended afterwards.
    let mut sealed = key.to_scalar().to_vec();
    let tag = cipher
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            associated(device_id, epoch),
            &mut sealed,
        )
        .map_err(|_| WrapError)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(WrappedKey {
        version: VERSION,
        cost,
        salt: B64(salt),
        nonce: B64(nonce),
        ciphertext: B64Vec(sealed),
    })
}

/// Takes the approval key out again.
///
/// # Errors
/// [`UnwrapError::WrongPin`] when `output` came from another PIN; [`UnwrapError::Record`] when the record is foreign.
pub fn unwrap(
    wrapped: &WrappedKey,
    output: &OprfOutput,
    device_secret: &[u8; 32],
    device_id: &DeviceId,
    epoch: u64,
) -> Result<SoftwareKey, UnwrapError> {
    if wrapped.version != VERSION {
        return Err(UnwrapError::Record);
    }
    let cipher = unlock_cipher(output, device_secret, wrapped.salt.as_bytes(), wrapped.cost)
        .ok_or(UnwrapError::Record)?;
    let nonce = Nonce::assume_unique_for_key(*wrapped.nonce.as_bytes());
    let mut buffer = Zeroizing::new(wrapped.ciphertext.0.clone());
    let scalar = cipher
        .open_in_place(nonce, associated(device_id, epoch), &mut buffer)
        .map_err(|_| UnwrapError::WrongPin)?;
    let scalar: &[u8; 32] = (&*scalar).try_into().map_err(|_| UnwrapError::Record)?;
    SoftwareKey::from_scalar(scalar).map_err(|_| UnwrapError::Record)
}

fn associated(device_id: &DeviceId, epoch: u64) -> Aad<Vec<u8>> {
    let transcript = Transcript::new("paraphe/v1/wrapped-key")
        .field(device_id.to_string().as_bytes())
        .field(&epoch.to_be_bytes());
    Aad::from(transcript.bytes().to_vec())
}

/// The cipher under the unlock key; `None` when the cost is out of range.
fn unlock_cipher(
    output: &OprfOutput,
    device_secret: &[u8; 32],
    salt: &[u8; 16],
    cost: Argon2Cost,
) -> Option<LessSafeKey> {
    let mut input = Zeroizing::new([0; 64]);
    let (stretched, secret) = input.split_at_mut(32);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.params()?)
        .hash_password_into(output.expose(), salt, stretched)
        .ok()?;
    secret.copy_from_slice(device_secret);
    let mut unlock_key = Zeroizing::new([0; 32]);
    hkdf_sha256(&[], input.as_slice(), "paraphe/v1/unlock", &mut unlock_key);
    Some(LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM, unlock_key.as_slice()).ok()?,
    ))
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
    use crate::{
        encoding::hex,
        keys::Signer,
        oprf::{OprfKey, blind},
        pin::Pin,
        testing::{SeededRng, key},
    };

    const SECRET: [u8; 32] = [5; 32];
    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);

    /// The OPRF's output for a PIN under one fixed key.
    fn output(digits: &str) -> OprfOutput {
        let (state, blinded) = blind(&Pin::enter(digits).unwrap(), &mut SeededRng::new(3)).unwrap();
        state
            .finalize(&OprfKey::from_bytes(&[7; 32]).unwrap().evaluate(&blinded))
            .unwrap()
    }

    fn wrapped() -> WrappedKey {
        let rng = &mut SeededRng::new(4);
        wrap(
            &key(1),
            &output("482913"),
            &SECRET,
            &DEVICE,
            1,
            Argon2Cost::LOWEST,
            rng,
        )
        .unwrap()
    }

    fn refusal(wrapped: &WrappedKey) -> UnwrapError {
        unwrap(wrapped, &output("482913"), &SECRET, &DEVICE, 1)
            .map(|_| ())
            .unwrap_err()
    }

    #[test]
    fn the_right_pin_unwraps() {
        let unwrapped = unwrap(&wrapped(), &output("482913"), &SECRET, &DEVICE, 1).unwrap();
        assert_eq!(unwrapped.public_key(), key(1).public_key());
        assert_eq!(unwrapped.to_scalar(), key(1).to_scalar());
    }

    #[test]
    fn anything_else_is_a_wrong_pin() {
        let attempt = |digits, secret: &[u8; 32], device: DeviceId, epoch| {
            unwrap(&wrapped(), &output(digits), secret, &device, epoch).map(|_| ())
        };
        let other_device = DeviceId::from_bytes([2; 16]);
        assert_eq!(attempt("482913", &SECRET, DEVICE, 1), Ok(()));
        assert_eq!(attempt("482914", &SECRET, DEVICE, 1), Err(UnwrapError::WrongPin));
        assert_eq!(attempt("482913", &[6; 32], DEVICE, 1), Err(UnwrapError::WrongPin));
        assert_eq!(
            attempt("482913", &SECRET, other_device, 1),
            Err(UnwrapError::WrongPin)
        );
        assert_eq!(attempt("482913", &SECRET, DEVICE, 2), Err(UnwrapError::WrongPin));
        for byte in 0..wrapped().ciphertext.0.len() {
            let mut altered = wrapped();
            altered.ciphertext.0[byte] ^= 1;
            assert_eq!(refusal(&altered), UnwrapError::WrongPin);
        }
        let salted = WrappedKey {
            salt: B64([0; 16]),
            ..wrapped()
        };
        let cut = WrappedKey {
            ciphertext: B64Vec(vec![0; 15]),
            ..wrapped()
        };
        let costly = WrappedKey {
            cost: Argon2Cost {
                iterations: 2,
                ..Argon2Cost::LOWEST
            },
            ..wrapped()
        };
        for altered in [salted, cut, costly] {
            assert_eq!(refusal(&altered), UnwrapError::WrongPin);
        }
    }

    #[test]
    fn foreign_records_are_refused_before_any_work() {
        assert_eq!(
            refusal(&WrappedKey {
                version: 2,
                ..wrapped()
            }),
            UnwrapError::Record
        );
        let costs = [
            Argon2Cost {
                memory_kib: u32::MAX,
                ..Argon2Cost::LOWEST
            },
            Argon2Cost {
                iterations: u32::MAX,
                ..Argon2Cost::LOWEST
            },
            Argon2Cost {
                iterations: 0,
                ..Argon2Cost::LOWEST
            },
            Argon2Cost {
                memory_kib: 7,
                ..Argon2Cost::LOWEST
            },
            Argon2Cost {
                memory_kib: 1024,
                iterations: 1,
                lanes: 17,
            },
        ];
        for cost in costs {
            assert_eq!(
                refusal(&WrappedKey { cost, ..wrapped() }),
                UnwrapError::Record,
                "{cost:?}"
            );
            let rng = &mut SeededRng::new(4);
            assert!(
                wrap(&key(1), &output("482913"), &SECRET, &DEVICE, 1, cost, rng).is_err(),
                "{cost:?}"
            );
        }
    }

    #[test]
    fn every_wrapping_draws_salt_and_nonce() {
        let rng = &mut SeededRng::new(4);
        let mut again = || {
            wrap(
                &key(1),
                &output("482913"),
                &SECRET,
                &DEVICE,
                1,
                Argon2Cost::LOWEST,
                rng,
            )
            .unwrap()
        };
        let (first, second) = (again(), again());
        assert_ne!(first.salt, second.salt);
        assert_ne!(first.nonce, second.nonce);
        assert_ne!(first.ciphertext, second.ciphertext);
    }

    /// A record that a phone may hold today stays readable.
    #[test]
    fn records_of_version_1_stay_readable() {
        let json = serde_json::to_string(&wrapped()).unwrap();
        assert_eq!(serde_json::from_str::<WrappedKey>(&json).unwrap(), wrapped());
        assert_eq!(
            json,
            "{\"version\":1,\"cost\":{\"memory_kib\":8,\"iterations\":1,\"lanes\":1},\"salt\":\"hg_T1mcjvMeHp02DuRJ07Q\",\"nonce\":\"qiZtOWntwJjrx-UH\",\"ciphertext\":\"D13rRQF2T2H-bmHTHLvyQI_aPhulIy3ogPc96-36tEeNbiInpExkhuQDZeiRuQ3H\"}"
        );
        assert!(!json.contains(&hex(key(1).to_scalar().as_slice())));
    }
}
