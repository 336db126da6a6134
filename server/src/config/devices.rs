//! `[devices]`: how many phones a person may have (protocol.md section 5).

use serde::Deserialize;

use super::range::between;

/// `[devices]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Devices {
    /// Phones of one person that may count at the same time, 1 to 5. Default 1.
    #[serde(deserialize_with = "between::<1, 5, _, _>")]
    pub per_person: u32,
}

impl Default for Devices {
    fn default() -> Self {
        Self { per_person: 1 }
    }
}
