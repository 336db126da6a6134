//! Apple's App Attest: an attested key of the app vouches for the possession key beside it.
//!
//! Called by [`super::verify`]. It proves a genuine app on a genuine device, bound to this possession key; that the key lies in the
//! Secure Enclave is what that app says. Apple's steps are those of "Validating apps that connect to your server".

use paraphe_proto::attestation::ClientData;
use paraphe_proto::time::Timestamp;
use serde::Deserialize;
use serde_bytes::ByteBuf;
use x509_parser::asn1_rs::Error as DerError;
use x509_parser::asn1_rs::{FromDer as _, OctetString, Oid, Sequence, TaggedExplicit, oid};
use x509_parser::certificate::X509Certificate;

use super::chain::{self, Root};
use super::{AttestationError, Bound, Kind, SecurityLevel, VerifiedAttestation};
use crate::domain::digest::sha256;

const NONCE: Oid<'static> = oid!(1.2.840.113635.100.8.2);
const FORMAT: &str = "apple-appattest";
/// Attested credential data and nothing else.
const FLAGS: u8 = 0x40;

/// What a deployment accepts.
#[derive(Clone, Debug)]
pub struct AppleRules {
    /// Apple's App Attestation root.
    pub roots: Vec<Root>,
    /// `<team id>.<bundle id>` of each app.
    pub app_ids: Vec<String>,
    /// Where the app comes from.
    pub environment: Environment,
}

/// Which of Apple's two App Attest services attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// The App Store, TestFlight and managed devices.
    #[default]
    Production,
    /// Builds of the developers' own.
    Development,
}

impl Environment {
    /// Its AAGUID.
    pub fn aaguid(self) -> &'static [u8; 16] {
        match self {
            Self::Production => b"appattest\0\0\0\0\0\0\0",
            Self::Development => b"appattestdevelop",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    fmt: String,
    #[serde(rename = "attStmt")]
    statement: Statement,
    #[serde(rename = "authData")]
    auth_data: ByteBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    x5c: Vec<ByteBuf>,
    /// For Apple's risk metric, which is not asked for.
    #[serde(default, rename = "receipt")]
    _receipt: ByteBuf,
}

/// # Errors
/// [`AttestationError`].
pub fn verify(
    cbor: &[u8],
    bound: &Bound<'_>,
    rules: &AppleRules,
    now: Timestamp,
) -> Result<VerifiedAttestation, AttestationError> {
    let object = parse(cbor)?;
    let der = object
        .statement
        .x5c
        .iter()
        .flat_map(|der| der.iter().copied())
        .collect::<Vec<u8>>();
    let certificates = chain::split(&der)?;
    let leaf = chain::verify(&certificates, &rules.roots, |_| false, now)?;
    let client_data = ClientData {
        iss: bound.iss,
        activation_id: bound.activation_id,
        device_id: bound.device_id,
        nonce: bound.nonce,
        possession_key: bound.possession_key,
    };
    let nonce = sha256([object.auth_data.as_slice(), &client_data.sha256()].concat());
    if nonce_in(leaf).ok_or(AttestationError::Malformed)? != nonce {
        return Err(AttestationError::Challenge);
    }
    let data = AuthData::parse(&object.auth_data).ok_or(AttestationError::Malformed)?;
    let application = require_authentic(&data, leaf, rules)?;
    Ok(VerifiedAttestation {
        kind: Kind::AppleAppAttest,
        security_level: SecurityLevel::SecureEnclave,
        application,
        os_version: None,
        os_patch_level: None,
        verified_at: now,
    })
}

/// The attested key is the credential, new, of one of the apps, from the right service. Which app.
fn require_authentic(
    data: &AuthData<'_>,
    leaf: &X509Certificate<'_>,
    rules: &AppleRules,
) -> Result<String, AttestationError> {
    let point = chain::p256_point(leaf).ok_or(AttestationError::Key)?;
    if data.credential_id != sha256(point) {
        return Err(AttestationError::Credential);
    }
    if data.public_key != point {
        return Err(AttestationError::Key);
    }
    let mut ids = rules.app_ids.iter();
    let app = ids
        .find(|id| data.rp_id_hash == sha256(id.as_str()))
        .ok_or(AttestationError::Application)?;
    if data.counter != 0 {
        return Err(AttestationError::Counter);
    }
    if data.aaguid != *rules.environment.aaguid() {
        return Err(AttestationError::Environment);
    }
    Ok(app.clone())
}

fn parse(cbor: &[u8]) -> Result<Object, AttestationError> {
    let mut rest = cbor;
    let object: Object = ciborium::from_reader(&mut rest).map_err(|_| AttestationError::Malformed)?;
    if !rest.is_empty() || object.fmt != FORMAT {
        return Err(AttestationError::Malformed);
    }
    Ok(object)
}

/// `SEQUENCE { [1] EXPLICIT OCTET STRING }`.
fn nonce_in(leaf: &X509Certificate<'_>) -> Option<Vec<u8>> {
    let mut found = leaf.extensions().iter();
    let extension = found.find(|extension| extension.oid == NONCE)?;
    let (rest, sequence) = Sequence::from_der(extension.value).ok()?;
    let (more, nonce) = TaggedExplicit::<OctetString<'_>, DerError, 1>::from_der(&sequence.content).ok()?;
    (rest.is_empty() && more.is_empty()).then(|| nonce.into_inner().as_ref().to_vec())
}

/// Authenticator data of a new credential (WebAuthn, section 6.1).
struct AuthData<'a> {
    rp_id_hash: [u8; 32],
    counter: u32,
    aaguid: [u8; 16],
    credential_id: &'a [u8],
    /// SEC 1 uncompressed.
    public_key: Vec<u8>,
}

impl<'a> AuthData<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>()?;
        let (flags, rest) = rest.split_first()?;
        let (counter, rest) = rest.split_first_chunk::<4>()?;
        let (aaguid, rest) = rest.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (credential_id, key) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        (*flags == FLAGS).then_some(())?;
        Some(Self {
            rp_id_hash: *rp_id_hash,
            counter: u32::from_be_bytes(*counter),
            aaguid: *aaguid,
            credential_id,
            public_key: cose_point(key)?,
        })
    }
}

/// An EC2 key on P-256 (RFC 9053, section 7.1) and nothing after it.
fn cose_point(cbor: &[u8]) -> Option<Vec<u8>> {
    let mut rest = cbor;
    let key: ciborium::Value = ciborium::from_reader(&mut rest).ok()?;
    let key = key.as_map().filter(|_| rest.is_empty())?;
    let member = |label: i64| {
        let mut found = key.iter().filter(|(name, _)| *name == label.into());
        found
            .next()
            .map(|(_, value)| value)
            .filter(|_| found.next().is_none())
    };
    // kty EC2, alg ES256, crv P-256.
    let is = |label, value: i64| member(label) == Some(&value.into());
    (is(1, 2) && is(3, -7) && is(-1, 1)).then_some(())?;
    let coordinate = |label| member(label)?.as_bytes().filter(|bytes| bytes.len() == 32);
    Some([&[4], coordinate(-2)?.as_slice(), coordinate(-3)?.as_slice()].concat())
}
