//! What `paraphed init` puts into a new database, once: the check value of the master key, the first key set, the daemon as its
//! own relying party, the first terminal and two administrators.

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::keys::SoftwareKey;

use super::Scope;
use super::activation::Issued;
use super::operator;
use crate::config::ChannelName;
use crate::domain::fault::{Fault, Result};
use crate::domain::operator::OperatorRole;
use crate::domain::relying_party::{DAEMON, RelyingParty};
use crate::store::meta;

/// Who acts before there are operators.
const ACTOR: &str = "paraphed";

/// A first administrator with the activation of their phone.
pub struct FirstAdministrator {
    /// Operator name.
    pub name: String,
    /// The activation.
    pub activation: Issued,
}

/// Fills a new database.
///
/// # Errors
/// Those of the store.
pub fn bootstrap(
    s: &mut Scope<'_, '_>,
    root: &SoftwareKey,
    terminal: &PublicKey,
) -> Result<Vec<FirstAdministrator>> {
    let check = s.facts.sealer.check_value().map_err(Fault::internal)?;
    meta::store(s.rows.tx, meta::CHECK_VALUE, &check)?;
    meta::store(s.rows.tx, meta::ISSUER, s.facts.issuer().as_bytes())?;
    meta::note_seen(&mut s.rows, s.now)?;
    let set = s.facts.keys.first_key_set(s.facts.issuer(), s.now);
    let signed = jws::sign(&set, root).map_err(Fault::internal)?;
    meta::insert_key_set(&mut s.rows, set.version, signed.compact())?;
    s.rows.insert(&RelyingParty {
        id: DAEMON.to_owned(),
        display_name: "Paraphe".to_owned(),
        public_key: None,
        certificate_sha256: None,
        may_identify: false,
        actions: Vec::new(),
        registered_at: s.now,
    })?;
    operator::register_terminal(s, ACTOR, terminal.thumbprint(), "first terminal")?;
    let roles = [OperatorRole::Administrator, OperatorRole::Auditor];
    ["admin-1", "admin-2"]
        .into_iter()
        .map(|name| {
            let (operator, activation) = operator::create(s, ACTOR, name, &roles, ChannelName::Init)?;
            Ok(FirstAdministrator {
                name: operator.name,
                activation,
            })
        })
        .collect()
}
