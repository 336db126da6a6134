//! Where each field of a zone stands, which characters it may hold, and which check digit covers it.
//!
//! Called by [`super::parse`] only. The tables are Doc 9303-4 (TD3), 9303-5 (TD1) and 9303-6 (TD2), section 4.2.2.

use mrz::MrzData;

use super::{Field, Format, MrzError};

/// The characters that a run of cells may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Alphanumeric,
    Letters,
    DigitsOrFiller,
    Digit,
    Sex,
}

impl Class {
    fn allows(self, character: char) -> bool {
        match self {
            Class::Alphanumeric => matches!(character, 'A'..='Z' | '0'..='9' | '<'),
            Class::Letters => matches!(character, 'A'..='Z' | '<'),
            Class::DigitsOrFiller => matches!(character, '0'..='9' | '<'),
            Class::Digit => character.is_ascii_digit(),
            Class::Sex => matches!(character, 'F' | 'M' | '<'),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Class::Alphanumeric => "a letter A to Z, a digit or <",
            Class::Letters => "a letter A to Z or <",
            Class::DigitsOrFiller => "a digit or <",
            Class::Digit => "a digit",
            Class::Sex => "F, M or <",
        }
    }
}

/// Cells `start..end` of line `line`, from 0.
#[derive(Clone, Copy)]
struct Span {
    line: usize,
    start: usize,
    end: usize,
}

struct Cells {
    field: Field,
    class: Class,
    span: Span,
}

/// A check digit and what it covers.
struct Check {
    field: Field,
    digit: Span,
    covers: &'static [Span],
}

/// One size of document.
pub(super) struct Layout {
    pub(super) format: Format,
    pub(super) document_codes: &'static str,
    lines: usize,
    width: usize,
    cells: &'static [Cells],
    checks: &'static [Check],
}

/// The six characters of a date and where they stand.
pub(super) struct Part<'a> {
    pub(super) field: Field,
    /// From 1.
    pub(super) line: usize,
    pub(super) text: &'a str,
}

impl Layout {
    /// The layout whose lines these are.
    pub(super) fn of(lines: &[String]) -> Result<&'static Layout, MrzError> {
        let lengths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
        [&TD1, &TD2, &TD3]
            .into_iter()
            .find(|layout| lengths.len() == layout.lines && lengths.iter().all(|it| *it == layout.width))
            .ok_or(MrzError::Length { found: lengths })
    }

    /// Refuses the first character, in reading order, that cannot stand where it stands.
    pub(super) fn refuse_characters(&self, lines: &[String]) -> Result<(), MrzError> {
        for (line, text) in lines.iter().enumerate() {
            for (position, found) in text.chars().enumerate() {
                let Some(cells) = self.cells.iter().find(|it| it.span.holds(line, position)) else {
                    continue;
                };
                if !cells.class.allows(found) {
                    return Err(MrzError::Character {
                        field: cells.field,
                        line: line + 1,
                        position: position + 1,
                        found,
                        expected: cells.class.expected(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Refuses the first check digit that is missing or that `data` says is wrong.
    pub(super) fn refuse_check_digits(&self, lines: &[String], data: &MrzData) -> Result<(), MrzError> {
        for check in self.checks {
            let covered: String = check.covers.iter().map(|span| span.text(lines)).collect();
            let printed = check.digit.text(lines).chars().next().unwrap_or('<');
            let (agrees, text) = match check.field {
                Field::DocumentNumber => self.number_agrees(data, printed, &covered),
                Field::BirthDate => (data.checks.date_of_birth, covered),
                Field::ExpiryDate => (data.checks.date_of_expiry, covered),
                // A passport without a personal number may leave its check digit out (Doc 9303-4, 4.2.2.2, note).
                Field::OptionalData if printed == '<' && covered.bytes().any(|it| it != b'<') => {
                    (None, covered)
                }
                Field::OptionalData => (data.checks.personal_number, covered),
                _ => (data.checks.composite, covered),
            };
            if agrees != Some(true) {
                return Err(MrzError::CheckDigit {
                    field: check.field,
                    line: check.digit.line + 1,
                    position: check.digit.start + 1,
                    found: printed,
                    expected: mrz::check_digit(&text).unwrap_or_default(),
                });
            }
        }
        Ok(())
    }

    /// A filler in place of the check digit says that the number goes on in the optional data (Doc 9303-5, note j;
    /// 9303-6, note j); a passport number cannot.
    fn number_agrees(&self, data: &MrzData, printed: char, covered: &str) -> (Option<bool>, String) {
        match &data.document_number_full {
            _ if printed != '<' => (data.checks.document_number, covered.to_owned()),
            Some(whole) if self.format != Format::Td3 && !data.document_number_legacy_encoding => {
                (data.checks.document_number, whole.clone())
            }
            _ => (None, covered.to_owned()),
        }
    }

    /// Family name and given names. The crate would take one filler for two where there are not two; here `<<` alone
    /// separates (Doc 9303-3, section 4.6).
    pub(super) fn names(&self, lines: &[String]) -> Result<(String, String), MrzError> {
        let part = self.only(lines, Field::Name);
        let text = part.text.trim_end_matches('<');
        let (family, given) = text.split_once("<<").unwrap_or((text, ""));
        let readable = |name: &str| {
            name.split('<')
                .filter(|it| !it.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        };
        if text.is_empty() || text.starts_with('<') {
            let expected = "FAMILY<NAME<<GIVEN<NAMES, then only fillers";
            return Err(MrzError::Layout {
                field: Field::Name,
                line: part.line,
                expected,
            });
        }
        Ok((readable(family), readable(given)))
    }

    /// A code of Doc 9303-3, section 5, without fillers.
    pub(super) fn state(&self, lines: &[String], field: Field) -> Result<String, MrzError> {
        let part = self.only(lines, field);
        let code = part.text.trim_end_matches('<');
        if code.is_empty() || code.contains('<') {
            let expected = "a code of one to three letters, then only fillers";
            return Err(MrzError::Layout {
                field,
                line: part.line,
                expected,
            });
        }
        Ok(code.to_owned())
    }

    /// The text of a field that stands in one place, without its check digit.
    pub(super) fn only<'a>(&self, lines: &'a [String], field: Field) -> Part<'a> {
        let span = self.cells.iter().find(|it| it.field == field).map(|it| it.span);
        let text = span.map_or("", |span| span.text(lines));
        Part {
            field,
            line: self.line_of(field),
            text,
        }
    }

    /// The line of a field, from 1.
    pub(super) fn line_of(&self, field: Field) -> usize {
        self.cells
            .iter()
            .find(|it| it.field == field)
            .map_or(1, |it| it.span.line + 1)
    }
}

impl Span {
    fn holds(self, line: usize, position: usize) -> bool {
        self.line == line && (self.start..self.end).contains(&position)
    }

    fn text(self, lines: &[String]) -> &str {
        lines
            .get(self.line)
            .and_then(|line| line.get(self.start..self.end))
            .unwrap_or_default()
    }
}

const fn span(line: usize, start: usize, end: usize) -> Span {
    Span { line, start, end }
}

const fn cells(field: Field, class: Class, span: Span) -> Cells {
    Cells { field, class, span }
}

const fn check(field: Field, digit: Span, covers: &'static [Span]) -> Check {
    Check { field, digit, covers }
}

/// Cells of one field are listed before those of its check digit.
static TD1: Layout = Layout {
    format: Format::Td1,
    document_codes: "a code that begins with I, A or C",
    lines: 3,
    width: 30,
    cells: &[
        cells(Field::DocumentCode, Class::Letters, span(0, 0, 2)),
        cells(Field::IssuingState, Class::Letters, span(0, 2, 5)),
        cells(Field::DocumentNumber, Class::Alphanumeric, span(0, 5, 14)),
        cells(Field::DocumentNumber, Class::DigitsOrFiller, span(0, 14, 15)),
        cells(Field::OptionalData, Class::Alphanumeric, span(0, 15, 30)),
        cells(Field::BirthDate, Class::DigitsOrFiller, span(1, 0, 6)),
        cells(Field::BirthDate, Class::Digit, span(1, 6, 7)),
        cells(Field::Sex, Class::Sex, span(1, 7, 8)),
        cells(Field::ExpiryDate, Class::Digit, span(1, 8, 14)),
        cells(Field::ExpiryDate, Class::Digit, span(1, 14, 15)),
        cells(Field::Nationality, Class::Letters, span(1, 15, 18)),
        cells(Field::OptionalData, Class::Alphanumeric, span(1, 18, 29)),
        cells(Field::Composite, Class::Digit, span(1, 29, 30)),
        cells(Field::Name, Class::Letters, span(2, 0, 30)),
    ],
    checks: &[
        check(Field::DocumentNumber, span(0, 14, 15), &[span(0, 5, 14)]),
        check(Field::BirthDate, span(1, 6, 7), &[span(1, 0, 6)]),
        check(Field::ExpiryDate, span(1, 14, 15), &[span(1, 8, 14)]),
        check(
            Field::Composite,
            span(1, 29, 30),
            &[span(0, 5, 30), span(1, 0, 7), span(1, 8, 15), span(1, 18, 29)],
        ),
    ],
};

static TD2: Layout = Layout {
    format: Format::Td2,
    document_codes: "a code that begins with I, A or C",
    lines: 2,
    width: 36,
    cells: &[
        cells(Field::DocumentCode, Class::Letters, span(0, 0, 2)),
        cells(Field::IssuingState, Class::Letters, span(0, 2, 5)),
        cells(Field::Name, Class::Letters, span(0, 5, 36)),
        cells(Field::DocumentNumber, Class::Alphanumeric, span(1, 0, 9)),
        cells(Field::DocumentNumber, Class::DigitsOrFiller, span(1, 9, 10)),
        cells(Field::Nationality, Class::Letters, span(1, 10, 13)),
        cells(Field::BirthDate, Class::DigitsOrFiller, span(1, 13, 19)),
        cells(Field::BirthDate, Class::Digit, span(1, 19, 20)),
        cells(Field::Sex, Class::Sex, span(1, 20, 21)),
        cells(Field::ExpiryDate, Class::Digit, span(1, 21, 27)),
        cells(Field::ExpiryDate, Class::Digit, span(1, 27, 28)),
        cells(Field::OptionalData, Class::Alphanumeric, span(1, 28, 35)),
        cells(Field::Composite, Class::Digit, span(1, 35, 36)),
    ],
    checks: &[
        check(Field::DocumentNumber, span(1, 9, 10), &[span(1, 0, 9)]),
        check(Field::BirthDate, span(1, 19, 20), &[span(1, 13, 19)]),
        check(Field::ExpiryDate, span(1, 27, 28), &[span(1, 21, 27)]),
        check(
            Field::Composite,
            span(1, 35, 36),
            &[span(1, 0, 10), span(1, 13, 20), span(1, 21, 35)],
        ),
    ],
};

static TD3: Layout = Layout {
    format: Format::Td3,
    document_codes: "a code that begins with P",
    lines: 2,
    width: 44,
    cells: &[
        cells(Field::DocumentCode, Class::Letters, span(0, 0, 2)),
        cells(Field::IssuingState, Class::Letters, span(0, 2, 5)),
        cells(Field::Name, Class::Letters, span(0, 5, 44)),
        cells(Field::DocumentNumber, Class::Alphanumeric, span(1, 0, 9)),
        cells(Field::DocumentNumber, Class::Digit, span(1, 9, 10)),
        cells(Field::Nationality, Class::Letters, span(1, 10, 13)),
        cells(Field::BirthDate, Class::DigitsOrFiller, span(1, 13, 19)),
        cells(Field::BirthDate, Class::Digit, span(1, 19, 20)),
        cells(Field::Sex, Class::Sex, span(1, 20, 21)),
        cells(Field::ExpiryDate, Class::Digit, span(1, 21, 27)),
        cells(Field::ExpiryDate, Class::Digit, span(1, 27, 28)),
        cells(Field::OptionalData, Class::Alphanumeric, span(1, 28, 42)),
        cells(Field::OptionalData, Class::DigitsOrFiller, span(1, 42, 43)),
        cells(Field::Composite, Class::Digit, span(1, 43, 44)),
    ],
    checks: &[
        check(Field::DocumentNumber, span(1, 9, 10), &[span(1, 0, 9)]),
        check(Field::BirthDate, span(1, 19, 20), &[span(1, 13, 19)]),
        check(Field::ExpiryDate, span(1, 27, 28), &[span(1, 21, 27)]),
        check(Field::OptionalData, span(1, 42, 43), &[span(1, 28, 42)]),
        check(
            Field::Composite,
            span(1, 43, 44),
            &[span(1, 0, 10), span(1, 13, 20), span(1, 21, 43)],
        ),
    ],
};
