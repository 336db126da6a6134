//! Queries over relying parties.

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::ended::Ended;
use crate::domain::relying_party::RelyingParty;

impl Record for RelyingParty {
    const TABLE: &'static str = "relying_party";
    const COLUMNS: &'static [&'static str] = &["id", "certificate_sha256"];

    fn clear(&self) -> Vec<Value> {
        let certificate = self
            .certificate_sha256
            .as_deref()
            .map_or(Value::Null, Value::from);
        vec![self.id.as_str().into(), certificate]
    }

    fn ended(&self) -> Option<Ended> {
        None
    }
}

/// One relying party.
pub fn load(rows: &mut Rows<'_, '_>, id: &str) -> Result<Option<Stored<RelyingParty>>, StoreError> {
    rows.by_id(id)
}

/// The relying party that registered a client certificate.
pub fn by_certificate(
    rows: &mut Rows<'_, '_>,
    sha256_hex: &str,
) -> Result<Option<Stored<RelyingParty>>, StoreError> {
    rows.select_one("certificate_sha256 = $1", &[sha256_hex.into()])
}

/// All of them, by id.
pub fn list(rows: &mut Rows<'_, '_>) -> Result<Vec<Stored<RelyingParty>>, StoreError> {
    rows.select("id <> '' ORDER BY id", &[])
}
