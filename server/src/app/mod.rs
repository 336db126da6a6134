//! Use cases: one file per noun, one synchronous function per verb, each inside one transaction of [`Scope`].
//!
//! Called by `rpc`, which reads `now` once and decodes into a command; the commit tells the watchers.

pub mod activation;
pub mod administrator;
pub mod answer;
pub mod archive;
pub mod bootstrap;
pub mod case;
pub mod challenge;
pub mod device_event;
pub mod enrolment;
pub mod evidence;
pub mod expiry;
pub mod history;
pub mod key_sets;
pub mod life;
pub mod lift;
pub mod newcomer;
pub mod operator;
pub mod own;
pub mod pairwise;
pub mod pin_change;
pub mod quota;
pub mod raise;
pub mod relying_party;
pub mod replacement;
pub mod request;
pub mod reseal;
pub mod restore;
pub mod room;
pub mod scope;
pub mod session;
pub mod suspension;
pub mod unlock;

pub use scope::{Daemon, Facts, Scope};
