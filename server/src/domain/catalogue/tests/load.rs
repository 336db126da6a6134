//! What a catalogue file may not say.

use super::*;

/// The error of [`SMALL`] with `old` replaced.
fn refusal(old: &str, new: &str) -> CatalogueError {
    assert!(SMALL.contains(old), "{old}");
    match Catalogue::parse(&SMALL.replacen(old, new, 1), BOUNDS) {
        Ok(_) => panic!("{new} is taken"),
        Err(error) => error,
    }
}

#[test]
fn templates_that_are_not_text_and_parameters_are_refused() {
    let title = "Réserver « { $name } »";
    for (new, said) in [
        ("{ NUMBER($name) }", "a function is not allowed"),
        ("{ $name -> *[other] x }", "Fluent pattern"),
        ("{ -brand } { $name }", "a reference to a term is not allowed"),
        ("{ label-1 } { $name }", "a reference to a message is not allowed"),
        ("{ 3 } { $name }", "a number literal is not allowed"),
        ("{ { $name } }", "a placeable within a placeable is not allowed"),
        ("{ $nom } { $name }", "no parameter `nom`"),
        ("{ $name", "Fluent pattern"),
        ("$name }", "Fluent pattern"),
        ("{ $name } \\u202e", "U+202E"),
        ("{ $name } \\u0007", "U+0007"),
        ("{ $name }\\nvalue-1 = x", "U+000A"),
        (" { $name }", "U+0020"),
        ("", "empty"),
        ("{ \\\"\\\\u202E\\\" }{ $name }", "U+202E"),
    ] {
        let error = refusal(title, new);
        assert_eq!(error.code(), "catalogue.template", "{error}");
        let text = error.to_string();
        assert!(
            text.contains("action `seat.book`, locale \"fr\", title: ") && text.contains(said),
            "{text}"
        );
    }
}

#[test]
fn literal_braces_are_written_as_string_literals() {
    let text = SMALL.replace(
        "Réserver « { $name } »",
        r#"Réserver { \"{\" }{ $name }{ \"}\" } [x] .a *b #c"#,
    );
    let catalogue = catalogue(&text);
    let action = catalogue.action("seat.book").unwrap();
    let shown = action
        .render("fr", &action.check(&given("Opéra")).unwrap())
        .unwrap();
    assert_eq!(shown.title, "Réserver {Opéra} [x] .a *b #c");
}

#[test]
fn every_parameter_is_seen_and_no_label_varies() {
    let unseen = refusal(", { $seats } places", "");
    assert_eq!(unseen.code(), "catalogue.unseen_parameter");
    assert!(
        unseen
            .to_string()
            .contains("locale \"fr\": the parameter `seats`"),
        "{unseen}"
    );
    let label = refusal("label = \"Prix\"", "label = \"Prix { $price }\"");
    assert!(
        label
            .to_string()
            .contains("label-1: it refers to the parameter `price`"),
        "{label}"
    );
}

#[test]
fn the_line_and_the_path_of_a_wrong_key_are_named() {
    let cases = [
        (
            "acr = \"eidas2\"",
            "acr = \"eidas4\"",
            "line 5, action[0].acr: unknown variant `eidas4`",
        ),
        (
            "acr = \"eidas2\"",
            "acr = \"eidas2\"\ncolour = 1",
            "line 6, action[0].colour: unknown field `colour`",
        ),
        ("acr = \"eidas2\"\n", "", "missing field `acr`"),
        ("kind = \"transaction\"", "kind = 3", "line 4, action[0].kind: "),
        ("max_chars = 40", "max_char = 40", "action[0].parameters[0]"),
        ("title = \"Book", "titel = \"Book", "action[0].locales.en"),
        ("id = \"seat.book\"", "id = ", "line 3, the file: "),
    ];
    for (old, new, said) in cases {
        let error = refusal(old, new);
        assert_eq!(error.code(), "catalogue.file");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn ids_locales_and_limits_that_make_no_sense_are_refused() {
    let cases = [
        ("seat.book", "Seat.book", "catalogue.id"),
        ("seat.book", "", "catalogue.id"),
        ("seat.book", "paraphe.login", "catalogue.id"),
        ("seat.book", "paraphe.other", "catalogue.id"),
        ("locales.en", "locales.de", "catalogue.locale"),
        ("name = \"day\"", "name = \"Day\"", "catalogue.parameter"),
        ("name = \"day\"", "name = \"price\"", "catalogue.parameter"),
        ("max_chars = 40", "max_chars = 0", "catalogue.parameter"),
        ("max_chars = 40", "max_chars = 501", "catalogue.parameter"),
        ("\"XPF\"", "\"XXX\"", "catalogue.parameter"),
        ("[\"EUR\", \"XPF\"]", "[]", "catalogue.parameter"),
        ("200_000", "0", "catalogue.parameter"),
        ("min = 1,", "min = 1_501,", "catalogue.parameter"),
        (
            "max = 1_500",
            "max = 9_007_199_254_740_992",
            "catalogue.parameter",
        ),
        ("value = \"second\"", "value = \"first\"", "catalogue.parameter"),
        (", en = \"second class\"", "", "catalogue.parameter"),
        (
            "second class\"",
            "second class\", de = \"zweite\"",
            "catalogue.parameter",
        ),
        (
            "\"second class\"",
            "\"second\\u200bclass\"",
            "catalogue.parameter",
        ),
    ];
    for (old, new, code) in cases {
        let error = refusal(old, new);
        assert_eq!(error.code(), code, "{old} → {new}: {error}");
    }
    let twice = Catalogue::parse(&format!("{SMALL}{SMALL}"), BOUNDS)
        .err()
        .unwrap();
    assert!(twice.to_string().contains("defined twice"), "{twice}");
}

#[test]
fn lifetimes_stay_within_the_policy() {
    let with = |lifetime: &str, bounds| {
        let text = SMALL.replace(
            "acr = \"eidas2\"",
            &format!("acr = \"eidas2\"\nlifetime_s = {lifetime}"),
        );
        Catalogue::parse(&text, bounds).map(|it| it.action("seat.book").unwrap().lifetime())
    };
    let is = |default_s, min_s, max_s| {
        Ok(Lifetime {
            default_s,
            min_s,
            max_s,
        })
    };
    assert_eq!(with("{}", BOUNDS), is(300, 30, 600));
    assert_eq!(
        with("{ default = 60, min = 40, max = 90 }", BOUNDS),
        is(60, 40, 90)
    );
    assert_eq!(with("{ max = 90 }", BOUNDS), is(90, 30, 90));
    let demonstration = LifetimeBounds { min_s: 2, max_s: 10 };
    assert_eq!(with("{}", demonstration), is(10, 2, 10));
    for lifetime in [
        "{ min = 29 }",
        "{ max = 601 }",
        "{ min = 90, default = 60 }",
        "{ min = 90, max = 80 }",
    ] {
        assert_eq!(
            with(lifetime, BOUNDS).unwrap_err().code(),
            "catalogue.lifetime",
            "{lifetime}"
        );
    }
    let login = catalogue("").action("paraphe.login").unwrap().lifetime();
    assert_eq!(
        login,
        Lifetime {
            default_s: 120,
            min_s: 30,
            max_s: 600
        }
    );
}

#[test]
fn a_document_that_might_not_fit_a_statement_is_refused() {
    let title = "Réserver « { $name } »";
    let error = refusal(title, "{ $name } ".repeat(26).trim_end());
    assert_eq!(error.code(), "catalogue.too_long");
    let fits = SMALL.replacen(title, "{ $name } { $name }", 1);
    assert!(Catalogue::parse(&fits, BOUNDS).is_ok());
}

proptest! {
    #[test]
    fn a_template_cannot_break_out(template in "[a-z{}$\"\\\\ \n=.*\\[\\]-]{0,60}") {
        let key = "title";
        if let Ok(read) = template::Template::parse(key, &template) {
            prop_assert!(!template.contains('\n'));
            let mut templates = Templates::new(Locale::En);
            templates.add(read).unwrap();
            prop_assert!(templates.render("value-1", &BTreeMap::new()).is_err());
        }
    }
}
