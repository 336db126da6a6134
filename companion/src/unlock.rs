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
use paraphe_proto::pin::{self, UnwrapError, WrappedKey};
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
    unwrap_approval_key(&record.key.wrapped, &device_secret, blind, evaluation)
}

/// Takes the approval key out for who holds the device secret itself, such as a load generator with its phones in memory.
///
/// # Errors
/// [`Error::WrongPin`] with what the evaluation says of attempts and wait.
pub fn unwrap_approval_key(
    wrapped: &WrappedKey,
    device_secret: &[u8; 32],
    blind: BlindState,
    evaluation: &Evaluation,
) -> Result<SoftwareKey, Error> {
    let output = finalize(blind, evaluation)?;
    let opened = pin::unwrap(
        wrapped,
        &output,
        device_secret,
        &evaluation.device_id,
        evaluation.epoch,
    );
    opened.map_err(|error| match error {
        UnwrapError::WrongPin => Error::WrongPin {
            attempts_left: evaluation.attempts_left,
            wait_s: evaluation.wait_s,
        },
        other => Error::invalid(other.code(), other.to_string()),
    })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use paraphe_proto::ids::ActivationId;
    use paraphe_proto::keys::Signer as _;
    use paraphe_proto::oprf::{OprfKey, blind};
    use paraphe_proto::pin::Pin;

    use super::*;
    use crate::testing::{ISS, Issuer, PIN, evaluation, key, locked_device, rng};

    fn blinded(pin: &str) -> (BlindState, BlindedElement) {
        blind(&Pin::enter(pin).unwrap(), &mut rng()).unwrap()
    }

    /// The verdict on an evaluation that differs from what was asked in one thing.
    fn verdict(before: Seen, change: impl FnOnce(&mut Evaluation)) -> Result<(), String> {
        let (issuer, (_, element)) = (Issuer::new(), blinded(PIN));
        let (context, device_id) = (
            EvaluationContext::Challenge(ChallengeId::random(&mut rng())),
            DeviceId::random(&mut rng()),
        );
        let expected = Expected {
            context,
            device_id,
            epoch: 1,
            element_sha256: element.sha256(),
            seen: before,
        };
        let mut claims = evaluation(
            context,
            device_id,
            &OprfKey::random(&mut rng()).unwrap(),
            &element,
        );
        change(&mut claims);
        let checked = check_evaluation(&issuer.keys(), &issuer.sign(&claims), &expected);
        checked.map(drop).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn an_evaluation_answers_exactly_what_was_asked() {
        let first = Seen::default();
        assert_eq!(verdict(first, |_| {}), Ok(()));
        let mismatch = Err("evaluation.mismatch".to_owned());
        let other = EvaluationContext::Challenge(ChallengeId::random(&mut rng()));
        assert_eq!(verdict(first, |claims| claims.context = other), mismatch);
        let other = EvaluationContext::Activation(ActivationId::random(&mut rng()));
        assert_eq!(verdict(first, |claims| claims.context = other), mismatch);
        assert_eq!(
            verdict(first, |claims| claims.device_id = DeviceId::random(&mut rng())),
            mismatch
        );
        assert_eq!(verdict(first, |claims| claims.epoch = 2), mismatch);
        assert_eq!(verdict(first, |claims| claims.element_sha256.0[0] ^= 1), mismatch);
        let iss = Err("statement.issuer".to_owned());
        assert_eq!(verdict(first, |claims| claims.iss = format!("{ISS}/")), iss);
    }

    #[test]
    fn nothing_falls_but_in_a_new_restore_epoch() {
        let seen = Seen {
            evaluation: 5,
            restore_epoch: 2,
        };
        for (evaluation, restore_epoch, holds) in [
            (5, 2, true),
            (6, 2, true),
            (4, 2, false),
            (9, 1, false),
            (1, 3, true),
        ] {
            let verdict = verdict(seen, |claims| {
                (claims.evaluation, claims.restore_epoch) = (evaluation, restore_epoch);
            });
            let expected = if holds {
                Ok(())
            } else {
                Err("evaluation.rolled_back".to_owned())
            };
            assert_eq!(verdict, expected, "{evaluation} in {restore_epoch}");
        }
    }

    #[test]
    fn an_evaluation_by_another_key_is_refused() {
        let (issuer, (_, element)) = (Issuer::new(), blinded(PIN));
        let context = EvaluationContext::Challenge(ChallengeId::random(&mut rng()));
        let device_id = DeviceId::random(&mut rng());
        let claims = evaluation(
            context,
            device_id,
            &OprfKey::random(&mut rng()).unwrap(),
            &element,
        );
        let compact = paraphe_proto::jws::sign(&claims, &key()).unwrap().into_compact();
        let expected = Expected {
            context,
            device_id,
            epoch: 1,
            element_sha256: element.sha256(),
            seen: Seen::default(),
        };
        let refused = check_evaluation(&issuer.keys(), &compact, &expected);
        assert_eq!(refused.unwrap_err().code(), "statement.key");
    }

    #[test]
    fn only_the_right_pin_opens_the_approval_key() {
        let dir = tempfile::tempdir().unwrap();
        let device = locked_device(dir.path(), &Issuer::new());
        let context = EvaluationContext::Challenge(ChallengeId::random(&mut rng()));
        let open = |pin: &str| {
            let (state, element) = blinded(pin);
            let claims = evaluation(context, device.record.device_id, &device.oprf, &element);
            open_approval_key(&device.record, &device.keystore, state, &claims)
        };
        assert_eq!(open(PIN).unwrap().public_key(), device.approval_key.public_key());
        let wrong = open("738265").err().unwrap();
        assert!(matches!(
            wrong,
            Error::WrongPin {
                attempts_left: 4,
                wait_s: 0
            }
        ));
    }
}
