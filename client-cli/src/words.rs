//! The words that people read for the protocol's enumerations, and the words they type for them.

use clap::ValueEnum;
use paraphe_proto::v1::{Check, Decision, Role, State};

/// `approved`, `denied`, … as in the protocol.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Unspecified => "unknown",
        State::Pending => "pending",
        State::Approved => "approved",
        State::Denied => "denied",
        State::Reported => "reported",
        State::Expired => "expired",
        State::Cancelled => "cancelled",
        State::Superseded => "superseded",
        State::Failed => "failed",
    }
}

/// `allowed`, `step_up_required`, …
pub fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::Unspecified => "unknown",
        Decision::Allowed => "allowed",
        Decision::StepUpRequired => "step_up_required",
        Decision::EnrolmentRequired => "enrolment_required",
        Decision::Refused => "refused",
    }
}

/// `clerk`, `administrator`, …
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "unknown",
        Role::Anyone => "anyone",
        Role::Phone => "phone",
        Role::Backend => "backend",
        Role::Clerk => "clerk",
        Role::Supervisor => "supervisor",
        Role::Support => "support",
        Role::Auditor => "auditor",
        Role::Administrator => "administrator",
    }
}

/// The roles of a message, as words.
pub fn role_names(roles: impl Iterator<Item = Role>) -> Vec<&'static str> {
    roles.map(role_name).collect()
}

/// A role that an operator may have.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OperatorRole {
    /// Enrols people
    Clerk,
    /// Countersigns cases
    Supervisor,
    /// Guides people
    Support,
    /// Reads the audit trail and the statements
    Auditor,
    /// Operators, terminals, backends
    Administrator,
}

impl From<OperatorRole> for Role {
    fn from(role: OperatorRole) -> Role {
        match role {
            OperatorRole::Clerk => Role::Clerk,
            OperatorRole::Supervisor => Role::Supervisor,
            OperatorRole::Support => Role::Support,
            OperatorRole::Auditor => Role::Auditor,
            OperatorRole::Administrator => Role::Administrator,
        }
    }
}

/// A check that a clerk has made.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ClerkCheck {
    /// The document is genuine: feel, look, tilt
    #[value(alias = "document_genuine")]
    DocumentGenuine,
    /// The holder is the person on the photograph
    #[value(alias = "holder_likeness")]
    HolderLikeness,
    /// The security features were seen under ultraviolet light
    Ultraviolet,
    /// The chip was read and its signature verified
    Chip,
}

impl From<ClerkCheck> for Check {
    fn from(check: ClerkCheck) -> Check {
        match check {
            ClerkCheck::DocumentGenuine => Check::DocumentGenuine,
            ClerkCheck::HolderLikeness => Check::HolderLikeness,
            ClerkCheck::Ultraviolet => Check::Ultraviolet,
            ClerkCheck::Chip => Check::Chip,
        }
    }
}

/// `1 attempt`, `4 attempts`.
pub fn count(number: u32, noun: &str) -> String {
    if number == 1 {
        format!("{number} {noun}")
    } else {
        format!("{number} {noun}s")
    }
}
