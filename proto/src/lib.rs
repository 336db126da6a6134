//! The Paraphe protocol: what the daemon, the phone, a backend and a clerk must agree on byte for byte.
//!
//! Used by every other crate of the workspace; depends on none of them. Nothing here reads a clock or a source of
//! randomness by itself: `now` and `rng` are arguments. (ring draws its own ECDSA nonces inside [`keys::SoftwareKey`].)
//!
//! | module | protocol.md |
//! | --- | --- |
//! | [`v1`], [`access`] | the gRPC surface, and who may call what (section 1) |
//! | [`jwk`], [`keys`] | P-256 keys (section 2) |
//! | [`jws`], [`statements`], [`keyset`] | everything signed (section 3) |
//! | [`jwt`] | tokens that other software signs (section 1) |
//! | [`oprf`], [`pin`] | the PIN (section 4) |
//! | [`activation`], [`attestation`], [`sas`] | enrolment (section 5) |
//! | [`challenge`] | step-up (section 6) |
//! | [`encoding`], [`ids`], [`time`], [`transcript`] | vocabulary of all the others |
#![warn(missing_docs)]

pub mod access;
pub mod activation;
pub mod attestation;
pub mod challenge;
mod compact;
mod derive;
pub mod encoding;
pub mod ids;
pub mod jwk;
pub mod jws;
pub mod jwt;
pub mod keys;
pub mod keyset;
pub mod oprf;
pub mod pin;
pub mod sas;
pub mod statements;
#[cfg(test)]
mod testing;
pub mod time;
pub mod transcript;
pub mod v1;
