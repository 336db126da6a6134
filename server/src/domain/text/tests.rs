//! What may be shown and what may not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::prelude::*;

use super::*;

fn why(text: &str) -> TextError {
    PlainText::parse(text, 100).expect_err("refused")
}

#[test]
fn ordinary_text_is_taken_as_it_is() {
    for text in [
        "Rust pour l’embarqué",
        "1\u{202f}499,00\u{a0}€",
        "Żółć & Łódź",
        "日本語 – 第1課",
        "{ $price } ${HOME} %s <b>",
        "नमस्ते",
        "a",
    ] {
        assert_eq!(PlainText::parse(text, 100).unwrap().as_str(), text);
    }
}

#[test]
fn the_error_names_the_character_and_where_it_stands() {
    let refusal = why("ab\u{202e}c");
    assert_eq!(
        refusal,
        TextError::Character {
            character: '\u{202e}',
            position: 3,
            why: Refused::Format
        }
    );
    assert_eq!(
        refusal.to_string(),
        "character 3 is U+202E, an invisible formatting character: remove it"
    );
    assert_eq!(refusal.code(), "text.character");
}

#[test]
fn each_kind_of_refused_character_is_told_apart() {
    let kinds = [
        ("a\nb", Refused::Control),
        ("a\u{0}b", Refused::Control),
        ("a\u{85}b", Refused::Control),
        ("a\u{200b}b", Refused::Format),
        ("a\u{2066}b", Refused::Format),
        ("a\u{feff}b", Refused::Format),
        ("a\u{ad}b", Refused::Format),
        ("a\u{e0041}b", Refused::Format),
        ("a\u{2028}b", Refused::LineSeparator),
        ("a\u{2029}b", Refused::LineSeparator),
        ("a\u{2003}b", Refused::Space),
        ("a\u{3164}b", Refused::Invisible),
        ("a\u{fe0f}b", Refused::Invisible),
        ("a\u{e000}b", Refused::PrivateUse),
        ("a\u{ffff}b", Refused::Unassigned),
        ("a\u{378}b", Refused::Unassigned),
    ];
    for (text, expected) in kinds {
        let TextError::Character { position: 2, why, .. } = why(text) else {
            panic!("{text:?} is refused for another reason")
        };
        assert_eq!(why, expected, "{text:?}");
    }
}

#[test]
fn length_is_counted_in_characters() {
    assert!(PlainText::parse("ééé", 3).is_ok());
    assert_eq!(
        PlainText::parse("éééé", 3),
        Err(TextError::TooLong {
            max_chars: 3,
            found: 4
        })
    );
}

#[test]
fn empty_text_and_space_at_an_end_are_refused() {
    assert_eq!(why(""), TextError::Empty);
    assert_eq!(
        why(" a"),
        TextError::EdgeSpace {
            character: ' ',
            position: 1
        }
    );
    assert_eq!(
        why("ab\u{a0}"),
        TextError::EdgeSpace {
            character: '\u{a0}',
            position: 3
        }
    );
}

#[test]
fn marks_do_not_pile_up_or_hang_over_the_edge() {
    let marks = |count: usize| format!("x{}", "\u{327}".repeat(count));
    assert!(PlainText::parse(&marks(MOST_MARKS), 100).is_ok());
    assert_eq!(
        why(&marks(MOST_MARKS + 1)),
        TextError::MarkFlood {
            character: '\u{327}',
            position: 6
        }
    );
    assert_eq!(why("\u{301}a"), TextError::LooseMark { character: '\u{301}' });
}

#[test]
fn another_normalisation_form_is_refused_where_it_begins() {
    assert_eq!(
        why("cafe\u{301}"),
        TextError::NotNfc {
            character: 'e',
            position: 4
        }
    );
    assert_eq!(
        why("1 \u{212b}"),
        TextError::NotNfc {
            character: '\u{212b}',
            position: 3
        }
    );
}

proptest! {
    #[test]
    fn what_is_taken_is_visible_and_stable(text in any::<String>()) {
        if let Ok(plain) = PlainText::parse(&text, 1000) {
            prop_assert_eq!(plain.as_str().nfc().collect::<String>(), text.clone());
            prop_assert_eq!(text.trim(), &text);
            prop_assert!(text.chars().all(|c| !c.is_control()));
        }
    }

    #[test]
    fn one_refused_character_anywhere_is_enough(before in "[a-z]{1,9}", after in "[a-z]{1,9}", bad in
        prop::sample::select(vec!['\u{202e}', '\u{200d}', '\n', '\u{7}', '\u{2067}', '\u{fffd}', '\u{f8ff}'])) {
        let text = format!("{before}{bad}{after}");
        let refusal = PlainText::parse(&text, 100).unwrap_err();
        let named = matches!(refusal, TextError::Character { character, position, .. }
            if character == bad && position == before.len() + 1);
        prop_assert!(named);
    }
}
