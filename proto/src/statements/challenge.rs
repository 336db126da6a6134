//! The challenge: what one backend asks one phone to confirm. Sections 3 and 6 of protocol.md.

use serde::{Deserialize, Serialize};

use crate::{
    encoding::B64,
    ids::{ChallengeId, RelyingPartyId},
    pin::PinPolicy,
    time::Timestamp,
    transcript::Transcript,
};

use super::{enrolment::Enrolled, replacement::Replacement};

/// Signed by a `challenge` key of the issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Issuer URL.
    pub iss: String,
    /// Name of the challenge.
    pub challenge_id: ChallengeId,
    /// Names the phone for this challenge only; see [`crate::challenge::device_handle`].
    pub device_handle: B64<32>,
    /// Who asks.
    pub relying_party: RelyingParty,
    /// Action id of the catalogue, e.g. `course.buy`.
    pub action: String,
    /// What the phone shows.
    pub display: Display,
    /// How the person ties the phone to the page.
    #[serde(rename = "match")]
    pub match_rule: MatchRule,
    /// What the approving phone signs a `paraphe-enrolment+jwt` over; only where a clerk is asked to stand for an enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolled>,
    /// Rules for the new PIN; only where a PIN change is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_pin_policy: Option<PinPolicy>,
    /// The phone that would take the place of the one that is asked; only where that is the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,
    /// Fresh random bytes.
    pub nonce: B64<32>,
    /// When it was signed.
    pub iat: Timestamp,
    /// From when on it is refused, by the daemon's clock.
    pub exp: Timestamp,
}

/// The backend as the phone names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelyingParty {
    /// Registered id.
    pub id: RelyingPartyId,
    /// Name shown.
    pub name: String,
}

/// The display document: the phone shows this and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Display {
    /// BCP 47 locale of the texts.
    pub locale: String,
    /// Headline.
    pub title: String,
    /// Rows in the order shown.
    pub rows: Vec<DisplayRow>,
}

impl Display {
    /// Digest of the document, for the assertion: SHA-256 of the transcript `paraphe/v1/display` over locale, title and, row
    /// by row, label and value.
    pub fn sha256(&self) -> [u8; 32] {
        let head = Transcript::new("paraphe/v1/display")
            .field(self.locale.as_bytes())
            .field(self.title.as_bytes());
        let add_row = |transcript: Transcript, row: &DisplayRow| {
            transcript.field(row.label.as_bytes()).field(row.value.as_bytes())
        };
        self.rows.iter().fold(head, add_row).sha256()
    }
}

/// One row of the display document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisplayRow {
    /// What the value is.
    pub label: String,
    /// The value.
    pub value: String,
}

/// Whether a code must be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchRule {
    /// Whether the person enters the code of the backend's page.
    pub mode: MatchMode,
    /// Digits of that code; 0 without one.
    pub digits: u8,
}

/// See [`MatchRule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchMode {
    /// No code.
    None,
    /// The code of the backend's page.
    EnterCode,
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
    use crate::encoding::hex;

    fn document(rows: &[[&str; 2]]) -> Display {
        let row = |[label, value]: &[&str; 2]| DisplayRow {
            label: (*label).into(),
            value: (*value).into(),
        };
        Display {
            locale: "fr".into(),
            title: "Acheter une formation".into(),
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn the_digest_is_pinned() {
        // Computed with Python's hashlib.
        let expected = "c69e12f0a047e8db50fb06a8be16f280f27832acbb00f50fcb5736868ff75c71";
        assert_eq!(hex(&document(&[["Prix", "1 499,00 EUR"]]).sha256()), expected);
    }

    #[test]
    fn the_digest_tells_every_document_apart() {
        let documents = [
            document(&[]),
            document(&[["a", "b"]]),
            document(&[["ab", ""]]),
            document(&[["a", "b"], ["c", "d"]]),
            document(&[["c", "d"], ["a", "b"]]),
            Display {
                title: "Acheter".into(),
                ..document(&[])
            },
            Display {
                locale: "en".into(),
                ..document(&[])
            },
        ];
        for (index, one) in documents.iter().enumerate() {
            for other in &documents[..index] {
                assert_ne!(one.sha256(), other.sha256());
            }
        }
    }
}
