//! Pure state machines and rules: no I/O, no clock, no random source. The use cases in `app` call them inside one
//! transaction; what a rule refuses is a [`fault::Fault`] that names the rule.

pub mod activation;
pub mod attempts;
pub mod attestation;
pub mod case;
pub mod catalogue;
pub mod challenge;
pub mod device;
pub mod digest;
pub mod ended;
pub mod fault;
pub mod identity;
pub mod level;
pub mod mrz;
pub mod operator;
pub mod pin_change;
pub mod relying_party;
pub mod secret;
pub mod subject;
pub mod suspension;
pub mod text;
