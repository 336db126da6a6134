//! `BlindEvaluate` of RFC 9497, P256-SHA256: the element parsed and checked, multiplied by the key, written compressed. By
//! voprf on p256 0.13, which `paraphe_proto::oprf` uses, and by crrl. Both must give the same bytes.

use std::hint::black_box;

use paraphe_proto::oprf::{BlindedElement, OprfKey, blind};
use paraphe_proto::pin::Pin;
use rand_core::OsRng;

use super::Candidate;
use crate::Result;

/// Evaluating.
///
/// # Errors
/// When the two libraries disagree.
pub fn evaluators() -> Result<Vec<Candidate>> {
    let scalar = *OprfKey::random(&mut OsRng)?.to_bytes();
    let (_, blinded) = blind(&Pin::enter("739145")?, &mut OsRng)?;
    let element = *blinded.as_bytes();
    if by_voprf(&scalar, &element) != by_crrl(&scalar, &element) {
        return Err("crrl and voprf evaluate differently".into());
    }
    let voprf = move || {
        black_box(by_voprf(&scalar, &element));
    };
    let crrl = move || {
        black_box(by_crrl(&scalar, &element));
    };
    Ok(vec![
        Candidate {
            library: "voprf (p256)",
            run: Box::new(voprf),
        },
        Candidate {
            library: "crrl",
            run: Box::new(crrl),
        },
    ])
}

fn by_voprf(scalar: &[u8; 32], element: &[u8; 33]) -> [u8; 33] {
    let key = OprfKey::from_bytes(scalar).expect("a scalar");
    let element = BlindedElement::parse(element).expect("an element");
    *key.evaluate(&element).as_bytes()
}

fn by_crrl(scalar: &[u8; 32], element: &[u8; 33]) -> [u8; 33] {
    let mut little_endian = *scalar;
    little_endian.reverse();
    let (key, valid) = crrl::p256::Scalar::decode32(&little_endian);
    assert_ne!(valid, 0, "a scalar");
    let point = crrl::p256::Point::decode(element).expect("an element");
    (point * key).encode_compressed()
}
