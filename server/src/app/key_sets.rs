//! Publishing the key sets of the issuer keys file (protocol.md section 2.1).
//!
//! Called at start and when the daemon reads the file again. Invariant: whoever can fetch a statement by a key can fetch the key
//! sets that lead to it, so keys sign only after this.

use paraphe_proto::ids::ChallengeId;
use paraphe_proto::{jws, statements};

use super::{Scope, challenge};
use crate::domain::challenge::Challenge;
use crate::domain::fault::Result;
use crate::keys::Publication;
use crate::store::challenge::HOUR_S;
use crate::store::{self, meta};

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
        let outcome = if publication.by_root { "by_root_key" } else { "ok" };
        s.audit(ACTOR, "publish_key_set", publication.version, outcome)?;
        for (verb, kid) in &publication.changes {
            s.audit(ACTOR, verb, kid, "ok")?;
        }
        meta::note_key_set_published(&mut s.rows, publication.version, s.now)?;
    }
    Ok(())
}

/// Whether something that the keys of an emergency signed may still be pending: the newest key set is not an hour old, or nobody knows.
///
/// # Errors
/// Those of the store.
pub fn is_recent(s: &mut Scope<'_, '_>) -> Result<bool> {
    let published = meta::key_set_published(s.rows.tx)?;
    Ok(published.is_none_or(|(_, at)| s.now.since_s(at) <= HOUR_S))
}

/// The pending challenges that a voided key signed. A transaction that was under way when the keys changed has ended when this is run
/// as a writer.
///
/// # Errors
/// Those of the store.
pub fn orphans(s: &mut Scope<'_, '_>, voided: &[String]) -> Result<Vec<ChallengeId>> {
    let is_void = |pending: &Challenge| {
        let kid = jws::unverified_kid::<statements::Challenge>(&pending.statement);
        kid.is_ok_and(|kid| voided.contains(&kid))
    };
    let pending = store::challenge::pending(&mut s.rows, i64::MAX)?;
    Ok(pending
        .iter()
        .filter(|pending| is_void(pending))
        .map(|pending| pending.id)
        .collect())
}

/// Ends these, where they are pending still; how many.
///
/// # Errors
/// Those of the store.
pub fn end(s: &mut Scope<'_, '_>, orphans: &[ChallengeId]) -> Result<usize> {
    let mut ended = 0;
    for id in orphans {
        let Some(found) = store::challenge::load(&mut s.rows, *id)? else {
            continue;
        };
        if found.state.decided_at().is_none() {
            let state = found.cut_short(s.now);
            challenge::conclude(s, found, state, ACTOR)?;
            ended += 1;
        }
    }
    Ok(ended)
}
