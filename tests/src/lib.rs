//! What the end-to-end tests stand on: real `paraphed` processes and the parties that speak to them.
//!
//! Callers: the modules of `e2e/`. A [`World`] is one daemon in a folder of its own, copied from a template that was
//! initialised once per process, with the operators, backends and the one enrolled person of [`template`]. Nothing is shared
//! between two worlds, so a test may restart its daemon, move its clock or tamper with its rows.
//!
//! Invariant: a daemon never outlives its world, and its log is searched for every secret of its world when it goes.
//! A harness says what it expects by panicking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc
)]

pub mod backend;
pub mod binaries;
pub mod call;
pub mod clock;
pub mod daemon;
pub mod database;
pub mod folder;
pub mod forge;
pub mod log;
pub mod operator;
pub mod person;
pub mod session;
pub mod settings;
pub mod specimen;
pub mod template;
pub mod world;

pub use backend::{Backend, Purchase, purchase};
pub use call::{Refusal, reason_of, refusal};
pub use clock::{now, rng};
pub use daemon::Daemon;
pub use operator::Operator;
pub use person::Person;
pub use session::Staff;
pub use settings::Settings;
pub use specimen::Specimen;
pub use world::World;
