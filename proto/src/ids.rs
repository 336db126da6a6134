//! One type per identifier. Used everywhere; sections 3 to 6 of protocol.md.
//!
//! An id has exactly one text: a prefix that names its kind and lowercase base32 without padding. Parsing accepts that
//! text only, so equal ids have equal texts. Ids are public names, never secrets.

use std::{fmt, str::FromStr};

use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::encoding::{base32, from_base32};

/// Text that is not the id that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {expected}")]
pub struct IdError {
    /// What was expected, e.g. `challenge id (chl_…)`.
    pub expected: &'static str,
}

impl IdError {
    /// Stable code of the error.
    pub const fn code(&self) -> &'static str {
        "id.malformed"
    }
}

/// Text form of an id type: `Display`, `FromStr` and `Debug` and serde through them.
macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(D::Error::custom)
            }
        }
    };
}

/// An id of fixed length: a prefix and base32 of its bytes.
macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $bytes:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id over these bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, base32(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(|digits| from_base32(digits).ok())
                    .map(Self)
                    .ok_or(IdError { expected: $expected })
            }
        }

        text_form!($name);
    };
}

/// An id that is drawn at random.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        byte_id!($(#[$doc])* $name, $prefix, 16, $expected);

        impl $name {
            /// A fresh id.
            pub fn random(rng: &mut (impl CryptoRng + RngCore)) -> Self {
                let mut bytes = [0; 16];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }
        }
    };
}

random_id!(
    /// One challenge, `chl_…` (30 characters).
    ChallengeId, "chl_", "challenge id (chl_…)"
);
random_id!(
    /// One installed app, `dev_…` (30 characters).
    DeviceId, "dev_", "device id (dev_…)"
);
random_id!(
    /// One enrolment case, `cas_…` (30 characters).
    CaseId, "cas_", "case id (cas_…)"
);
random_id!(
    /// One activation, `act_…` (30 characters); derived from its secret, see [`crate::activation`].
    ActivationId, "act_", "activation id (act_…)"
);
random_id!(
    /// One person inside the daemon, `sbj_…` (30 characters); never shown to a backend.
    SubjectId, "sbj_", "subject id (sbj_…)"
);
random_id!(
    /// One operator or service account, `opr_…` (30 characters).
    OperatorId, "opr_", "operator id (opr_…)"
);
random_id!(
    /// One request in logs and replies, `req_…` (30 characters).
    RequestId, "req_", "request id (req_…)"
);
byte_id!(
    /// What one backend knows one person by, `sub_…` (56 characters); a keyed hash, different for every backend.
    PairwiseSubject, "sub_", 32, "pairwise subject (sub_…)"
);

/// Name of a backend: 2 to 32 characters of `a-z 0-9 -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelyingPartyId(String);

impl RelyingPartyId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RelyingPartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RelyingPartyId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (2..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError {
                expected: "relying party id (2 to 32 characters of a-z, 0-9 and -)",
            })
        }
    }
}

text_form!(RelyingPartyId);

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::SeededRng;

    #[test]
    fn text_is_prefix_and_base32() {
        let id = ChallengeId::from_bytes(std::array::from_fn(|index| index as u8));
        assert_eq!(id.to_string(), "chl_aaaqeayeaudaocajbifqydiob4");
        assert_eq!(
            DeviceId::from_bytes([0xff; 16]).to_string(),
            "dev_77777777777777777777777774"
        );
        assert_eq!(
            PairwiseSubject::from_bytes([0; 32]).to_string(),
            format!("sub_{}", "a".repeat(52))
        );
    }

    #[test]
    fn other_texts_of_the_same_bytes_are_refused() {
        let texts = [
            "chl_AAAQEAYEAUDAOCAJBIFQYDIOB4",
            "CHL_aaaqeayeaudaocajbifqydiob4",
            "chl_aaaqeayeaudaocajbifqydiob5",
            "chl_aaaqeayeaudaocajbifqydiob4=",
            " chl_aaaqeayeaudaocajbifqydiob4",
            "chl_aaaqeayeaudaocajbifqydiob4\n",
            "dev_aaaqeayeaudaocajbifqydiob4",
            "chl_aaaqeayeaudaocajbifqydio",
            "aaaqeayeaudaocajbifqydiob4",
            "chl_",
            "",
        ];
        for text in texts {
            assert!(text.parse::<ChallengeId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn random_ids_differ() {
        let mut rng = SeededRng::new(1);
        assert_ne!(DeviceId::random(&mut rng), DeviceId::random(&mut rng));
    }

    #[test]
    fn relying_party_ids_keep_to_their_alphabet() {
        for text in ["ab", "course-market-2", &"a".repeat(32)] {
            assert_eq!(text.parse::<RelyingPartyId>().unwrap().as_str(), text);
        }
        for text in ["", "a", "Ab", "a_b", "a b", "été", &"a".repeat(33)] {
            assert!(text.parse::<RelyingPartyId>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back(bytes: [u8; 16], subject: [u8; 32]) {
            let id = ActivationId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<ActivationId>().unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<ActivationId>(&json).unwrap(), id);
            let subject = PairwiseSubject::from_bytes(subject);
            prop_assert_eq!(subject.to_string().parse::<PairwiseSubject>().unwrap(), subject);
        }
    }
}
