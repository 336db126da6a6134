//! A phone as its activation statement makes it: both its keys, signed by both. Called by `approval` for the phone that answered
//! and by `enrolment` for the clerk's. Protocol: sections 3 and 5.

use paraphe_proto::encoding::from_base64url;
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::statements::{ActivationKey, verify_activation};
use serde::Deserialize;

use super::{Failure, failed};
use paraphe_proto::jws::StatementError;

/// The phone behind an activation statement; `check` is what a failure is called.
pub(super) fn behind(activation: &str, issuer: &str, check: &'static str) -> Result<ActivationKey, Failure> {
    let possession_key =
        claimed_possession_key(activation).ok_or_else(|| failed(check)(StatementError::Malformed))?;
    let (_, inner) = verify_activation(activation, &possession_key, issuer).map_err(failed(check))?;
    Ok(inner.into_claims())
}

/// The possession key that an activation names; `verify_activation` then proves it.
fn claimed_possession_key(activation: &str) -> Option<PublicKey> {
    #[derive(Deserialize)]
    struct Outer {
        inner: String,
    }
    #[derive(Deserialize)]
    struct Inner {
        possession_key: PublicKey,
    }
    let payload = |compact: &str| {
        compact
            .split('.')
            .nth(1)
            .and_then(|part| from_base64url(part).ok())
    };
    let outer: Outer = serde_json::from_slice(&payload(activation)?).ok()?;
    let inner: Inner = serde_json::from_slice(&payload(&outer.inner)?).ok()?;
    Some(inner.possession_key)
}
