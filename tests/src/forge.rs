//! Compact JWS as no honest party makes them: any header, any claims, any signature bytes.
//!
//! Called by the attack tests. Nothing here checks anything.

use paraphe_proto::encoding::{base64url, from_base64url};
use paraphe_proto::keys::Signer;
use serde_json::{Value, json};

/// A statement taken apart.
#[derive(Clone, Debug)]
pub struct Parts {
    /// JOSE header.
    pub header: Value,
    /// Claims.
    pub claims: Value,
    /// Signature bytes.
    pub signature: Vec<u8>,
}

impl Parts {
    /// Takes a compact JWS apart.
    #[must_use]
    pub fn of(compact: &str) -> Self {
        let parts: Vec<&str> = compact.split('.').collect();
        let json =
            |part: &str| serde_json::from_slice(&from_base64url(part).expect("base64url")).expect("JSON");
        assert_eq!(parts.len(), 3, "a compact JWS has three parts");
        Self {
            header: json(parts[0]),
            claims: json(parts[1]),
            signature: from_base64url(parts[2]).expect("base64url"),
        }
    }

    /// What a signature is over.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    /// The compact JWS with the signature as it is.
    #[must_use]
    pub fn compact(&self) -> String {
        format!("{}.{}", self.signed_text(), base64url(&self.signature))
    }

    /// The compact JWS, signed anew; `kid` and `jwk` of the header stay what they are.
    #[must_use]
    pub fn sign(mut self, key: &dyn Signer) -> String {
        self.signature = key
            .sign(self.signed_text().as_bytes())
            .expect("a signature")
            .to_vec();
        self.compact()
    }

    /// The same with another header field.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// The same with another claim.
    #[must_use]
    pub fn with_claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// The same with other signature bytes.
    #[must_use]
    pub fn with_signature(mut self, signature: Vec<u8>) -> Self {
        self.signature = signature;
        self
    }
}

/// One way to sign what must not be accepted.
pub struct Forgery {
    /// What it is.
    pub name: &'static str,
    /// The compact JWS.
    pub compact: String,
}

/// Every forged form of a well-signed statement: other algorithms, types and headers, every odd signature.
///
/// `typ` is another type that the daemon knows. `strict` adds what is refused in Paraphe's own statements only.
#[must_use]
pub fn forgeries(compact: &str, key: &dyn Signer, typ: &str, strict: bool) -> Vec<Forgery> {
    let good = Parts::of(compact);
    let (r, s) = (good.signature[..32].to_vec(), good.signature[32..].to_vec());
    let zero = vec![0; 32];
    let hmac = |header: &str| {
        let parts = good.clone().with_header("alg", header);
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.public_key().as_sec1());
        let tag = ring::hmac::sign(&secret, parts.signed_text().as_bytes());
        parts.with_signature(tag.as_ref().to_vec()).compact()
    };
    let bare = good
        .clone()
        .with_header("alg", "none")
        .with_signature(Vec::new())
        .compact();
    let joined = |r: &[u8], s: &[u8]| good.clone().with_signature([r, s].concat()).compact();
    let mut all = vec![
        ("alg none without a signature", bare),
        (
            "alg none with a signature",
            good.clone().with_header("alg", "none").sign(key),
        ),
        ("alg HS256 with the public key", hmac("HS256")),
        ("alg ES256 over an HMAC", {
            let tag = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.public_key().as_sec1());
            let tag = ring::hmac::sign(&tag, good.signed_text().as_bytes());
            good.clone().with_signature(tag.as_ref().to_vec()).compact()
        }),
        ("alg ES384", good.clone().with_header("alg", "ES384").sign(key)),
        ("another typ", good.clone().with_header("typ", typ).sign(key)),
        (
            "an unknown critical header",
            good.clone().with_header("crit", json!(["b64"])).sign(key),
        ),
        ("r = 0", joined(&zero, &s)),
        ("s = 0", joined(&r, &zero)),
        ("r = s = 0", joined(&zero, &zero)),
        (
            "DER instead of raw",
            good.clone().with_signature(der(&r, &s)).compact(),
        ),
        ("no signature", good.clone().with_signature(Vec::new()).compact()),
        (
            "a longer signature",
            good.clone()
                .with_signature([r.clone(), s.clone(), vec![0]].concat())
                .compact(),
        ),
        ("a key of the attacker in the header", {
            let own = paraphe_proto::keys::SoftwareKey::generate(&mut crate::clock::rng()).expect("a key");
            let jwk = serde_json::to_value(own.public_key().to_jwk()).expect("a JWK");
            good.clone().with_header("jwk", jwk).sign(&own)
        }),
    ];
    if strict {
        all.push(("the high s", joined(&r, &minus(&s))));
        all.push(("an unknown header", good.clone().with_header("x", 1).sign(key)));
    }
    let named = |(name, compact)| Forgery { name, compact };
    all.into_iter().map(named).collect()
}

/// The order of P-256 minus `s`: the other signature that verifies.
fn minus(s: &[u8]) -> Vec<u8> {
    let order = from_order();
    let mut difference = vec![0; 32];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let value = i32::from(order[at]) - i32::from(s[at]) - borrow;
        borrow = i32::from(value < 0);
        difference[at] = u8::try_from(value.rem_euclid(256)).expect("a byte");
    }
    difference
}

/// FIPS 186-4, D.1.2.3.
fn from_order() -> Vec<u8> {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    paraphe_proto::encoding::from_hex(order).expect("hexadecimal")
}

/// ECDSA-Sig-Value (RFC 3279, section 2.2.3).
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(31);
        let mut value = bytes[start..].to_vec();
        if value[0] & 0x80 != 0 {
            value.insert(0, 0);
        }
        [vec![2, u8::try_from(value.len()).expect("short")], value].concat()
    };
    let inner = [integer(r), integer(s)].concat();
    [vec![0x30, u8::try_from(inner.len()).expect("short")], inner].concat()
}

#[cfg(test)]
mod tests {
    use paraphe_proto::keys::{SoftwareKey, verify_es256};

    use super::*;

    #[test]
    fn the_high_s_is_a_signature_of_the_same_key() {
        let key = SoftwareKey::generate(&mut crate::clock::rng()).unwrap();
        let good = key.sign(b"text").unwrap();
        let high = [good[..32].to_vec(), minus(&good[32..])].concat();
        assert!(verify_es256(key.public_key(), b"text", &high));
        assert_ne!(good.to_vec(), high);
    }
}
