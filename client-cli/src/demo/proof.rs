//! Act 5: the proof. The assertion against the published keys, then the approval behind it, both without trust in the daemon.

use paraphe_proto::encoding::{base64url, from_base64url};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::keys::Signer as _;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{GetStatementsRequest, Statements};

use super::marketplace;
use super::opening::House;
use super::purchases::Bought;
use super::staff::Operator;
use super::stage::{Stage, ensure};
use crate::commands::demo::Tamper;
use crate::commands::terminal::new_key;
use crate::error::{Error, Result};
use crate::verify::{Evidence, Inputs, Report, SignedEnrolment, verify as verify_offline};
use crate::{edge, jwks};

/// What was verified, for those who want to do it again.
pub struct Proof {
    /// The JWK Set as published.
    pub jwks: String,
    /// The statements behind it.
    pub statements: Statements,
    /// Time of the verification.
    pub at: Timestamp,
    /// Checks that held.
    pub checks: usize,
}

/// Plays the act.
///
/// # Errors
/// When a check fails; the step and the check are named.
pub async fn verify(
    stage: &Stage,
    house: &House,
    auditor: &Operator,
    bought: &Bought,
    tamper: Option<Tamper>,
) -> Result<Proof> {
    stage.act("Act 5: the proof")?;
    stage.step("fetch the daemon's published keys")?;
    let mut keys = jwks::fetch(house.server.channel().await?, jwks::PATH).await?;
    stage.fact("from", format!("{}{}", house.server.url, jwks::PATH))?;
    let mut assertion = bought.assertion.clone();
    match tamper {
        Some(Tamper::Jwks) => keys = other_keys(stage)?,
        Some(Tamper::Assertion) => assertion = cheaper(stage, &assertion)?,
        None => {}
    }

    stage.step("verify the assertion")?;
    let mut inputs = Inputs {
        assertion,
        jwks: keys,
        audience: marketplace::ID.to_owned(),
        issuer: Some(house.initialised.issuer.clone()),
        at: edge::now(),
        evidence: None,
    };
    let report = verify_offline(&inputs);
    tell(stage, &report, 0)?;
    compare(&report, bought)?;
    let checked = report.checks.len();

    stage.step("verify the approval behind it")?;
    let statements = statements(house, auditor, bought).await?;
    ensure(statements.assertion == inputs.assertion, || {
        "the auditor holds another assertion than the marketplace.".to_owned()
    })?;
    inputs.evidence = Some(evidence(house, &statements)?);
    let report = verify_offline(&inputs);
    tell(stage, &report, checked)?;
    Ok(Proof {
        jwks: inputs.jwks,
        statements,
        at: inputs.at,
        checks: report.checks.len(),
    })
}

/// Tells what held, after the first `known` checks; fails with the check that did not.
fn tell(stage: &Stage, report: &Report, known: usize) -> Result<()> {
    for check in report.checks.iter().skip(known) {
        stage.check(check.name, &check.holds)?;
    }
    report.result()
}

/// The assertion is about this person and this purchase.
fn compare(report: &Report, bought: &Bought) -> Result<()> {
    let claims = report
        .assertion
        .as_ref()
        .ok_or_else(|| Error::other("demo.unexpected", "there is no assertion."))?;
    ensure(claims.sub.to_string() == bought.subject, || {
        format!("the assertion is about {}.", claims.sub)
    })?;
    ensure(claims.txn.to_string() == bought.purchase.challenge_id, || {
        format!("the assertion is about {}.", claims.txn)
    })
}

/// What the auditor (the first administrator is one) reads. An assertion that was minted is kept with its approval.
async fn statements(house: &House, auditor: &Operator, bought: &Bought) -> Result<Statements> {
    let request = GetStatementsRequest {
        challenge_id: bought.purchase.challenge_id.clone(),
    };
    Ok(house
        .connection
        .admin(auditor.credentials.clone())
        .get_statements(request)
        .await?
        .into_inner())
}

fn evidence(house: &House, statements: &Statements) -> Result<Evidence> {
    let root = PublicKey::from_jwk_json(&statements.root_jwk)
        .map_err(|error| Error::other(error.code(), error.to_string()))?;
    ensure(root == house.root, || {
        "the daemon names another root key than the one of `paraphed init`.".to_owned()
    })?;
    let signed = statements.enrolment.as_ref();
    let signed = signed
        .ok_or_else(|| Error::other("demo.unexpected", "no clerk signed the enrolment of this phone."))?;
    Ok(Evidence {
        challenge: statements.challenge.clone(),
        approval: statements.approval.clone(),
        activation: statements.activation.clone(),
        root,
        key_sets: statements.key_sets.clone(),
        enrolment: Some(SignedEnrolment {
            challenge: signed.challenge.clone(),
            enrolment: signed.enrolment.clone(),
            activation: signed.activation.clone(),
        }),
    })
}

/// `--tamper jwks`: keys of somebody else.
fn other_keys(stage: &Stage) -> Result<String> {
    stage.say("--tamper jwks: the keys are exchanged for somebody else's")?;
    let key = new_key()?.public_key().to_jwk();
    Ok(serde_json::json!({ "keys": [key] }).to_string())
}

/// `--tamper assertion`: one byte of what was approved is another one, everything else is as signed.
fn cheaper(stage: &Stage, assertion: &str) -> Result<String> {
    stage.say("--tamper assertion: the price in the assertion is altered")?;
    altered_price(assertion)
        .ok_or_else(|| Error::other("demo.tamper", "the assertion shows no price to alter."))
}

fn altered_price(assertion: &str) -> Option<String> {
    let (header, rest) = assertion.split_once('.')?;
    let (payload, signature) = rest.split_once('.')?;
    let payload = String::from_utf8(from_base64url(payload).ok()?).ok()?;
    let altered = payload.replacen("\"minor_units\":1", "\"minor_units\":9", 1);
    (altered != payload).then(|| format!("{header}.{}.{signature}", base64url(altered.as_bytes())))
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
    fn only_the_price_is_altered() {
        let payload = r#"{"a":1,"price":{"minor_units":149900,"currency":"EUR"}}"#;
        let altered = altered_price(&format!("h.{}.s", base64url(payload.as_bytes()))).unwrap();
        let parts: Vec<&str> = altered.split('.').collect();
        assert_eq!((parts[0], parts[2]), ("h", "s"));
        let text = String::from_utf8(from_base64url(parts[1]).unwrap()).unwrap();
        assert_eq!(text, payload.replace("149900", "949900"));
        assert_eq!(altered_price("h.e30.s"), None);
    }
}
