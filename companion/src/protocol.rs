//! The pieces that the verbs are made of, for attack tests and load generators.
//!
//! An app never needs them: [`Phone`](crate::Phone) puts them together in the one order that is safe. Get a [`Prover`] from
//! [`Phone::prover`](crate::Phone::prover), change what it says, and send what no phone would. The protocol: sections 3, 4.

pub use crate::approve::{Signed, approval_statement, enrolment_statement, send_answer, send_approval};
pub use crate::change_pin::{
    ask_pin_change, pin_change_statement, request_pin_change_evaluation, send_pin_change,
};
pub use crate::prepare::{LockFor, lock_approval_key};
pub use crate::refuse::send_refusal;
pub use crate::replace::ask_replacement;
pub use crate::request::{Prover, method, nonce};
pub use crate::unlock::{
    Expected, check_evaluation, finalize, open_approval_key, request_evaluation, seen, unwrap_approval_key,
};
