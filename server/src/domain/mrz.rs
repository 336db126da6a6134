//! The machine-readable zone of a travel document, read strictly.
//!
//! Called when a clerk records evidence. The crate `mrz` parses and checks (docs/decisions.md, "MRZ"); this module adds
//! what a register needs and a scanner does not: every check digit must be there and agree, every character must be of
//! the kind its place allows, dates must exist, and nothing is repaired or guessed (an `O` is never a `0`). Invariant: an
//! [`MrzDocument`] comes from a zone in which all of that holds. Protocol, section 5; ICAO Doc 9303, parts 3 to 6.

mod dates;
mod layout;
#[cfg(test)]
mod tests;

use std::fmt;

use mrz::MrzData;
use thiserror::Error;
use time::Date;

use layout::Layout;

/// The sizes of travel documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Identity card, three lines of 30 characters (Doc 9303-5).
    Td1,
    /// Two lines of 36 characters (Doc 9303-6).
    Td2,
    /// Passport, two lines of 44 characters (Doc 9303-4).
    Td3,
}

impl Format {
    /// `TD1`, `TD2` or `TD3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Td1 => "TD1",
            Format::Td2 => "TD2",
            Format::Td3 => "TD3",
        }
    }
}

/// Sex as the document states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// `F`
    Female,
    /// `M`
    Male,
    /// `<` in the zone, `X` in the visual part (Doc 9303-4, note p).
    Unspecified,
}

impl Sex {
    /// `F`, `M` or `X`.
    pub fn as_str(self) -> &'static str {
        match self {
            Sex::Female => "F",
            Sex::Male => "M",
            Sex::Unspecified => "X",
        }
    }
}

/// What the zone says. Names are in capitals A to Z, their parts separated by one space.
#[derive(Clone, PartialEq, Eq)]
pub struct MrzDocument {
    /// Size of the document.
    pub format: Format,
    /// Document code, one or two characters, e.g. `P` or `ID`.
    pub code: String,
    /// Issuing state or organisation, one to three letters (Doc 9303-3, section 5), e.g. `FRA`, `D`.
    pub issuing_state: String,
    /// Document number, whole even where it is longer than its field (TD1 and TD2), without trailing fillers.
    pub number: String,
    /// Primary identifier.
    pub family_name: String,
    /// Secondary identifier; empty when the document has none.
    pub given_names: String,
    /// `YYYY-MM-DD`; `00` for a day, or a month and a day, that the document leaves open. Never after the day of reading:
    /// two digits of a year mean its latest possible century, so a holder of 100 years and more is read as a child.
    pub birth_date: String,
    /// Sex.
    pub sex: Sex,
    /// Nationality, one to three letters.
    pub nationality: String,
    /// `YYYY-MM-DD`, within fifty years of the day of reading.
    pub expiry_date: String,
    /// Optional data without trailing fillers; the two elements of TD1 separated by a space. Empty when there is none.
    pub optional: String,
}

/// Says only what kind of document it is: the rest is about a person and stays out of logs.
impl fmt::Debug for MrzDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MrzDocument")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// The fields of a zone that an error can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Document code.
    DocumentCode,
    /// Issuing state.
    IssuingState,
    /// Primary and secondary identifier.
    Name,
    /// Document number.
    DocumentNumber,
    /// Nationality.
    Nationality,
    /// Date of birth.
    BirthDate,
    /// Sex.
    Sex,
    /// Date of expiry.
    ExpiryDate,
    /// Optional data; on a passport the personal number.
    OptionalData,
    /// Everything that the composite check digit covers.
    Composite,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::DocumentCode => "document code",
            Field::IssuingState => "issuing state",
            Field::Name => "name",
            Field::DocumentNumber => "document number",
            Field::Nationality => "nationality",
            Field::BirthDate => "birth date",
            Field::Sex => "sex",
            Field::ExpiryDate => "expiry date",
            Field::OptionalData => "optional data",
            Field::Composite => "whole zone",
        })
    }
}

/// Why a zone is refused. Lines and positions count from 1. The text of an error may hold a character of the document.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MrzError {
    /// Not the lines of TD1, TD2 or TD3.
    #[error(
        "the lines have {found:?} characters; expected 3 lines of 30 (TD1), 2 of 36 (TD2) or 2 of 44 (TD3)"
    )]
    Length {
        /// Characters per line that is not blank.
        found: Vec<usize>,
    },
    /// A character that cannot stand where it stands.
    #[error("line {line}, character {position} ({field}): found {found:?}, expected {expected}")]
    Character {
        /// The field.
        field: Field,
        /// From 1.
        line: usize,
        /// From 1, within the line.
        position: usize,
        /// The character, upper case.
        found: char,
        /// What is allowed there.
        expected: &'static str,
    },
    /// A check digit that does not agree with its field (Doc 9303-3, section 4.9).
    #[error(
        "line {line}, character {position}: the check digit of the {field} is {found:?}, but what was typed asks for {expected}: compare the {field} with the document"
    )]
    CheckDigit {
        /// The field that the digit covers.
        field: Field,
        /// Line of the check digit, from 1.
        line: usize,
        /// Its position, from 1.
        position: usize,
        /// The digit that was typed.
        found: char,
        /// The digit that the field as typed would have.
        expected: u32,
    },
    /// A document code that this size does not have.
    #[error("line 1: the document code is {found:?}, expected {expected}")]
    DocumentCode {
        /// The two characters.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A date that does not exist or cannot be placed.
    #[error("line {line} ({field}): found {found:?}, expected {expected}")]
    Date {
        /// Birth or expiry date.
        field: Field,
        /// From 1.
        line: usize,
        /// The six characters.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A name or a code that is not laid out as Doc 9303-3, sections 4.6 and 5, says.
    #[error("line {line} ({field}): expected {expected}")]
    Layout {
        /// The field.
        field: Field,
        /// From 1.
        line: usize,
        /// What is allowed.
        expected: &'static str,
    },
}

impl MrzError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            MrzError::Length { .. } => "mrz.length",
            MrzError::Character { .. } => "mrz.character",
            MrzError::CheckDigit { .. } => "mrz.check_digit",
            MrzError::DocumentCode { .. } => "mrz.document_code",
            MrzError::Date { .. } => "mrz.date",
            MrzError::Layout { .. } => "mrz.layout",
        }
    }
}

/// Reads a zone as it is typed or scanned: lower case and white space around lines are accepted, nothing else is mended.
/// `today` decides the centuries.
///
/// # Errors
/// The first thing that is wrong, by field and line: lengths, then characters, then check digits, then dates and names.
pub fn parse(zone: &str, today: Date) -> Result<MrzDocument, MrzError> {
    let lines: Vec<String> = zone
        .lines()
        .map(|line| line.trim().to_ascii_uppercase())
        .filter(|line| !line.is_empty())
        .collect();
    let layout = Layout::of(&lines)?;
    layout.refuse_characters(&lines)?;
    let data = parsed(layout, &lines)?;
    layout.refuse_check_digits(&lines, &data)?;
    let (family_name, given_names) = layout.names(&lines)?;
    Ok(MrzDocument {
        format: layout.format,
        code: data.document_type.clone(),
        issuing_state: layout.state(&lines, Field::IssuingState)?,
        number: data
            .document_number_full
            .as_ref()
            .unwrap_or(&data.document_number)
            .clone(),
        family_name,
        given_names,
        birth_date: dates::birth(layout.only(&lines, Field::BirthDate), today)?,
        sex: sex(&data),
        nationality: layout.state(&lines, Field::Nationality)?,
        expiry_date: dates::expiry(layout.only(&lines, Field::ExpiryDate), today)?,
        optional: optional(&data),
    })
}

/// Lets the crate parse lines whose lengths and characters are known to be right.
fn parsed(layout: &Layout, lines: &[String]) -> Result<MrzData, MrzError> {
    let data = match (layout.format, lines) {
        (Format::Td1, [one, two, three]) => mrz::parse_td1(one, two, three),
        (Format::Td2, [one, two]) => mrz::parse_td2(one, two),
        (Format::Td3, [one, two]) => mrz::parse_td3(one, two),
        _ => {
            return Err(MrzError::Length {
                found: lines.iter().map(String::len).collect(),
            });
        }
    };
    data.map_err(|error| match error {
        mrz::MrzError::BadDocumentCode(found) => MrzError::DocumentCode {
            found,
            expected: layout.document_codes,
        },
        _ => MrzError::Layout {
            field: Field::DocumentNumber,
            line: layout.line_of(Field::DocumentNumber),
            expected: "a document number that begins with a letter or a digit",
        },
    })
}

fn sex(data: &MrzData) -> Sex {
    match data.sex {
        mrz::Sex::Female => Sex::Female,
        mrz::Sex::Male => Sex::Male,
        _ => Sex::Unspecified,
    }
}

fn optional(data: &MrzData) -> String {
    let parts = [data.optional_data_1.as_deref(), data.optional_data_2.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
