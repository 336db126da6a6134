//! The purchase that a backend asks to confirm: `course.buy` of deploy/actions.toml, different each time.
//!
//! Called by `confirmation`. Invariant: the reference is the request's own, so a phone that is shown another purchase is
//! noticed; how a row is labelled or an amount is written is the catalogue's business and not looked at.

use std::collections::HashMap;

use paraphe_companion::Shown;
use paraphe_proto::v1::parameter_value::Kind;
use paraphe_proto::v1::{Money, ParameterValue};

/// The action.
pub const ACTION: &str = "course.buy";
/// The language of the documents.
pub const LOCALE: &str = "en";

const TITLE: &str = "TIG welding";
const PROVIDER: &str = "GRETA Lyon";
const SESSION: &str = "2027-01-11";
/// Cheapest course, and between how many prices the numbers turn, in cents.
const CHEAPEST_CENTS: u64 = 10_000;
const PRICES: u64 = 1_900_000;

/// What is bought.
pub struct Purchase {
    cents: i64,
    reference: String,
}

impl Purchase {
    /// The purchase with this reference; its price follows from the number.
    pub fn new(reference: &str, number: u64) -> Self {
        Purchase {
            cents: i64::try_from(CHEAPEST_CENTS + number % PRICES).unwrap_or(0),
            reference: reference.to_owned(),
        }
    }

    /// As the backend sends it.
    pub fn parameters(&self) -> HashMap<String, ParameterValue> {
        let price = Money {
            minor_units: self.cents,
            currency: "EUR".to_owned(),
        };
        let named = [
            ("title", Kind::Text(TITLE.to_owned())),
            ("provider", Kind::Text(PROVIDER.to_owned())),
            ("price", Kind::Money(price)),
            ("session", Kind::Date(SESSION.to_owned())),
            ("reference", Kind::Text(self.reference.clone())),
        ];
        named
            .into_iter()
            .map(|(name, kind)| (name.to_owned(), ParameterValue { kind: Some(kind) }))
            .collect()
    }

    /// What is not as it was asked, if anything.
    pub fn difference(&self, shown: &Shown, relying_party_id: &str) -> Option<String> {
        let rows: Vec<&str> = shown
            .document()
            .rows
            .iter()
            .map(|row| row.value.as_str())
            .collect();
        if shown.relying_party().id.as_str() != relying_party_id || shown.action() != ACTION {
            return Some(format!(
                "it names {} and {}",
                shown.relying_party().id,
                shown.action()
            ));
        }
        self.missing(&rows)
            .map(|missing| format!("no row shows {missing}"))
    }

    fn missing(&self, rows: &[&str]) -> Option<String> {
        let texts = [TITLE, PROVIDER, &self.reference];
        if let Some(text) = texts.into_iter().find(|text| !rows.contains(text)) {
            return Some(format!("`{text}`"));
        }
        let cents = self.cents.to_string();
        let amount = |row: &&str| row.chars().filter(char::is_ascii_digit).eq(cents.chars());
        (!rows.iter().any(amount)).then(|| format!("the price of {cents} cents"))
    }
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
    fn what_is_shown_is_compared_whatever_the_language() {
        let purchase = Purchase::new("load-a-139", 139_900);
        let missing = |price, reference| {
            let rows = [TITLE, PROVIDER, price, "11 January 2027", reference];
            purchase.missing(&rows)
        };
        assert_eq!(missing("€1,499.00", "load-a-139"), None);
        assert_eq!(missing("1\u{202f}499,00\u{a0}€", "load-a-139"), None);
        assert!(
            missing("€1,499.01", "load-a-139")
                .unwrap()
                .contains("149900 cents")
        );
        assert_eq!(missing("€1,499.00", "load-a-138").unwrap(), "`load-a-139`");
    }

    #[test]
    fn every_price_is_one_that_the_catalogue_allows() {
        for number in [0, 1, PRICES - 1, PRICES, u64::MAX] {
            let cents = Purchase::new("r", number).cents;
            assert!((1..=2_000_000).contains(&cents), "{cents}");
        }
    }
}
