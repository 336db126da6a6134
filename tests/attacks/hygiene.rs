//! No secret in the log of any daemon that the suite started: each is searched when its deployment is taken down.

use std::sync::Mutex;

/// What the tests of one deployment typed, drew and were given.
#[derive(Default)]
pub struct Secrets(Mutex<Vec<(&'static str, String)>>);

impl Secrets {
    /// Remembers one; the empty one is none.
    pub fn note(&self, what: &'static str, secret: &str) {
        if !secret.is_empty() {
            self.0.lock().unwrap().push((what, secret.to_owned()));
        }
    }

    /// # Panics
    /// When the log holds one of them, any compact JWS, or a PIN of the suite.
    pub fn search(&self, log: &str) {
        for (what, secret) in self.0.lock().unwrap().iter() {
            assert!(!holds(log, secret), "the log holds {what}");
        }
        for (what, secret) in [
            ("a compact JWS", "eyJ"),
            ("an activation", "paraphe:1:"),
            ("a private key", "PRIVATE KEY"),
            ("a PIN", crate::world::PIN),
            ("a PIN", crate::world::WRONG_PIN),
            ("a name", "ANNA"),
        ] {
            assert!(!holds(log, secret), "the log holds {what}");
        }
    }
}

/// Digits count where they stand alone: a time of day or an id has digits too.
fn holds(log: &str, secret: &str) -> bool {
    let digits = secret.bytes().all(|b| b.is_ascii_digit());
    let alone = |at: usize| {
        let before = log[..at].chars().next_back();
        let after = log[at + secret.len()..].chars().next();
        let joined = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.');
        !joined(before) && !after.is_some_and(|c| c.is_ascii_alphanumeric())
    };
    log.match_indices(secret).any(|(at, _)| !digits || alone(at))
}

#[test]
fn a_secret_in_a_log_is_found_and_a_time_is_none() {
    let secrets = Secrets::default();
    secrets.note("a code", "482913");
    secrets.search("2026-11-27T21:23:44.482913Z INFO id=482913abc at=1482913");
    for log in ["code=482913", "\"482913\"", "eyJhbGciOi", "pin 739145."] {
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| secrets.search(log)));
        assert!(found.is_err(), "{log}");
    }
}
