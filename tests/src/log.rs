//! The search of a daemon's log for what must never be in it.
//!
//! Called when a world ends, on every line its daemons wrote at level `trace`. Invariant: a secret is found however it stands
//! in the line; digits count only when they stand alone, since any number of a line may contain them.

use std::path::Path;

/// What no log line may hold whatever the run: the beginning of every JWS and JWT, of an activation URI, of a PEM key.
const NEVER: [&str; 4] = ["eyJ", "paraphe:1:", "PRIVATE KEY", "Bearer "];

/// The lines that hold one of the secrets, each with the secret.
#[must_use]
pub fn leaks(log: &str, secrets: &[String]) -> Vec<(String, String)> {
    let never = NEVER.iter().map(ToString::to_string);
    let wanted: Vec<String> = never.chain(secrets.iter().cloned()).collect();
    let mut found = Vec::new();
    for secret in &wanted {
        let holding = log.lines().filter(|line| holds(line, secret));
        found.extend(holding.map(|line| (secret.clone(), line.to_owned())));
    }
    found
}

/// Fails when the log of the folder holds a secret.
pub fn require_clean(folder: &Path, secrets: &[String]) {
    let log = std::fs::read(crate::daemon::log_file(folder)).unwrap_or_default();
    let found = leaks(&String::from_utf8_lossy(&log), secrets);
    assert!(
        found.is_empty(),
        "the daemon's log holds secrets (secret, line): {found:#?}"
    );
}

fn holds(line: &str, secret: &str) -> bool {
    if !secret.bytes().all(|byte| byte.is_ascii_digit()) {
        return line.to_ascii_uppercase().contains(&secret.to_ascii_uppercase());
    }
    line.match_indices(secret).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + secret.len()..].chars().next();
        let alone = |neighbour: Option<char>| {
            neighbour.is_none_or(|character| !character.is_ascii_alphanumeric() && character != '.')
        };
        alone(before) && alone(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_line_is_found() {
        let secrets = ["507294".to_owned(), "Eriksson".to_owned()];
        let log = "refused pin=507294\nopened for ERIKSSON\ntoken eyJhbGciOi\nfine";
        assert_eq!(leaks(log, &secrets).len(), 3);
    }

    #[test]
    fn digits_inside_other_numbers_are_no_secret() {
        let secrets = ["507294".to_owned()];
        assert!(leaks("2026-11-24T10:00:00.507294Z id=a507294 x=15072940", &secrets).is_empty());
    }
}
