//! Who somebody is in civil life, and the one spelling under which they are looked up.
//!
//! Called when a backend names a person and when evidence is recorded; the caller hashes [`PivotIdentity::lookup_text`]
//! with the lookup key. Invariant: a [`PivotIdentity`] has names that can be written in A to Z and a birth date of the
//! calendar. Protocol, sections 2 and 5; ICAO Doc 9303-3, sections 4.6 and 6 A.

#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;
use time::{Date, Month};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::mrz::MrzDocument;
use super::text::{PlainText, TextError};

/// The longest family name, and the longest list of given names, in characters.
pub const LONGEST_NAME_CHARS: usize = 100;

/// Nobody living was born before.
const EARLIEST_BIRTH_YEAR: i32 = 1850;

/// Names, birth date and, where it is known, birthplace of one person.
#[derive(Clone, PartialEq, Eq)]
pub struct PivotIdentity {
    family_name: PlainText,
    given_names: PlainText,
    birth_date: String,
    birthplace: Option<String>,
}

/// Says nothing about the person: identities stay out of logs.
impl fmt::Debug for PivotIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PivotIdentity").finish_non_exhaustive()
    }
}

/// The two names of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `family_name`
    Family,
    /// `given_names`
    Given,
}

impl Name {
    /// The field's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Family => "family_name",
            Name::Given => "given_names",
        }
    }
}

/// Why an identity is refused. [`IdentityError::field`] names the field of the API.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Not plain text of 1 to 100 characters.
    #[error("{}: {source}", name.as_str())]
    Text {
        /// Which name.
        name: Name,
        /// What is wrong with it.
        source: TextError,
    },
    /// A character that Doc 9303-3, section 6 A, does not write in A to Z.
    #[error("{}: character {position} is U+{:04X}; names take Latin letters, spaces, hyphens, apostrophes and full stops", name.as_str(), u32::from(*.character))]
    Letter {
        /// Which name.
        name: Name,
        /// The character.
        character: char,
        /// From 1.
        position: usize,
    },
    /// A name of punctuation only.
    #[error("{}: there is no letter in it", name.as_str())]
    NoLetter {
        /// Which name.
        name: Name,
    },
    /// Not a birth date.
    #[error(
        "birth_date: expected YYYY-MM-DD from {EARLIEST_BIRTH_YEAR} on, a day that exists, with 00 for a day or a month and day that are not known"
    )]
    BirthDate,
    /// Not a commune or country code.
    #[error(
        "birthplace: expected an INSEE COG code of 5 characters such as 75056, 2A004 or 99109, or nothing"
    )]
    Birthplace,
}

impl IdentityError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            IdentityError::Text { .. } => "identity.text",
            IdentityError::Letter { .. } | IdentityError::NoLetter { .. } => "identity.letter",
            IdentityError::BirthDate => "identity.birth_date",
            IdentityError::Birthplace => "identity.birthplace",
        }
    }

    /// The field of the API that is wrong, e.g. `family_name`.
    pub fn field(&self) -> &'static str {
        match self {
            IdentityError::Text { name, .. }
            | IdentityError::Letter { name, .. }
            | IdentityError::NoLetter { name } => name.as_str(),
            IdentityError::BirthDate => "birth_date",
            IdentityError::Birthplace => "birthplace",
        }
    }
}

impl PivotIdentity {
    /// Names as in civil life or as on a document, birth date `YYYY-MM-DD` (`00` where unknown), birthplace as INSEE COG
    /// code or empty.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(
        family_name: &str,
        given_names: &str,
        birth_date: &str,
        birthplace: &str,
    ) -> Result<PivotIdentity, IdentityError> {
        Ok(PivotIdentity {
            family_name: name(Name::Family, family_name)?,
            given_names: name(Name::Given, given_names)?,
            birth_date: birth_day(birth_date).ok_or(IdentityError::BirthDate)?,
            birthplace: cog(birthplace)?,
        })
    }

    /// The holder of a document.
    ///
    /// # Errors
    /// A document without given names, or a birthplace that is no COG code.
    pub fn of_document(document: &MrzDocument, birthplace: &str) -> Result<PivotIdentity, IdentityError> {
        PivotIdentity::parse(
            &document.family_name,
            &document.given_names,
            &document.birth_date,
            birthplace,
        )
    }

    /// The family name as it was given.
    pub fn family_name(&self) -> &str {
        self.family_name.as_str()
    }

    /// The given names as they were given.
    pub fn given_names(&self) -> &str {
        self.given_names.as_str()
    }

    /// `YYYY-MM-DD`, `00` where unknown.
    pub fn birth_date(&self) -> &str {
        &self.birth_date
    }

    /// INSEE COG code, where it is known.
    pub fn birthplace(&self) -> Option<&str> {
        self.birthplace.as_deref()
    }

    /// Whether nothing that both know about the birthplace differs. The birthplace is not on every document, so it is
    /// not part of [`PivotIdentity::lookup_text`]; ask this of what the lookup finds.
    pub fn birthplace_agrees(&self, other: &PivotIdentity) -> bool {
        match (&self.birthplace, &other.birthplace) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        }
    }

    /// `FAMILY<<GIVEN<<YYYY-MM-DD`: alike for every spelling of the same names that Doc 9303 allows, so that what a
    /// backend knows as `Müller-Le Goff, Éloïse` is found under the document's `MUELLER<LE<GOFF<<ELOISE`.
    ///
    /// A fold, not a transliteration: letters become A to Z (Doc 9303-3, section 6 A), everything between them goes
    /// (documents keep, join or drop the parts that hyphens and apostrophes make), and the alternatives that the section
    /// leaves to the issuer fall together: `AE`, `OE`, `UE`, `AA`, `NXX`, `UXX` become `A`, `O`, `U`, `A`, `N`, `U`, also
    /// in names that always had them (`Manuel`). Two people whose names fold alike and who were born on the same day
    /// share a lookup text. Changing the fold means computing every stored lookup hash again.
    pub fn lookup_text(&self) -> String {
        let fold = |name: &PlainText| fold(&letters(name.as_str()).unwrap_or_default());
        format!(
            "{}<<{}<<{}",
            fold(&self.family_name),
            fold(&self.given_names),
            self.birth_date
        )
    }
}

fn name(name: Name, text: &str) -> Result<PlainText, IdentityError> {
    let plain =
        PlainText::parse(text, LONGEST_NAME_CHARS).map_err(|source| IdentityError::Text { name, source })?;
    let written = letters(text).map_err(|at| IdentityError::Letter {
        name,
        character: text.chars().nth(at).unwrap_or(char::REPLACEMENT_CHARACTER),
        position: at + 1,
    })?;
    if written.is_empty() {
        Err(IdentityError::NoLetter { name })
    } else {
        Ok(plain)
    }
}

/// The letters of a name in A to Z, without what stands between them; or where, from 0, a character is that has none.
fn letters(text: &str) -> Result<String, usize> {
    let mut written = String::with_capacity(text.len());
    for (at, character) in text.chars().enumerate() {
        if is_separator(character) {
            continue;
        }
        for upper in character.to_uppercase() {
            write_letter(upper, &mut written).ok_or(at)?;
        }
    }
    Ok(written)
}

/// Writes one upper-case character, by the table of Doc 9303-3, section 6 A, or by dropping its marks.
fn write_letter(upper: char, written: &mut String) -> Option<()> {
    if upper.is_ascii_uppercase() {
        written.push(upper);
        return Some(());
    }
    if let Some(table) = mrz::transliterations(upper).first() {
        written.push_str(table);
        return Some(());
    }
    for part in std::iter::once(upper).nfd() {
        if part.is_ascii_uppercase() {
            written.push(part);
        } else if let Some(table) = mrz::transliterations(part).first() {
            written.push_str(table);
        } else if !is_combining_mark(part) && !is_separator(part) {
            return None;
        }
    }
    Some(())
}

/// What parts names: spaces, hyphens, apostrophes, full stops, the middle dot of Catalan.
fn is_separator(character: char) -> bool {
    matches!(
        character,
        ' ' | '\u{a0}'
            | '\u{202f}'
            | '-'
            | '\u{2010}'
            | '\u{2011}'
            | '\''
            | '\u{2019}'
            | '\u{2bc}'
            | '.'
            | '\u{b7}'
    )
}

/// Lets the alternatives of Doc 9303-3, section 6 A, fall together, from left to right.
fn fold(letters: &str) -> String {
    let mut folded = String::with_capacity(letters.len());
    let mut rest = letters;
    while let Some(letter) = rest.chars().next() {
        let before = folded.chars().next_back();
        if matches!(before, Some('N' | 'U')) && rest.starts_with("XX") {
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        rest = rest.get(1..).unwrap_or_default();
        match (before, letter) {
            (Some('A' | 'O' | 'U'), 'E') | (Some('A'), 'A') => {}
            _ => folded.push(letter),
        }
    }
    folded
}

fn birth_day(text: &str) -> Option<String> {
    let digits = |from: usize, to: usize| {
        let part = text.get(from..to)?;
        if part.bytes().all(|it| it.is_ascii_digit()) {
            part.parse::<u16>().ok()
        } else {
            None
        }
    };
    let (year, month, day) = (i32::from(digits(0, 4)?), digits(5, 7)?, digits(8, 10)?);
    let dashes = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
    let exists = match (u8::try_from(month).ok()?, u8::try_from(day).ok()?) {
        (0, day) => day == 0,
        (month, day) => Date::from_calendar_date(year, Month::try_from(month).ok()?, day.max(1)).is_ok(),
    };
    (dashes && exists && year >= EARLIEST_BIRTH_YEAR).then(|| text.to_owned())
}

fn cog(text: &str) -> Result<Option<String>, IdentityError> {
    let is_code = match text.as_bytes() {
        [] => return Ok(None),
        [b'2', b'A' | b'B', rest @ ..] | [b'0'..=b'9', b'0'..=b'9', rest @ ..] => {
            rest.len() == 3 && rest.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    if is_code {
        Ok(Some(text.to_owned()))
    } else {
        Err(IdentityError::Birthplace)
    }
}
