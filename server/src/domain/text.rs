//! Plain text that a person can be shown: what is on the screen is all there is.
//!
//! The action catalogue parses its templates and every text parameter of a backend with it, and what it renders goes
//! through it once more; [`super::identity`] parses names with it. Invariant: a [`PlainText`] is NFC, on one line, and
//! holds no character that is invisible, reorders its neighbours or means something else to another reader.
//! Protocol, section 6, step 2.

#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The longest run of combining marks on one letter. No living orthography needs more.
pub const MOST_MARKS: usize = 4;

/// Text without control, format, bidirectional, invisible, private or unassigned characters, in NFC, on one line,
/// without space at either end and not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlainText(String);

/// Why a character is refused wherever it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// General category Cc, e.g. a newline or a tabulator.
    Control,
    /// General category Cf: bidirectional controls, zero-width characters, soft hyphens, tags.
    Format,
    /// General categories Zl and Zp.
    LineSeparator,
    /// A space other than U+0020, U+00A0 and U+202F.
    Space,
    /// Assigned, of a visible category, and yet blank: fillers, variation selectors, the braille blank.
    Invisible,
    /// General category Co: every font shows something else.
    PrivateUse,
    /// General category Cn: not a character (yet).
    Unassigned,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Control => "a control character",
            Refused::Format => "an invisible formatting character",
            Refused::LineSeparator => "a line or paragraph separator",
            Refused::Space => "an unusual space; U+0020, U+00A0 and U+202F are allowed",
            Refused::Invisible => "an invisible character",
            Refused::PrivateUse => "a private-use character",
            Refused::Unassigned => "not an assigned character",
        })
    }
}

/// Why a text is not [`PlainText`]. Positions count characters (Unicode scalar values) from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing at all.
    #[error("the text is empty")]
    Empty,
    /// Longer than the place it is for.
    #[error("the text has {found} characters; at most {max_chars} are allowed")]
    TooLong {
        /// The limit that was given.
        max_chars: usize,
        /// How many there are.
        found: usize,
    },
    /// A character that is refused wherever it stands.
    #[error("character {position} is U+{:04X}, {why}: remove it", u32::from(*.character))]
    Character {
        /// The character.
        character: char,
        /// From 1.
        position: usize,
        /// Its kind.
        why: Refused,
    },
    /// A combining mark with nothing before it to stand on: it would alter what precedes the text.
    #[error("the text begins with U+{:04X}, a combining mark: put a letter before it", u32::from(*.character))]
    LooseMark {
        /// The mark.
        character: char,
    },
    /// More than [`MOST_MARKS`] combining marks in a row.
    #[error("character {position} is U+{:04X}, combining mark number {} in a row; at most {MOST_MARKS} are allowed", u32::from(*.character), MOST_MARKS + 1)]
    MarkFlood {
        /// The first mark too many.
        character: char,
        /// From 1.
        position: usize,
    },
    /// A space at the beginning or the end.
    #[error("character {position} is U+{:04X}, a space at an end of the text: remove it", u32::from(*.character))]
    EdgeSpace {
        /// The space.
        character: char,
        /// From 1.
        position: usize,
    },
    /// Not in Unicode normalisation form C: two spellings of one text would be two texts.
    #[error("character {position} is U+{:04X}, which is not in Unicode normalisation form C: normalise the text (NFC)", u32::from(*.character))]
    NotNfc {
        /// The first character that NFC would write otherwise.
        character: char,
        /// From 1.
        position: usize,
    },
}

impl TextError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            TextError::Empty => "text.empty",
            TextError::TooLong { .. } => "text.too_long",
            TextError::Character { .. } => "text.character",
            TextError::LooseMark { .. } | TextError::MarkFlood { .. } => "text.combining_marks",
            TextError::EdgeSpace { .. } => "text.edge_space",
            TextError::NotNfc { .. } => "text.not_nfc",
        }
    }
}

impl PlainText {
    /// Takes `text` as it is, or says what is wrong with it; nothing is repaired.
    ///
    /// # Errors
    /// The first thing that is wrong: empty, longer than `max_chars` characters, a refused character, loose or piled-up
    /// combining marks, a space at an end, not NFC (UAX #15).
    pub fn parse(text: &str, max_chars: usize) -> Result<PlainText, TextError> {
        let found = text.chars().count();
        if found > max_chars {
            return Err(TextError::TooLong { max_chars, found });
        }
        refuse_edges(text)?;
        refuse_characters(text)?;
        refuse_other_forms(text)?;
        Ok(PlainText(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for PlainText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn refuse_edges(text: &str) -> Result<(), TextError> {
    let first = text.chars().next().ok_or(TextError::Empty)?;
    if is_space(first) {
        return Err(TextError::EdgeSpace {
            character: first,
            position: 1,
        });
    }
    if is_mark(first) {
        return Err(TextError::LooseMark { character: first });
    }
    match text.chars().next_back() {
        Some(last) if is_space(last) => Err(TextError::EdgeSpace {
            character: last,
            position: text.chars().count(),
        }),
        _ => Ok(()),
    }
}

fn refuse_characters(text: &str) -> Result<(), TextError> {
    let mut marks = 0;
    for (position, character) in (1..).zip(text.chars()) {
        if let Some(why) = refused(character) {
            return Err(TextError::Character {
                character,
                position,
                why,
            });
        }
        marks = if is_mark(character) { marks + 1 } else { 0 };
        if marks > MOST_MARKS {
            return Err(TextError::MarkFlood { character, position });
        }
    }
    Ok(())
}

fn refuse_other_forms(text: &str) -> Result<(), TextError> {
    if is_nfc(text) {
        return Ok(());
    }
    let position = text
        .chars()
        .zip(text.nfc())
        .take_while(|(is, should)| is == should)
        .count();
    let character = text.chars().nth(position).unwrap_or(char::REPLACEMENT_CHARACTER);
    Err(TextError::NotNfc {
        character,
        position: position + 1,
    })
}

fn refused(character: char) -> Option<Refused> {
    match character.general_category() {
        GeneralCategory::Control => Some(Refused::Control),
        GeneralCategory::Format => Some(Refused::Format),
        GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => Some(Refused::LineSeparator),
        GeneralCategory::PrivateUse => Some(Refused::PrivateUse),
        GeneralCategory::Unassigned | GeneralCategory::Surrogate => Some(Refused::Unassigned),
        GeneralCategory::SpaceSeparator if !is_space(character) => Some(Refused::Space),
        _ if is_blank(character) => Some(Refused::Invisible),
        _ => None,
    }
}

/// The spaces that European typography needs: space, no-break space, narrow no-break space.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\u{a0}' | '\u{202f}')
}

fn is_mark(character: char) -> bool {
    matches!(
        character.general_category(),
        GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark | GeneralCategory::EnclosingMark
    )
}

/// The Default_Ignorable_Code_Points (DerivedCoreProperties.txt) that are neither Cf nor unassigned, the braille blank,
/// and the two that stand for something that is not there.
fn is_blank(character: char) -> bool {
    matches!(
        character,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180d}'
            | '\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{fffc}'..='\u{fffd}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}
