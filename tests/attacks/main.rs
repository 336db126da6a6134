//! Attacks, bad input and life on the real daemon: every test spawns `paraphed` and speaks real gRPC to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are an edge"
)]

mod daemon;
mod world;
mod yesterday;

mod activation;
mod again;
mod archive;
mod attestation;
mod bad_input;
mod by_hand;
mod change_pin;
mod change_pin_life;
mod change_pin_refused;
mod clerks;
mod clone;
mod countdown;
#[path = "../crash/mod.rs"]
mod crash;
mod document;
mod emergency;
mod emergency_cut_short;
mod ended;
mod enrolment;
mod fields;
mod forgeries;
mod hand;
mod hygiene;
mod interop;
mod key_sets;
mod kill_points;
mod kill_points_life;
mod last_try;
mod life;
mod load;
mod master_key;
#[path = "../models/mod.rs"]
mod models;
mod own_phone;
mod own_phone_restore;
mod own_share;
mod parallel;
mod phone_history;
mod phone_history_tampered;
mod pin;
mod privacy;
mod put_back;
mod remote;
mod replacement;
mod restore;
mod roles;
mod rotation;
mod secure_chip;
mod several;
mod signature;
mod specimen;
mod staff_administrators;
mod staff_login;
mod staff_phone;
mod statements;
mod step_up;
mod supply;
mod suspension;
mod suspension_limit;
mod tampering;
mod theft;
mod token;
mod tokens;
mod told;
mod veto;
mod walk;
