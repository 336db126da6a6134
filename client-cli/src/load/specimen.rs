//! People who do not exist, with the machine-readable zone of their specimen passport.
//!
//! Called by `enrol`. Invariant: the issuing state is UTO, Utopia, which ICAO Doc 9303 keeps for specimens, so no zone made
//! here can be taken for somebody's document. Names are drawn so widely that two phones of one load never share one.

use std::fmt::Write as _;

use rand_core::RngCore;

/// Characters of each line of a passport's zone (Doc 9303-4).
const LINE: usize = 44;
const CONSONANTS: [char; 16] = [
    'B', 'D', 'F', 'G', 'J', 'K', 'L', 'M', 'N', 'P', 'R', 'S', 'T', 'V', 'W', 'Z',
];
const VOWELS: [char; 5] = ['A', 'E', 'I', 'O', 'U'];
/// The documents of a load expire here, `YYMMDD`.
const EXPIRY: &str = "350415";

/// A person who can be enrolled at the counter.
pub struct Specimen {
    /// In the letters of the zone.
    pub family_name: String,
    /// In the letters of the zone.
    pub given_names: String,
    /// `YYYY-MM-DD`
    pub birth_date: String,
    /// The two lines, separated by a newline.
    pub mrz: String,
}

impl Specimen {
    /// Draws a person: an adult, born between 1950 and 1999.
    pub fn draw(rng: &mut impl RngCore) -> Self {
        let (family_name, given_names) = (word(rng, 5), word(rng, 3));
        let (year, month, day) = (
            50 + rng.next_u32() % 50,
            1 + rng.next_u32() % 12,
            1 + rng.next_u32() % 28,
        );
        let number = format!("L{:08}", rng.next_u32() % 100_000_000);
        let sex = if rng.next_u32().is_multiple_of(2) {
            'F'
        } else {
            'M'
        };
        let birth = format!("{year:02}{month:02}{day:02}");
        Specimen {
            mrz: zone(&family_name, &given_names, &number, &birth, sex),
            birth_date: format!("19{year:02}-{month:02}-{day:02}"),
            family_name,
            given_names,
        }
    }
}

/// Syllables that can be read aloud.
fn word(rng: &mut impl RngCore, syllables: usize) -> String {
    (0..syllables)
        .flat_map(|_| [pick(&CONSONANTS, rng), pick(&VOWELS, rng)])
        .collect()
}

fn pick(letters: &[char], rng: &mut impl RngCore) -> char {
    let index = usize::try_from(rng.next_u32()).unwrap_or(0) % letters.len();
    letters.get(index).copied().unwrap_or('A')
}

fn zone(family: &str, given: &str, number: &str, birth: &str, sex: char) -> String {
    let optional = "<".repeat(14);
    let checked = |field: &str| format!("{field}{}", check_digit(field));
    let (number, birth, expiry) = (checked(number), checked(birth), checked(EXPIRY));
    let composite = check_digit(&format!("{number}{birth}{expiry}{optional}<"));
    let mut zone = format!("{:<<LINE$}", format!("P<UTO{family}<<{given}"));
    let _ = write!(zone, "\n{number}UTO{birth}{sex}{expiry}{optional}<{composite}");
    zone
}

/// Doc 9303-3, section 4.9: weights 7, 3, 1, modulo 10; letters count from 10, the filler 0.
fn check_digit(field: &str) -> u32 {
    let value = |character: char| character.to_digit(36).unwrap_or(0);
    let weighted = field.chars().zip([7, 3, 1].into_iter().cycle());
    weighted
        .map(|(character, weight)| value(character) * weight)
        .sum::<u32>()
        % 10
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
    use crate::edge;

    #[test]
    fn the_check_digits_are_those_of_the_specimen_in_doc_9303() {
        assert_eq!(check_digit("L898902C3"), 6);
        assert_eq!(check_digit("740812"), 2);
        assert_eq!(check_digit("120415"), 9);
        assert_eq!(check_digit("L898902C3674081221204159ZE184226B<<<<<1"), 0);
    }

    #[test]
    fn a_zone_has_two_lines_of_forty_four_characters_of_utopia() {
        for _ in 0..100 {
            let person = Specimen::draw(&mut edge::random());
            let lines: Vec<&str> = person.mrz.lines().collect();
            assert!(
                lines.len() == 2 && lines.iter().all(|line| line.len() == LINE),
                "{}",
                person.mrz
            );
            assert!(lines[0].starts_with(&format!("P<UTO{}<<{}<", person.family_name, person.given_names)));
            assert_eq!(&lines[1][13..19], person.birth_date[2..].replace('-', ""));
        }
    }

    #[test]
    fn people_do_not_share_names() {
        let names: std::collections::BTreeSet<String> = (0..1000)
            .map(|_| Specimen::draw(&mut edge::random()))
            .map(|person| format!("{} {}", person.family_name, person.given_names))
            .collect();
        assert_eq!(names.len(), 1000);
    }
}
