//! A challenge that may be shown to the person.
//!
//! Called by `phone` and `watch`. Invariant: a [`Shown`] is made by verification only: signed by an active challenge key of
//! the issuer, meant for this device, and made of plain text. What the screen shows is read from the signed bytes.
//! The protocol: section 6, step 4.

use std::sync::Arc;

use paraphe_proto::challenge::device_handle;
use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::jws::Verified;
use paraphe_proto::pin::PinPolicy;
use paraphe_proto::statements::{Challenge, Display, Enrolled, MatchMode, RelyingParty, Replacement};
use paraphe_proto::time::Timestamp;

use crate::error::Error;
use crate::own::require_own;
use crate::trust::IssuerKeys;

/// Fewest and most digits of a match code.
const MATCH_DIGITS: std::ops::RangeInclusive<u8> = 2..=8;

/// A verified challenge; cloning it is cheap. Show [`Shown::document`] and who asks, and nothing else.
#[derive(Clone, Debug)]
pub struct Shown {
    challenge: Arc<Verified<Challenge>>,
    match_digits: Option<u8>,
}

impl Shown {
    /// Verifies a challenge for one device.
    ///
    /// # Errors
    /// [`Error::Untrusted`]: `statement.…` when the signature, the key, the issuer or the form is wrong,
    /// `challenge.other_device` when it is meant for another phone, `challenge.malformed` when its times or its match
    /// rule make no sense, `challenge.display` when its texts hold characters that could mislead.
    pub fn verify(keys: &IssuerKeys, device_id: &DeviceId, compact: &str) -> Result<Self, Error> {
        let challenge: Verified<Challenge> = keys.verify(compact)?;
        let claims = challenge.claims();
        if *claims.device_handle.as_bytes() != device_handle(device_id, &claims.challenge_id) {
            let detail = "the challenge is meant for another phone";
            return Err(Error::untrusted("challenge.other_device", detail));
        }
        if claims.exp <= claims.iat {
            let detail = "the challenge ends before it begins";
            return Err(Error::untrusted("challenge.malformed", detail));
        }
        if !texts(claims).all(is_plain) {
            let detail = "the document holds control, bidirectional or invisible characters";
            return Err(Error::untrusted("challenge.display", detail));
        }
        require_own(claims)?;
        let match_digits = match_digits(claims)?;
        Ok(Self {
            challenge: Arc::new(challenge),
            match_digits,
        })
    }

    /// The challenge's id.
    #[must_use]
    pub fn challenge_id(&self) -> ChallengeId {
        self.claims().challenge_id
    }

    /// Who asks: the registered id and the name to show.
    #[must_use]
    pub fn relying_party(&self) -> &RelyingParty {
        &self.claims().relying_party
    }

    /// The action's id in the daemon's catalogue, such as `course.buy`. Not for the screen.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.claims().action
    }

    /// The document to show: locale, title, rows in order.
    #[must_use]
    pub fn document(&self) -> &Display {
        &self.claims().display
    }

    /// Digits of the code on the relying party's page that the person must type; `None` when none is asked for.
    #[must_use]
    pub fn match_digits(&self) -> Option<u8> {
        self.match_digits
    }

    /// When it ends, by the daemon's clock. For a countdown only: the daemon decides.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.claims().exp
    }

    /// What a clerk is asked to stand for with a signature of its own; `None` for everybody else. The document says it in words.
    #[must_use]
    pub fn enrolment(&self) -> Option<&Enrolled> {
        self.claims().enrolment.as_ref()
    }

    /// The phone that would take the place of this one, where that is the question; `None` otherwise.
    #[must_use]
    pub fn replacement(&self) -> Option<&Replacement> {
        self.claims().replacement.as_ref()
    }

    /// Rules for the new PIN where a PIN change is asked for.
    pub(crate) fn new_pin_policy(&self) -> Option<&PinPolicy> {
        self.claims().new_pin_policy.as_ref()
    }

    /// The compact JWS that all of this was read from.
    #[must_use]
    pub fn compact(&self) -> &str {
        self.challenge.compact()
    }

    /// SHA-256 of the compact JWS: what an answer signs.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.challenge.sha256()
    }

    /// The code as it goes into the approval: without spaces, of the right length; empty when none is asked for.
    pub(crate) fn match_code(&self, typed: Option<&str>) -> Result<String, Error> {
        let typed = typed.unwrap_or_default();
        let code: String = typed
            .chars()
            .filter(|character| !character.is_whitespace())
            .collect();
        match self.match_digits {
            None if code.is_empty() => Ok(code),
            None => Err(Error::invalid(
                "match_code.not_asked",
                "no code is asked for here; type none",
            )),
            Some(_) if code.is_empty() => Err(Error::invalid(
                "match_code.missing",
                "type the code that the page shows",
            )),
            Some(digits) if is_code(&code, digits) => Ok(code),
            Some(digits) => Err(Error::invalid(
                "match_code.malformed",
                format!("the page shows a code of {digits} digits"),
            )),
        }
    }

    fn claims(&self) -> &Challenge {
        self.challenge.claims()
    }
}

fn is_code(code: &str, digits: u8) -> bool {
    code.len() == usize::from(digits) && code.bytes().all(|byte| byte.is_ascii_digit())
}

fn match_digits(claims: &Challenge) -> Result<Option<u8>, Error> {
    let rule = claims.match_rule;
    match rule.mode {
        MatchMode::None if rule.digits == 0 => Ok(None),
        MatchMode::EnterCode if MATCH_DIGITS.contains(&rule.digits) => Ok(Some(rule.digits)),
        _ => Err(Error::untrusted(
            "challenge.malformed",
            "the match rule makes no sense",
        )),
    }
}

fn texts(claims: &Challenge) -> impl Iterator<Item = &str> {
    let display = &claims.display;
    let rows = display.rows.iter().flat_map(|row| [&row.label, &row.value]);
    [&claims.relying_party.name, &display.title]
        .into_iter()
        .chain(rows)
        .map(String::as_str)
}

/// Whether a text shows as it reads: no control character (which also keeps escapes off a terminal), nothing that turns
/// the direction of writing (UAX #9), nothing of zero width.
fn is_plain(text: &str) -> bool {
    !text.chars().any(|character| {
        character.is_control()
            || matches!(character,
                '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
    })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use paraphe_proto::jws;
    use paraphe_proto::statements::{
        ENROL_ACTION, ENROL_RELYING_PARTY, KeyState, KeyUse, MatchRule, Refusal, RefusalDecision,
    };

    use super::*;
    use crate::testing::{Issuer, challenge, key, key_set, rng};

    fn verify(change: impl FnOnce(&mut Challenge)) -> Result<Shown, Error> {
        let (issuer, device_id) = (Issuer::new(), DeviceId::random(&mut rng()));
        let mut claims = challenge(&device_id);
        change(&mut claims);
        Shown::verify(&issuer.keys(), &device_id, &issuer.sign(&claims))
    }

    fn code(change: impl FnOnce(&mut Challenge)) -> String {
        verify(change).unwrap_err().code().to_owned()
    }

    #[test]
    fn a_good_challenge_shows_what_was_signed() {
        let shown = verify(|_| {}).unwrap();
        assert_eq!(shown.relying_party().name, "Course Market");
        assert_eq!(shown.document().rows[0].value, "1\u{202f}499,00\u{a0}€");
        assert_eq!(shown.match_digits(), Some(6));
    }

    #[test]
    fn a_challenge_for_another_phone_issuer_or_time_is_refused() {
        assert_eq!(
            code(|claims| claims.device_handle.0[31] ^= 1),
            "challenge.other_device"
        );
        let other = |claims: &mut Challenge| claims.challenge_id = ChallengeId::random(&mut rng());
        assert_eq!(code(other), "challenge.other_device");
        assert_eq!(
            code(|claims| claims.iss = "https://evil.example".to_owned()),
            "statement.issuer"
        );
        assert_eq!(code(|claims| claims.exp = claims.iat), "challenge.malformed");
    }

    #[test]
    fn only_a_challenge_by_an_active_challenge_key_is_shown() {
        let (issuer, device_id) = (Issuer::new(), DeviceId::random(&mut rng()));
        let claims = challenge(&device_id);
        for (key_use, state, shows) in [
            (KeyUse::Challenge, KeyState::Active, true),
            (KeyUse::Challenge, KeyState::Next, false),
            (KeyUse::Challenge, KeyState::Retired, false),
            (KeyUse::Assertion, KeyState::Active, false),
        ] {
            let other = key();
            let entries = [
                (&issuer.key, KeyUse::Challenge, KeyState::Active),
                (&other, key_use, state),
            ];
            let keys = issuer
                .keys()
                .extended(vec![key_set(2, &entries, &issuer.key)])
                .unwrap();
            let compact = jws::sign(&claims, &other).unwrap().into_compact();
            let shown = Shown::verify(&keys, &device_id, &compact);
            assert_eq!(
                shown.as_ref().map(|_| ()).map_err(Error::code),
                if shows { Ok(()) } else { Err("statement.key") }
            );
        }
    }

    #[test]
    fn another_statement_of_the_issuer_is_no_challenge() {
        let issuer = Issuer::new();
        let refusal = Refusal {
            iss: crate::testing::ISS.to_owned(),
            challenge_sha256: [1; 32].into(),
            decision: RefusalDecision::Deny,
            device_id: DeviceId::random(&mut rng()),
            epoch: 1,
        };
        let refused = Shown::verify(&issuer.keys(), &refusal.device_id, &issuer.sign(&refusal));
        assert_eq!(refused.unwrap_err().code(), "statement.type");
    }

    #[test]
    fn a_text_that_could_mislead_is_refused_wherever_it_stands() {
        for bad in [
            "a\nb",
            "\u{1b}[2J",
            "\u{202e}001",
            "1\u{200b}0",
            "\u{2067}x",
            "\u{feff}",
            "a\u{85}b",
        ] {
            assert_eq!(
                code(|claims| claims.relying_party.name = bad.to_owned()),
                "challenge.display"
            );
            assert_eq!(
                code(|claims| claims.display.title = bad.to_owned()),
                "challenge.display"
            );
            assert_eq!(
                code(|claims| claims.display.rows[0].label = bad.to_owned()),
                "challenge.display"
            );
            assert_eq!(
                code(|claims| claims.display.rows[0].value = bad.to_owned()),
                "challenge.display"
            );
        }
    }

    #[test]
    fn an_enrolment_is_signed_for_the_daemons_own_desk_alone() {
        let ask = |claims: &mut Challenge| {
            claims.enrolment = Some(Enrolled {
                operator_id: paraphe_proto::ids::OperatorId::from_bytes([1; 16]),
                activation_id: paraphe_proto::ids::ActivationId::from_bytes([2; 16]),
                person_sha256: [3; 32].into(),
                evidence_sha256: [4; 32].into(),
                channel: "counter".into(),
                acr: "eidas2".into(),
            });
        };
        assert_eq!(code(ask), "challenge.malformed", "a shop asks");
        let desk = |claims: &mut Challenge| {
            ask(claims);
            claims.relying_party.id = ENROL_RELYING_PARTY.parse().unwrap();
        };
        assert_eq!(code(desk), "challenge.malformed", "the desk shows something else");
        let right = |claims: &mut Challenge| {
            desk(claims);
            claims.action = ENROL_ACTION.to_owned();
        };
        assert!(verify(right).unwrap().enrolment().is_some());
    }

    #[test]
    fn a_match_rule_that_makes_no_sense_is_refused() {
        for (mode, digits) in [
            (MatchMode::None, 6),
            (MatchMode::EnterCode, 1),
            (MatchMode::EnterCode, 9),
        ] {
            assert_eq!(
                code(|claims| claims.match_rule = MatchRule { mode, digits }),
                "challenge.malformed"
            );
        }
    }

    #[test]
    fn a_code_is_asked_for_exactly_when_the_challenge_says_so() {
        let asked = verify(|_| {}).unwrap();
        assert_eq!(asked.match_code(Some("482 913")).unwrap(), "482913");
        for (typed, code) in [
            (None, "match_code.missing"),
            (Some(" "), "match_code.missing"),
            (Some("48291"), "match_code.malformed"),
            (Some("48291x"), "match_code.malformed"),
            (Some("٤٨٢٩١٣"), "match_code.malformed"),
        ] {
            assert_eq!(asked.match_code(typed).unwrap_err().code(), code);
        }
        let rule = MatchRule {
            mode: MatchMode::None,
            digits: 0,
        };
        let unasked = verify(|claims| claims.match_rule = rule).unwrap();
        assert_eq!(unasked.match_code(None).unwrap(), "");
        assert_eq!(
            unasked.match_code(Some("482913")).unwrap_err().code(),
            "match_code.not_asked"
        );
    }
}
