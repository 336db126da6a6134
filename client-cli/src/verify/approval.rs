//! The approval behind an assertion: root key → key sets → challenge → phone → approval → assertion, and the clerk's signature
//! under that phone's enrolment where there is one. Protocol: section 3.
//!
//! Each link is a signature or a hash over the exact bytes of the one before, so no link can be exchanged alone.

use paraphe_proto::challenge::device_handle;
use paraphe_proto::encoding::base64url;
use paraphe_proto::jws::{self, StatementError, Verified};
use paraphe_proto::keyset::{KeySetChain, KeySetError};
use paraphe_proto::statements::{ActivationKey, Approval, Assertion, Challenge, Keystore, MatchMode};

use super::{Evidence, Failure, Trail, enrolment, failed, phone};

/// Checks that the approval behind `assertion` is what it says.
pub(super) fn check(
    evidence: &Evidence,
    assertion: &Verified<Assertion>,
    trail: &mut Trail,
) -> Result<(), Failure> {
    let issuer = &assertion.claims().iss;
    let key_sets = walk(evidence, issuer)?;
    let held = format!(
        "{} from root key {}",
        versions(key_sets.len()),
        evidence.root.thumbprint()
    );
    trail.held("key_sets", held);
    let listed = key_sets
        .iter()
        .any(|set| set.active_assertion_key(assertion.kid()).is_some());
    trail.require(
        "assertion.key_set",
        listed,
        "the assertion key is in the issuer's key set",
        "no key set names the key that signed the assertion.",
    )?;
    let challenge = verify_challenge(&evidence.challenge, issuer, &key_sets, "challenge.signature")?;
    trail.held("challenge.signature", format!("ES256 by key {}", challenge.kid()));
    check_challenge(&challenge, assertion.claims(), trail)?;
    let device = verify_device(evidence, issuer, &challenge, assertion.claims(), trail)?;
    let approval: Verified<Approval> = jws::verify(&evidence.approval, &device.approval_key, issuer)
        .map_err(failed("approval.signature"))?;
    trail.held(
        "approval.signature",
        format!("ES256 by the phone's approval key {}", approval.kid()),
    );
    check_approval(&approval, &challenge, &device, assertion.claims(), trail)?;
    match &evidence.enrolment {
        Some(signed) => enrolment::check(signed, &key_sets, &device, assertion.claims(), trail),
        None => Ok(()),
    }
}

/// Every key set from version 1 on, each verified by the one before.
fn walk(evidence: &Evidence, issuer: &str) -> Result<Vec<KeySetChain>, Failure> {
    let (first, later) = evidence.key_sets.split_at(evidence.key_sets.len().min(1));
    let chain = KeySetChain::walk(&evidence.root, first, issuer).map_err(not_of_root)?;
    let mut chains = vec![chain];
    for statement in later {
        let next = chains.last().map(|chain| chain.advance(statement));
        chains.extend(next.transpose().map_err(failed("key_sets"))?);
    }
    Ok(chains)
}

/// The first key set, which the root key signs.
fn not_of_root(error: KeySetError) -> Failure {
    let root = match error {
        KeySetError::Statement(StatementError::Key) => {
            "; the first of --key-sets must be signed by the key of --root"
        }
        _ => "",
    };
    failed("key_sets")(format!("{error}{root}"))
}

fn versions(count: usize) -> String {
    if count == 1 {
        "version 1".to_owned()
    } else {
        format!("versions 1 to {count}")
    }
}

/// A challenge by a key that some key set had active; `check` is what a failure is called.
pub(super) fn verify_challenge(
    compact: &str,
    issuer: &str,
    key_sets: &[KeySetChain],
    check: &'static str,
) -> Result<Verified<Challenge>, Failure> {
    let key_of = |kid: &str| {
        key_sets
            .iter()
            .find_map(|set| set.active_challenge_key(kid))
            .cloned()
    };
    jws::verify_with(compact, issuer, key_of).map_err(failed(check))
}

fn check_challenge(
    challenge: &Verified<Challenge>,
    assertion: &Assertion,
    trail: &mut Trail,
) -> Result<(), Failure> {
    let claims = challenge.claims();
    let same = claims.challenge_id == assertion.txn && challenge.sha256() == assertion.challenge_sha256.0;
    trail.require(
        "challenge.binding",
        same,
        format!("the assertion is about {}", claims.challenge_id),
        "the assertion is about another challenge.",
    )?;
    let asked_by = &claims.relying_party;
    let same = asked_by.id == assertion.aud;
    trail.require(
        "challenge.relying_party",
        same,
        format!("asked by {}", asked_by.name),
        format!(
            "{} asked, but the assertion is for {}.",
            asked_by.id, assertion.aud
        ),
    )?;
    check_display(claims, assertion, trail)?;
    let answered = assertion.auth_time >= claims.iat && assertion.auth_time < claims.exp;
    trail.require(
        "challenge.time",
        answered,
        "approved before the challenge expired",
        "it was approved outside the life of the challenge.",
    )
}

/// The assertion speaks of exactly the document that was signed to be shown.
fn check_display(claims: &Challenge, assertion: &Assertion, trail: &mut Trail) -> Result<(), Failure> {
    let same = match assertion.authorization_details.as_slice() {
        [detail] => {
            detail.action == claims.action
                && detail.locale == claims.display.locale
                && detail.title == claims.display.title
                && detail.display_sha256.0 == claims.display.sha256()
        }
        _ => false,
    };
    trail.require(
        "challenge.display",
        same,
        format!("shown: {}", claims.display.title),
        "the assertion speaks of another document than the one that was shown.",
    )
}

/// The phone's activation: both its keys, signed by both.
fn verify_device(
    evidence: &Evidence,
    issuer: &str,
    challenge: &Verified<Challenge>,
    assertion: &Assertion,
    trail: &mut Trail,
) -> Result<ActivationKey, Failure> {
    let name = "activation.signature";
    let device = phone::behind(&evidence.activation, issuer, name)?;
    trail.held(
        name,
        format!("possession key {}", device.possession_key.thumbprint()),
    );
    let handle = device_handle(&device.device_id, &challenge.claims().challenge_id);
    let same = handle == challenge.claims().device_handle.0;
    trail.require(
        "device",
        same,
        format!("the challenge was for {}", device.device_id),
        "the challenge was for another phone.",
    )?;
    let hardware = assertion.amr.iter().any(|method| method == "hwk");
    let backed = !hardware || device.keystore == Keystore::Hardware;
    trail.require(
        "device.keystore",
        backed,
        format!("{:?} keystore", device.keystore).to_lowercase(),
        "the assertion claims a hardware key, the phone has none.",
    )?;
    Ok(device)
}

fn check_approval(
    approval: &Verified<Approval>,
    challenge: &Verified<Challenge>,
    device: &ActivationKey,
    assertion: &Assertion,
    trail: &mut Trail,
) -> Result<(), Failure> {
    let claims = approval.claims();
    let same = claims.challenge_sha256.0 == challenge.sha256() && claims.device_id == device.device_id;
    trail.require(
        "approval.binding",
        same,
        "it approves exactly this challenge",
        "it approves another challenge, or another phone gave it.",
    )?;
    let rule = &challenge.claims().match_rule;
    let typed = match rule.mode {
        MatchMode::None => claims.match_code.is_empty(),
        MatchMode::EnterCode => claims.match_code.len() == usize::from(rule.digits),
    };
    trail.require(
        "approval.match_code",
        typed,
        "the code of the page was typed",
        "it carries no code of the page, though the challenge asks for one.",
    )?;
    let same = approval.sha256() == assertion.approval_sha256.0;
    let hash = base64url(&approval.sha256());
    trail.require(
        "assertion.approval",
        same,
        format!("the assertion names this approval, {hash}"),
        "the assertion names another approval.",
    )
}
