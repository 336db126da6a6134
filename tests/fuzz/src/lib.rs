//! What the targets do with their bytes; `seeds` uses the same tags. A target panics where an invariant breaks, libFuzzer does the rest.

pub mod messages;
pub mod statements;

/// Issuer of every sample.
pub const ISS: &str = "https://id.example";
