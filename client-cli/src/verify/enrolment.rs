//! The enrolment behind a phone: the clerk's own phone signed for this person, this evidence and this activation. Protocol:
//! sections 3 and 5.
//!
//! Called by `approval` once the phone that answered is known.

use paraphe_proto::challenge::device_handle;
use paraphe_proto::jws::{self, Verified};
use paraphe_proto::keyset::KeySetChain;
use paraphe_proto::statements::{
    ActivationKey, Assertion, Challenge, ENROL_ACTION, ENROL_RELYING_PARTY, Enrolment,
};

use super::approval::verify_challenge;
use super::assertion::rank;
use super::{Failure, SignedEnrolment, Trail, failed, phone};

/// Checks that a clerk stood for `person`, at the level that the assertion claims or above: a phone without a verified key
/// attestation may be given less than its channel allows.
pub(super) fn check(
    signed: &SignedEnrolment,
    key_sets: &[KeySetChain],
    person: &ActivationKey,
    assertion: &Assertion,
    trail: &mut Trail,
) -> Result<(), Failure> {
    let issuer = &assertion.iss;
    let clerk = phone::behind(&signed.activation, issuer, "enrolment.clerk")?;
    let challenge = verify_challenge(&signed.challenge, issuer, key_sets, "enrolment.challenge")?;
    let handle = device_handle(&clerk.device_id, &challenge.claims().challenge_id);
    trail.require(
        "enrolment.clerk",
        handle == challenge.claims().device_handle.0 && clerk.device_id != person.device_id,
        format!("the clerk's phone {}", clerk.device_id),
        "the clerk was asked on another phone, or the phone was enrolled by itself.",
    )?;
    let asked = challenge.claims();
    trail.require(
        "enrolment.challenge",
        asked.action == ENROL_ACTION && asked.relying_party.id.to_string() == ENROL_RELYING_PARTY,
        format!("asked at the desk: {}", asked.display.title),
        "the clerk was asked for something else than an enrolment.",
    )?;
    let enrolment: Verified<Enrolment> =
        jws::verify(&signed.enrolment, &clerk.approval_key, issuer).map_err(failed("enrolment.signature"))?;
    trail.held(
        "enrolment.signature",
        format!("ES256 by the clerk's approval key {}", enrolment.kid()),
    );
    bound(&enrolment, &challenge, &clerk, trail)?;
    let enrolled = &enrolment.claims().enrolled;
    trail.require(
        "enrolment.activation",
        enrolled.activation_id == person.activation_id,
        format!("{} stood for {}", enrolled.operator_id, enrolled.activation_id),
        "the clerk stood for another activation.",
    )?;
    trail.require(
        "enrolment.level",
        rank(&assertion.acr).is_some_and(|level| Some(level) <= rank(&enrolled.acr)),
        format!("{}, enrolled by {}", enrolled.acr, enrolled.channel),
        format!(
            "the clerk stood for no more than {}, the assertion says {}.",
            enrolled.acr, assertion.acr
        ),
    )
}

/// The statement answers exactly the challenge that the clerk was shown.
fn bound(
    enrolment: &Verified<Enrolment>,
    challenge: &Verified<Challenge>,
    clerk: &ActivationKey,
    trail: &mut Trail,
) -> Result<(), Failure> {
    let claims = enrolment.claims();
    let same = claims.challenge_sha256.0 == challenge.sha256()
        && claims.device_id == clerk.device_id
        && challenge.claims().enrolment.as_ref() == Some(&claims.enrolled);
    trail.require(
        "enrolment.binding",
        same,
        "it says what the clerk was shown",
        "it says something else than the clerk was shown.",
    )
}
