//! What can go wrong, as data: one catalogue of rules with stable codes, and the [`Fault`] that a broken rule becomes.
//!
//! Every use case returns a `Fault`; `rpc/status.rs` is the only place that turns one into a gRPC status. The catalogue is
//! printed into docs/errors.md and a test holds the page to it.

/// What a caller can do about a fault; decides the gRPC status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The input is wrong: correct it.
    Invalid,
    /// Nothing of that name that the caller may see.
    NotFound,
    /// The caller is known but may not.
    Forbidden,
    /// The caller is not known; alike for every reason.
    Unauthenticated,
    /// The state of things forbids it now.
    Precondition,
    /// Something else has that name already.
    Exists,
    /// A quota or a wait: later.
    Exhausted,
    /// The daemon cannot answer now.
    Unavailable,
    /// The deadline came first.
    Late,
    /// A defect or a damaged store; the cause is in the log.
    Internal,
}

/// One rule that can be broken.
#[derive(Debug)]
pub struct Rule {
    /// Stable code, `noun.reason`.
    pub code: &'static str,
    /// What a caller can do.
    pub kind: Kind,
    /// One English sentence that says what is wrong and what to do.
    pub text: &'static str,
}

macro_rules! rules {
    ($($name:ident = $code:literal, $kind:ident, $text:literal;)*) => {
        $(#[doc = $text] pub const $name: &Rule = &Rule { code: $code, kind: Kind::$kind, text: $text };)*
        /// Every rule, in the order of this file.
        pub const CATALOGUE: &[&Rule] = &[$($name),*];
    };
}

rules! {
    UNAUTHENTICATED = "caller.unauthenticated", Unauthenticated, "The caller could not be authenticated: check the key, the token's audience and its expiry.";
    FORBIDDEN = "caller.forbidden", Forbidden, "The caller's roles do not allow this call.";
    PROGRAM = "caller.program", Forbidden, "A program may not do this: an administrator must, who has signed in with their own phone.";
    RATE_LIMITED = "caller.rate_limited", Exhausted, "Too many calls: wait and try again.";
    FIELD_INVALID = "field.invalid", Invalid, "A field is missing or malformed.";
    INTERNAL = "internal", Internal, "Something failed inside the daemon; quote the request id to its operator.";
    STORE_OVERLOADED = "store.overloaded", Exhausted, "The daemon is busy: wait and try again.";
    STORE_UNAVAILABLE = "store.unavailable", Unavailable, "The store cannot answer now: try again.";
    STORE_TAMPERED = "store.tampered", Internal, "A stored record does not verify; the operator has been alarmed.";
    KEYS_UNAVAILABLE = "keys.unavailable", Unavailable, "The daemon's keys cannot sign now: try again.";
    BUSY = "daemon.busy", Exhausted, "The daemon has as many requests in progress as it takes: wait and try again.";
    DEADLINE = "request.deadline_exceeded", Late, "The request took longer than its deadline.";
    CLOCK_WENT_BACK = "clock.went_back", Unavailable, "The daemon's clock went back: its operator must set the clock right.";
    SHUTTING_DOWN = "daemon.stopping", Unavailable, "The daemon is stopping: connect again and resume.";

    NONCE_UNKNOWN = "proof.nonce", Unauthenticated, "The proof's nonce is unknown, used or older than 60 s: fetch a new one.";
    ROLLBACK_NOTICED = "device.rollback_noticed", Precondition, "The phone has seen later evaluations than the store knows; the operator has been alarmed.";
    DEVICE_NOT_ACTIVE = "device.not_active", Precondition, "This phone is not active yet: its six digits were not typed, or its quarantine lasts, in which it may only refuse.";
    DEVICE_REVOKED = "device.revoked", Precondition, "This phone was revoked for good: a new enrolment is needed.";
    DEVICE_EXPIRED = "device.expired", Precondition, "The identity document behind this phone is no longer valid: enrol again with a valid one.";
    DEVICE_SUSPENDED = "device.suspended", Precondition, "This phone is suspended: resume it with the PIN.";
    DEVICE_NOT_SUSPENDED = "device.not_suspended", Precondition, "This phone is not suspended.";
    DEVICE_REPLACED = "device.replaced", Precondition, "Another phone has taken the place of this one.";
    DEVICE_NO_REPLACEMENT = "device.no_replacement", Precondition, "No other phone is about to take the place of this one, or to count beside it.";
    VETO_AMBIGUOUS = "veto.ambiguous", Precondition, "Several newer phones may be vetoed: name the one that is not yours.";
    VETO_UNKNOWN = "veto.unknown", NotFound, "This phone may veto no phone of that id.";
    DEVICE_LOCKED = "device.locked", Precondition, "This phone is locked after too many wrong PINs: a new identity check is needed.";
    DEVICE_LAST_TRY = "device.last_try_made", Precondition, "The last PIN attempt was made; the phone locks unless that attempt is approved in time.";
    DEVICE_WAIT = "device.wait", Exhausted, "Too many wrong PINs: wait before the next attempt.";
    EVALUATION_STALE = "evaluation.stale", Precondition, "The approval names an evaluation that is not the latest one: unlock again.";
    APPROVAL_MISMATCH = "approval.mismatch", Invalid, "The approval is not bound to this challenge, device, epoch and evaluation.";
    REFUSAL_MISMATCH = "refusal.mismatch", Invalid, "The refusal is not bound to this challenge, device and epoch.";
    STATEMENT_REFUSED = "statement.refused", Invalid, "A signed statement does not verify.";
    ELEMENT_INVALID = "element.invalid", Invalid, "The blinded element is not a point of P-256 in 33 compressed bytes.";

    CHALLENGE_NOT_FOUND = "challenge.not_found", NotFound, "There is no such challenge.";
    CHALLENGE_EXPIRED = "challenge.expired", Precondition, "The challenge has expired: ask the service to start again.";
    CHALLENGE_CANCELLED = "challenge.cancelled", Precondition, "The service withdrew this challenge.";
    CHALLENGE_SUPERSEDED = "challenge.superseded", Precondition, "A newer request took this challenge's place.";
    CHALLENGE_FAILED = "challenge.failed", Precondition, "The challenge has failed: ask the service to start again.";
    CHALLENGE_ANSWERED = "challenge.answered", Precondition, "The challenge has been answered otherwise.";
    CHALLENGE_CHARGED = "challenge.charged", Precondition, "A PIN attempt was made on the challenge less than 60 s ago: wait for its outcome.";
    IDEMPOTENCY_REUSED = "request.idempotency_key_reused", Exists, "This idempotency key was used with other content: draw a new one.";
    ACTION_UNKNOWN = "action.unknown", Invalid, "The action is not in the catalogue, or this relying party may not ask for it.";
    ACTION_LOCALE = "action.locale_unknown", Invalid, "The action has no template in this locale.";
    PARAMETER_REFUSED = "parameter.refused", Invalid, "A parameter is missing, unknown, of the wrong kind or not allowed.";
    LIFETIME_REFUSED = "request.lifetime", Invalid, "The lifetime is outside the action's limits.";
    MATCH_TOO_WEAK = "request.match", Invalid, "The catalogue asks for a stronger match mode.";
    REQUESTS_EXHAUSTED = "request.too_many", Exhausted, "Too many requests for this person: wait.";
    SUBJECT_NOT_FOUND = "subject.not_found", NotFound, "There is no such person at this relying party.";
    NO_SUCH_DOCUMENT = "subject.no_such_document", Precondition, "Nobody of that name and birth date was enrolled with that document.";
    SUBJECT_AMBIGUOUS = "subject.ambiguous", Precondition, "Several people match: add the birthplace.";
    SUBJECT_REFUSES = "subject.refuses", Precondition, "Confirmations for this person are not open to this relying party.";
    ENROLMENT_REQUIRED = "enrolment.required", Precondition, "The person has no active phone at the level that this action needs.";
    IDENTIFY_FORBIDDEN = "identity.not_allowed", Forbidden, "This relying party may not name people by identity: use the subject.";

    CHANNEL_UNKNOWN = "channel.unknown", Invalid, "The channel has no profile in the configuration.";
    CASE_NOT_FOUND = "case.not_found", NotFound, "There is no such case of this clerk.";
    CASE_STATE = "case.state", Precondition, "The case is at another step: an open one needs its evidence, a verified one of two people a countersignature, an issued one the six digits.";
    CASE_OWN = "case.own", Forbidden, "A clerk cannot countersign their own case: a colleague must.";
    MRZ_REFUSED = "mrz.refused", Invalid, "The machine-readable zone is not right: type it again.";
    PROOFING_MISSING = "proofing.missing", Invalid, "The channel `remote` rests on the signed result of an identity-proofing provider: send it.";
    PROOFING_REFUSED = "proofing.refused", Precondition, "The provider's statement does not stand for this case.";
    DOCUMENT_EXPIRED = "document.expired", Precondition, "The document has expired: ask for a valid one.";
    CHECKS_MISSING = "evidence.checks_missing", Invalid, "The channel asks for checks that were not recorded.";
    SUSPENSION_REFUSED = "suspension.refused", Precondition, "No phone of that person has that suspension code.";
    SUSPENSION_EXHAUSTED = "suspension.too_many", Exhausted, "Five wrong suspension codes were told for that person today: none is looked at until the day (UTC) is over; the phone itself and a supervisor still can.";
    REPLACEMENT_LEVEL = "replacement.level", Precondition, "A phone is replaced only through a channel of the same level or above.";
    REPLACEMENT_CLOSED = "replacement.closed", Precondition, "This service puts another phone in the place of one only after a new identity check.";
    REPLACEMENT_STAFF = "replacement.staff", Precondition, "A staff phone is not replaced by its holder alone: an administrator gives them another.";
    REPLACEMENT_PENDING = "replacement.pending", Precondition, "Another phone is about to take the place of this one already: wait for it, or stop it by a veto.";
    REPLACEMENT_AMBIGUOUS = "replacement.ambiguous", Precondition, "This person has several phones: name the one whose place the new one takes.";
    REPLACEMENT_UNKNOWN = "replacement.unknown", Precondition, "This person has no such phone.";
    TOO_MANY_PHONES = "subject.too_many_phones", Exists, "This person has as many phones as they may: name the one whose place the new one takes.";
    NOTHING_TO_REVOKE = "subject.no_phone", NotFound, "That person has no phone, or is not known.";
    ALREADY_ENROLLED = "subject.already_enrolled", Exists, "This person has a phone already: say that the new one replaces it, if that is what they want.";
    ACTIVATION_NOT_FOUND = "activation.not_found", NotFound, "There is no such activation, or its secret was not proven.";
    ACTIVATION_EXPIRED = "activation.expired", Precondition, "The activation has expired: issue a new one.";
    ACTIVATION_USED = "activation.used", Precondition, "The activation has been used already: issue a new one.";
    ACTIVATION_REVOKED = "activation.revoked", Precondition, "The activation was revoked: issue a new one.";
    ACTIVATION_STATE = "activation.state", Precondition, "The activation is at another step: its digits are typed once, after a phone has taken it and shown them.";
    ACTIVATION_MISMATCH = "activation.mismatch", Invalid, "The activation statement is not bound to the offer and the keys.";
    ATTESTATION_REQUIRED = "attestation.required", Precondition, "This service takes only phones whose secure hardware attests its key, and the phone sent no attestation.";
    ATTESTATION_REFUSED = "attestation.refused", Invalid, "The attestation of the phone's key does not count.";
    ACTIVATION_UNSIGNED = "activation.unsigned", Precondition, "The clerk has not signed this enrolment on their own phone yet.";
    ENROLMENT_MISMATCH = "enrolment.mismatch", Invalid, "The enrolment statement is missing, not asked for, or not bound to this challenge.";
    ENROLMENTS_EXHAUSTED = "enrolment.too_many", Exhausted, "Too many enrolments were begun: wait.";
    SAS_WRONG = "activation.digits_wrong", Invalid, "The six digits are not those that the phone shows: compare and type them again.";

    OPERATOR_NOT_FOUND = "operator.not_found", NotFound, "There is no such operator.";
    OPERATOR_NO_PHONE = "operator.no_phone", Precondition, "An enrolment is signed on the clerk's own phone: this operator has no active one.";
    OPERATOR_EXISTS = "operator.exists", Exists, "An operator of this name exists already; one who needs another phone gets it under the same name.";
    OPERATOR_DISABLED = "operator.disabled", Precondition, "This operator is disabled and stays so: create another one.";
    OPERATOR_NO_PERSON = "operator.no_person", Precondition, "This is the account of a program, which signs in with a key and has no phone.";
    OPERATOR_OWN = "operator.own", Forbidden, "Administrators give no new phone to themselves: another administrator must.";
    OPERATOR_LAST = "operator.last_administrator", Precondition, "No other administrator has an active phone to sign in with: the last one is not disabled and their phone is not replaced.";
    LOGIN_EXHAUSTED = "login.too_many", Exhausted, "Too many logins were begun: wait.";
    TERMINAL_EXISTS = "terminal.exists", Exists, "This terminal is registered already.";
    RELYING_PARTY_EXISTS = "relying_party.exists", Exists, "A relying party of this id or certificate exists already.";
    PIN_CHANGE_NOT_OPEN = "pin_change.not_open", Precondition, "No PIN change is open under this challenge: it was not approved, is finished, or a later one took its place.";
    PIN_CHANGE_EXPIRED = "pin_change.expired", Precondition, "The PIN change was approved more than 10 minutes ago: the old PIN counts; begin again.";
    PIN_CHANGE_MISMATCH = "pin_change.mismatch", Invalid, "The PIN change statement is not bound to this challenge, device and next epoch.";
    LIFT_NOTHING = "lift.nothing", Precondition, "There is nothing to lift.";
}

/// A broken rule, with what the caller needs to mend it.
#[derive(Debug)]
pub struct Fault {
    /// The rule.
    pub rule: &'static Rule,
    /// Request field, as in the `.proto`.
    pub field: Option<String>,
    /// What is wrong with it and what is allowed; shown to the caller.
    pub detail: Option<String>,
    /// Seconds to wait.
    pub retry_after_s: Option<u64>,
    /// For the log only.
    pub cause: Option<String>,
}

/// Result of rules and use cases.
pub type Result<T> = std::result::Result<T, Fault>;

impl Rule {
    /// The fault of breaking this rule.
    pub fn fault(&'static self) -> Fault {
        Fault {
            rule: self,
            field: None,
            detail: None,
            retry_after_s: None,
            cause: None,
        }
    }

    /// The same as an `Err`.
    pub fn broken<T>(&'static self) -> Result<T> {
        Err(self.fault())
    }
}

impl Fault {
    /// A field that is missing or malformed; `allowed` says what would be right.
    pub fn field(field: impl Into<String>, allowed: impl Into<String>) -> Self {
        FIELD_INVALID.fault().on(field).because(allowed)
    }

    /// A failure inside the daemon; `cause` is logged, not sent.
    pub fn internal(cause: impl ToString) -> Self {
        let mut fault = INTERNAL.fault();
        fault.cause = Some(cause.to_string());
        fault
    }

    /// Names the request field.
    pub fn on(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what is wrong in this case, as a sentence of its own.
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(capitalised(detail.into()));
        self
    }

    /// Says how long to wait.
    pub fn retry_after(mut self, seconds: i64) -> Self {
        self.retry_after_s = Some(u64::try_from(seconds.max(1)).unwrap_or(1));
        self
    }

    /// Keeps a cause for the log.
    pub fn caused_by(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Stable code of the rule.
    pub fn code(&self) -> &'static str {
        self.rule.code
    }
}

/// With a capital where it begins with a plain word; the name of a field or a value stays as it is written.
fn capitalised(text: String) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if word.bytes().all(|byte| byte.is_ascii_lowercase()) => {
            format!("{}{}", first.to_ascii_uppercase(), characters.as_str())
        }
        _ => text,
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.rule.text)?;
        if let Some(detail) = &self.detail {
            write!(f, " {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// The catalogue as the page docs/errors.md.
pub fn page() -> String {
    let mut page = String::from(
        "# Errors\n\nEvery refusal of `paraphed` carries its code in `google.rpc.ErrorInfo.reason` (domain `paraphe.v1`), the field in \
         `BadRequest`, the wait in `RetryInfo`. This page is the catalogue in `server/src/domain/fault.rs`; a test holds it to that.\n\n\
         | code | gRPC status | what it says |\n| --- | --- | --- |\n",
    );
    for rule in CATALOGUE {
        let status = match rule.kind {
            Kind::Invalid => "INVALID_ARGUMENT",
            Kind::NotFound => "NOT_FOUND",
            Kind::Forbidden => "PERMISSION_DENIED",
            Kind::Unauthenticated => "UNAUTHENTICATED",
            Kind::Precondition => "FAILED_PRECONDITION",
            Kind::Exists => "ALREADY_EXISTS",
            Kind::Exhausted => "RESOURCE_EXHAUSTED",
            Kind::Unavailable => "UNAVAILABLE",
            Kind::Late => "DEADLINE_EXCEEDED",
            Kind::Internal => "INTERNAL",
        };
        page.push_str(&format!("| `{}` | {status} | {} |\n", rule.code, rule.text));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_a_sentence_and_names_stay_as_they_are_written() {
        let said = |detail: &str| Fault::field("reason", detail).to_string();
        assert_eq!(
            said("the text is empty."),
            "A field is missing or malformed. The text is empty."
        );
        for named in [
            "family_name: too long",
            "birthplace: too long",
            "`x` is not.",
            "dev_a and dev_b",
            "",
        ] {
            assert!(said(named).ends_with(named), "{named}");
        }
    }

    #[test]
    fn codes_are_unique_and_texts_are_sentences() {
        let mut codes: Vec<_> = CATALOGUE.iter().map(|rule| rule.code).collect();
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
        for rule in CATALOGUE {
            assert!(rule.text.ends_with('.'), "{}", rule.code);
        }
    }
}
