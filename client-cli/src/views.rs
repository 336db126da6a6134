//! Results that more than one command group shows: codes for the phone, issued activations, activations, statements.

use std::path::{Path, PathBuf};

use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{Activation, IssueActivationResponse, Statements};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::output::{CODE, View, facts, table, time_text};
use crate::{files, qr};

/// State of an activation whose six digits were typed: nothing is left to try, and nothing ends.
const CONFIRMED: &str = "confirmed";

/// The code that an operator types on their own phone.
#[derive(Serialize)]
pub struct CodeView {
    /// `chl_…`
    pub challenge_id: String,
    /// The digits.
    pub match_code: String,
    /// When the challenge expires.
    pub expires_at: Timestamp,
}

impl View for CodeView {
    fn text(&self) -> String {
        format!(
            "  Confirm on your phone. Code: {CODE}{}{CODE:#}\n",
            self.match_code
        )
    }
}

/// A fresh activation: the QR code, the typed code, the expiry. The only time the secret is shown.
#[derive(Serialize)]
pub struct IssuedView {
    /// `act_…`
    pub activation_id: String,
    /// The code for typing.
    pub code: String,
    /// Content of the QR code.
    pub uri: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// With which the person has the phone suspended by telephone; empty for a staff phone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub suspension_code: String,
    #[serde(skip)]
    next: String,
    #[serde(skip)]
    picture: String,
}

impl IssuedView {
    /// Draws the QR code; `next` says what follows, in whole lines.
    ///
    /// # Errors
    /// When the content does not fit a QR code.
    pub fn new(issued: IssueActivationResponse, next: String) -> Result<Self> {
        let picture = qr::render(&issued.uri)?;
        let expires_at = Timestamp::from_secs(issued.expires_at);
        Ok(IssuedView {
            activation_id: issued.activation_id,
            code: issued.code,
            uri: issued.uri,
            expires_at,
            suspension_code: issued.suspension_code,
            next,
            picture,
        })
    }
}

impl View for IssuedView {
    fn text(&self) -> String {
        let facts = facts([
            ("typed code", format!("{CODE}{}{CODE:#}", self.code)),
            ("until", time_text(self.expires_at)),
            ("activation", self.activation_id.clone()),
            ("suspension code", self.suspension_code.clone()),
        ]);
        let paper = match self.suspension_code.is_empty() {
            true => "",
            false => "  The suspension code is for the person to keep on paper, apart from the phone.\n",
        };
        // The content of the picture for phones without a camera, on a line of its own so that it can be copied whole. The picture comes
        // last: a terminal of 24 lines has room for it and for nothing above it.
        format!("{facts}{paper}\n{}\n\n{}{}", self.uri, self.next, self.picture)
    }
}

/// Where an activation stands.
#[derive(Serialize)]
pub struct ActivationView {
    activation_id: String,
    state: String,
    tries_left: u32,
    expires_at: Timestamp,
    device_state: Option<String>,
    quarantined_until: Option<Timestamp>,
    key_storage: Option<String>,
}

impl From<Activation> for ActivationView {
    fn from(activation: Activation) -> Self {
        let until = activation
            .device
            .as_ref()
            .map(|device| device.quarantined_until)
            .filter(|until| *until != 0);
        ActivationView {
            activation_id: activation.activation_id,
            state: activation.state,
            tries_left: activation.tries_left,
            expires_at: Timestamp::from_secs(activation.expires_at),
            key_storage: activation
                .device
                .as_ref()
                .map(|device| device.key_storage.clone()),
            device_state: activation.device.map(|device| device.state),
            quarantined_until: until.map(Timestamp::from_secs),
        }
    }
}

impl View for ActivationView {
    fn text(&self) -> String {
        let (tries_left, until) = if self.state == CONFIRMED {
            (String::new(), String::new())
        } else {
            (self.tries_left.to_string(), time_text(self.expires_at))
        };
        facts([
            ("activation", self.activation_id.clone()),
            ("state", self.state.clone()),
            ("tries left", tries_left),
            ("until", until),
            ("phone", self.device_state.clone().unwrap_or_default()),
            (
                "quarantined until",
                self.quarantined_until.map(time_text).unwrap_or_default(),
            ),
            ("key storage", self.key_storage.clone().unwrap_or_default()),
        ])
    }
}

/// The signed statements behind a verdict, written into files.
#[derive(Serialize)]
pub struct StatementsView {
    files: Vec<PathBuf>,
}

impl StatementsView {
    /// Writes each statement that there is into `directory`: `challenge.jws`, `approval.jws`, `refusal.jws`,
    /// `assertion.jwt`, `activation.jws`, `enrolment.jws`, `enrolment-challenge.jws`, `clerk-activation.jws`,
    /// `key-set-1.jws` …, `root.jwk.json`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::File`].
    pub fn write(statements: &Statements, directory: &Path) -> Result<Self> {
        let named = [
            ("challenge.jws", &statements.challenge),
            ("approval.jws", &statements.approval),
            ("refusal.jws", &statements.refusal),
            ("assertion.jwt", &statements.assertion),
            ("activation.jws", &statements.activation),
            ("root.jwk.json", &statements.root_jwk),
        ];
        let enrolment = statements.enrolment.iter().flat_map(|signed| {
            [
                ("enrolment.jws", &signed.enrolment),
                ("enrolment-challenge.jws", &signed.challenge),
                ("clerk-activation.jws", &signed.activation),
            ]
        });
        let named = named
            .into_iter()
            .chain(enrolment)
            .map(|(name, content)| (name.to_owned(), content));
        let sets = statements.key_sets.iter().enumerate();
        let sets = sets.map(|(index, content)| (format!("key-set-{}.jws", index + 1), content));
        write_all(named.chain(sets), directory)
    }
}

fn write_all<'a>(
    contents: impl Iterator<Item = (String, &'a String)>,
    directory: &Path,
) -> Result<StatementsView> {
    files::create_directory(directory)?;
    let mut written = Vec::new();
    for (name, content) in contents.filter(|(_, content)| !content.is_empty()) {
        let path = directory.join(name);
        files::write_public(&path, content)?;
        written.push(path);
    }
    if written.is_empty() {
        return Err(Error::NotFound("There are no statements.".to_owned()));
    }
    Ok(StatementsView { files: written })
}

impl View for StatementsView {
    fn text(&self) -> String {
        table(
            ["written"],
            self.files.iter().map(|path| [path.display().to_string()]),
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    #[test]
    fn an_issued_activation_shows_code_and_expiry_and_keeps_the_uri_for_scripts() {
        let view = IssuedView::new(issued("paraphe:1:AAAABBBB"), String::new()).unwrap();
        let text = anstream::adapter::strip_str(&view.text()).to_string();
        assert!(text.contains("AAAA-BBBB") && text.contains("2026-11-24 08:32:03 UTC") && text.contains('█'));
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["uri"], "paraphe:1:AAAABBBB");
        assert_eq!(json["expires_at"], 1_795_509_123);
    }

    fn issued(uri: &str) -> IssueActivationResponse {
        IssueActivationResponse {
            activation_id: format!("act_{}", "a".repeat(26)),
            code: ["AAAA-BBBB", "CCCC-DDDD", "EEEE-FFFF", "GGGG"].join("-"),
            uri: uri.into(),
            expires_at: 1_795_509_123,
            suspension_code: "12345 67890".into(),
            ..Default::default()
        }
    }

    #[test]
    fn the_picture_is_whole_at_the_foot_of_a_terminal_of_eighty_by_twenty_four() {
        let root = "B".repeat(44);
        let uri = format!(
            "paraphe:1:{}:{root}:https://confirm.paraphe.example",
            "A".repeat(28)
        );
        let view = IssuedView::new(issued(&uri), "  Then:\n  paraphe phone confirm\n".to_owned()).unwrap();
        let text = anstream::adapter::strip_str(&view.text()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.iter().position(|line| line.contains('█')).unwrap();
        assert!(
            first
                > lines
                    .iter()
                    .position(|line| line.contains("phone confirm"))
                    .unwrap()
        );
        assert!(lines.len() - first < 24, "{text}");
        for line in lines.iter().filter(|line| **line != uri) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_confirmed_activation_shows_no_tries_and_no_end() {
        let text = |state: &str| {
            ActivationView::from(Activation {
                activation_id: "act_x".into(),
                state: state.into(),
                tries_left: 3,
                expires_at: 1_795_509_123,
                ..Default::default()
            })
            .text()
        };
        let open = text("awaiting_code");
        assert!(open.contains("tries left") && open.contains("until"), "{open}");
        let confirmed = text("confirmed");
        assert!(
            !confirmed.contains("tries left") && !confirmed.contains("until"),
            "{confirmed}"
        );
    }

    #[test]
    fn statements_are_written_as_they_came_and_empty_ones_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let statements = Statements {
            challenge: "a.b.c".into(),
            key_sets: vec!["k.1.x".into(), "k.2.x".into()],
            ..Statements::default()
        };
        let view = StatementsView::write(&statements, directory.path()).unwrap();
        assert_eq!(view.files.len(), 3);
        assert_eq!(
            std::fs::read_to_string(directory.path().join("challenge.jws")).unwrap(),
            "a.b.c"
        );
        assert_eq!(
            std::fs::read_to_string(directory.path().join("key-set-2.jws")).unwrap(),
            "k.2.x"
        );
        assert!(!directory.path().join("approval.jws").exists());
        assert!(StatementsView::write(&Statements::default(), directory.path()).is_err());
    }
}
