//! A backend as it is registered.

use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::secret::Bytes;

/// The daemon as its own relying party: operator logins and lifts.
pub const DAEMON: &str = "paraphe";
/// The daemon where clerks sign enrolments: apart from [`DAEMON`], so that a busy counter spends no login quota.
pub const DESK: &str = paraphe_proto::statements::ENROL_RELYING_PARTY;

/// Whether an id belongs to the daemon itself.
pub fn is_own(id: &str) -> bool {
    id == DAEMON || id == DESK
}

/// A relying party as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct RelyingParty {
    /// `iss` of its tokens, `aud` of its assertions.
    pub id: String,
    /// Name that people see.
    pub display_name: String,
    /// SEC 1 uncompressed; verifies its tokens.
    pub public_key: Option<Bytes<65>>,
    /// SHA-256 of its client certificate in DER, hexadecimal.
    pub certificate_sha256: Option<String>,
    /// May name people by civil identity.
    pub may_identify: bool,
    /// Action ids it may ask for; empty for all.
    pub actions: Vec<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
}

impl RelyingParty {
    /// Whether it may ask for `action`. Only the daemon asks for `paraphe.*`.
    pub fn may_ask(&self, action: &str) -> bool {
        if action.starts_with("paraphe.") {
            return is_own(&self.id);
        }
        !is_own(&self.id) && (self.actions.is_empty() || self.actions.iter().any(|allowed| allowed == action))
    }
}
