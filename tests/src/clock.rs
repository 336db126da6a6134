//! The test's own clock and randomness: the one place of this crate that takes them from the machine.

use paraphe_proto::time::Timestamp;
use rand_core::{CryptoRng, RngCore};

/// The machine's time, Unix seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the clock to sign its tokens"
)]
pub fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = elapsed.expect("the clock is past 1970").as_secs();
    Timestamp::from_secs(i64::try_from(seconds).expect("this millennium"))
}

/// The machine's randomness.
#[expect(clippy::disallowed_types, reason = "a test draws from the system")]
pub fn rng() -> impl CryptoRng + RngCore {
    rand_core::OsRng
}

/// Sixteen random bytes as base64url: a `jti`, an idempotency key.
pub fn unique() -> String {
    let mut bytes = [0; 16];
    rng().fill_bytes(&mut bytes);
    paraphe_proto::encoding::base64url(&bytes)
}
