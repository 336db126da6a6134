//! Operators, the terminals they may sign in on, and their sessions (protocol.md section 1).

use paraphe_proto::ids::{OperatorId, SubjectId};
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::fault::{self, Result};
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
    /// How often it was given another phone: what was handed out under an earlier one is worth nothing any more.
    #[serde(default)]
    pub phones_replaced: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Operator {
    /// Whether it may enrol people now.
    pub fn may_enrol(&self) -> bool {
        !self.disabled && self.roles.contains(&OperatorRole::Clerk)
    }

    /// Whether it may administer now.
    pub fn may_administer(&self) -> bool {
        !self.disabled && self.roles.contains(&OperatorRole::Administrator)
    }

    /// Whether it is a person's account, who signs in with a phone.
    pub fn is_person(&self) -> bool {
        matches!(self.credential, Credential::Phone { .. })
    }
}

/// An operator who calls, as they were when they were let in.
#[derive(Clone)]
pub struct Acting {
    /// Who.
    pub operator: Operator,
    /// With which session; a service account has none.
    pub session: Option<Session>,
}

impl Acting {
    /// The id in the audit trail.
    pub fn id(&self) -> String {
        self.operator.id.to_string()
    }

    /// # Errors
    /// `caller.program` unless a person calls who has signed in.
    pub fn require_person(&self) -> Result<()> {
        match self.session {
            Some(_) => Ok(()),
            None => fault::PROGRAM.broken(),
        }
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
