//! Approving: the code of the page, the PIN, one signature by the approval key.
//!
//! Called by the app with a [`Shown`]. Invariants: what is signed is the hash of the challenge that was shown; the approval
//! key is in memory for one signature; a lost reply never costs a second attempt, because the same PIN for the same
//! challenge sends the same blinded element, or the same approval, again. The protocol: sections 4 and 6.

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::jws::Verified;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::oprf::{BlindState, BlindedElement};
use paraphe_proto::statements::{
    Approval, ApprovalDecision, Enrolled, Enrolment, Evaluation, EvaluationContext, Freshness,
};
use paraphe_proto::v1::{self, AnswerBody};
use rand_core::{CryptoRng, RngCore};

use crate::attempt::Attempt;
use crate::challenge::Shown;
use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::outcome::Receipt;
use crate::phone::Phone;
use crate::request::{Prover, method, resend, sign};
use crate::unlock::{Expected, check_evaluation, open_approval_key, request_evaluation, seen};

/// What the approval key signed for one challenge, each a compact JWS.
#[derive(Clone)]
pub struct Signed {
    /// `paraphe-approval+jwt`.
    pub approval: String,
    /// `paraphe-enrolment+jwt`, where the challenge asks a clerk to stand for an enrolment.
    pub enrolment: Option<String>,
}

impl Phone {
    /// Approves what was shown. `code` is the code of the relying party's page where [`Shown::match_digits`] asks for one;
    /// `pin` is what the person typed. Blocks its thread for the Argon2id step.
    ///
    /// After [`Error::Unreachable`] call it again with the same arguments: no second attempt is charged as long as this
    /// [`Phone`] lives. Look at [`Receipt::state`]: the challenge may have ended otherwise meanwhile.
    ///
    /// # Errors
    /// [`Error::WrongPin`]; [`Error::Invalid`] `pin.…` or `match_code.…`, before anything is sent; what the daemon refuses;
    /// [`Error::Untrusted`] when its evaluation does not hold.
    pub async fn approve(
        &self,
        server: &Server,
        shown: &Shown,
        code: Option<&str>,
        pin: &str,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Receipt, Error> {
        self.approve_and_keep(server, shown, code, pin, rng, drop).await
    }

    /// Approves, and hands the approval key on once it is open.
    pub(crate) async fn approve_and_keep(
        &self,
        server: &Server,
        shown: &Shown,
        code: Option<&str>,
        pin: &str,
        rng: &mut (impl CryptoRng + RngCore),
        keep: impl FnOnce(SoftwareKey),
    ) -> Result<Receipt, Error> {
        self.ready(server).await?;
        let code = shown.match_code(code)?;
        let mut attempt = Attempt::take_up(&self.interrupted, shown.challenge_id(), &code, pin, rng)?;
        if let Some(element) = attempt.element() {
            let evaluation = self.evaluate(server, shown, &element, &mut attempt).await?;
            attempt.approve(|blind| {
                let (signed, key) = self.sign_approval(shown, &code, blind, evaluation.claims())?;
                keep(key);
                Ok(signed)
            })?;
        }
        self.answer(server, shown, attempt).await
    }

    /// Has one evaluation of this element, verified, and remembered on disk.
    async fn evaluate(
        &self,
        server: &Server,
        shown: &Shown,
        element: &BlindedElement,
        attempt: &mut Attempt<'_>,
    ) -> Result<Verified<Evaluation>, Error> {
        let prover = self.prover()?;
        let challenge_id = shown.challenge_id();
        let send = || request_evaluation(server, &prover, challenge_id, element);
        let compact = attempt.settle(resend(send).await)?;
        let expected = Expected {
            context: EvaluationContext::Challenge(challenge_id),
            device_id: prover.device_id,
            epoch: prover.epoch,
            element_sha256: element.sha256(),
            seen: prover.seen,
        };
        let evaluation = attempt.settle(self.verify_evaluation(server, &compact, &expected).await)?;
        self.remember_seen(seen(evaluation.claims()))?;
        Ok(evaluation)
    }

    /// Verifies an evaluation; where that fails, with the issuer's newest keys once more.
    pub(crate) async fn verify_evaluation(
        &self,
        server: &Server,
        compact: &str,
        expected: &Expected,
    ) -> Result<Verified<Evaluation>, Error> {
        match check_evaluation(&self.loaded().keys, compact, expected) {
            Err(first) if self.refresh_keys(server).await? => {
                check_evaluation(&self.loaded().keys, compact, expected).map_err(|_| first)
            }
            verdict => verdict,
        }
    }

    fn sign_approval(
        &self,
        shown: &Shown,
        match_code: &str,
        blind: BlindState,
        evaluation: &Evaluation,
    ) -> Result<(Signed, SoftwareKey), Error> {
        let loaded = self.loaded();
        let key = open_approval_key(&loaded.record, self.keystore(), blind, evaluation)?;
        let challenge_sha256 = shown.sha256();
        let enrolment = shown
            .enrolment()
            .map(|enrolled| enrolment_statement(self.issuer(), &key, challenge_sha256, enrolled, evaluation));
        let signed = Signed {
            approval: approval_statement(self.issuer(), &key, challenge_sha256, match_code, evaluation)?,
            enrolment: enrolment.transpose()?,
        };
        Ok((signed, key))
    }

    async fn answer(
        &self,
        server: &Server,
        shown: &Shown,
        mut attempt: Attempt<'_>,
    ) -> Result<Receipt, Error> {
        let signed = attempt.signed()?;
        let prover = self.prover()?;
        let send = || send_answer(server, &prover, shown.challenge_id(), &signed);
        let outcome = attempt.settle(resend(send).await)?;
        attempt.finish();
        Receipt::new(shown, signed.approval, outcome)
    }
}

/// An approval statement, compact JWS `paraphe-approval+jwt`, under the evaluation that opened the key.
///
/// # Errors
/// `keystore.failed` when the key does not sign.
pub fn approval_statement(
    issuer: String,
    approval_key: &dyn Signer,
    challenge_sha256: [u8; 32],
    match_code: &str,
    evaluation: &Evaluation,
) -> Result<String, Error> {
    let approval = Approval {
        iss: issuer,
        challenge_sha256: B64(challenge_sha256),
        decision: ApprovalDecision::Approve,
        match_code: match_code.to_owned(),
        device_id: evaluation.device_id,
        epoch: evaluation.epoch,
        evaluation: evaluation.evaluation,
        element_sha256: evaluation.element_sha256,
    };
    sign(&approval, approval_key)
}

/// A clerk's enrolment statement, compact JWS `paraphe-enrolment+jwt`, over what the challenge names.
///
/// # Errors
/// `keystore.failed` when the key does not sign.
pub fn enrolment_statement(
    issuer: String,
    approval_key: &dyn Signer,
    challenge_sha256: [u8; 32],
    enrolled: &Enrolled,
    evaluation: &Evaluation,
) -> Result<String, Error> {
    let enrolment = Enrolment {
        iss: issuer,
        challenge_sha256: B64(challenge_sha256),
        device_id: evaluation.device_id,
        epoch: evaluation.epoch,
        evaluation: evaluation.evaluation,
        enrolled: enrolled.clone(),
    };
    sign(&enrolment, approval_key)
}

/// Sends one approval statement alone, see [`send_answer`].
///
/// # Errors
/// Those of [`send_answer`].
pub async fn send_approval(
    server: &Server,
    prover: &Prover,
    challenge_id: ChallengeId,
    approval: &str,
) -> Result<v1::Outcome, Error> {
    let signed = Signed {
        approval: approval.to_owned(),
        enrolment: None,
    };
    send_answer(server, prover, challenge_id, &signed).await
}

/// Sends what was signed. Repeating it returns the first outcome.
///
/// # Errors
/// What the daemon refuses, or [`Error::Unreachable`].
pub async fn send_answer(
    server: &Server,
    prover: &Prover,
    challenge_id: ChallengeId,
    signed: &Signed,
) -> Result<v1::Outcome, Error> {
    let body = AnswerBody {
        challenge_id: challenge_id.to_string(),
        approval: signed.approval.clone(),
        enrolment: signed.enrolment.clone().unwrap_or_default(),
    };
    let request = prover.prove(method::ANSWER, &body, Freshness::Challenge(challenge_id))?;
    let reply = server.client().answer(with_deadline(request)).await?;
    Ok(reply.into_inner())
}
