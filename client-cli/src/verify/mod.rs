//! Offline verification of an assertion and of the approval behind it. No network, no clock: the caller gives the time.
//!
//! Callers: `paraphe verify`, the demo. Invariant: the first check that does not hold ends the verification and names
//! itself; a report without a failure means that every listed check held. Protocol: sections 3 and 6.

mod approval;
mod assertion;
mod enrolment;
mod phone;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::statements::Assertion;
use paraphe_proto::time::Timestamp;
use serde::Serialize;

use crate::error::Error;

/// What is to be verified.
pub struct Inputs {
    /// Compact JWS of the assertion.
    pub assertion: String,
    /// The daemon's JWK Set, JSON text.
    pub jwks: String,
    /// Relying party id that the assertion must be for.
    pub audience: String,
    /// Issuer URL that it must be from; where there is none, the assertion's own word is taken.
    pub issuer: Option<String>,
    /// Time of the verification.
    pub at: Timestamp,
    /// The statements behind it.
    pub evidence: Option<Evidence>,
}

/// The statements behind an assertion, each a compact JWS.
pub struct Evidence {
    /// `paraphe-challenge+jwt`
    pub challenge: String,
    /// `paraphe-approval+jwt`
    pub approval: String,
    /// `paraphe-activation+jwt` of the phone that approved.
    pub activation: String,
    /// The issuer's root key.
    pub root: PublicKey,
    /// `paraphe-keyset+jwt`, all versions from 1.
    pub key_sets: Vec<String>,
    /// The clerk's signature under the enrolment of that phone; none for staff phones.
    pub enrolment: Option<SignedEnrolment>,
}

/// How a person's phone came to be enrolled, each a compact JWS.
pub struct SignedEnrolment {
    /// `paraphe-challenge+jwt` that the clerk's phone showed.
    pub challenge: String,
    /// `paraphe-enrolment+jwt`
    pub enrolment: String,
    /// `paraphe-activation+jwt` of the clerk's phone.
    pub activation: String,
}

/// One check that held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name, e.g. `assertion.signature`.
    pub name: &'static str,
    /// What holds.
    pub holds: String,
}

/// The check that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Stable name.
    pub name: &'static str,
    /// What does not hold.
    pub why: String,
}

/// What was checked.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Checks that held, in order.
    pub checks: Vec<Check>,
    /// The check that did not; none where all held.
    pub failure: Option<Failure>,
    /// What the assertion says; only where all held.
    pub assertion: Option<Assertion>,
}

impl Report {
    /// Nothing, or the failure as an error.
    ///
    /// # Errors
    /// [`Error::Verification`] where a check failed.
    pub fn result(&self) -> Result<(), Error> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(Error::Verification {
                check: failure.name,
                why: failure.why.clone(),
            }),
        }
    }
}

/// Verifies an assertion, and the approval behind it where the evidence is given.
pub fn verify(inputs: &Inputs) -> Report {
    let mut trail = Trail { checks: Vec::new() };
    let (failure, assertion) = match run(inputs, &mut trail) {
        Ok(assertion) => (None, Some(assertion)),
        Err(failure) => (Some(failure), None),
    };
    Report {
        checks: trail.checks,
        failure,
        assertion,
    }
}

fn run(inputs: &Inputs, trail: &mut Trail) -> Result<Assertion, Failure> {
    let assertion = assertion::check(inputs, trail)?;
    if let Some(evidence) = &inputs.evidence {
        approval::check(evidence, &assertion, trail)?;
    }
    Ok(assertion.into_claims())
}

/// The checks so far.
struct Trail {
    checks: Vec<Check>,
}

impl Trail {
    /// Records that a check held.
    fn held(&mut self, name: &'static str, holds: impl Into<String>) {
        self.checks.push(Check {
            name,
            holds: holds.into(),
        });
    }

    /// Records a check that held, or fails with what does not.
    fn require(
        &mut self,
        name: &'static str,
        condition: bool,
        holds: impl Into<String>,
        why: impl Into<String>,
    ) -> Result<(), Failure> {
        if !condition {
            return Err(Failure {
                name,
                why: why.into(),
            });
        }
        self.held(name, holds);
        Ok(())
    }
}

/// Turns an error into the failure of a check.
fn failed<E: std::fmt::Display>(name: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure {
        name,
        why: format!("{error}."),
    }
}
