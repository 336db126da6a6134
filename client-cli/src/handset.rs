//! The software phone: the companion crate with its keystore in files, and its screen as text.
//!
//! Callers: `paraphe phone`, `paraphe load`, the demo. Invariant: a screen is drawn from a verified challenge only, and shows its document,
//! who asks and nothing else. Protocol: section 6, step 4.

use std::path::Path;
use std::sync::Arc;

use paraphe_companion::{Activation, KeyStore, Phone, Server, Shown, SoftwareKeyStore};
use paraphe_proto::statements::ENROL_ACTION;
use rand_core::RngCore as _;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::output::{boxed, time_text};
use crate::{channel, edge};

const PLATFORM: &str = concat!("paraphe-cli-", env!("CARGO_PKG_VERSION"));
const SCREEN_WIDTH: u16 = 60;

/// The keystore of the phone in `directory`.
///
/// # Errors
/// When others may read it, or it cannot be made.
pub fn keystore(directory: &Path) -> Result<Arc<dyn KeyStore>> {
    Ok(Arc::new(SoftwareKeyStore::open(
        directory.join("keystore"),
        PLATFORM,
    )?))
}

/// The activated phone in `directory`.
///
/// # Errors
/// [`Error::Forbidden`] `phone.not_activated` when there is none.
pub fn open(directory: &Path) -> Result<Phone> {
    let not_activated = || Error::Forbidden {
        code: "phone.not_activated",
        message: format!(
            "There is no activated phone in {}. Run `paraphe phone activate` first.",
            directory.display()
        ),
    };
    if !directory.exists() {
        return Err(not_activated());
    }
    Phone::open(directory, keystore(directory)?)?.ok_or_else(not_activated)
}

/// A phone's way to the daemon.
///
/// # Errors
/// As [`channel::Server::channel`].
pub async fn connect(server: &channel::Server) -> Result<Server> {
    Ok(Server::over(server.url.clone(), server.channel().await?))
}

/// The phone's screen with a challenge on it.
pub fn screen(title: &str, shown: &Shown) -> String {
    let document = shown.document();
    let widest = document
        .rows
        .iter()
        .map(|row| row.label.chars().count())
        .max()
        .unwrap_or(0);
    let frame = frame(
        &document.locale,
        &shown.relying_party().name,
        shown.match_digits().map(|digits| (digits, DigitsOn::of(shown))),
    );
    let mut lines = vec![frame.question, String::new(), document.title.clone()];
    lines.extend(
        document
            .rows
            .iter()
            .map(|row| format!("  {:<widest$}  {}", row.label, row.value)),
    );
    lines.push(String::new());
    lines.extend(buttons(frame.digits, frame.buttons));
    boxed(title, &lines, SCREEN_WIDTH)
}

/// What the app itself puts around a document, in the document's language.
struct Frame {
    question: String,
    digits: String,
    buttons: &'static str,
}

/// In one line, or in two where that does not fit the screen.
fn buttons(digits: String, buttons: &str) -> Vec<String> {
    let inner = usize::from(SCREEN_WIDTH - 4);
    match (
        digits.is_empty(),
        digits.chars().count() + 1 + buttons.chars().count(),
    ) {
        (true, _) => vec![buttons.to_owned()],
        (false, length) if length <= inner => vec![format!("{digits} {buttons}")],
        _ => vec![digits, buttons.to_owned()],
    }
}

/// Where the digits stand that are to be typed.
#[derive(Clone, Copy)]
pub enum DigitsOn {
    /// The page of a backend.
    Page,
    /// The terminal at which an operator works.
    Terminal,
    /// A phone that takes this one's place.
    NewPhone,
}

impl DigitsOn {
    /// Of a challenge that asks for them.
    pub fn of(shown: &Shown) -> Self {
        match shown.action() {
            _ if shown.replacement().is_some() => DigitsOn::NewPhone,
            "paraphe.login" | ENROL_ACTION => DigitsOn::Terminal,
            _ => DigitsOn::Page,
        }
    }

    /// In English, after "the".
    pub fn name(self) -> &'static str {
        match self {
            DigitsOn::Page => "page",
            DigitsOn::Terminal => "terminal",
            DigitsOn::NewPhone => "new phone",
        }
    }
}

fn frame(locale: &str, asked_by: &str, match_digits: Option<(u8, DigitsOn)>) -> Frame {
    if locale.starts_with("fr") {
        let code = match_digits.map_or_else(String::new, |(digits, on)| {
            let source = match on {
                DigitsOn::Page => "de la page",
                DigitsOn::Terminal => "du terminal",
                DigitsOn::NewPhone => "du nouveau téléphone",
            };
            format!("[ {digits} chiffres {source} ]")
        });
        return Frame {
            question: format!("{asked_by} vous demande de confirmer :"),
            digits: code,
            buttons: "[ PIN ]   [ Non ] [ Pas moi ]",
        };
    }
    let code = match_digits.map_or_else(String::new, |(digits, on)| {
        format!("[ {digits} digits of the {} ]", on.name())
    });
    Frame {
        question: format!("{asked_by} asks you to confirm:"),
        digits: code,
        buttons: "[ PIN ]   [ No ] [ Not me ]",
    }
}

/// The phone's screen with the six digits on it.
pub fn digits_screen(title: &str, digits: &str) -> String {
    let (left, right) = digits.split_at_checked(3).unwrap_or((digits, ""));
    let lines = [
        "For whoever enrols you, or to type on your old phone:".to_owned(),
        String::new(),
        format!("{:^1$}", format!("{left} {right}"), usize::from(SCREEN_WIDTH - 4)),
        String::new(),
    ];
    boxed(title, &lines, SCREEN_WIDTH)
}

/// When a challenge ends, for people.
pub fn ends(shown: &Shown) -> String {
    time_text(shown.expires_at())
}

/// Six random digits that the daemon's rules allow.
///
/// # Errors
/// When the rules ask for more digits.
pub fn choose_pin(activation: &Activation) -> Result<Zeroizing<String>> {
    loop {
        let pin = Zeroizing::new(format!("{:06}", edge::random().next_u32() % 1_000_000));
        match activation.check_pin(&pin) {
            Ok(()) => return Ok(pin),
            Err(_) if activation.pin_policy().min_length <= 6 => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The PIN with another last digit.
pub fn mistyped(pin: &str) -> Zeroizing<String> {
    let (start, last) = pin.split_at(pin.len().saturating_sub(1));
    let last = last.parse::<u8>().unwrap_or(0);
    Zeroizing::new(format!("{start}{}", (last + 1) % 10))
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
    fn a_phone_that_was_never_activated_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().join("missing"), directory.path().to_owned()] {
            let error = open(&path).err().unwrap();
            assert_eq!((error.code(), error.exit()), ("phone.not_activated", 5));
            assert!(error.to_string().contains("paraphe phone activate"));
        }
    }

    #[test]
    fn a_mistyped_pin_is_another_one_of_the_same_length() {
        assert_eq!(mistyped("507294").as_str(), "507295");
        assert_eq!(mistyped("507299").as_str(), "507290");
    }

    #[test]
    fn the_frame_speaks_the_language_of_the_document_and_fits_the_screen() {
        let french = frame("fr", "Paraphe", Some((8, DigitsOn::Page)));
        assert!(french.question.contains("vous demande") && french.digits.contains("8 chiffres"));
        let terminal = frame("fr", "Paraphe", Some((8, DigitsOn::Terminal)));
        assert!(terminal.digits.contains("du terminal"));
        let english = frame("en", "Paraphe", None);
        assert_eq!(english.buttons, "[ PIN ]   [ No ] [ Not me ]");
        let inner = usize::from(SCREEN_WIDTH - 4);
        for on in [DigitsOn::Page, DigitsOn::Terminal, DigitsOn::NewPhone] {
            let frame = frame("fr", "Paraphe", Some((8, on)));
            let lines = buttons(frame.digits, frame.buttons);
            assert!(
                lines.iter().all(|line| line.chars().count() <= inner),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn six_digits_are_read_in_two_groups() {
        let text = digits_screen("Phone", "482913");
        assert!(
            text.contains("482 913") && text.lines().all(|line| line.chars().count() == 60),
            "{text}"
        );
    }
}
