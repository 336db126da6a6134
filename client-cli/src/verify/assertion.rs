//! The assertion by itself: key, signature, issuer, audience, time, methods. What every backend checks. Protocol: section 6.

use paraphe_proto::encoding::from_base64url;
use paraphe_proto::jwk::{Jwk, PublicKey};
use paraphe_proto::jws::{self, StatementError, Verified};
use paraphe_proto::statements::Assertion;
use serde::Deserialize;

use super::{Failure, Inputs, Trail, failed};

/// Clocks of issuer and backend may differ by this much.
const SKEW_S: i64 = 30;
const LEVELS: [&str; 3] = ["eidas1", "eidas2", "eidas3"];

/// Where a level stands among the others.
pub(super) fn rank(acr: &str) -> Option<usize> {
    LEVELS.iter().position(|level| *level == acr)
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// Checks the assertion against the JWK Set, the audience and the time.
pub(super) fn check(inputs: &Inputs, trail: &mut Trail) -> Result<Verified<Assertion>, Failure> {
    let keys = keys(&inputs.jwks)?;
    trail.held(
        "jwks",
        format!(
            "{} ES256 key{}",
            keys.len(),
            if keys.len() == 1 { "" } else { "s" }
        ),
    );
    let issuer = issuer(inputs)?;
    let key_of = |kid: &str| keys.iter().find(|key| key.thumbprint() == kid).cloned();
    let verified: Verified<Assertion> =
        jws::verify_with(&inputs.assertion, &issuer, key_of).map_err(not_signed)?;
    trail.held("assertion.signature", format!("ES256 by key {}", verified.kid()));
    let pinned = if inputs.issuer.is_some() {
        ""
    } else {
        ", by its own word; --issuer would pin it"
    };
    trail.held("assertion.issuer", format!("{issuer}{pinned}"));
    let claims = verified.claims();
    let audience = claims.aud.as_str();
    trail.require(
        "assertion.audience",
        audience == inputs.audience,
        audience,
        format!("it is for {audience}, not for {}.", inputs.audience),
    )?;
    check_times(inputs, claims, trail)?;
    check_methods(claims, trail)?;
    Ok(verified)
}

fn keys(jwks: &str) -> Result<Vec<PublicKey>, Failure> {
    let set: JwkSet = serde_json::from_str(jwks).map_err(failed("jwks"))?;
    let keys: Result<Vec<PublicKey>, _> = set.keys.iter().map(PublicKey::try_from).collect();
    keys.map_err(failed("jwks"))
}

fn not_signed(error: StatementError) -> Failure {
    let keys = match error {
        StatementError::Key => "; the keys that may are those of --jwks",
        _ => "",
    };
    failed("assertion.signature")(format!("{error}{keys}"))
}

/// The issuer that was asked for, else the assertion's own; its signature is checked all the same.
fn issuer(inputs: &Inputs) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    if let Some(issuer) = &inputs.issuer {
        return Ok(issuer.clone());
    }
    let malformed = || Failure {
        name: "assertion.issuer",
        why: "the assertion is not a compact JWS.".to_owned(),
    };
    let payload = inputs.assertion.split('.').nth(1).ok_or_else(malformed)?;
    let payload = from_base64url(payload).map_err(|_| malformed())?;
    let claims: Issuer = serde_json::from_slice(&payload).map_err(|_| malformed())?;
    Ok(claims.iss)
}

fn check_times(inputs: &Inputs, claims: &Assertion, trail: &mut Trail) -> Result<(), Failure> {
    let left_s = claims.exp.since_s(inputs.at);
    let expired = format!(
        "it expired {} s before the time of verification; --at sets another one.",
        -left_s
    );
    trail.require(
        "assertion.expiry",
        left_s > 0,
        format!("good for {left_s} s more"),
        expired,
    )?;
    let ordered =
        claims.auth_time <= claims.iat && claims.iat < claims.exp && claims.iat <= inputs.at.plus_s(SKEW_S);
    let what = format!(
        "approved {} s before it was minted",
        claims.iat.since_s(claims.auth_time)
    );
    trail.require(
        "assertion.times",
        ordered,
        what,
        "approval, minting and expiry are not in this order, or lie in the future.",
    )
}

/// `pin` and `pop` make `mfa`; the key is either in hardware or in software (RFC 8176).
fn check_methods(claims: &Assertion, trail: &mut Trail) -> Result<(), Failure> {
    let has = |method: &str| claims.amr.iter().any(|m| m == method);
    let one_key = has("hwk") != has("swk");
    let holds = has("pin") && has("pop") && has("mfa") && one_key && rank(&claims.acr).is_some();
    let said = format!("{}, {}", claims.acr, claims.amr.join(" "));
    trail.require(
        "assertion.methods",
        holds,
        said.clone(),
        format!("level and methods do not say an approval by PIN: {said}."),
    )
}
