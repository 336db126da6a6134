//! What the people of a load mean to do, and in which shares.
//!
//! Parsed from `--mix`, asked once per confirmation. Invariant: the shares hold exactly over every full round of the
//! weights, and the kinds alternate, so that a short run has its mix too.

use std::str::FromStr;

use paraphe_proto::v1::State;

/// What the person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Types the code and the PIN.
    Approve,
    /// Says no.
    Deny,
    /// Says "this is not me", and lifts the block afterwards.
    Report,
    /// Mistypes the PIN once, then types it right.
    WrongPin,
    /// Looks at it and does nothing.
    Expire,
}

impl Intent {
    const ALL: [(&'static str, Intent); 5] = [
        ("approve", Intent::Approve),
        ("deny", Intent::Deny),
        ("report", Intent::Report),
        ("wrong-pin", Intent::WrongPin),
        ("expire", Intent::Expire),
    ];

    /// The verdict that it leads to.
    pub fn verdict(self) -> State {
        match self {
            Intent::Approve | Intent::WrongPin => State::Approved,
            Intent::Deny => State::Denied,
            Intent::Report => State::Reported,
            Intent::Expire => State::Expired,
        }
    }
}

/// Shares of intents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    weights: Vec<(Intent, i64, i64)>,
}

/// Why a mix cannot be read; clap shows it beside the option.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// Not `kind=weight`.
    #[error("write it as kind=weight,…, e.g. approve=90,wrong-pin=10; a weight is 0 to 1000000")]
    Syntax,
    /// A kind that does not exist.
    #[error("`{0}` is no kind; the kinds are approve, deny, report, wrong-pin, expire")]
    Kind(String),
    /// No weight at all.
    #[error("one weight at least must be above 0")]
    Empty,
}

impl Mix {
    /// The next intent: the one whose share is the furthest behind.
    pub fn next(&mut self) -> Intent {
        let total: i64 = self.weights.iter().map(|(_, weight, _)| weight).sum();
        for (_, weight, credit) in &mut self.weights {
            *credit += *weight;
        }
        // The first of equals, so that the order of a round is always the same.
        let behind = self.weights.iter_mut().rev().max_by_key(|(_, _, credit)| *credit);
        behind.map_or(Intent::Approve, |(intent, _, credit)| {
            *credit -= total;
            *intent
        })
    }
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut weights: Vec<(Intent, i64, i64)> = Vec::new();
        for part in text.split(',') {
            let (kind, weight) = part.split_once('=').ok_or(MixError::Syntax)?;
            let known = Intent::ALL.iter().find(|(name, _)| *name == kind.trim());
            let (_, intent) = known.ok_or_else(|| MixError::Kind(kind.trim().to_owned()))?;
            let weight: i64 = weight.trim().parse().map_err(|_| MixError::Syntax)?;
            if !(0..=1_000_000).contains(&weight) {
                return Err(MixError::Syntax);
            }
            weights.retain(|(known, _, _)| known != intent);
            if weight > 0 {
                weights.push((*intent, weight, 0));
            }
        }
        if weights.is_empty() {
            return Err(MixError::Empty);
        }
        Ok(Mix { weights })
    }
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

    #[test]
    fn the_shares_hold_over_each_round_and_alternate() {
        let mut mix: Mix = "approve=6,deny=2,report=1,wrong-pin=2,expire=1".parse().unwrap();
        for _ in 0..3 {
            let round: Vec<Intent> = (0..12).map(|_| mix.next()).collect();
            let count = |intent| round.iter().filter(|drawn| **drawn == intent).count();
            assert_eq!((count(Intent::Approve), count(Intent::Deny)), (6, 2));
            assert_eq!(
                (
                    count(Intent::Report),
                    count(Intent::WrongPin),
                    count(Intent::Expire)
                ),
                (1, 2, 1)
            );
            assert!(
                !round
                    .windows(4)
                    .any(|four| four.iter().all(|one| *one == Intent::Approve))
            );
        }
    }

    #[test]
    fn a_weight_of_nothing_never_comes() {
        let mut mix: Mix = "approve=100,deny=0,report=0,wrong-pin=0,expire=0"
            .parse()
            .unwrap();
        assert!((0..200).all(|_| mix.next() == Intent::Approve));
    }

    #[test]
    fn what_is_no_mix_says_why() {
        for (text, error) in [
            ("approve", MixError::Syntax),
            ("approve=x", MixError::Syntax),
            ("approve=-1", MixError::Syntax),
            ("", MixError::Syntax),
            ("sleep=1", MixError::Kind("sleep".to_owned())),
            ("approve=0", MixError::Empty),
        ] {
            assert_eq!(text.parse::<Mix>(), Err(error), "{text}");
        }
    }
}
