//! What people bring and what backends ask: a specimen passport, a purchase.

use paraphe_proto::v1;

use crate::world::jti;

/// A purchase request with a fresh key.
pub fn purchase(subject: &str) -> v1::RequestRequest {
    use v1::parameter_value::Kind;
    let text = |value: &str| v1::ParameterValue {
        kind: Some(Kind::Text(value.to_owned())),
    };
    let money = v1::Money {
        minor_units: 149_900,
        currency: "EUR".into(),
    };
    v1::RequestRequest {
        idempotency_key: jti(),
        subject: subject.to_owned(),
        action: "course.buy".into(),
        parameters: [
            ("title".to_owned(), text("TIG welding")),
            ("provider".to_owned(), text("GRETA Lyon")),
            (
                "price".to_owned(),
                v1::ParameterValue {
                    kind: Some(Kind::Money(money)),
                },
            ),
            (
                "session".to_owned(),
                v1::ParameterValue {
                    kind: Some(Kind::Date("2027-01-11".into())),
                },
            ),
            ("reference".to_owned(), text("CM-1")),
        ]
        .into(),
        locale: "en".into(),
        lifetime_s: 300,
        r#match: 0,
    }
}

/// The machine-readable zone of a specimen passport (ICAO 9303-4) in this family name.
pub fn passport(family: &str) -> String {
    passport_until(family, "350415")
}

/// The same with another last day, `YYMMDD`.
pub fn passport_until(family: &str, expiry: &str) -> String {
    passport_of(family, "L898902C3", expiry)
}

/// The same with another number of nine characters.
pub fn passport_of(family: &str, number: &str, expiry: &str) -> String {
    let first = format!("{:<<44}", format!("P<UTO{family}<<ANNA"));
    let optional = "<".repeat(14);
    let birth = "740812";
    let composite = format!(
        "{number}{}{birth}{}{expiry}{}{optional}<",
        check_digit(number),
        check_digit(birth),
        check_digit(expiry)
    );
    format!(
        "{first}\n{number}{}UTO{birth}{}F{expiry}{}{optional}<{}",
        check_digit(number),
        check_digit(birth),
        check_digit(expiry),
        check_digit(&composite)
    )
}

fn check_digit(text: &str) -> u32 {
    let value = |c: char| c.to_digit(36).unwrap_or(0);
    text.chars()
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(c, weight)| value(c) * weight)
        .sum::<u32>()
        % 10
}
