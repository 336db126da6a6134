//! One person, many spellings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::prelude::*;
use time::macros::date;

use super::*;

fn identity(family: &str, given: &str) -> PivotIdentity {
    PivotIdentity::parse(family, given, "1974-08-12", "").unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(family: &str, given: &str, birth: &str, place: &str) -> IdentityError {
    PivotIdentity::parse(family, given, birth, place).expect_err("refused")
}

#[test]
fn civil_names_and_names_of_a_document_meet() {
    for (civil, document) in [
        (("Müller-Le Goff", "Éloïse"), ("MUELLER LE GOFF", "ELOISE")),
        (("Müller", "Jürgen"), ("MULLER", "JUXXRGEN")),
        (("D’Artagnan", "Anne-Marie"), ("DARTAGNAN", "ANNE MARIE")),
        (("D'Artagnan", "Anne-Marie"), ("D ARTAGNAN", "ANNEMARIE")),
        (("Núñez", "Begoña"), ("NUNXXEZ", "BEGONA")),
        (("Weiß", "Björn"), ("WEISS", "BJOERN")),
        (("Ångström", "Bjørn"), ("AANGSTROEM", "BJOERN")),
        (("Þórðarson", "Æsa"), ("THORDARSON", "AESA")),
        (("Lœuillet", "Ælfgifu"), ("LOEUILLET", "AELFGIFU")),
        (("Łukasiewicz", "Świętosława"), ("LUKASIEWICZ", "SWIETOSLAWA")),
        (("Đặng", "Thị Ngọc"), ("DANG", "THI NGOC")),
        (("Ionescu-Șerban", "Ștefan"), ("IONESCU SERBAN", "STEFAN")),
        (("Yıldız", "İbrahim"), ("YILDIZ", "IBRAHIM")),
        (("ÉTÉ", "Zoé"), ("été", "zoé")),
    ] {
        let (civil, document) = (identity(civil.0, civil.1), identity(document.0, document.1));
        assert_eq!(civil.lookup_text(), document.lookup_text());
    }
}

#[test]
fn the_lookup_text_is_readable_and_has_the_birth_date() {
    let somebody = PivotIdentity::parse("Müller-Le Goff", "Éloïse Manuel", "1980-00-00", "99109").unwrap();
    assert_eq!(somebody.lookup_text(), "MULLERLEGOFF<<ELOISEMANUL<<1980-00-00");
    assert_eq!(
        (somebody.family_name(), somebody.given_names()),
        ("Müller-Le Goff", "Éloïse Manuel")
    );
    assert_eq!(
        (somebody.birth_date(), somebody.birthplace()),
        ("1980-00-00", Some("99109"))
    );
}

#[test]
fn different_people_stay_apart() {
    let text = |family, given| identity(family, given).lookup_text();
    assert_ne!(text("Anna", "Maria"), text("AnnaMa", "ria"));
    assert_ne!(text("Martin", "Paul"), text("Paul", "Martin"));
    assert_ne!(text("Durand", "Jean"), text("Durant", "Jean"));
    let born = |day| {
        PivotIdentity::parse("Durand", "Jean", day, "")
            .unwrap()
            .lookup_text()
    };
    assert_ne!(born("1980-01-00"), born("1980-01-01"));
}

#[test]
fn the_holder_of_a_document_is_found_by_the_civil_name() {
    let zone = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
    let document = super::super::mrz::parse(zone, date!(2026 - 11 - 24)).unwrap();
    let holder = PivotIdentity::of_document(&document, "75056").unwrap();
    assert_eq!(
        holder.lookup_text(),
        identity("Eriksson", "Anna-Mária").lookup_text()
    );
    assert_eq!(holder.birthplace(), Some("75056"));
}

#[test]
fn only_two_known_birthplaces_can_differ() {
    let born_in = |place| PivotIdentity::parse("A", "B", "1974-08-12", place).unwrap();
    assert!(born_in("75056").birthplace_agrees(&born_in("75056")));
    assert!(born_in("75056").birthplace_agrees(&born_in("")));
    assert!(!born_in("75056").birthplace_agrees(&born_in("99109")));
}

#[test]
fn the_field_that_is_wrong_is_named() {
    let cases = [
        (refusal("", "B", "1974-08-12", ""), "family_name", "identity.text"),
        (
            refusal("A", "B\u{202e}", "1974-08-12", ""),
            "given_names",
            "identity.text",
        ),
        (
            refusal("Иванов", "B", "1974-08-12", ""),
            "family_name",
            "identity.letter",
        ),
        (
            refusal("A", "R2", "1974-08-12", ""),
            "given_names",
            "identity.letter",
        ),
        (
            refusal("A", "-", "1974-08-12", ""),
            "given_names",
            "identity.letter",
        ),
        (
            refusal("A", "B", "12/08/1974", ""),
            "birth_date",
            "identity.birth_date",
        ),
        (
            refusal("A", "B", "1974-08-12", "7505"),
            "birthplace",
            "identity.birthplace",
        ),
    ];
    for (error, field, code) in cases {
        assert_eq!((error.field(), error.code()), (field, code), "{error}");
    }
    assert_eq!(
        refusal("A", "Jo3", "1974-08-12", "").to_string(),
        "given_names: character 3 is U+0033; names take Latin letters, spaces, hyphens, apostrophes and full stops"
    );
}

#[test]
fn presumed_birth_dates_are_allowed_and_impossible_ones_are_not() {
    for day in ["1980-00-00", "1980-02-00", "2000-02-29", "1850-01-01"] {
        assert!(PivotIdentity::parse("A", "B", day, "").is_ok(), "{day}");
    }
    for day in [
        "",
        "1980",
        "1980-00-12",
        "1980-13-01",
        "1980-02-30",
        "1900-02-29",
        "0000-00-00",
        "1980-1-01",
        "+980-01-01",
        "1980-01-011",
        "1980/01/01",
        "1980-01-é",
    ] {
        assert_eq!(refusal("A", "B", day, ""), IdentityError::BirthDate, "{day}");
    }
}

#[test]
fn birthplaces_are_cog_codes() {
    for place in ["75056", "2A004", "2B033", "97411", "99109"] {
        assert!(
            PivotIdentity::parse("A", "B", "1974-08-12", place).is_ok(),
            "{place}"
        );
    }
    for place in [
        "7505", "750560", "2C004", "2a004", "A2004", "75O56", "Paris", "7505é",
    ] {
        assert_eq!(
            refusal("A", "B", "1974-08-12", place),
            IdentityError::Birthplace,
            "{place}"
        );
    }
}

#[test]
fn debug_output_names_nobody() {
    assert_eq!(
        format!("{:?}", identity("Eriksson", "Anna")),
        "PivotIdentity { .. }"
    );
}

/// One letter with every way in which Doc 9303-3, section 6 A, lets an issuer write it.
fn spelled() -> impl Strategy<Value = (&'static str, &'static str)> {
    let ways = [
        ("Ä", vec!["AE", "A"]),
        ("Å", vec!["AA", "A"]),
        ("Ö", vec!["OE", "O"]),
        ("Ü", vec!["UE", "UXX", "U"]),
        ("Ñ", vec!["N", "NXX"]),
        ("Ø", vec!["OE"]),
        ("Æ", vec!["AE"]),
        ("ß", vec!["SS"]),
        ("Þ", vec!["TH"]),
        ("é", vec!["E"]),
        ("-", vec![" ", ""]),
        ("’", vec![" ", ""]),
        ("a", vec!["A"]),
        ("e", vec!["E"]),
        ("n", vec!["N"]),
        ("u", vec!["U"]),
        ("r", vec!["R"]),
    ];
    let pairs: Vec<_> = ways
        .into_iter()
        .flat_map(|(civil, written)| written.into_iter().map(move |it| (civil, it)))
        .collect();
    prop::sample::select(pairs)
}

proptest! {
    #[test]
    fn every_spelling_an_issuer_may_choose_is_found(letters in prop::collection::vec(spelled(), 0..12)) {
        let civil: String = letters.iter().map(|it| it.0).collect();
        let written: String = letters.iter().map(|it| it.1).collect();
        let (civil, written) = (format!("K{civil}k"), format!("K{written}K"));
        prop_assert_eq!(identity(&civil, "Zoé").lookup_text(), identity(&written, "ZOE").lookup_text());
    }

    #[test]
    fn a_lookup_text_is_of_capitals_and_folds_to_itself(family in "[A-Za-zÀ-ÖØ-öø-ž' -]{1,40}") {
        if let Ok(somebody) = PivotIdentity::parse(&family, "Zoé", "1974-08-12", "") {
            let text = somebody.lookup_text();
            let folded = text.split("<<").next().unwrap();
            prop_assert!(folded.bytes().all(|it| it.is_ascii_uppercase()));
            prop_assert_eq!(identity(folded, "ZOE").lookup_text(), text);
        }
    }
}
