//! Operators, the terminals they may sign in on, and their sessions (protocol.md section 1).

use paraphe_proto::ids::{OperatorId, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::secret::Bytes;

/// What an operator may do. The wire's roles that belong to operators, no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorRole {
    /// Enrols people.
    Clerk,
    /// Countersigns.
    Supervisor,
    /// Guides.
    Support,
    /// Reads.
    Auditor,
    /// Manages operators, terminals and relying parties.
    Administrator,
}

/// How an operator signs in.
#[derive(Clone, Serialize, Deserialize)]
pub enum Credential {
    /// With the phone of this subject.
    Phone {
        /// The holder.
        subject_id: SubjectId,
    },
    /// A program with a key file; SEC 1 uncompressed.
    Key {
        /// Verifies its tokens.
        public_key: Bytes<65>,
    },
}

/// An operator as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Operator {
    /// Its id.
    pub id: OperatorId,
    /// Unique name.
    pub name: String,
    /// What it may do.
    pub roles: Vec<OperatorRole>,
    /// How it signs in.
    pub credential: Credential,
    /// Whether it was disabled.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Operator {
    /// Whether it may enrol people now.
    pub fn may_enrol(&self) -> bool {
        !self.disabled && self.roles.contains(&OperatorRole::Clerk)
    }
}

/// A terminal on which operators may sign in.
#[derive(Clone, Serialize, Deserialize)]
pub struct Terminal {
    /// RFC 7638 thumbprint of its key.
    pub thumbprint: String,
    /// What people call it.
    pub label: String,
    /// When it was registered.
    pub registered_at: Timestamp,
}

/// A session as it is stored; the token itself is not.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// SHA-256 of the token, hexadecimal.
    pub id: String,
    /// Whose.
    pub operator_id: OperatorId,
    /// The terminal it is bound to.
    pub terminal: String,
    /// When it ends.
    pub expires_at: Timestamp,
}
