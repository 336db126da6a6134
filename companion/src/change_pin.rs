//! Changing the PIN: the old one approves, the new one wraps the approval key, the daemon moves the PIN epoch.
//!
//! Called by the app: [`Phone::check_new_pin`], [`Phone::change_pin`], then [`PinChange::finish`]. Invariants: the approval key is in memory from the
//! approval until it is wrapped anew; what was wrapped under the new PIN is on disk before the daemon is asked to move the
//! epoch; the phone keeps both wrappings until it has learnt which one counts, see `epoch`. The protocol: section 4, rule 5.

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::oprf::{self, BlindedElement};
use paraphe_proto::pin::{LONGEST, Pin, PinPolicy, SHORTEST};
use paraphe_proto::statements::{self, Evaluation, EvaluationContext};
use paraphe_proto::v1::{ChangePinBody, EvaluatePinChangeBody, FinishPinChangeBody};
use rand_core::{CryptoRng, RngCore};
use tonic::Code;

use crate::challenge::Shown;
use crate::connect::{Server, with_deadline};
use crate::epoch::Settled;
use crate::error::Error;
use crate::outcome::{FinalState, malformed};
use crate::phone::Phone;
use crate::prepare::{LockFor, lock_approval_key};
use crate::request::{Prover, method, resend, sign};
use crate::state::{PreparedPinChange, Seen};
use crate::unlock::{Expected, finalize};

/// A PIN change under way. Show [`PinChange::shown`], ask for the old PIN, then [`PinChange::finish`]. Dropped before that, the old PIN
/// goes on.
pub struct PinChange<'p> {
    phone: &'p Phone,
    shown: Shown,
    pin_policy: PinPolicy,
    approved: bool,
    approval_key: Option<SoftwareKey>,
}

/// What any daemon allows, where the phone has not learnt its rules.
const LAXEST: PinPolicy = PinPolicy {
    min_length: SHORTEST,
    max_length: LONGEST,
    refuse_repeats: false,
    refuse_runs: false,
    refuse_dates: false,
};

impl Phone {
    /// The daemon's rules for a new PIN, as far as the phone knows them.
    #[must_use]
    pub fn pin_policy(&self) -> PinPolicy {
        self.loaded().record.pin_policy.unwrap_or(LAXEST)
    }

    /// Keeps the rules that the daemon has told.
    pub(crate) fn learn_pin_policy(&self, policy: PinPolicy) -> Result<(), Error> {
        match self.loaded().record.pin_policy {
            Some(known) if known == policy => Ok(()),
            _ => self.change(|record| {
                record.pin_policy = Some(policy);
                Ok(())
            }),
        }
    }

    /// Whether a new PIN keeps these rules, for the app to say before it asks for a PIN change: each counts among the requests that the
    /// daemon allows. Have the rules as they are now first, by [`Phone::device`]; [`PinChange::check_pin`] has the last word.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the rule by a code `pin.…`.
    pub fn check_new_pin(&self, pin: &str) -> Result<(), Error> {
        choose(pin, &self.pin_policy()).map(drop)
    }

    /// Asks for a PIN change: a challenge on this phone, which only the old PIN approves. Have the new PIN before: see
    /// [`Phone::check_new_pin`].
    ///
    /// # Errors
    /// What the daemon refuses, or [`Error::Unreachable`]; [`Error::Untrusted`] when its challenge does not hold.
    pub async fn change_pin(&self, server: &Server) -> Result<PinChange<'_>, Error> {
        let challenge_id = ask_pin_change(server, &self.ready(server).await?).await?;
        let pending = self.fetch(server).await?.into_iter();
        let mut shown = pending.filter_map(|pending| pending.challenge.ok());
        let shown = shown.find(|shown| shown.challenge_id() == challenge_id);
        let shown =
            shown.ok_or_else(|| malformed("the challenge of the PIN change is missing".to_owned()))?;
        let pin_policy = *shown.new_pin_policy().ok_or_else(|| {
            Error::untrusted(
                "challenge.malformed",
                "the PIN change does not say which PINs are allowed",
            )
        })?;
        self.learn_pin_policy(pin_policy)?;
        Ok(PinChange {
            phone: self,
            shown,
            pin_policy,
            approved: false,
            approval_key: None,
        })
    }
}

impl PinChange<'_> {
    /// The challenge to show.
    #[must_use]
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// The daemon's rules for the new PIN.
    #[must_use]
    pub fn pin_policy(&self) -> &PinPolicy {
        &self.pin_policy
    }

    /// Whether a new PIN keeps the daemon's rules, for the app to say before it asks for it a second time.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the rule by a code `pin.…`.
    pub fn check_pin(&self, pin: &str) -> Result<(), Error> {
        choose(pin, &self.pin_policy).map(drop)
    }

    /// Approves with the old PIN and sets the new one, at the Argon2id cost that the phone has. Blocks its thread for that step,
    /// twice. Once this returns the old PIN opens nothing any more.
    ///
    /// After [`Error::WrongPin`] or [`Error::Unreachable`] call it again: no second attempt is charged for the same PIN. Where
    /// that says `pin_change.pin_is_chosen`, the new PIN is on disk and [`Phone::settle_pin_change`] finishes, as any other call of
    /// the phone does.
    ///
    /// # Errors
    /// [`Error::Invalid`] `pin.…` before anything is sent; [`Error::WrongPin`] for the old PIN; what the daemon refuses: then the
    /// old PIN goes on; [`Error::Untrusted`] when its answers do not hold.
    pub async fn finish(
        &mut self,
        server: &Server,
        old_pin: &str,
        new_pin: &str,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(), Error> {
        if self.phone.loaded().record.pin_change.is_some() {
            return Err(pin_is_chosen());
        }
        let chosen = choose(new_pin, &self.pin_policy)?;
        require_another(old_pin, new_pin)?;
        self.approve(server, old_pin, rng).await?;
        let prepared = self.prepare(server, &chosen, rng).await?;
        let epoch = prepared.epoch;
        self.phone.change(|record| {
            // Another process on the folder may have been faster.
            if record.pin_change.is_some() || record.epoch.saturating_add(1) != epoch {
                return Err(pin_is_chosen());
            }
            record.pin_change = Some(prepared);
            Ok(())
        })?;
        self.approval_key = None;
        match self.phone.settle_pin_change(server).await? {
            Settled::OldPin(refused) => Err(refused),
            Settled::Nothing if self.phone.loaded().record.epoch != epoch => Err(begin_again()),
            Settled::NewPin | Settled::Nothing => Ok(()),
        }
    }

    /// The ordinary approval, which also leaves the approval key in memory.
    async fn approve(
        &mut self,
        server: &Server,
        old_pin: &str,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(), Error> {
        if self.approved {
            return Ok(());
        }
        let kept = &mut self.approval_key;
        let keep = |key| *kept = Some(key);
        let approving = self
            .phone
            .approve_and_keep(server, &self.shown, None, old_pin, rng, keep);
        let state = approving.await?.state;
        self.approved = state == FinalState::Approved;
        if self.approved {
            return Ok(());
        }
        Err(Error::Refused {
            code: format!("challenge.{state}"),
            message: format!("the request to change the PIN has ended as `{state}`; begin again"),
            status: Code::FailedPrecondition,
            retry_after_s: None,
        })
    }

    /// Everything that `FinishPinChange` needs, to be written down before it is sent.
    async fn prepare(
        &self,
        server: &Server,
        new_pin: &Pin,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<PreparedPinChange, Error> {
        let Some(approval_key) = &self.approval_key else {
            return Err(begin_again());
        };
        let prover = self.phone.prover()?;
        let challenge_id = self.shown.challenge_id();
        let (blind, element) =
            oprf::blind(new_pin, rng).map_err(|error| Error::invalid(error.code(), error.to_string()))?;
        let send = || request_pin_change_evaluation(server, &prover, challenge_id, &element);
        let compact = resend(send).await?;
        let evaluation = self.check(server, &prover, &compact, &element).await?;
        let output = finalize(blind, &evaluation)?;
        let record = self.phone.record();
        let lock = LockFor {
            keystore: self.phone.keystore(),
            label: &record.key_label,
            device_id: record.device_id,
            epoch: evaluation.epoch,
            cost: record.key.wrapped.cost,
        };
        Ok(PreparedPinChange {
            challenge_id,
            epoch: evaluation.epoch,
            key: lock_approval_key(&lock, approval_key, &output, rng)?,
            statement: pin_change_statement(
                prover.issuer,
                approval_key,
                self.shown.sha256(),
                (prover.device_id, evaluation.epoch),
                element.sha256(),
            )?,
        })
    }

    /// The first evaluation of the next epoch. Its number is 0: nothing was charged for it.
    async fn check(
        &self,
        server: &Server,
        prover: &Prover,
        compact: &str,
        element: &BlindedElement,
    ) -> Result<Evaluation, Error> {
        let expected = Expected {
            context: EvaluationContext::Challenge(self.shown.challenge_id()),
            device_id: prover.device_id,
            epoch: prover.epoch.saturating_add(1),
            element_sha256: element.sha256(),
            seen: Seen {
                evaluation: 0,
                restore_epoch: prover.seen.restore_epoch,
            },
        };
        let evaluation = self
            .phone
            .verify_evaluation(server, compact, &expected)
            .await?
            .into_claims();
        if evaluation.evaluation != 0 {
            let detail = "the evaluation of a PIN change is not the first of its epoch";
            return Err(Error::untrusted("evaluation.mismatch", detail));
        }
        Ok(evaluation)
    }
}

fn choose(pin: &str, policy: &PinPolicy) -> Result<Pin, Error> {
    Pin::choose(pin, policy).map_err(|error| Error::invalid(error.code(), error.to_string()))
}

/// A new PIN is not the old one.
///
/// # Errors
/// [`Error::Invalid`] `pin.same`.
pub fn require_another(old_pin: &str, new_pin: &str) -> Result<(), Error> {
    match new_pin == old_pin {
        true => Err(Error::invalid(
            "pin.same",
            "the new PIN is the old one; choose another",
        )),
        false => Ok(()),
    }
}

fn pin_is_chosen() -> Error {
    let message = "a new PIN was chosen already; finish that change first";
    Error::invalid("pin_change.pin_is_chosen", message)
}

fn begin_again() -> Error {
    Error::invalid("pin_change.interrupted", "begin the PIN change again")
}

/// Raises the challenge of a PIN change.
///
/// # Errors
/// What the daemon refuses, or [`Error::Unreachable`].
pub async fn ask_pin_change(server: &Server, prover: &Prover) -> Result<ChallengeId, Error> {
    let request = prover
        .prove_fresh(server, method::CHANGE_PIN, &ChangePinBody {})
        .await?;
    let reply = server.client().change_pin(with_deadline(request)).await?;
    let challenge_id = reply.into_inner().challenge_id.parse();
    challenge_id.map_err(|_| malformed("the challenge has no id".to_owned()))
}

/// Has one blinded new PIN evaluated under the key that is its alone.
///
/// # Errors
/// What the daemon refuses, or [`Error::Unreachable`].
pub async fn request_pin_change_evaluation(
    server: &Server,
    prover: &Prover,
    challenge_id: ChallengeId,
    element: &BlindedElement,
) -> Result<String, Error> {
    let body = EvaluatePinChangeBody {
        challenge_id: challenge_id.to_string(),
        blinded_element: element.as_bytes().to_vec(),
    };
    let request = prover
        .prove_fresh(server, method::EVALUATE_PIN_CHANGE, &body)
        .await?;
    let reply = server
        .client()
        .evaluate_pin_change(with_deadline(request))
        .await?;
    Ok(reply.into_inner().evaluation)
}

/// A PIN change statement, compact JWS `paraphe-pin-change+jwt`, for a device and the epoch that begins.
///
/// # Errors
/// `keystore.failed` when the key does not sign.
pub fn pin_change_statement(
    issuer: String,
    approval_key: &dyn Signer,
    challenge_sha256: [u8; 32],
    (device_id, epoch): (DeviceId, u64),
    element_sha256: [u8; 32],
) -> Result<String, Error> {
    let pin_change = statements::PinChange {
        iss: issuer,
        challenge_sha256: B64(challenge_sha256),
        device_id,
        epoch,
        element_sha256: B64(element_sha256),
    };
    sign(&pin_change, approval_key)
}

/// Asks the daemon to move the epoch; gives the epoch that counts. Repeating it under the new epoch answers alike.
///
/// # Errors
/// What the daemon refuses, or [`Error::Unreachable`].
pub async fn send_pin_change(
    server: &Server,
    prover: &Prover,
    challenge_id: ChallengeId,
    statement: &str,
) -> Result<u64, Error> {
    let body = FinishPinChangeBody {
        challenge_id: challenge_id.to_string(),
        pin_change: statement.to_owned(),
    };
    let request = prover
        .prove_fresh(server, method::FINISH_PIN_CHANGE, &body)
        .await?;
    let reply = server.client().finish_pin_change(with_deadline(request)).await?;
    Ok(reply.into_inner().epoch)
}
