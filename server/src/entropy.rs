//! The operating system's randomness: the one place that takes it. Everything else is given a random source.

#[expect(
    clippy::disallowed_types,
    reason = "this is the edge where randomness enters the daemon"
)]
use rand_core::OsRng;
use rand_core::{CryptoRng, RngCore};

/// The operating system's random source.
pub fn system() -> impl CryptoRng + RngCore + Send {
    OsRng
}
