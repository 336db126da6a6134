//! The rows of a stopped daemon's database, as a thief or a forger of the file has them.
//!
//! Called by the tests of theft and tampering, while no daemon runs on the folder.

use std::path::Path;

use rusqlite::{Connection, params};

/// Tables whose rows are sealed.
pub const SEALED: [&str; 12] = [
    "subject",
    "enrolment_case",
    "activation",
    "device",
    "relying_party",
    "pairwise",
    "challenge",
    "operator",
    "terminal",
    "session",
    "audit",
    "block",
];

/// The database of a folder.
pub struct Rows(Connection);

impl Rows {
    /// Opens the file.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(Connection::open(folder.join("paraphe.db")).expect("the database"))
    }

    /// Runs one statement.
    pub fn execute(&self, sql: &str) {
        self.0.execute_batch(sql).expect("the statement runs");
    }

    /// Ids of a table, in order.
    #[must_use]
    pub fn ids(&self, table: &str) -> Vec<String> {
        let sql = format!("SELECT CAST(id AS TEXT) FROM {table} ORDER BY id");
        let mut query = self.0.prepare(&sql).expect("the table");
        let ids = query.query_map([], |row| row.get(0)).expect("the rows");
        ids.map(|id| id.expect("an id")).collect()
    }

    /// A row's version and sealed value.
    #[must_use]
    pub fn sealed(&self, table: &str, id: &str) -> (i64, Vec<u8>) {
        let sql = format!("SELECT version, sealed FROM {table} WHERE CAST(id AS TEXT) = ?1");
        let row = self.0.query_row(&sql, [id], |row| Ok((row.get(0)?, row.get(1)?)));
        row.expect("the row")
    }

    /// Puts a sealed value with its version into a row.
    pub fn put(&self, table: &str, id: &str, version: i64, sealed: &[u8]) {
        let sql = format!("UPDATE {table} SET version = ?1, sealed = ?2 WHERE CAST(id AS TEXT) = ?3");
        let changed = self
            .0
            .execute(&sql, params![version, sealed, id])
            .expect("the row");
        assert_eq!(changed, 1);
    }

    /// Flips one bit in every sealed value of a table.
    pub fn flip_all(&self, table: &str) {
        for id in self.ids(table) {
            let (version, mut sealed) = self.sealed(table, &id);
            let middle = sealed.len() / 2;
            sealed[middle] ^= 1;
            self.put(table, &id, version, &sealed);
        }
    }
}
