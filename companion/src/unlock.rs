//! Opens the approval key: the PIN is blinded, the daemon charges an attempt and evaluates, the phone unblinds.
//!
//! Called by `activate` and `approve`. Invariants: an evaluation counts only when the issuer signed it for this context,
//! device, PIN epoch and element; neither its restore epoch nor, within one, its number ever falls. The phone learns that
//! a PIN was wrong only from the key that does not open. The protocol: section 4.

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::jws::Verified;
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::oprf::{BlindState, BlindedElement, EvaluatedElement, OprfOutput};
use paraphe_proto::pin::{self, UnwrapError};
use paraphe_proto::statements::{Evaluation, EvaluationContext, Freshness};
use paraphe_proto::v1::UnlockBody;

use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::keystore::KeyStore;
use crate::request::{Prover, method};
use crate::state::{DeviceRecord, Seen};
use crate::trust::IssuerKeys;

/// What an evaluation must say.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What the PIN was typed for.
    pub context: EvaluationContext,
    /// The device.
    pub device_id: DeviceId,
    /// PIN epoch.
    pub epoch: u64,
    /// SHA-256 of the blinded element that was sent.
    pub element_sha256: [u8; 32],
    /// The last evaluation seen before.
    pub seen: Seen,
}

/// Sends one blinded element for a challenge. A charge is made before the reply; the same element is charged once only.
///
/// # Errors
/// What the daemon refuses, such as `challenge.expired` or a wait, or [`Error::Unreachable`].
pub async fn request_evaluation(
    server: &Server,
    prover: &Prover,
    challenge_id: ChallengeId,
    element: &BlindedElement,
) -> Result<String, Error> {
    let body = UnlockBody {
        challenge_id: challenge_id.to_string(),
        blinded_element: element.as_bytes().to_vec(),
    };
    let request = prover.prove(method::UNLOCK, &body, Freshness::Challenge(challenge_id))?;
    let reply = server.client().unlock(with_deadline(request)).await?;
    Ok(reply.into_inner().evaluation)
}

/// Verifies an evaluation statement against what was asked.
///
/// # Errors
/// [`Error::Untrusted`]: `statement.…`, `evaluation.mismatch` when it answers something else, `evaluation.rolled_back`
/// when the daemon knows less than it did.
pub fn check_evaluation(
    keys: &IssuerKeys,
    compact: &str,
    expected: &Expected,
) -> Result<Verified<Evaluation>, Error> {
    let verified: Verified<Evaluation> = keys.verify(compact)?;
    let claims = verified.claims();
    let answers = claims.context == expected.context
        && claims.device_id == expected.device_id
        && claims.epoch == expected.epoch
        && claims.element_sha256 == B64(expected.element_sha256);
    if !answers {
        let detail = "the evaluation answers another request";
        return Err(Error::untrusted("evaluation.mismatch", detail));
    }
    refuse_rollback(seen(claims), expected.seen)?;
    Ok(verified)
}

/// What the next proofs return of an evaluation.
#[must_use]
pub fn seen(evaluation: &Evaluation) -> Seen {
    Seen {
        evaluation: evaluation.evaluation,
        restore_epoch: evaluation.restore_epoch,
    }
}

/// A restored database begins a new restore epoch and may count anew; otherwise nothing falls.
pub(crate) fn refuse_rollback(now: Seen, before: Seen) -> Result<(), Error> {
    if (now.restore_epoch, now.evaluation) < (before.restore_epoch, before.evaluation) {
        let detail = "the service has forgotten a PIN attempt that this phone saw";
        return Err(Error::untrusted("evaluation.rolled_back", detail));
    }
    Ok(())
}

/// Unblinds the daemon's answer.
///
/// # Errors
/// [`Error::Untrusted`] when the evaluated element is no point of the group.
pub fn finalize(blind: BlindState, evaluation: &Evaluation) -> Result<OprfOutput, Error> {
    EvaluatedElement::parse(evaluation.evaluated.as_bytes())
        .and_then(|element| blind.finalize(&element))
        .map_err(|error| Error::untrusted(error.code(), error.to_string()))
}

/// Takes the approval key out. It takes as long as the Argon2id cost of the record asks for and blocks its thread.
///
/// # Errors
/// [`Error::WrongPin`] with what the evaluation says of attempts and wait; [`Error::KeyStore`] when the device secret
/// does not open.
pub fn open_approval_key(
    record: &DeviceRecord,
    keystore: &dyn KeyStore,
    blind: BlindState,
    evaluation: &Evaluation,
) -> Result<SoftwareKey, Error> {
    let device_secret = keystore.unseal(&record.key_label, &record.key.sealed_device_secret.0)?;
    let output = finalize(blind, evaluation)?;
    let opened = pin::unwrap(
        &record.key.wrapped,
        &output,
        &device_secret,
        &record.device_id,
        record.epoch,
    );
    opened.map_err(|error| match error {
        UnwrapError::WrongPin => Error::WrongPin {
            attempts_left: evaluation.attempts_left,
            wait_s: evaluation.wait_s,
        },
        other => Error::invalid(other.code(), other.to_string()),
    })
}
