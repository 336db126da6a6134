//! How a challenge names its phone. Called by the daemon when it signs, by the phone before it shows; section 3 of protocol.md.

use crate::{
    ids::{ChallengeId, DeviceId},
    transcript::Transcript,
};

/// A name of the phone that is good for one challenge only, so that two backends cannot compare what they hold.
pub fn device_handle(device_id: &DeviceId, challenge_id: &ChallengeId) -> [u8; 32] {
    Transcript::new("paraphe/v1/device-handle")
        .field(device_id.to_string().as_bytes())
        .field(challenge_id.to_string().as_bytes())
        .sha256()
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
    use crate::encoding::hex;

    #[test]
    fn handle_is_pinned() {
        let challenge_id = ChallengeId::from_bytes(std::array::from_fn(|index| index as u8));
        let device_id = DeviceId::from_bytes([0xff; 16]);
        // Computed with Python's hashlib.
        let expected = "ac1cda9c7bb04d3a7f0d5bed3e72e45e8f0114fc93698f49a28c12c42e7049da";
        assert_eq!(hex(&device_handle(&device_id, &challenge_id)), expected);
    }

    #[test]
    fn handle_is_another_for_every_challenge() {
        let device_id = DeviceId::from_bytes([7; 16]);
        let handle = |byte| device_handle(&device_id, &ChallengeId::from_bytes([byte; 16]));
        assert_ne!(handle(1), handle(2));
    }
}
