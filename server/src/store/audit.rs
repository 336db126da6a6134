//! The audit trail: entries are added, never changed.

use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::db::Value;
use super::record::{Record, Rows, StoreError, Stored};
use crate::domain::ended::Ended;

/// One entry. Sealed as a list in this order; earlier releases sealed a map with the names of the fields.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
#[serde(from = "Sealed")]
pub struct Entry {
    /// Rises by one.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub verb: String,
    /// On what.
    pub target: String,
    /// `ok` or the code of the rule that refused it.
    pub outcome: String,
}

/// What [`Entry`] is read from.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sealed {
    List(u64, Timestamp, String, String, String, String),
    Map {
        number: u64,
        at: Timestamp,
        actor: String,
        verb: String,
        target: String,
        outcome: String,
    },
}

impl From<Sealed> for Entry {
    fn from(sealed: Sealed) -> Self {
        match sealed {
            Sealed::List(number, at, actor, verb, target, outcome)
            | Sealed::Map {
                number,
                at,
                actor,
                verb,
                target,
                outcome,
            } => Self {
                number,
                at,
                actor,
                verb,
                target,
                outcome,
            },
        }
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (actor, verb) = (&self.actor, &self.verb);
        (self.number, self.at, actor, verb, &self.target, &self.outcome).serialize(serializer)
    }
}

impl Record for Entry {
    const TABLE: &'static str = "audit";
    const COLUMNS: &'static [&'static str] = &["id"];

    fn clear(&self) -> Vec<Value> {
        vec![Value::Int(i64::try_from(self.number).unwrap_or(i64::MAX))]
    }

    fn ended(&self) -> Option<Ended> {
        None
    }
}

/// Adds an entry under the next number.
pub fn append(
    rows: &mut Rows<'_, '_>,
    at: Timestamp,
    actor: &str,
    verb: &str,
    target: &str,
    outcome: &str,
) -> Result<(), StoreError> {
    let row = rows
        .tx
        .query_opt("SELECT COALESCE(MAX(id), 0) + 1 FROM audit", &[])?;
    let next = row.map(|row| row.int(0)).transpose()?.unwrap_or(1);
    rows.insert(&Entry {
        number: u64::try_from(next).unwrap_or(1),
        at,
        actor: actor.to_owned(),
        verb: verb.to_owned(),
        target: target.to_owned(),
        outcome: outcome.to_owned(),
    })
}

/// Entries after a number, in order.
pub fn after(rows: &mut Rows<'_, '_>, number: u64, limit: i64) -> Result<Vec<Stored<Entry>>, StoreError> {
    let after = i64::try_from(number).unwrap_or(i64::MAX);
    rows.select("id > $1 ORDER BY id LIMIT $2", &[after.into(), limit.into()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seal::{MasterKey, Sealer};

    fn entry() -> Entry {
        Entry {
            number: 70_000,
            at: Timestamp::from_secs(1_795_000_000),
            actor: "market".into(),
            verb: "request".into(),
            target: "chl_aaaaaaaaaaaaaaaaaaaaaaaaaa".into(),
            outcome: "ok".into(),
        }
    }

    #[test]
    fn a_list_and_the_map_of_earlier_releases_open_alike() {
        let sealer = Sealer::new(&MasterKey::from_file_contents(&[7; 32]).unwrap());
        let map = std::collections::BTreeMap::from([
            ("number", ciborium::Value::from(70_000)),
            ("at", ciborium::Value::from(1_795_000_000)),
            ("actor", "market".into()),
            ("verb", "request".into()),
            ("target", "chl_aaaaaaaaaaaaaaaaaaaaaaaaaa".into()),
            ("outcome", "ok".into()),
        ]);
        let earlier = sealer.seal_record("audit", "1", 1, &map).unwrap();
        let today = sealer.seal_record("audit", "1", 1, &entry()).unwrap();
        assert!(today.len() + 35 < earlier.len());
        for sealed in [earlier, today] {
            let opened: Entry = sealer.open_record("audit", "1", 1, &sealed).unwrap();
            assert_eq!(opened, entry());
        }
    }
}
