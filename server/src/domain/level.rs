//! Levels of assurance (`acr`), ordered: `eidas1` (low) < `eidas2` (substantial) < `eidas3` (high).

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// Level of an enrolment, a session or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Acr {
    /// Low.
    Eidas1,
    /// Substantial.
    Eidas2,
    /// High.
    Eidas3,
}

impl Acr {
    /// The value of an `acr` claim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eidas1 => "eidas1",
            Self::Eidas2 => "eidas2",
            Self::Eidas3 => "eidas3",
        }
    }
}

impl std::str::FromStr for Acr {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "eidas1" => Ok(Self::Eidas1),
            "eidas2" => Ok(Self::Eidas2),
            "eidas3" => Ok(Self::Eidas3),
            _ => Err(Fault::field("acr", "It must be `eidas1`, `eidas2` or `eidas3`.")),
        }
    }
}
