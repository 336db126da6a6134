//! The only place of the command line that reads the clock and draws random bytes.
//!
//! Everything else takes a `Timestamp` or a random source as an argument, or asks here at the edge of a command.

use paraphe_proto::time::Timestamp;
#[expect(
    clippy::disallowed_types,
    reason = "the edge of the command line: keys, blinds and nonces are drawn from here"
)]
use rand_core::OsRng;
use rand_core::{CryptoRng, RngCore};

/// The time now, whole seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the command line: commands read the clock here"
)]
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seconds = since_epoch.map_or(0, |elapsed| elapsed.as_secs());
    Timestamp::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// The system's random source.
pub fn random() -> impl RngCore + CryptoRng + Send {
    OsRng
}
