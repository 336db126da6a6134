//! What a catalogue shows, and what it refuses of a request.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod load;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const BOUNDS: LifetimeBounds = LifetimeBounds {
    min_s: 30,
    max_s: 600,
};
const SAMPLE: &str = include_str!("../../../../deploy/actions.toml");

/// A small action; tests replace one line of it.
const SMALL: &str = r#"
[[action]]
id = "seat.book"
kind = "transaction"
acr = "eidas2"
match = "enter_code"
parameters = [
    { name = "name", type = "text", max_chars = 40 },
    { name = "price", type = "money", currencies = ["EUR", "XPF"], max_minor_units = 200_000 },
    { name = "day", type = "date" },
    { name = "seats", type = "integer", min = 1, max = 1_500 },
    { name = "class", type = "enumeration", values = [
        { value = "first", labels = { fr = "1re classe", en = "first class" } },
        { value = "second", labels = { fr = "2de classe", en = "second class" } },
    ] },
]
[action.locales.fr]
title = "Réserver « { $name } »"
rows = [
    { label = "Prix", value = "{ $price }" },
    { label = "Le", value = "{ $day }, { $seats } places, { $class }" },
]
[action.locales.en]
title = "Book “{ $name }”"
rows = [
    { label = "Price", value = "{ $price }" },
    { label = "On", value = "{ $day }, { $seats } seats, { $class }" },
]
"#;

fn catalogue(text: &str) -> Catalogue {
    Catalogue::parse(text, BOUNDS).unwrap_or_else(|error| panic!("{error}"))
}

fn given(name: &str) -> BTreeMap<String, ParameterValue> {
    BTreeMap::from([
        ("name".to_owned(), ParameterValue::Text(name.to_owned())),
        (
            "price".to_owned(),
            ParameterValue::Money {
                minor_units: 149_900,
                currency: "EUR".to_owned(),
            },
        ),
        ("day".to_owned(), ParameterValue::Date("2026-12-01".to_owned())),
        ("seats".to_owned(), ParameterValue::Integer(1_200)),
        (
            "class".to_owned(),
            ParameterValue::Enumeration("second".to_owned()),
        ),
    ])
}

fn checked_with(parameter: &str, value: ParameterValue) -> Result<CheckedParameters, ParameterError> {
    let mut given = given("Opéra");
    given.insert(parameter.to_owned(), value);
    catalogue(SMALL).action("seat.book").unwrap().check(&given)
}

#[test]
fn a_document_is_shown_in_each_locale() {
    let catalogue = catalogue(SMALL);
    let action = catalogue.action("seat.book").unwrap();
    let checked = action.check(&given("Opéra")).unwrap();
    let french = action.render("fr", &checked).unwrap();
    assert_eq!(
        (french.locale.as_str(), french.title.as_str()),
        ("fr", "Réserver « Opéra »")
    );
    let rows = [
        ("Prix".to_owned(), "1\u{202f}499,00\u{a0}€".to_owned()),
        (
            "Le".to_owned(),
            "1er décembre 2026, 1\u{202f}200 places, 2de classe".to_owned(),
        ),
    ];
    assert_eq!(french.rows, rows);
    let english = action.render("en", &checked).unwrap();
    assert_eq!(english.rows[1].1, "1 December 2026, 1,200 seats, second class");
}

#[test]
fn an_action_says_what_it_needs() {
    let catalogue = catalogue(SMALL);
    let action = catalogue.action("seat.book").unwrap();
    assert_eq!(
        (action.acr(), action.session_acr_sufficient()),
        (Acr::Eidas2, None)
    );
    assert!(action.is_transaction() && action.needs_match_code());
    assert_eq!(action.locales().collect::<Vec<_>>(), ["en", "fr"]);
    assert!(catalogue.action("seat.sell").is_none());
}

#[test]
fn parameters_become_json_for_authorization_details() {
    let checked = catalogue(SMALL)
        .action("seat.book")
        .unwrap()
        .check(&given("Opéra"))
        .unwrap();
    let expected = json!({
        "name": "Opéra", "price": { "currency": "EUR", "minor_units": 149_900 }, "day": "2026-12-01",
        "seats": 1_200, "class": "second",
    });
    assert_eq!(checked.to_json(), expected);
    let text = r#"{"class":"second","day":"2026-12-01","name":"Opéra","price":{"currency":"EUR","minor_units":149900},"seats":1200}"#;
    assert_eq!(checked.to_json().to_string(), text);
}

#[test]
fn a_parameter_is_never_read_as_a_template() {
    let catalogue = catalogue(SMALL);
    let action = catalogue.action("seat.book").unwrap();
    for text in [
        "{ $price }",
        "${HOME}",
        "{ NUMBER(1) }",
        "{\"x\"}",
        "}{",
        "%s $name \\u0041",
        "<b>",
        "x = y",
    ] {
        let shown = action.render("fr", &action.check(&given(text)).unwrap()).unwrap();
        assert_eq!(shown.title, format!("Réserver « {text} »"));
    }
    for text in [
        "a\nlabel-1 = b",
        "a\u{202e}b",
        "a\u{200b}b",
        "a\tb",
        "\u{301}a",
        " a",
        "e\u{301}",
    ] {
        assert_eq!(
            action.check(&given(text)).unwrap_err().code(),
            "parameter.text",
            "{text:?}"
        );
    }
}

#[test]
fn parameters_are_exactly_those_of_the_catalogue() {
    let catalogue = catalogue(SMALL);
    let action = catalogue.action("seat.book").unwrap();
    let mut missing = given("Opéra");
    missing.remove("seats");
    let error = action.check(&missing).unwrap_err();
    assert_eq!(
        (error.code(), error.parameter()),
        ("parameter.missing", Some("seats"))
    );
    assert_eq!(
        error.to_string(),
        "the parameter `seats` is missing; expected an integer from 1 to 1500"
    );
    let mut unknown = given("Opéra");
    unknown.insert("colour".to_owned(), ParameterValue::Text("red".to_owned()));
    let error = action.check(&unknown).unwrap_err();
    assert_eq!(
        (error.code(), error.parameter()),
        ("parameter.unknown", Some("colour"))
    );
}

#[test]
fn values_outside_their_limits_are_refused_by_name() {
    let text = |it: &str| ParameterValue::Text(it.to_owned());
    let money = |minor_units, it: &str| ParameterValue::Money {
        minor_units,
        currency: it.to_owned(),
    };
    let date = |it: &str| ParameterValue::Date(it.to_owned());
    let cases = [
        ("name", text(&"a".repeat(41)), "parameter.too_long"),
        ("name", text(""), "parameter.text"),
        ("name", ParameterValue::Integer(1), "parameter.kind"),
        ("price", money(200_001, "EUR"), "parameter.range"),
        ("price", money(-1, "EUR"), "parameter.range"),
        ("price", money(1, "USD"), "parameter.value"),
        ("price", money(1, "eur"), "parameter.value"),
        ("price", text("1 €"), "parameter.kind"),
        ("day", date("2026-02-29"), "parameter.value"),
        ("day", date("2026-2-01"), "parameter.value"),
        ("day", date("+2026-02-01"), "parameter.value"),
        ("day", date("01/02/2026"), "parameter.value"),
        ("day", date("0001-02-01"), "parameter.value"),
        ("seats", ParameterValue::Integer(0), "parameter.range"),
        ("seats", ParameterValue::Integer(1_501), "parameter.range"),
        (
            "class",
            ParameterValue::Enumeration("third".to_owned()),
            "parameter.value",
        ),
        ("class", text("second"), "parameter.kind"),
    ];
    for (parameter, value, code) in cases {
        let error = checked_with(parameter, value).unwrap_err();
        assert_eq!(
            (error.parameter(), error.code()),
            (Some(parameter), code),
            "{error}"
        );
    }
    assert!(checked_with("price", money(0, "XPF")).is_ok());
    assert!(checked_with("price", money(200_000, "EUR")).is_ok());
    assert!(checked_with("seats", ParameterValue::Integer(1_500)).is_ok());
}

#[test]
fn a_locale_without_template_and_parameters_of_another_action_are_refused() {
    let catalogue = catalogue(SMALL);
    let action = catalogue.action("seat.book").unwrap();
    let checked = action.check(&given("Opéra")).unwrap();
    let error = action.render("de", &checked).unwrap_err();
    assert_eq!(error.code(), "action.locale_unknown");
    assert_eq!(
        error.to_string(),
        "the action `seat.book` has no template in the locale \"de\"; it has en, fr"
    );
    let lift = catalogue.action("paraphe.lift_everything").unwrap();
    assert_eq!(
        lift.render("fr", &checked).unwrap_err().code(),
        "action.other_parameters"
    );
}

#[test]
fn letters_that_compose_across_a_boundary_are_not_shown() {
    let text = SMALL.replace("Réserver « { $name } »", "Réserver \u{1100}{ $name }");
    let catalogue = catalogue(&text);
    let action = catalogue.action("seat.book").unwrap();
    // A vowel jamo may stand alone; after a consonant jamo it composes.
    let checked = action.check(&given("\u{1161}")).unwrap();
    let error = action.render("fr", &checked).unwrap_err();
    assert_eq!(error.code(), "action.not_renderable");
}

#[test]
fn the_sample_catalogue_and_the_daemons_own_actions_are_good() {
    let catalogue = catalogue(SAMPLE);
    let ids: Vec<_> = catalogue.actions().map(Action::id).collect();
    let expected = [
        "account.login",
        "course.buy",
        "course.cancel",
        "paraphe.change_pin",
        "paraphe.enrol",
        "paraphe.lift",
        "paraphe.lift_everything",
        "paraphe.login",
        "paraphe.replace",
        "paraphe.resume",
    ];
    assert_eq!(ids, expected);
    for action in catalogue.actions() {
        assert_eq!(
            action.locales().collect::<Vec<_>>(),
            ["en", "fr"],
            "{}",
            action.id()
        );
    }
    let buy = catalogue.action("course.buy").unwrap();
    assert_eq!(
        (buy.acr(), buy.needs_match_code(), buy.lifetime().default_s),
        (Acr::Eidas2, true, 300)
    );
    let cancel = catalogue.action("course.cancel").unwrap();
    assert_eq!(cancel.session_acr_sufficient(), Some(Acr::Eidas2));
    assert!(!catalogue.action("account.login").unwrap().is_transaction());
}

proptest! {
    #[test]
    fn what_is_taken_is_shown_literally_once(text in "[!-~ éÀ€漢\u{301}\u{202e}]{1,42}") {
        let catalogue = catalogue(SMALL);
        let action = catalogue.action("seat.book").unwrap();
        if let Ok(checked) = action.check(&given(&text)) {
            let shown = action.render("en", &checked).unwrap();
            prop_assert_eq!(shown.title, format!("Book “{text}”"));
            prop_assert_eq!(shown.rows.len(), 2);
        }
    }
}
