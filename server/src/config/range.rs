//! Whole numbers within bounds, refused where they are read so that the error knows its key and line.
//!
//! Used by the sections of [`super::Config`] as `deserialize_with = "between::<MIN, MAX, _, _>"`; both ends are allowed.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// Reads a number from `MIN` to `MAX`, both included.
///
/// # Errors
/// A value outside, with the range in the message.
pub(super) fn between<'de, const MIN: i64, const MAX: i64, N, D>(from: D) -> Result<N, D::Error>
where
    N: TryFrom<i64>,
    D: Deserializer<'de>,
{
    let number = from.deserialize_i64(Within::<MIN, MAX>)?;
    let refused = || D::Error::custom(format!("{number} is not allowed; from {MIN} to {MAX} is"));
    if !(MIN..=MAX).contains(&number) {
        return Err(refused());
    }
    N::try_from(number).map_err(|_| refused())
}

/// Takes any whole number; what is none is told what would be right.
struct Within<const MIN: i64, const MAX: i64>;

impl<const MIN: i64, const MAX: i64> Visitor<'_> for Within<MIN, MAX> {
    type Value = i64;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a whole number from {MIN} to {MAX}")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number)
            .map_err(|_| E::custom(format!("{number} is not allowed; from {MIN} to {MAX} is")))
    }
}

/// Like [`between`] for a number that may be left out.
///
/// # Errors
/// A value outside, with the range in the message.
pub(super) fn maybe_between<'de, const MIN: i64, const MAX: i64, N, D>(from: D) -> Result<Option<N>, D::Error>
where
    N: TryFrom<i64>,
    D: Deserializer<'de>,
{
    between::<MIN, MAX, N, D>(from).map(Some)
}
