//! The claims of every statement. Signed and verified by [`crate::jws`]; section 3 of protocol.md.
//!
//! Unknown claims are refused. Byte strings are base64url text, times are seconds since the Unix epoch.

use crate::{compact::MAX_BYTES, jws::Statement};

mod activation;
mod answer;
mod assertion;
mod challenge;
mod enrolment;
mod pin_change;
mod proof;
mod proofing;
mod replacement;

pub use activation::{
    Activation, ActivationKey, KeySet, KeySetEntry, KeyState, KeyUse, Keystore, Offer, verify_activation,
};
pub use answer::{Approval, ApprovalDecision, Evaluation, EvaluationContext, Refusal, RefusalDecision};
pub use assertion::{Assertion, AuthorizationDetail, Parameter, Parameters};
pub use challenge::{Challenge, Display, DisplayRow, MatchMode, MatchRule, RelyingParty};
pub use enrolment::{ENROL_ACTION, ENROL_RELYING_PARTY, Enrolled, Enrolment, evidence_sha256, person_sha256};
pub use pin_change::{CHANGE_PIN_ACTION, CHANGE_PIN_RELYING_PARTY, PinChange};
pub use proof::{Freshness, Proof};
pub use proofing::{Proofing, ProofingOutcome};
pub use replacement::{REPLACE_ACTION, REPLACE_RELYING_PARTY, Replacement};

/// Longest activation, in bytes: a key attestation of 8 KiB, in base64url three times over.
const ATTESTED_MAX_BYTES: usize = 24 * 1024;

/// Ties claims to their `typ` and their issuer.
macro_rules! statement {
    ($claims:ty, $typ:literal) => {
        statement!($claims, $typ, MAX_BYTES);
    };
    ($claims:ty, $typ:literal, $max_bytes:expr) => {
        impl Statement for $claims {
            const TYP: &'static str = $typ;
            const MAX_BYTES: usize = $max_bytes;

            fn issuer(&self) -> &str {
                &self.iss
            }
        }
    };
}

statement!(Challenge, "paraphe-challenge+jwt");
statement!(Proof, "paraphe-proof+jwt");
statement!(Approval, "paraphe-approval+jwt");
statement!(Refusal, "paraphe-refusal+jwt");
statement!(Enrolment, "paraphe-enrolment+jwt");
statement!(PinChange, "paraphe-pin-change+jwt");
statement!(Proofing, "paraphe-proofing+jwt");
statement!(Offer, "paraphe-offer+jwt");
statement!(Activation, "paraphe-activation+jwt", ATTESTED_MAX_BYTES);
statement!(ActivationKey, "paraphe-activation-key+jwt", ATTESTED_MAX_BYTES);
statement!(Evaluation, "paraphe-evaluation+jwt");
statement!(KeySet, "paraphe-keyset+jwt");
statement!(Assertion, "JWT");
