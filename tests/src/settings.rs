//! The configuration of a world: a demonstration on a free port, with limits that a test does not run into.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::binaries::repository;

/// The name of every world's daemon in its statements; clients connect to the loopback address.
pub const ISSUER: &str = "https://paraphe.localhost";

/// A configuration before it is written.
#[derive(Clone)]
pub struct Settings(Table);

impl Default for Settings {
    fn default() -> Self {
        let base = r#"
            issuer = "https://paraphe.localhost"
            listen = "127.0.0.1:0"
            actions_file = "actions.toml"
            store.path = "paraphe.db"
            keys.master_key_file = "master.key"
            keys.issuer_keys_file = "issuer-keys.sealed"
            keys.root_public_key_file = "root.jwk.json"
            tls.certificate_file = "certificate.pem"
            tls.private_key_file = "private-key.pem"
            limits.requests_per_second_per_caller = 100000
            limits.caller_burst = 100000
            limits.anonymous_requests_per_second_per_address = 100000
            limits.anonymous_burst = 100000
            logging.filter = "trace"
            step_up.requests_per_10_min = 1000
            step_up.requests_per_day = 10000
            step_up.wakes_per_hour = 1000
            step_up.min_lifetime_s = 1
            operators.requests_per_10_min = 1000
            operators.requests_per_day = 10000
            channels.counter.quarantine_s = 0
            profile.demonstration = true
        "#;
        Self(base.parse().expect("the base of all worlds is TOML"))
    }
}

impl Settings {
    /// Sets one key, named with its sections: `channels.counter.quarantine_s`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut sections: Vec<&str> = key.split('.').collect();
        let last = sections.pop().expect("a key");
        let mut table = &mut self.0;
        for section in sections {
            let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            table = entry.as_table_mut().expect("a section");
        }
        table.insert(last.to_owned(), value.into());
        self
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        toml::to_string(&self.0).expect("a table is TOML")
    }

    /// Writes the file and the catalogue of `deploy/` beside it.
    pub fn write(&self, folder: &Path) {
        fs::write(folder.join("paraphed.toml"), self.text()).expect("the configuration");
        let actions = repository().join("deploy/actions.toml");
        fs::copy(actions, folder.join("actions.toml")).expect("the catalogue");
    }
}
