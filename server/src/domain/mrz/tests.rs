//! The specimens of Doc 9303-4, -5 and -6, and what must not pass for them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::prelude::*;
use time::macros::date;

use super::*;

const TODAY: Date = date!(2026 - 11 - 24);

const TD3: &str =
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
const TD2: &str = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6";
const TD1: &str =
    "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<";
/// The long document number of Doc 9303-5, section 4.2.4: D23145890734 with check digit 9.
const TD1_LONG: &str =
    "I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<";

/// Where a check digit covers a digit or is one: line, first and last position, from 0.
const TD3_COVERED: &[(usize, usize, usize)] = &[(1, 0, 9), (1, 13, 19), (1, 21, 43)];
const TD2_COVERED: &[(usize, usize, usize)] = &[(1, 0, 9), (1, 13, 19), (1, 21, 35)];
const TD1_COVERED: &[(usize, usize, usize)] = &[(0, 5, 29), (1, 0, 6), (1, 8, 14), (1, 18, 29)];

fn read(zone: &str) -> MrzDocument {
    parse(zone, TODAY).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(zone: &str) -> MrzError {
    parse(zone, TODAY).expect_err("refused")
}

/// `zone` with the character at (line, position), both from 0, replaced.
fn replaced(zone: &str, line: usize, position: usize, by: char) -> String {
    let mut lines: Vec<Vec<char>> = zone.lines().map(|it| it.chars().collect()).collect();
    lines[line][position] = by;
    lines
        .into_iter()
        .map(|it| it.into_iter().collect::<String>())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A passport whose check digits are computed, so that a test can choose its fields.
fn passport(name: &str, birth: &str, expiry: &str, personal: &str) -> String {
    let digit = |text: &str| mrz::check_digit(text).unwrap();
    let checked = |text: &str| format!("{text}{}", digit(text));
    let (number, birth, expiry, personal) = (
        checked("L898902C3"),
        checked(birth),
        checked(expiry),
        checked(&format!("{personal:<<14}")),
    );
    let composite = digit(&format!("{number}{birth}{expiry}{personal}"));
    format!("P<UTO{name:<<39}\n{number}UTO{birth}F{expiry}{personal}{composite}")
}

#[test]
fn the_passport_specimen() {
    let document = read(TD3);
    assert_eq!(document.format.as_str(), "TD3");
    assert_eq!(
        (document.code.as_str(), document.issuing_state.as_str()),
        ("P", "UTO")
    );
    assert_eq!(
        (document.number.as_str(), document.nationality.as_str()),
        ("L898902C3", "UTO")
    );
    assert_eq!(
        (document.family_name.as_str(), document.given_names.as_str()),
        ("ERIKSSON", "ANNA MARIA")
    );
    assert_eq!(
        (document.birth_date.as_str(), document.expiry_date.as_str()),
        ("1974-08-12", "2012-04-15")
    );
    assert_eq!(
        (document.sex.as_str(), document.optional.as_str()),
        ("F", "ZE184226B")
    );
}

#[test]
fn the_two_card_specimens() {
    for (zone, format) in [(TD1, "TD1"), (TD2, "TD2")] {
        let document = read(zone);
        assert_eq!(document.format.as_str(), format);
        assert_eq!(
            (document.code.as_str(), document.number.as_str()),
            ("I", "D23145890")
        );
        assert_eq!(
            (document.family_name.as_str(), document.given_names.as_str()),
            ("ERIKSSON", "ANNA MARIA")
        );
        assert_eq!(
            (document.birth_date.as_str(), document.optional.as_str()),
            ("1974-08-12", "")
        );
    }
}

#[test]
fn a_long_document_number_is_put_together() {
    assert_eq!(read(TD1_LONG).number, "D23145890734");
    assert_eq!(refusal(&replaced(TD1_LONG, 0, 17, '8')).code(), "mrz.check_digit");
}

#[test]
fn a_filler_is_no_check_digit() {
    // The number sums to 0 and a filler counts as 0, so only its being a filler gives it away.
    let zone =
        "I<UTOD23145893<<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<";
    let MrzError::CheckDigit {
        field: Field::DocumentNumber,
        line: 1,
        position: 15,
        found: '<',
        ..
    } = refusal(zone)
    else {
        panic!("{}", refusal(zone))
    };
    let td3 = replaced(TD3, 1, 43, '<');
    let named = "line 2, character 44 (whole zone): found '<', expected a digit";
    assert_eq!(refusal(&td3).to_string(), named);
    // A personal number that is there needs its digit; one that is not may do without.
    assert_eq!(refusal(&replaced(TD3, 1, 42, '<')).code(), "mrz.check_digit");
    let without = passport("ERIKSSON<<ANNA", "740812", "300101", "");
    assert_eq!(read(&replaced(&without, 1, 42, '<')).optional, "");
}

#[test]
fn a_wrong_check_digit_is_named_with_the_right_one() {
    let error = refusal(&replaced(TD3, 1, 19, '3'));
    assert_eq!(
        error,
        MrzError::CheckDigit {
            field: Field::BirthDate,
            line: 2,
            position: 20,
            found: '3',
            expected: 2
        }
    );
    assert_eq!(error.code(), "mrz.check_digit");
}

/// The composite digit can be right where a field's own is not: each digit is checked for itself.
#[test]
fn every_check_digit_counts_alone() {
    let line_one = TD3.lines().next().unwrap();
    let checks = [
        (9, Field::DocumentNumber),
        (19, Field::BirthDate),
        (27, Field::ExpiryDate),
        (42, Field::OptionalData),
    ];
    for (position, field) in checks {
        let mut line = TD3.lines().nth(1).unwrap().to_owned();
        let wrong = (line[position..=position].parse::<u32>().unwrap() + 1) % 10;
        line.replace_range(position..=position, &wrong.to_string());
        let composite =
            mrz::check_digit(&format!("{}{}{}", &line[..10], &line[13..20], &line[21..43])).unwrap();
        line.replace_range(43..44, &composite.to_string());
        let error = refusal(&format!("{line_one}\n{line}"));
        assert!(
            matches!(error, MrzError::CheckDigit { field: named, .. } if named == field),
            "{error}"
        );
    }
}

/// Eight characters and a filler, then the rest: no edition of Doc 9303 writes a long number so.
#[test]
fn a_long_number_is_laid_out_as_the_standard_says() {
    let card = |number: &str| {
        let (line_one, line_two) = (format!("I<UTO{number:<<25}"), "7408122F1204159UTO<<<<<<<<<<<");
        let covered = format!(
            "{}{}{}{}",
            &line_one[5..],
            &line_two[..7],
            &line_two[8..15],
            &line_two[18..]
        );
        let composite = mrz::check_digit(&covered).unwrap();
        format!("{line_one}\n{line_two}{composite}\nERIKSSON<<ANNA<MARIA<<<<<<<<<<")
    };
    assert_eq!(read(&card("D23145890<7349<")).number, "D23145890734");
    assert_eq!(refusal(&card("D2314589<<00018<")).code(), "mrz.check_digit");
}

#[test]
fn lower_case_and_surrounding_space_are_accepted() {
    let typed = format!("\r\n  {}  \r\n\n", TD3.to_lowercase().replace('\n', "\t\r\n "));
    assert_eq!(read(&typed).number, read(TD3).number);
    assert_eq!(refusal(&TD3.replace("L898", "L89 8")).code(), "mrz.length");
}

#[test]
fn the_letter_o_is_never_a_zero() {
    let error = refusal(&replaced(TD3, 1, 15, 'O'));
    assert_eq!(
        error.to_string(),
        "line 2, character 16 (birth date): found 'O', expected a digit or <"
    );
    let error = refusal(&replaced(TD3, 0, 5, '0'));
    assert_eq!(
        error.to_string(),
        "line 1, character 6 (name): found '0', expected a letter A to Z or <"
    );
}

#[test]
fn other_lengths_other_codes_and_other_alphabets_are_refused() {
    for zone in [
        "",
        "P<UTO",
        &TD3[..88],
        &format!("{TD2}\n{TD2}"),
        &format!("{TD1}<"),
    ] {
        assert_eq!(refusal(zone).code(), "mrz.length", "{zone}");
    }
    assert_eq!(refusal(&replaced(TD3, 0, 0, 'V')).code(), "mrz.document_code");
    assert_eq!(refusal(&replaced(TD3, 0, 7, 'É')).code(), "mrz.character");
    assert_eq!(refusal(&replaced(TD3, 1, 20, 'X')).code(), "mrz.character");
    assert_eq!(refusal(&replaced(TD3, 0, 2, '<')).code(), "mrz.layout");
}

#[test]
fn an_unknown_day_or_month_is_00() {
    let birth = |text: &str| parse(&passport("A<<B", text, "300101", ""), TODAY).map(|it| it.birth_date);
    assert_eq!(birth("7408<<").unwrap(), "1974-08-00");
    assert_eq!(birth("74<<<<").unwrap(), "1974-00-00");
    for text in [
        "<<<<<<", "74<<12", "7408<2", "740800", "740012", "741312", "740230", "<40812",
    ] {
        assert_eq!(birth(text).unwrap_err().code(), "mrz.date", "{text}");
    }
}

#[test]
fn nobody_is_born_in_the_future() {
    let birth = |text: &str| read(&passport("A<<B", text, "300101", "")).birth_date;
    assert_eq!(birth("261124"), "2026-11-24");
    assert_eq!(birth("261125"), "1926-11-25");
    assert_eq!(birth("26<<<<"), "2026-00-00");
    assert_eq!(birth("2612<<"), "1926-12-00");
    assert_eq!(birth("27<<<<"), "1927-00-00");
    assert_eq!(birth("000229"), "2000-02-29");
    assert_eq!(
        parse(&passport("A<<B", "740812", "300101", ""), date!(1999 - 1 - 1))
            .unwrap()
            .birth_date,
        "1974-08-12"
    );
}

#[test]
fn an_expiry_date_is_whole_and_near() {
    let expiry = |text: &str| parse(&passport("A<<B", "740812", text, ""), TODAY).map(|it| it.expiry_date);
    assert_eq!(expiry("361231").unwrap(), "2036-12-31");
    assert_eq!(expiry("761231").unwrap(), "2076-12-31");
    assert_eq!(expiry("990101").unwrap(), "1999-01-01");
    assert_eq!(expiry("300230").unwrap_err().code(), "mrz.date");
    assert_eq!(expiry("3001<<").unwrap_err().code(), "mrz.character");
}

#[test]
fn only_two_fillers_part_the_names() {
    let names = |name: &str| {
        let document = read(&passport(name, "740812", "300101", ""));
        (document.family_name, document.given_names)
    };
    assert_eq!(names("DE<LA<CRUZ"), ("DE LA CRUZ".into(), String::new()));
    assert_eq!(
        names("LE<GOFF<<ANNE<MARIE"),
        ("LE GOFF".into(), "ANNE MARIE".into())
    );
    assert_eq!(
        refusal(&passport("<<ANNA", "740812", "300101", "")).code(),
        "mrz.layout"
    );
}

#[test]
fn debug_output_names_nobody() {
    assert_eq!(format!("{:?}", read(TD3)), "MrzDocument { format: Td3, .. }");
}

/// Every digit under a check digit, replaced by every other digit: no such zone is read.
#[test]
fn every_other_digit_under_a_check_digit_is_refused() {
    let mut tried = 0;
    for (zone, covered) in [
        (TD3, TD3_COVERED),
        (TD2, TD2_COVERED),
        (TD1, TD1_COVERED),
        (TD1_LONG, TD1_COVERED),
    ] {
        let lines: Vec<&str> = zone.lines().collect();
        for (line, first, last) in covered.iter().copied() {
            for position in first..=last {
                let was = char::from(lines[line].as_bytes()[position]);
                for by in ('0'..='9').filter(|by| was.is_ascii_digit() && *by != was) {
                    let zone = replaced(zone, line, position, by);
                    assert!(parse(&zone, TODAY).is_err(), "{zone}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 700, "{tried}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(zone in "[A-Z0-9<a-zé \n]{0,140}") {
        let _ = parse(&zone, TODAY);
    }

    #[test]
    fn a_digit_changed_in_any_passport_is_refused(
        (year, month, day) in (0..100u8, 1..=12u8, 1..=28u8),
        personal in "[0-9A-Z]{0,14}",
        position in prop::sample::select((13..20usize).chain(21..44).collect::<Vec<_>>()),
        by in prop::char::range('0', '9'),
    ) {
        let zone = passport("ERIKSSON<<ANNA", &format!("{year:02}{month:02}{day:02}"), "300101", &personal);
        prop_assert!(parse(&zone, TODAY).is_ok());
        let was = char::from(zone.lines().nth(1).unwrap().as_bytes()[position]);
        prop_assume!(was.is_ascii_digit() && was != by);
        prop_assert!(parse(&replaced(&zone, 1, position, by), TODAY).is_err());
    }
}
