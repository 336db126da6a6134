//! Six characters of a zone to a date with a century.
//!
//! Called by [`super::parse`] only. Doc 9303-3, section 4.8: `YYMMDD`, fillers for what is not known.

use time::{Date, Month};

use super::MrzError;
use super::layout::Part;

/// A date in which 0 stands for a month or a day that is not known.
#[derive(Clone, Copy)]
struct Parts {
    year: i32,
    month: u8,
    day: u8,
}

/// `YYYY-MM-DD` of the latest day that fits and is not after `today`.
pub(super) fn birth(part: Part<'_>, today: Date) -> Result<String, MrzError> {
    const EXPECTED: &str = "YYMMDD, a day that exists, << for a day or a month and day that are not known";
    let read = || {
        let mut date = Parts::read(part.text, today.year() / 100 * 100)?;
        if (date.year, date.month, date.day) > (today.year(), today.month().into(), today.day()) {
            date.year -= 100;
        }
        date.exists().then_some(date)
    };
    read().map(Parts::text).ok_or_else(|| refused(&part, EXPECTED))
}

/// `YYYY-MM-DD` of the day that fits within fifty years of `today`.
pub(super) fn expiry(part: Part<'_>, today: Date) -> Result<String, MrzError> {
    const EXPECTED: &str = "YYMMDD, a day that exists";
    let read = || {
        let mut date = Parts::read(part.text, today.year() / 100 * 100)?;
        if date.year > today.year() + 50 {
            date.year -= 100;
        } else if date.year <= today.year() - 50 {
            date.year += 100;
        }
        (date.day != 0 && date.exists()).then_some(date)
    };
    read().map(Parts::text).ok_or_else(|| refused(&part, EXPECTED))
}

impl Parts {
    fn read(text: &str, century: i32) -> Option<Parts> {
        let year = century + text.get(0..2)?.parse::<i32>().ok()?;
        Some(Parts {
            year,
            month: known(text.get(2..4)?)?,
            day: known(text.get(4..6)?)?,
        })
    }

    /// Whether the calendar has the day, or the month whose day is open.
    fn exists(self) -> bool {
        match (self.month, self.day) {
            (0, day) => day == 0,
            (month, day) => Month::try_from(month)
                .is_ok_and(|month| Date::from_calendar_date(self.year, month, day.max(1)).is_ok()),
        }
    }

    fn text(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Two digits from `01` up, or 0 for two fillers.
fn known(text: &str) -> Option<u8> {
    match text {
        "<<" => Some(0),
        digits => digits.parse().ok().filter(|it| *it != 0),
    }
}

fn refused(part: &Part<'_>, expected: &'static str) -> MrzError {
    MrzError::Date {
        field: part.field,
        line: part.line,
        found: part.text.to_owned(),
        expected,
    }
}
