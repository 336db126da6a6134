//! What `--keep` leaves behind, so that anybody can verify the proof again with other tools.

use serde_json::json;

use super::marketplace;
use super::opening::House;
use super::profile::Folder;
use super::proof::Proof;
use super::purchases::{Bought, Others, Purchase};
use crate::error::{Error, Result};
use crate::files;
use crate::views::StatementsView;
use crate::words::state_name;

/// Writes `statements/`, `jwks.json`, `root.jwk.json` and `summary.json` beside the database.
///
/// # Errors
/// [`Error::File`].
pub fn write(folder: &Folder, house: &House, bought: &Bought, others: &Others, proof: &Proof) -> Result<()> {
    StatementsView::write(&proof.statements, &folder.path("statements"))?;
    files::write_public(&folder.path("jwks.json"), &proof.jwks)?;
    files::write_public(&folder.path("root.jwk.json"), &proof.statements.root_jwk)?;
    let summary = json!({
        "issuer": house.initialised.issuer,
        "audience": marketplace::ID,
        "subject": bought.subject,
        "challenge_id": bought.purchase.challenge_id,
        "verified_at": proof.at,
        "root_thumbprint": house.root.thumbprint(),
        "purchases": purchases(bought, others),
    });
    let text = serde_json::to_string_pretty(&summary)
        .map_err(|error| Error::other("demo.keep", error.to_string()))?;
    files::write_public(&folder.path("summary.json"), &format!("{text}\n"))
}

fn purchases(bought: &Bought, others: &Others) -> Vec<serde_json::Value> {
    let entry = |purchase: &Purchase| json!({ "challenge_id": purchase.challenge_id, "reference": purchase.course.reference, "state": state_name(purchase.state) });
    std::iter::once(&bought.purchase)
        .chain(&others.purchases)
        .map(entry)
        .collect()
}
