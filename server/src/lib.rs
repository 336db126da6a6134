//! `paraphed`: strong authentication confirmed on the person's own phone.
//!
//! A request flows one way: the `edge` layers, one file of `rpc`, one synchronous use case of `app` in one transaction, pure
//! rules of `domain`, one query of `store`. See docs/architecture.md.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod edge;
pub mod entropy;
mod hooks;
pub mod http;
pub mod keys;
pub mod open;
pub mod reload;
pub mod reseal;
pub mod rpc;
pub mod start;
pub mod store;
pub mod telemetry;
pub mod wake;
