//! Whole numbers within bounds, refused where they are read so that the error knows its key and line.
//!
//! Used by the sections of [`super::Config`] as `deserialize_with = "between::<MIN, MAX, _, _>"`; both ends are allowed.

use serde::de::{Deserialize, Deserializer, Error};

/// Reads a number from `MIN` to `MAX`, both included.
///
/// # Errors
/// A value outside, with the range in the message.
pub(super) fn between<'de, const MIN: i64, const MAX: i64, N, D>(from: D) -> Result<N, D::Error>
where
    N: TryFrom<i64>,
    D: Deserializer<'de>,
{
    let number = i64::deserialize(from)?;
    let refused = || D::Error::custom(format!("{number} is not allowed; from {MIN} to {MAX} is"));
    if !(MIN..=MAX).contains(&number) {
        return Err(refused());
    }
    N::try_from(number).map_err(|_| refused())
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
