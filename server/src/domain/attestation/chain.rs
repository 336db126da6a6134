//! Chains of X.509 certificates from an attested key up to a configured root (RFC 5280, section 6, what of it applies).
//!
//! Called by `android` and `apple`. Invariant: a [`Leaf`] was signed, link by link, under a configured root; every certificate was
//! valid at `now`, and none but certificate authorities signed. Names are compared byte for byte. No revocation by CRL or OCSP.

use paraphe_proto::time::Timestamp;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use thiserror::Error;
use x509_parser::asn1_rs::{FromDer as _, Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

/// Most certificates of a chain; Android's longest have five.
const MAX_LINKS: usize = 8;

const EC_PUBLIC_KEY: Oid<'static> = oid!(1.2.840.10045.2.1);
const P256: Oid<'static> = oid!(1.2.840.10045.3.1.7);
const P384: Oid<'static> = oid!(1.3.132.0.34);
const RSA_KEY: Oid<'static> = oid!(1.2.840.113549.1.1.1);
const ECDSA_SHA256: Oid<'static> = oid!(1.2.840.10045.4.3.2);
const ECDSA_SHA384: Oid<'static> = oid!(1.2.840.10045.4.3.3);
const RSA_SHA256: Oid<'static> = oid!(1.2.840.113549.1.1.11);
const RSA_SHA384: Oid<'static> = oid!(1.2.840.113549.1.1.12);
const RSA_SHA512: Oid<'static> = oid!(1.2.840.113549.1.1.13);

/// Why a chain leads to no configured root. The certificate of the attested key is number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChainError {
    /// Not one certificate after the other.
    #[error("certificate {0} of the chain cannot be read")]
    Malformed(usize),
    /// None, or more than anybody needs.
    #[error("the chain has no certificate, or more than 8")]
    Length,
    /// Outside its validity.
    #[error("certificate {0} of the chain is not valid now")]
    NotValidNow(usize),
    /// The next one's name or key is not that of its issuer.
    #[error("certificate {0} of the chain was not signed by the next one")]
    Signature(usize),
    /// No configured root signed the last one.
    #[error("the chain does not end at a root that this service trusts")]
    UnknownRoot,
    /// It signed a certificate and may not.
    #[error("certificate {0} of the chain may not sign certificates")]
    NotAnAuthority(usize),
    /// It asks for something that nobody here understands.
    #[error("certificate {0} of the chain has a critical extension that is not understood")]
    CriticalExtension(usize),
    /// Its serial number is on the list.
    #[error("certificate {0} of the chain was revoked")]
    Revoked(usize),
}

/// A configured root: a name, a key, and how long it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    subject: Vec<u8>,
    key: Vec<u8>,
    from: i64,
    until: i64,
}

impl Root {
    /// Reads a self-signed certificate of an authority, DER.
    ///
    /// # Errors
    /// What is wrong with it, for the person who configures it.
    pub fn parse(der: &[u8]) -> Result<Self, &'static str> {
        let Ok(([], certificate)) = X509Certificate::from_der(der) else {
            return Err("it is not an X.509 certificate");
        };
        if certificate.subject().as_raw() != certificate.issuer().as_raw() {
            return Err("it is not a root: subject and issuer differ");
        }
        if !is_authority(&certificate, 0) {
            return Err("it is not a certificate authority");
        }
        if !is_signed_by(&certificate, certificate.public_key()) {
            return Err("it is not signed by its own key with ECDSA (P-256, P-384) or RSA");
        }
        Ok(Self {
            subject: certificate.subject().as_raw().to_vec(),
            key: certificate.public_key().raw.to_vec(),
            from: certificate.validity().not_before.timestamp(),
            until: certificate.validity().not_after.timestamp(),
        })
    }

    /// The same root under another certificate: devices carry copies that have expired since.
    fn is(&self, certificate: &X509Certificate<'_>) -> bool {
        self.subject == certificate.subject().as_raw() && self.key == certificate.public_key().raw
    }

    fn signed(&self, certificate: &X509Certificate<'_>) -> bool {
        self.subject == certificate.issuer().as_raw()
            && SubjectPublicKeyInfo::from_der(&self.key).is_ok_and(|(_, key)| is_signed_by(certificate, &key))
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        (self.from..=self.until).contains(&now.as_secs())
    }
}

/// The certificates one after the other, the attested key's first.
///
/// # Errors
/// [`ChainError::Malformed`], [`ChainError::Length`].
pub fn split(mut der: &[u8]) -> Result<Vec<X509Certificate<'_>>, ChainError> {
    let mut chain = Vec::new();
    while !der.is_empty() {
        if chain.len() == MAX_LINKS {
            return Err(ChainError::Length);
        }
        let read = X509Certificate::from_der(der);
        let (rest, certificate) = read.map_err(|_| ChainError::Malformed(chain.len()))?;
        chain.push(certificate);
        der = rest;
    }
    Ok(chain)
}

/// The first certificate, once the chain leads to one of the roots. A copy of the root at the end is not needed and does no harm.
///
/// # Errors
/// [`ChainError`].
pub fn verify<'c, 'a>(
    chain: &'c [X509Certificate<'a>],
    roots: &[Root],
    revoked: impl Fn(&[u8]) -> bool,
    now: Timestamp,
) -> Result<&'c X509Certificate<'a>, ChainError> {
    let below = match chain.split_last() {
        Some((last, below)) if !below.is_empty() && roots.iter().any(|root| root.is(last)) => below,
        _ => chain,
    };
    let (Some(leaf), Some(last)) = (below.first(), below.last()) else {
        return Err(ChainError::Length);
    };
    for (number, certificate) in below.iter().enumerate() {
        require_fit(certificate, number, now)?;
        if revoked(certificate.raw_serial()) {
            return Err(ChainError::Revoked(number));
        }
        if let Some(issuer) = below.get(number.saturating_add(1)) {
            require_issued(certificate, issuer, number)?;
        }
    }
    let mut issuers = roots.iter().filter(|root| root.is_valid(now));
    if !issuers.any(|root| root.signed(last)) {
        return Err(ChainError::UnknownRoot);
    }
    Ok(leaf)
}

fn require_fit(certificate: &X509Certificate<'_>, number: usize, now: Timestamp) -> Result<(), ChainError> {
    let validity = certificate.validity();
    let valid = validity.not_before.timestamp()..=validity.not_after.timestamp();
    if !valid.contains(&now.as_secs()) {
        return Err(ChainError::NotValidNow(number));
    }
    let understood = |extension: &ParsedExtension<'_>| {
        matches!(
            extension,
            ParsedExtension::BasicConstraints(_)
                | ParsedExtension::KeyUsage(_)
                | ParsedExtension::ExtendedKeyUsage(_)
        )
    };
    let mut critical = certificate
        .extensions()
        .iter()
        .filter(|extension| extension.critical);
    if !critical.all(|extension| understood(extension.parsed_extension())) {
        return Err(ChainError::CriticalExtension(number));
    }
    if number > 0 && !is_authority(certificate, number.saturating_sub(1)) {
        return Err(ChainError::NotAnAuthority(number));
    }
    Ok(())
}

fn require_issued(
    certificate: &X509Certificate<'_>,
    issuer: &X509Certificate<'_>,
    number: usize,
) -> Result<(), ChainError> {
    let named = certificate.issuer().as_raw() == issuer.subject().as_raw();
    if named && is_signed_by(certificate, issuer.public_key()) {
        Ok(())
    } else {
        Err(ChainError::Signature(number))
    }
}

/// Whether it may sign certificates, with so many authorities between it and the attested key.
fn is_authority(certificate: &X509Certificate<'_>, below: usize) -> bool {
    let Ok(Some(constraints)) = certificate.basic_constraints() else {
        return false;
    };
    let signs = match certificate.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    let room = constraints.value.path_len_constraint;
    signs
        && constraints.value.ca
        && room.is_none_or(|most| usize::try_from(most).is_ok_and(|most| below <= most))
}

fn is_signed_by(certificate: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>) -> bool {
    let named = &certificate.signature_algorithm;
    let signature = &certificate.signature_value;
    if *named != certificate.tbs_certificate.signature
        || signature.unused_bits != 0
        || key.subject_public_key.unused_bits != 0
    {
        return false;
    }
    algorithm(named, key).is_some_and(|algorithm| {
        UnparsedPublicKey::new(algorithm, &key.subject_public_key.data)
            .verify(certificate.tbs_certificate.as_ref(), &signature.data)
            .is_ok()
    })
}

/// ECDSA with P-256 and P-384, and RSA (PKCS #1, 2048 to 8192 bits) for Google's first root.
fn algorithm(
    named: &AlgorithmIdentifier<'_>,
    key: &SubjectPublicKeyInfo<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let kind = &key.algorithm.algorithm;
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|curve| curve.as_oid().ok());
    let algorithm: &'static dyn VerificationAlgorithm = match &named.algorithm {
        hash if *kind == EC_PUBLIC_KEY => match (hash, curve?) {
            (hash, curve) if *hash == ECDSA_SHA256 && curve == P256 => &signature::ECDSA_P256_SHA256_ASN1,
            (hash, curve) if *hash == ECDSA_SHA384 && curve == P256 => &signature::ECDSA_P256_SHA384_ASN1,
            (hash, curve) if *hash == ECDSA_SHA256 && curve == P384 => &signature::ECDSA_P384_SHA256_ASN1,
            (hash, curve) if *hash == ECDSA_SHA384 && curve == P384 => &signature::ECDSA_P384_SHA384_ASN1,
            _ => return None,
        },
        hash if *kind == RSA_KEY && *hash == RSA_SHA256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        hash if *kind == RSA_KEY && *hash == RSA_SHA384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        hash if *kind == RSA_KEY && *hash == RSA_SHA512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        _ => return None,
    };
    Some(algorithm)
}

/// The attested key, SEC 1 uncompressed, if it is one of P-256.
pub fn p256_point<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c [u8]> {
    let key = certificate.public_key();
    let curve = key
        .algorithm
        .parameters
        .as_ref()
        .and_then(|curve| curve.as_oid().ok())?;
    (key.algorithm.algorithm == EC_PUBLIC_KEY && curve == P256).then(|| key.subject_public_key.data.as_ref())
}
