//! The one list of schema changes, for every driver, and the order in which they are applied. Called by `db` when it opens a database,
//! which applies each one and records its version in a single transaction.
//! Invariant: versions rise from 1 by one, forward only; a released migration never changes, a new one is appended.

use super::db::DbError;

/// One step of the schema.
#[derive(Debug)]
pub struct Migration {
    /// The schema's version once it is applied.
    pub version: i64,
    /// What it does, for the log.
    pub name: &'static str,
    /// Statements for every driver: BIGINT, TEXT with CHECK, BYTEA; no function of one driver alone.
    pub sql: &'static str,
}

/// Every step since the first release.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("migrations/0001_initial.sql"),
    },
    Migration {
        version: 2,
        name: "signed_enrolment",
        sql: include_str!("migrations/0002_signed_enrolment.sql"),
    },
    Migration {
        version: 3,
        name: "past",
        sql: include_str!("migrations/0003_past.sql"),
    },
    Migration {
        version: 4,
        name: "life_of_a_device",
        sql: include_str!("migrations/0004_life_of_a_device.sql"),
    },
    Migration {
        version: 5,
        name: "quota_in_an_index",
        sql: include_str!("migrations/0005_quota_in_an_index.sql"),
    },
    Migration {
        version: 6,
        name: "device_events",
        sql: include_str!("migrations/0006_device_events.sql"),
    },
    Migration {
        version: 7,
        name: "suspension_limit",
        sql: include_str!("migrations/0007_suspension_limit.sql"),
    },
];

/// The steps after version `found`.
///
/// # Errors
/// [`DbError::Newer`] when the database is ahead of the list.
pub fn remaining(list: &[Migration], found: i64) -> Result<&[Migration], DbError> {
    let known = list.last().map_or(0, |last| last.version);
    if found > known {
        return Err(DbError::Newer { found, known });
    }
    let applied = list.partition_point(|step| step.version <= found);
    Ok(list.get(applied..).unwrap_or_default())
}

/// Hands the steps after version `found` to `apply`, in order, until one fails.
///
/// # Errors
/// As [`remaining`], or what `apply` returned.
pub fn run(
    list: &[Migration],
    found: i64,
    mut apply: impl FnMut(&Migration) -> Result<(), DbError>,
) -> Result<(), DbError> {
    for migration in remaining(list, found)? {
        apply(migration)?;
        tracing::info!(
            version = migration.version,
            name = migration.name,
            "migrated the database"
        );
    }
    Ok(())
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;

    #[test]
    fn versions_rise_from_one_by_one() {
        let versions: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        let expected: Vec<i64> = (1..=i64::try_from(MIGRATIONS.len()).unwrap()).collect();
        assert_eq!(versions, expected);
    }

    #[test]
    fn only_later_steps_run_and_a_failure_ends_them() {
        let list = [1, 2, 3, 4].map(|version| Migration {
            version,
            name: "step",
            sql: "",
        });
        let mut applied = Vec::new();
        let outcome = run(&list, 1, |migration| {
            applied.push(migration.version);
            if migration.version == 3 {
                Err(DbError::Overloaded)
            } else {
                Ok(())
            }
        });
        assert_eq!(outcome, Err(DbError::Overloaded));
        assert_eq!(applied, [2, 3]);
    }

    #[test]
    fn a_database_ahead_of_the_list_is_refused_before_any_step() {
        let list = [1, 2].map(|version| Migration {
            version,
            name: "step",
            sql: "",
        });
        let outcome = run(&list, 3, |_| panic!("nothing may be applied"));
        assert_eq!(outcome, Err(DbError::Newer { found: 3, known: 2 }));
    }
}
