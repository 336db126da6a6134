//! The figures of the protocol that a deployment may set: PIN, match code, step-up limits, sessions, retention.
//!
//! Read by `app/`. PIN waits and budgets may be stricter than protocol.md section 4, never laxer (PSD2 RTS art. 4(3)(b)).

use serde::Deserialize;

use super::error::ConfigError;
use super::range::between;

/// `[pin]`: rules for choosing a PIN and the price of wrong ones.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pin {
    /// Fewest digits, 5 to 12. Default 6.
    #[serde(deserialize_with = "between::<5, 12, _, _>")]
    pub min_length: u8,
    /// Most digits, 5 to 12 and not below `min_length`. Default 12.
    #[serde(deserialize_with = "between::<5, 12, _, _>")]
    pub max_length: u8,
    /// Refuse a single digit repeated. Default `true`.
    pub refuse_repeats: bool,
    /// Refuse rising and falling runs such as 123456. Default `true`.
    pub refuse_runs: bool,
    /// Refuse dates. Default `true`.
    pub refuse_dates: bool,
    /// Wait after the third failure, 60 s to 1 day. Default 60 s.
    #[serde(deserialize_with = "between::<60, 86_400, _, _>")]
    pub wait_after_3_s: u32,
    /// Wait after the fourth failure, 15 min to 7 days and not below `wait_after_3_s`. Default 15 min.
    #[serde(deserialize_with = "between::<900, 604_800, _, _>")]
    pub wait_after_4_s: u32,
    /// Failures that lock the device, 3 to 5. Default 5.
    #[serde(deserialize_with = "between::<3, 5, _, _>")]
    pub max_failures: u32,
    /// Failures within `rolling_days` that lock the device, 5 to 20. Default 20.
    #[serde(deserialize_with = "between::<5, 20, _, _>")]
    pub rolling_failures: u32,
    /// The window of `rolling_failures`, 30 to 366 days. Default 30.
    #[serde(deserialize_with = "between::<30, 366, _, _>")]
    pub rolling_days: u32,
}

impl Default for Pin {
    fn default() -> Self {
        Self {
            min_length: 6,
            max_length: 12,
            refuse_repeats: true,
            refuse_runs: true,
            refuse_dates: true,
            wait_after_3_s: 60,
            wait_after_4_s: 900,
            max_failures: 5,
            rolling_failures: 20,
            rolling_days: 30,
        }
    }
}

impl Pin {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.max_length < self.min_length {
            let message = format!(
                "{} is below pin.min_length = {}; raise it or lower the other",
                self.max_length, self.min_length
            );
            return Err(ConfigError::conflict("pin.max_length", message));
        }
        if self.wait_after_4_s < self.wait_after_3_s {
            let message = format!(
                "{} is below pin.wait_after_3_s = {}; a later failure waits at least as long",
                self.wait_after_4_s, self.wait_after_3_s
            );
            return Err(ConfigError::conflict("pin.wait_after_4_s", message));
        }
        Ok(())
    }
}

/// `[match_code]`: the code on the backend's page that the person types on the phone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchCode {
    /// Digits, 2 to 8. Default 6 (NIST SP 800-63B-4, ASVS 5).
    #[serde(deserialize_with = "between::<2, 8, _, _>")]
    pub digits: u8,
}

impl Default for MatchCode {
    fn default() -> Self {
        Self { digits: 6 }
    }
}

/// `[step_up]`: what backends may ask of one person (protocol.md section 6). One transaction is pending at a time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepUp {
    /// Requests of one backend for one person in 10 minutes, 1 to 1,000. Default 5.
    #[serde(deserialize_with = "between::<1, 1_000, _, _>")]
    pub requests_per_10_min: u32,
    /// Requests of one backend for one person in a day, 1 to 10,000. Default 20.
    #[serde(deserialize_with = "between::<1, 10_000, _, _>")]
    pub requests_per_day: u32,
    /// Wakes of one phone in an hour over all backends, 1 to 1,000. Default 10.
    #[serde(deserialize_with = "between::<1, 1_000, _, _>")]
    pub wakes_per_hour: u32,
    /// Shortest life of a challenge, 30 to 600 s; from 1 s in a demonstration. Default 30 s.
    #[serde(deserialize_with = "between::<1, 600, _, _>")]
    pub min_lifetime_s: u32,
    /// Longest life of a challenge, up to 600 s and not below `min_lifetime_s`. Default 600 s.
    #[serde(deserialize_with = "between::<1, 600, _, _>")]
    pub max_lifetime_s: u32,
}

impl Default for StepUp {
    fn default() -> Self {
        Self {
            requests_per_10_min: 5,
            requests_per_day: 20,
            wakes_per_hour: 10,
            min_lifetime_s: 30,
            max_lifetime_s: 600,
        }
    }
}

impl StepUp {
    pub(super) fn check(&self, demonstration: bool) -> Result<(), ConfigError> {
        if self.min_lifetime_s < 30 && !demonstration {
            let message = format!(
                "{} is not allowed; from 30 to 600 is, and less only with profile.demonstration = true",
                self.min_lifetime_s
            );
            return Err(ConfigError::conflict("step_up.min_lifetime_s", message));
        }
        if self.max_lifetime_s < self.min_lifetime_s {
            let message = format!(
                "{} is below step_up.min_lifetime_s = {}; raise it or lower the other",
                self.max_lifetime_s, self.min_lifetime_s
            );
            return Err(ConfigError::conflict("step_up.max_lifetime_s", message));
        }
        Ok(())
    }
}

/// `[session]`: an operator's login on a registered terminal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// Life of a session, 60 s to 12 h. Default 30 min.
    #[serde(deserialize_with = "between::<60, 43_200, _, _>")]
    pub lifetime_s: u32,
}

impl Default for Session {
    fn default() -> Self {
        Self { lifetime_s: 1_800 }
    }
}

/// `[operators]`: the challenges that operators raise for their own phones have figures of their own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operators {
    /// Logins of one operator in 10 minutes, 1 to 1,000. Default 10.
    #[serde(deserialize_with = "between::<1, 1_000, _, _>")]
    pub requests_per_10_min: u32,
    /// Logins of one operator in a day, 1 to 10,000. Default 60.
    #[serde(deserialize_with = "between::<1, 10_000, _, _>")]
    pub requests_per_day: u32,
    /// Life of a login challenge, 30 to 600 s. Default 120 s.
    #[serde(deserialize_with = "between::<30, 600, _, _>")]
    pub login_lifetime_s: u32,
    /// Enrolments that one clerk may begin in 10 minutes, 1 to 1,000. Default 30.
    #[serde(deserialize_with = "between::<1, 1_000, _, _>")]
    pub enrolments_per_10_min: u32,
    /// Enrolments that one clerk may begin in a day, 1 to 10,000. Default 400.
    #[serde(deserialize_with = "between::<1, 10_000, _, _>")]
    pub enrolments_per_day: u32,
    /// Language of what the daemon itself asks to confirm. Default `fr`.
    pub locale: OwnLocale,
}

/// The languages of the built-in catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnLocale {
    /// French.
    Fr,
    /// English.
    En,
}

impl OwnLocale {
    /// BCP 47.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fr => "fr",
            Self::En => "en",
        }
    }
}

impl Default for Operators {
    fn default() -> Self {
        Self {
            requests_per_10_min: 10,
            requests_per_day: 60,
            login_lifetime_s: 120,
            enrolments_per_10_min: 30,
            enrolments_per_day: 400,
            locale: OwnLocale::Fr,
        }
    }
}

/// `[retention]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days of their past that a person's history shows, 1 to 3,660. Default 396 (13 months). What is older is kept.
    #[serde(deserialize_with = "between::<1, 3_660, _, _>")]
    pub history_days: u32,
    /// Days after its verdict when a challenge moves to the archive, 2 to 3,660: every quota counts what is younger. Default 2.
    #[serde(deserialize_with = "between::<2, 3_660, _, _>")]
    pub archive_after_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            history_days: 396,
            archive_after_days: 2,
        }
    }
}
