//! The PIN and its rules, on the phone only: it never travels. Section 4 of protocol.md.
//!
//! [`Pin::choose`] enforces the daemon's policy when a PIN is set, [`Pin::enter`] only reads one. The approval key lies
//! wrapped under a key that needs the PIN and the daemon's help: [`wrap`], [`unwrap`].

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

mod rules;
mod wrapped;

pub use wrapped::{Argon2Cost, UnwrapError, WrapError, WrappedKey, unwrap, wrap};

/// Fewest digits that any policy allows.
pub const SHORTEST: u8 = 5;
/// Most digits that any policy allows.
pub const LONGEST: u8 = 12;

/// Digits that only the person knows. Wiped on drop.
pub struct Pin(Zeroizing<String>);

/// Why a PIN was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// A character other than 0 to 9.
    #[error("a PIN is made of digits only")]
    NotDigits,
    /// Too few digits.
    #[error("the PIN is too short: at least {min_length} digits")]
    TooShort {
        /// Fewest digits.
        min_length: u8,
    },
    /// Too many digits.
    #[error("the PIN is too long: at most {max_length} digits")]
    TooLong {
        /// Most digits.
        max_length: u8,
    },
    /// One digit or one group of digits over and over.
    #[error("the PIN repeats itself: choose another one")]
    Repeats,
    /// Digits counting up or down.
    #[error("the PIN counts up or down: choose another one")]
    Run,
    /// A calendar date.
    #[error("the PIN reads like a date: choose another one")]
    Date,
}

impl PinError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotDigits => "pin.not_digits",
            Self::TooShort { .. } => "pin.too_short",
            Self::TooLong { .. } => "pin.too_long",
            Self::Repeats => "pin.repeats",
            Self::Run => "pin.run",
            Self::Date => "pin.date",
        }
    }
}

/// The daemon's rules for new PINs; part of the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinPolicy {
    /// Fewest digits; [`SHORTEST`] where the policy says less.
    pub min_length: u8,
    /// Most digits; [`LONGEST`] where the policy says more.
    pub max_length: u8,
    /// Refuse `111111`, `121212`, `123123`.
    pub refuse_repeats: bool,
    /// Refuse `123456`, `987654`, `890123`.
    pub refuse_runs: bool,
    /// Refuse what reads like a date, e.g. of birth: `140789`, `19890714`, `071989`.
    pub refuse_dates: bool,
}

impl Default for PinPolicy {
    fn default() -> Self {
        Self {
            min_length: 6,
            max_length: LONGEST,
            refuse_repeats: true,
            refuse_runs: true,
            refuse_dates: true,
        }
    }
}

impl Pin {
    /// Checks a new PIN against the policy. A policy weaker than 5 digits is read as 5 digits.
    ///
    /// # Errors
    /// [`PinError`] names the rule.
    pub fn choose(digits: &str, policy: &PinPolicy) -> Result<Self, PinError> {
        let min_length = policy.min_length.clamp(SHORTEST, LONGEST);
        let max_length = policy.max_length.clamp(min_length, LONGEST);
        let pin = Self::read(digits, min_length, max_length)?;
        if policy.refuse_repeats && rules::repeats(digits.as_bytes()) {
            return Err(PinError::Repeats);
        }
        if policy.refuse_runs && rules::counts(digits.as_bytes()) {
            return Err(PinError::Run);
        }
        if policy.refuse_dates && rules::is_date(digits) {
            return Err(PinError::Date);
        }
        Ok(pin)
    }

    /// Reads a PIN that was chosen before: 5 to 12 digits.
    ///
    /// # Errors
    /// [`PinError`] when it cannot be one.
    pub fn enter(digits: &str) -> Result<Self, PinError> {
        Self::read(digits, SHORTEST, LONGEST)
    }

    fn read(digits: &str, min_length: u8, max_length: u8) -> Result<Self, PinError> {
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PinError::NotDigits);
        }
        if digits.len() < min_length.into() {
            return Err(PinError::TooShort { min_length });
        }
        if digits.len() > max_length.into() {
            return Err(PinError::TooLong { max_length });
        }
        Ok(Self(Zeroizing::new(digits.to_owned())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;

    fn chosen(digits: &str) -> Result<(), PinError> {
        Pin::choose(digits, &PinPolicy::default()).map(|_| ())
    }

    #[test]
    fn ordinary_pins_are_accepted() {
        for digits in ["482913", "903718", "4829137", "990011", "135792", "483920174652"] {
            assert_eq!(chosen(digits), Ok(()), "{digits}");
        }
        let pin = Pin::choose("482913", &PinPolicy::default()).unwrap();
        assert_eq!(pin.expose(), "482913");
    }

    #[test]
    fn weak_pins_are_refused_by_name() {
        for digits in ["111111", "121212", "123123", "1212121", "483948394"] {
            assert_eq!(chosen(digits), Err(PinError::Repeats), "{digits}");
        }
        for digits in ["123456", "987654", "890123", "210987", "23456789"] {
            assert_eq!(chosen(digits), Err(PinError::Run), "{digits}");
        }
        for digits in [
            "140789", "071489", "890714", "290200", "071989", "198907", "14071989", "07141989", "20011231",
        ] {
            assert_eq!(chosen(digits), Err(PinError::Date), "{digits}");
        }
        for digits in ["324578", "310299", "19891307", "471330", "14071789"] {
            assert_eq!(chosen(digits), Ok(()), "{digits}");
        }
    }

    #[test]
    fn each_rule_can_be_switched_off() {
        let lax = PinPolicy {
            refuse_repeats: false,
            refuse_runs: false,
            refuse_dates: false,
            ..PinPolicy::default()
        };
        for digits in ["111111", "123456", "140789"] {
            assert!(Pin::choose(digits, &lax).is_ok(), "{digits}");
        }
    }

    #[test]
    fn length_is_the_policys_but_never_under_five() {
        let policy = |min_length, max_length| PinPolicy {
            min_length,
            max_length,
            ..PinPolicy::default()
        };
        let verdict = |digits, policy| Pin::choose(digits, &policy).map(|_| ());
        assert_eq!(chosen("48291"), Err(PinError::TooShort { min_length: 6 }));
        assert_eq!(chosen("4829137465203"), Err(PinError::TooLong { max_length: 12 }));
        assert_eq!(verdict("48291", policy(5, 8)), Ok(()));
        assert_eq!(
            verdict("4829", policy(0, 8)),
            Err(PinError::TooShort { min_length: 5 })
        );
        assert_eq!(
            verdict("482913746", policy(6, 8)),
            Err(PinError::TooLong { max_length: 8 })
        );
        assert_eq!(
            verdict("482913", policy(8, 6)),
            Err(PinError::TooShort { min_length: 8 })
        );
        assert_eq!(
            verdict("4829137465203", policy(6, 255)),
            Err(PinError::TooLong { max_length: 12 })
        );
    }

    #[test]
    fn digits_only() {
        for digits in [
            "48291a",
            "48 913",
            "-48291",
            "４８２９１３",
            "482913\n",
            "+482913",
        ] {
            assert_eq!(chosen(digits), Err(PinError::NotDigits), "{digits:?}");
            assert_eq!(
                Pin::enter(digits).map(|_| ()),
                Err(PinError::NotDigits),
                "{digits:?}"
            );
        }
    }

    #[test]
    fn entering_checks_the_form_only() {
        assert!(Pin::enter("11111").is_ok());
        assert_eq!(
            Pin::enter("1111").map(|_| ()),
            Err(PinError::TooShort { min_length: 5 })
        );
        assert_eq!(
            Pin::enter("").map(|_| ()),
            Err(PinError::TooShort { min_length: 5 })
        );
        assert_eq!(
            Pin::enter("1111111111111").map(|_| ()),
            Err(PinError::TooLong { max_length: 12 })
        );
    }
}
