//! The assertion: what a backend gets for an approval. Sections 3 and 6 of protocol.md.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};

use crate::{
    encoding::B64,
    ids::{ChallengeId, PairwiseSubject, RelyingPartyId},
    time::Timestamp,
};

/// A JWT (RFC 7519) signed by an `assertion` key of the issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Issuer URL.
    pub iss: String,
    /// The backend.
    pub aud: RelyingPartyId,
    /// The person, as this backend knows them.
    pub sub: PairwiseSubject,
    /// Unique name of the assertion.
    pub jti: String,
    /// The challenge.
    pub txn: ChallengeId,
    /// Level reached, e.g. `eidas2`.
    pub acr: String,
    /// Methods used (RFC 8176), e.g. `["pin", "swk"]`.
    pub amr: Vec<String>,
    /// When the person approved.
    pub auth_time: Timestamp,
    /// When it was minted.
    pub iat: Timestamp,
    /// 60 s after it was minted.
    pub exp: Timestamp,
    /// What was approved (RFC 9396).
    pub authorization_details: Vec<AuthorizationDetail>,
    /// SHA-256 of the challenge's compact JWS.
    pub challenge_sha256: B64<32>,
    /// SHA-256 of the approval's compact JWS.
    pub approval_sha256: B64<32>,
}

/// What was approved (RFC 9396, section 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationDetail {
    /// Action id of the catalogue.
    #[serde(rename = "type")]
    pub action: String,
    /// Locale of the document shown.
    pub locale: String,
    /// Title of the document shown.
    pub title: String,
    /// Digest of the document shown; see [`super::Display::sha256`].
    pub display_sha256: B64<32>,
    /// The backend's parameters.
    pub parameters: Parameters,
}

/// One parameter as the backend gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Parameter {
    /// A whole number.
    Integer(i64),
    /// A text, a date (`YYYY-MM-DD`) or a value of an enumeration.
    Text(String),
    /// An amount of money.
    Money {
        /// Units of the smallest denomination.
        minor_units: i64,
        /// ISO 4217 code.
        currency: String,
    },
}

/// Parameters by name; a repeated name is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Parameters(pub BTreeMap<String, Parameter>);

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueNames)
    }
}

struct UniqueNames;

impl<'de> Visitor<'de> for UniqueNames {
    type Value = Parameters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Parameters, A::Error> {
        let mut parameters = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry()? {
            if parameters.insert(name, value).is_some() {
                return Err(A::Error::custom("repeated parameter"));
            }
        }
        Ok(Parameters(parameters))
    }
}
