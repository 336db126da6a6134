//! What `--keep` leaves behind, so that anybody can verify the proof again with other tools.

use paraphe_proto::time::Timestamp;
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

/// Writes `statements/`, `jwks.json`, `root.jwk.json` and `summary.json` beside the database; returns the command that
/// verifies them again.
///
/// # Errors
/// [`Error::File`].
pub fn write(
    folder: &Folder,
    house: &House,
    bought: &Bought,
    others: &Others,
    proof: &Proof,
) -> Result<String> {
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
    files::write_public(&folder.path("summary.json"), &format!("{text}\n"))?;
    let sets = proof.statements.key_sets.len();
    Ok(command(folder, &house.initialised.issuer, proof.at, sets))
}

/// `paraphe verify …` over everything that was written, as of the time of the demo's own verification.
fn command(folder: &Folder, issuer: &str, at: Timestamp, key_sets: usize) -> String {
    let files = [
        ("assertion", "statements/assertion.jwt"),
        ("jwks", "jwks.json"),
        ("challenge", "statements/challenge.jws"),
        ("approval", "statements/approval.jws"),
        ("activation", "statements/activation.jws"),
        ("root", "root.jwk.json"),
        ("enrolment", "statements/enrolment.jws"),
        ("enrolment-challenge", "statements/enrolment-challenge.jws"),
        ("clerk-activation", "statements/clerk-activation.jws"),
    ];
    let path = |name: &str| quoted(&folder.path(name).display().to_string());
    let mut line = format!(
        "paraphe verify --audience {} --issuer {issuer} --at {}",
        marketplace::ID,
        at.as_secs()
    );
    for (option, name) in files {
        line.push_str(&format!(" --{option} {}", path(name)));
    }
    line.push_str(" --key-sets");
    for number in 1..=key_sets {
        line.push_str(&format!(" {}", path(&format!("statements/key-set-{number}.jws"))));
    }
    line
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn purchases(bought: &Bought, others: &Others) -> Vec<serde_json::Value> {
    let entry = |purchase: &Purchase| json!({ "challenge_id": purchase.challenge_id, "reference": purchase.course.reference, "state": state_name(purchase.state) });
    std::iter::once(&bought.purchase)
        .chain(&others.purchases)
        .map(entry)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_command_that_verifies_again_is_one_that_is_understood() {
        let folder = Folder::prepare(None).unwrap();
        let line = command(&folder, "https://paraphe.localhost", Timestamp::from_secs(7), 2);
        let parsed = Cli::try_parse_from(line.split(' '));
        assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
        assert!(
            line.ends_with("key-set-2.jws") && line.contains(" --at 7 "),
            "{line}"
        );
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_break_it() {
        assert_eq!(quoted("/tmp/kept-1/a.jws"), "/tmp/kept-1/a.jws");
        assert_eq!(quoted("/tmp/it's a/b"), r"'/tmp/it'\''s a/b'");
    }
}
