//! Publishing the key sets of the issuer keys file (protocol.md section 2.1).
//!
//! Called at start and when the daemon reads the file again. Invariant: whoever can fetch a statement by a key can fetch the key
//! sets that lead to it, so keys sign only after this.

use super::Scope;
use crate::domain::fault::Result;
use crate::keys::Publication;
use crate::store::meta;

/// Who acts.
const ACTOR: &str = "paraphed";

/// The key sets that phones can fetch, from the first.
///
/// # Errors
/// Those of the store.
pub fn known(s: &mut Scope<'_, '_>) -> Result<Vec<String>> {
    Ok(meta::key_sets_after(&mut s.rows, 0)?)
}

/// Makes them fetchable, and says in the audit trail which keys changed.
///
/// # Errors
/// Those of the store.
pub fn publish(s: &mut Scope<'_, '_>, publications: &[Publication]) -> Result<()> {
    for publication in publications {
        meta::insert_key_set(&mut s.rows, publication.version, &publication.statement)?;
        s.audit(ACTOR, "publish_key_set", publication.version, "ok")?;
        for (verb, kid) in &publication.changes {
            s.audit(ACTOR, verb, kid, "ok")?;
        }
        meta::note_key_set_published(&mut s.rows, publication.version, s.now)?;
    }
    Ok(())
}
