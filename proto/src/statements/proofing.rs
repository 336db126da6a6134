//! What an identity-proofing provider signs for the channel `remote`. Section 5 of protocol.md.

use serde::{Deserialize, Serialize};

use crate::{ids::CaseId, time::Timestamp};

/// A provider looked at a person and their document from afar. Signed by the provider's registered key, for one case alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proofing {
    /// Issuer URL of the daemon that it is for.
    pub iss: String,
    /// Name of the provider in the daemon's configuration.
    pub provider: String,
    /// The case that it is for.
    pub case_id: CaseId,
    /// Whether the person is who they say.
    pub outcome: ProofingOutcome,
    /// The machine-readable zone that was read, lines separated by a newline.
    pub mrz: String,
    /// Birthplace as INSEE COG code; empty when not known.
    pub birthplace: String,
    /// Names of the checks that passed, e.g. `holder_likeness`.
    pub checks: Vec<String>,
    /// When it was signed.
    pub iat: Timestamp,
    /// Until when it may be recorded; at most 7 days after `iat`.
    pub exp: Timestamp,
}

/// What a provider found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofingOutcome {
    /// Document and person hold.
    Passed,
    /// They do not.
    Failed,
}
