//! Every type of statement by tag: the text as it comes, and a payload under a right signature.

use std::sync::LazyLock;

use paraphe_proto::encoding::base64url;
use paraphe_proto::jws::{self, Statement};
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::{jwt, statements as s};

use crate::ISS;

/// P-256's first scalar: nothing is protected by it.
static KEY: LazyLock<SoftwareKey> = LazyLock::new(|| {
    let mut scalar = [0; 32];
    scalar[31] = 1;
    SoftwareKey::from_scalar(&scalar).expect("1 is a scalar")
});

/// The key that signs what is fuzzed.
pub fn key() -> &'static SoftwareKey {
    &KEY
}

/// First byte: the type. Second byte: text or payload.
pub fn run(data: &[u8]) {
    let [tag, mode, rest @ ..] = data else { return };
    match tag % 14 {
        0 => one::<s::Challenge>(*mode, rest),
        1 => one::<s::Proof>(*mode, rest),
        2 => one::<s::Approval>(*mode, rest),
        3 => one::<s::Refusal>(*mode, rest),
        4 => one::<s::Enrolment>(*mode, rest),
        5 => one::<s::Offer>(*mode, rest),
        6 => one::<s::Activation>(*mode, rest),
        7 => one::<s::ActivationKey>(*mode, rest),
        8 => one::<s::Evaluation>(*mode, rest),
        9 => one::<s::KeySet>(*mode, rest),
        10 => one::<s::Assertion>(*mode, rest),
        11 => one::<s::PinChange>(*mode, rest),
        12 => one::<s::Proofing>(*mode, rest),
        _ => tokens(rest),
    }
}

fn one<S: Statement>(mode: u8, rest: &[u8]) {
    let compact = match mode % 2 {
        0 => match str::from_utf8(rest) {
            Ok(text) => text.to_owned(),
            Err(_) => return,
        },
        _ => forged::<S>(rest),
    };
    let _ = jws::unverified_kid::<S>(&compact);
    let _ = s::verify_activation(&compact, key().public_key(), ISS);
    let Ok(verified) = jws::verify::<S>(&compact, key().public_key(), ISS) else {
        return;
    };
    let again = jws::sign(verified.claims(), key()).expect("what was read can be signed");
    let read = jws::verify::<S>(again.compact(), key().public_key(), ISS).expect("and is read again");
    let value = |claims: &S| serde_json::to_value(claims).expect("claims are JSON");
    assert_eq!(value(read.claims()), value(verified.claims()));
}

/// A right header and signature around any payload.
fn forged<S: Statement>(payload: &[u8]) -> String {
    let kid = key().public_key().thumbprint();
    let header = format!(r#"{{"alg":"ES256","typ":"{}","kid":"{kid}"}}"#, S::TYP);
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(payload));
    let signature = key().sign(signed.as_bytes()).expect("the key signs");
    format!("{signed}.{}", base64url(&signature))
}

fn tokens(rest: &[u8]) {
    if let Ok(text) = str::from_utf8(rest) {
        let _ = jwt::unverified_issuer(text);
    }
}
