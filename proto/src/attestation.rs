//! What a key attestation is bound to, on both ends. Section 5 of protocol.md.
//!
//! Android fixes its challenge when the key is made, before the daemon's offer is there: it binds the activation, whose id comes
//! from the secret that the daemon drew for this one use. Apple attests another key than the possession key, and after the
//! offer: its client data names the possession key, the device and the offer's nonce.

use crate::{
    ids::{ActivationId, DeviceId},
    jwk::PublicKey,
    transcript::Transcript,
};

/// Longest attestation that is looked at, in bytes. Chains of Android are 2 to 4 KiB, objects of App Attest about 6 KiB.
pub const MAX_BYTES: usize = 8 * 1024;

/// Android's `attestationChallenge`, given when the possession key is made.
#[must_use]
pub fn challenge(iss: &str, activation_id: &ActivationId) -> [u8; 32] {
    Transcript::new("paraphe/v1/attestation-challenge")
        .field(iss.as_bytes())
        .field(activation_id.to_string().as_bytes())
        .sha256()
}

/// What Apple's client data hash covers.
#[derive(Clone, Copy, Debug)]
pub struct ClientData<'a> {
    /// Issuer URL.
    pub iss: &'a str,
    /// The activation.
    pub activation_id: &'a ActivationId,
    /// The id of the offer.
    pub device_id: &'a DeviceId,
    /// The nonce of the offer.
    pub nonce: &'a [u8; 32],
    /// The key that the attested key vouches for.
    pub possession_key: &'a PublicKey,
}

impl ClientData<'_> {
    /// Apple's `clientDataHash`.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Transcript::new("paraphe/v1/attestation-client-data")
            .field(self.iss.as_bytes())
            .field(self.activation_id.to_string().as_bytes())
            .field(self.device_id.to_string().as_bytes())
            .field(self.nonce)
            .field(self.possession_key.as_sec1())
            .sha256()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        encoding::hex,
        keys::Signer as _,
        testing::{ISS, key, samples},
    };

    #[test]
    fn each_part_changes_what_is_bound() {
        let (activation, device) = (samples::activation_id(), samples::device_id());
        let (one, other) = (key(10), key(11));
        let good = ClientData {
            iss: ISS,
            activation_id: &activation,
            device_id: &device,
            nonce: &[8; 32],
            possession_key: one.public_key(),
        };
        let (later, replaced) = (ActivationId::from_bytes([9; 16]), DeviceId::from_bytes([9; 16]));
        let changed = [
            ClientData {
                iss: "https://other.example",
                ..good
            },
            ClientData {
                activation_id: &later,
                ..good
            },
            ClientData {
                device_id: &replaced,
                ..good
            },
            ClientData {
                nonce: &[9; 32],
                ..good
            },
            ClientData {
                possession_key: other.public_key(),
                ..good
            },
        ];
        for changed in changed {
            assert_ne!(changed.sha256(), good.sha256(), "{changed:?}");
        }
        assert_ne!(challenge(ISS, &later), challenge(ISS, &activation));
        assert_ne!(
            challenge("https://other.example", &activation),
            challenge(ISS, &activation)
        );
    }

    #[test]
    fn the_challenge_is_the_transcript_that_the_page_describes() {
        let id = ActivationId::from_bytes([0; 16]).to_string();
        let mut text = Vec::new();
        for part in [
            "paraphe/v1/attestation-challenge",
            "https://paraphe.example",
            id.as_str(),
        ] {
            text.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        let expected = crate::derive::sha256(&text);
        let computed = challenge("https://paraphe.example", &ActivationId::from_bytes([0; 16]));
        assert_eq!(hex(&computed), hex(&expected));
    }
}
