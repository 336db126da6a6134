//! How amounts, dates and integers are written in each locale.
//!
//! Called by [`super::parameters`]. A table by hand, because ICU would be the largest part of the daemon; it follows CLDR 48
//! for `fr` and `en` but for currencies: only a symbol that one currency alone has is used, the others keep their ISO 4217
//! code, since a person must not take one dollar for another. Protocol, section 6, step 2.

use std::fmt;
use std::str::FromStr;

use time::Date;

/// A locale that documents can be shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Locale {
    /// English, dates as in Europe.
    En,
    /// French.
    Fr,
}

/// Not one of [`Locale::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLocale;

impl Locale {
    /// Every locale there is a table for.
    pub const ALL: &'static [Locale] = &[Locale::En, Locale::Fr];

    /// BCP 47 tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Locale::En => "en",
            Locale::Fr => "fr",
        }
    }

    /// `1,499` or `1 499` with U+202F.
    pub fn integer(self, value: i64) -> String {
        let sign = if value < 0 { "-" } else { "" };
        format!("{sign}{}", self.grouped(value.unsigned_abs()))
    }

    /// `€1,499.00`, `USD 1,499.00`, or `1 499,00 €`, `1 499,00 USD`; no space in it breaks a line.
    pub fn money(self, minor_units: i64, currency: &Currency) -> String {
        let unit = 10_u64.pow(currency.exponent);
        let amount = minor_units.unsigned_abs();
        let mut digits = self.grouped(amount / unit);
        if currency.exponent > 0 {
            let width = usize::try_from(currency.exponent).unwrap_or_default();
            digits.push(self.decimal_mark());
            digits.push_str(&format!("{:0width$}", amount % unit));
        }
        let sign = if minor_units < 0 { "-" } else { "" };
        match (self, currency.symbol) {
            (Locale::En, Some(symbol)) => format!("{sign}{symbol}{digits}"),
            (Locale::En, None) => format!("{sign}{}\u{a0}{digits}", currency.code),
            (Locale::Fr, symbol) => format!("{sign}{digits}\u{a0}{}", symbol.unwrap_or(currency.code)),
        }
    }

    /// `24 November 2026` or `24 novembre 2026`; the first of a month is `1er` in French.
    pub fn date(self, date: Date) -> String {
        let month = usize::from(u8::from(date.month()) - 1);
        let (names, day) = match self {
            Locale::En => (ENGLISH_MONTHS, date.day().to_string()),
            Locale::Fr if date.day() == 1 => (FRENCH_MONTHS, "1er".to_owned()),
            Locale::Fr => (FRENCH_MONTHS, date.day().to_string()),
        };
        format!(
            "{day} {} {}",
            names.get(month).copied().unwrap_or_default(),
            date.year()
        )
    }

    fn grouped(self, value: u64) -> String {
        let digits = value.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(self.group_mark());
            }
            text.push(digit);
        }
        text
    }

    fn group_mark(self) -> char {
        match self {
            Locale::En => ',',
            Locale::Fr => '\u{202f}',
        }
    }

    fn decimal_mark(self) -> char {
        match self {
            Locale::En => '.',
            Locale::Fr => ',',
        }
    }
}

impl FromStr for Locale {
    type Err = UnknownLocale;

    fn from_str(tag: &str) -> Result<Locale, UnknownLocale> {
        Locale::ALL
            .iter()
            .copied()
            .find(|it| it.as_str() == tag)
            .ok_or(UnknownLocale)
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A currency of ISO 4217.
#[derive(Debug, PartialEq, Eq)]
pub struct Currency {
    /// Three capital letters.
    pub code: &'static str,
    /// Digits after the decimal mark.
    exponent: u32,
    symbol: Option<&'static str>,
}

impl Currency {
    /// The currency of this code, if the table has it.
    pub fn of(code: &str) -> Option<&'static Currency> {
        CURRENCIES.iter().find(|it| it.code == code)
    }

    /// The codes of the table, for messages.
    pub fn known() -> String {
        CURRENCIES.iter().map(|it| it.code).collect::<Vec<_>>().join(", ")
    }
}

const fn currency(code: &'static str, exponent: u32, symbol: Option<&'static str>) -> Currency {
    Currency {
        code,
        exponent,
        symbol,
    }
}

/// Minor units by ISO 4217, table A.1.
static CURRENCIES: &[Currency] = &[
    currency("CAD", 2, None),
    currency("CHF", 2, None),
    currency("CZK", 2, None),
    currency("DKK", 2, None),
    currency("DZD", 2, None),
    currency("EUR", 2, Some("€")),
    currency("GBP", 2, Some("£")),
    currency("HUF", 2, None),
    currency("JPY", 0, None),
    currency("MAD", 2, None),
    currency("NOK", 2, None),
    currency("PLN", 2, None),
    currency("RON", 2, None),
    currency("SEK", 2, None),
    currency("TND", 3, None),
    currency("USD", 2, None),
    currency("XAF", 0, None),
    currency("XOF", 0, None),
    currency("XPF", 0, None),
];

const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const FRENCH_MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;

    fn money(locale: Locale, minor_units: i64, code: &str) -> String {
        locale.money(minor_units, Currency::of(code).unwrap())
    }

    #[test]
    fn amounts_are_written_as_people_write_them() {
        assert_eq!(money(Locale::Fr, 149_900, "EUR"), "1\u{202f}499,00\u{a0}€");
        assert_eq!(money(Locale::En, 149_900, "EUR"), "€1,499.00");
        assert_eq!(money(Locale::Fr, 5, "GBP"), "0,05\u{a0}£");
        assert_eq!(money(Locale::En, 123_456_789, "USD"), "USD\u{a0}1,234,567.89");
        assert_eq!(money(Locale::Fr, 1_500, "XPF"), "1\u{202f}500\u{a0}XPF");
        assert_eq!(money(Locale::En, 1_050, "TND"), "TND\u{a0}1.050");
        assert_eq!(money(Locale::En, 0, "JPY"), "JPY\u{a0}0");
    }

    #[test]
    fn dates_are_written_out() {
        assert_eq!(Locale::Fr.date(date!(2026 - 11 - 24)), "24 novembre 2026");
        assert_eq!(Locale::En.date(date!(2026 - 11 - 24)), "24 November 2026");
        assert_eq!(Locale::Fr.date(date!(2026 - 08 - 01)), "1er août 2026");
        assert_eq!(Locale::En.date(date!(2026 - 01 - 01)), "1 January 2026");
        assert_eq!(Locale::Fr.date(date!(2026 - 12 - 31)), "31 décembre 2026");
    }

    #[test]
    fn integers_are_grouped() {
        assert_eq!(Locale::En.integer(999), "999");
        assert_eq!(Locale::En.integer(1_000), "1,000");
        assert_eq!(Locale::Fr.integer(-1_234_567), "-1\u{202f}234\u{202f}567");
        assert_eq!(Locale::En.integer(i64::MIN), "-9,223,372,036,854,775,808");
    }

    #[test]
    fn only_whole_tags_are_locales() {
        assert_eq!("fr".parse(), Ok(Locale::Fr));
        for tag in ["", "FR", "fr-FR", "de"] {
            assert_eq!(tag.parse::<Locale>(), Err(UnknownLocale), "{tag}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_keeps_all_its_digits(minor_units in 0..=1_000_000_000_000_i64, at in 0..CURRENCIES.len()) {
            let currency = &CURRENCIES[at];
            for locale in Locale::ALL {
                let text = locale.money(minor_units, currency);
                let digits: String = text.chars().filter(char::is_ascii_digit).collect();
                prop_assert_eq!(digits.parse::<i64>().unwrap(), minor_units);
            }
        }
    }
}
