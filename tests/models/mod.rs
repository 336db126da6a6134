//! A model of PIN attempts and verdicts that stateright searches: restarts, lost replies, calls in parallel, backups put back,
//! and an explicit attacker (protocol.md section 4, rules 1 to 3 and 6, and section 6, step 5).
//!
//! The rules are the daemon's own: every step calls `paraphe_server::domain` (`Attempts`, `Device`, `Challenge`, `Seen`). What
//! surrounds them is modelled: the order of `app::unlock`, `app::answer`, `app::challenge` and `app::expiry` within one
//! transaction (`transactions`), what happens between two transactions (`actions`, `calls`), and what putting a backup back does
//! (`backups`). Nothing between a transaction's begin and its commit is visible, since the store runs one after the other.
//!
//! Each property is seen to fail when one rule is broken (`checks`): a model in which nothing can go wrong shows nothing.

mod actions;
mod backups;
mod calls;
mod checks;
mod ghost;
mod normal;
mod properties;
mod rows;
mod setting;
mod transactions;
mod world;
