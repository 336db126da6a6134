//! People for tests: passports of Utopia, the specimen state of ICAO 9303, with check digits of our own.

use paraphe_proto::v1::PivotIdentity;

/// A person as a specimen passport names them.
#[derive(Clone, Debug)]
pub struct Specimen {
    /// Family name, A-Z.
    pub family_name: String,
    /// Given names, A-Z, separated by spaces.
    pub given_names: String,
    /// `YYYY-MM-DD` of the 20th century.
    pub birth_date: String,
    /// Nine characters.
    pub number: String,
}

impl Specimen {
    /// The holder of the specimen in ICAO 9303 part 4, appendix B.
    #[must_use]
    pub fn anna() -> Self {
        Self::new("ERIKSSON", "ANNA MARIA", "1974-08-12", "L898902C3")
    }

    /// Somebody else.
    #[must_use]
    pub fn bruno() -> Self {
        Self::new("MARTINEAU", "BRUNO", "1961-02-28", "L11122233")
    }

    /// A third one.
    #[must_use]
    pub fn celia() -> Self {
        Self::new("QUERCY", "CELIA ODILE", "1988-11-05", "L44455566")
    }

    fn new(family_name: &str, given_names: &str, birth_date: &str, number: &str) -> Self {
        Self {
            family_name: family_name.to_owned(),
            given_names: given_names.to_owned(),
            birth_date: birth_date.to_owned(),
            number: number.to_owned(),
        }
    }

    /// How a backend names them.
    #[must_use]
    pub fn identity(&self) -> PivotIdentity {
        PivotIdentity {
            family_name: self.family_name.clone(),
            given_names: self.given_names.clone(),
            birth_date: self.birth_date.clone(),
            birthplace: String::new(),
        }
    }

    /// The machine-readable zone of a TD3 passport, two lines of 44 characters.
    #[must_use]
    pub fn mrz(&self) -> String {
        let names = format!("{}<<{}", self.family_name, self.given_names.replace(' ', "<"));
        let first = format!("P<UTO{names:<<39}");
        let birth = self.birth_date.get(2..).unwrap_or_default().replace('-', "");
        let (expiry, optional) = ("120415", format!("{:<<14}", "ZE184226B"));
        let numbered = format!("{}{}", self.number, check_digit(&self.number));
        let born = format!("{birth}{}", check_digit(&birth));
        let expires = format!("{expiry}{}", check_digit(expiry));
        let extra = format!("{optional}{}", check_digit(&optional));
        let all = check_digit(&format!("{numbered}{born}{expires}{extra}"));
        format!("{first}\n{numbered}UTO{born}F{expires}{extra}{all}")
    }
}

/// ICAO 9303 part 3, section 4.9: weights 7, 3, 1, modulo 10.
fn check_digit(text: &str) -> u32 {
    let value = |character: char| match character {
        '<' => 0,
        _ => character.to_digit(36).expect("0-9, A-Z or <"),
    };
    let weighted = text.chars().zip([7, 3, 1].into_iter().cycle());
    weighted
        .map(|(character, weight)| value(character) * weight)
        .sum::<u32>()
        % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_specimen_comes_out() {
        let published =
            "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
        assert_eq!(Specimen::anna().mrz(), published);
    }
}
