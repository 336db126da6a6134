//! Action parameters as they are typed: `name=kind:value`.
//!
//! Callers: `paraphe backend request --param`, the demo. Money may be typed in units (`money:1499.00:EUR`) or in the smallest
//! denomination (`money-minor:149900:EUR`). Protocol: section 6, typed parameters.

use std::str::FromStr;

use paraphe_proto::v1::parameter_value::Kind;
use paraphe_proto::v1::{Money, ParameterValue};

/// One named, typed parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name in the action catalogue.
    pub name: String,
    /// Typed value.
    pub value: ParameterValue,
}

/// Why a parameter cannot be read; clap shows it beside the option.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParameterError {
    /// Not `name=kind:value`.
    #[error("write it as name=kind:value, e.g. title=text:Rust or price=money:1499.00:EUR")]
    Syntax,
    /// A kind that does not exist.
    #[error("`{0}` is no kind; the kinds are text, money, money-minor, date, integer, enum")]
    Kind(String),
    /// Not an amount.
    #[error("write money as AMOUNT:CURRENCY, e.g. 1499.00:EUR; {0}")]
    Money(&'static str),
    /// Not an integer.
    #[error("`{0}` is no integer")]
    Integer(String),
    /// Not a date.
    #[error("write a date as YYYY-MM-DD")]
    Date,
}

impl FromStr for Parameter {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let (name, typed) = text.split_once('=').ok_or(ParameterError::Syntax)?;
        let (kind, value) = typed.split_once(':').ok_or(ParameterError::Syntax)?;
        if name.is_empty() {
            return Err(ParameterError::Syntax);
        }
        let kind = match kind {
            "text" => Kind::Text(value.to_owned()),
            "money" => Kind::Money(money(value)?),
            "money-minor" => Kind::Money(money_minor(value)?),
            "date" => Kind::Date(date(value)?),
            "integer" => Kind::Integer(
                value
                    .parse()
                    .map_err(|_| ParameterError::Integer(value.to_owned()))?,
            ),
            "enum" => Kind::Enumeration(value.to_owned()),
            other => return Err(ParameterError::Kind(other.to_owned())),
        };
        Ok(Parameter {
            name: name.to_owned(),
            value: ParameterValue { kind: Some(kind) },
        })
    }
}

fn money(text: &str) -> Result<Money, ParameterError> {
    let (amount, currency) = amount_and_currency(text)?;
    let decimals = decimals(&currency);
    let (units, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if !digits(units) || !(fraction.is_empty() || digits(fraction)) || amount.ends_with('.') {
        return Err(ParameterError::Money(
            "an amount has digits and at most one point",
        ));
    }
    if fraction.len() > decimals {
        return Err(ParameterError::Money("it has more decimals than the currency"));
    }
    let minor = format!("{units}{fraction:0<decimals$}");
    Ok(Money {
        minor_units: minor
            .parse()
            .map_err(|_| ParameterError::Money("the amount is too large"))?,
        currency,
    })
}

fn money_minor(text: &str) -> Result<Money, ParameterError> {
    let (amount, currency) = amount_and_currency(text)?;
    if !digits(amount) {
        return Err(ParameterError::Money("money-minor takes whole numbers"));
    }
    Ok(Money {
        minor_units: amount
            .parse()
            .map_err(|_| ParameterError::Money("the amount is too large"))?,
        currency,
    })
}

fn amount_and_currency(text: &str) -> Result<(&str, String), ParameterError> {
    let (amount, currency) = text
        .split_once(':')
        .ok_or(ParameterError::Money("the currency is missing"))?;
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(ParameterError::Money("a currency has three capital letters"));
    }
    Ok((amount, currency.to_owned()))
}

/// Decimals of a currency (ISO 4217, list one).
fn decimals(currency: &str) -> usize {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// An amount for people, e.g. `1,499.00 EUR`.
pub fn money_text(money: &Money) -> String {
    let decimals = decimals(&money.currency);
    let minor = format!(
        "{:0>width$}",
        money.minor_units.unsigned_abs(),
        width = decimals + 1
    );
    let (units, fraction) = minor.split_at(minor.len() - decimals);
    let mut grouped = String::new();
    for (index, digit) in units.chars().enumerate() {
        if index > 0 && (units.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if money.minor_units < 0 { "-" } else { "" };
    let point = if decimals > 0 { "." } else { "" };
    format!("{sign}{grouped}{point}{fraction} {}", money.currency)
}

fn date(text: &str) -> Result<String, ParameterError> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    time::Date::parse(text, format).map_err(|_| ParameterError::Date)?;
    Ok(text.to_owned())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
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

    fn kind(text: &str) -> Kind {
        text.parse::<Parameter>().unwrap().value.kind.unwrap()
    }

    fn amount(text: &str) -> (i64, String) {
        match kind(text) {
            Kind::Money(money) => (money.minor_units, money.currency),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_kind_is_read() {
        assert_eq!(
            kind("title=text:Rust: from a=b to c"),
            Kind::Text("Rust: from a=b to c".into())
        );
        assert_eq!(kind("session=date:2026-12-01"), Kind::Date("2026-12-01".into()));
        assert_eq!(kind("seats=integer:-3"), Kind::Integer(-3));
        assert_eq!(kind("mode=enum:remote"), Kind::Enumeration("remote".into()));
        assert_eq!("a=text:".parse::<Parameter>().unwrap().name, "a");
    }

    #[test]
    fn money_follows_the_decimals_of_the_currency() {
        assert_eq!(amount("p=money:1499.00:EUR"), (149_900, "EUR".into()));
        assert_eq!(amount("p=money:1499:EUR"), (149_900, "EUR".into()));
        assert_eq!(amount("p=money:0.5:EUR"), (50, "EUR".into()));
        assert_eq!(amount("p=money:1499:JPY"), (1499, "JPY".into()));
        assert_eq!(amount("p=money:1.234:TND"), (1234, "TND".into()));
        assert_eq!(amount("p=money-minor:149900:EUR"), (149_900, "EUR".into()));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "1.234:EUR",
            "1.5:JPY",
            "1,5:EUR",
            ".5:EUR",
            "5.:EUR",
            "-5:EUR",
            "5:eur",
            "5",
            ":EUR",
            "5:EURO",
            "1.2.3:EUR",
        ] {
            let parsed = format!("p=money:{text}").parse::<Parameter>();
            assert!(
                matches!(parsed, Err(ParameterError::Money(_))),
                "{text}: {parsed:?}"
            );
        }
        assert!("p=money-minor:1.5:EUR".parse::<Parameter>().is_err());
        assert!("p=money:99999999999999999999:EUR".parse::<Parameter>().is_err());
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for text in ["title", "title=Rust", "=text:x", "title:text=x"] {
            assert_eq!(text.parse::<Parameter>(), Err(ParameterError::Syntax), "{text}");
        }
        assert_eq!(
            "a=float:1".parse::<Parameter>(),
            Err(ParameterError::Kind("float".into()))
        );
        assert_eq!(
            "a=date:2026-02-30".parse::<Parameter>(),
            Err(ParameterError::Date)
        );
        assert_eq!("a=date:1.2.2026".parse::<Parameter>(), Err(ParameterError::Date));
        assert!(matches!(
            "a=integer:1.5".parse::<Parameter>(),
            Err(ParameterError::Integer(_))
        ));
    }

    #[test]
    fn money_is_grouped_for_people() {
        let text = |minor_units, currency: &str| {
            money_text(&Money {
                minor_units,
                currency: currency.into(),
            })
        };
        assert_eq!(text(149_900, "EUR"), "1,499.00 EUR");
        assert_eq!(text(5, "EUR"), "0.05 EUR");
        assert_eq!(text(1_234_567, "JPY"), "1,234,567 JPY");
        assert_eq!(text(100_000, "EUR"), "1,000.00 EUR");
    }
}
