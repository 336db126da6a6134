//! Android key attestation: the chain of the possession key itself, with what the secure hardware says about it.
//!
//! Called by [`super::verify`]. What the operating system alone vouches for (`softwareEnforced`) counts for nothing but the name of
//! the app, which nobody else knows; a device that starts verified and locked vouches for that operating system.

use paraphe_proto::time::Timestamp;
use x509_parser::certificate::X509Certificate;

use super::chain::{self, Root};
use super::key_description::{AuthorizationList, KEY_DESCRIPTION, KeyDescription};
use super::{AttestationError, Bound, Kind, SecurityLevel, VerifiedAttestation};

/// Keymaster 4.0 (Android 9): the first whose hardware vouches for the verified boot.
const LEAST_VERSION: u32 = 3;

const SIGN: u32 = 2;
const EC: u32 = 3;
const P256: u32 = 1;
const GENERATED: u32 = 0;
const VERIFIED: u32 = 0;

/// What a deployment accepts.
#[derive(Clone, Debug)]
pub struct AndroidRules {
    /// Roots of the makers' chains: Google's.
    pub roots: Vec<Root>,
    /// Serial numbers that are not accepted any more, lowercase hexadecimal without leading zeros.
    pub revoked: std::collections::BTreeSet<String>,
    /// The weakest place for a key.
    pub min_security_level: SecurityLevel,
    /// The apps whose keys count.
    pub apps: Vec<AndroidApp>,
}

/// An app of the deployment.
#[derive(Clone, Debug)]
pub struct AndroidApp {
    /// Its package.
    pub package: String,
    /// SHA-256 of each certificate that may sign it.
    pub signing_certificates: Vec<[u8; 32]>,
}

/// # Errors
/// [`AttestationError`].
pub fn verify(
    der: &[u8],
    bound: &Bound<'_>,
    rules: &AndroidRules,
    now: Timestamp,
) -> Result<VerifiedAttestation, AttestationError> {
    let certificates = chain::split(der)?;
    let revoked = |serial: &[u8]| rules.revoked.contains(&serial_text(serial));
    let leaf = chain::verify(&certificates, &rules.roots, revoked, now)?;
    // A key that an app made can sign too, if it says so: only the maker's authorities stand above the attested key.
    if certificates
        .iter()
        .skip(1)
        .any(|above| description_in(above).is_some())
    {
        return Err(AttestationError::Authority);
    }
    if chain::p256_point(leaf) != Some(bound.possession_key.as_sec1().as_slice()) {
        return Err(AttestationError::Key);
    }
    let value = description_in(leaf).ok_or(AttestationError::Malformed)?;
    let description = KeyDescription::parse(value).map_err(|_| AttestationError::Malformed)?;
    if description.challenge != paraphe_proto::attestation::challenge(bound.iss, bound.activation_id) {
        return Err(AttestationError::Challenge);
    }
    if description.attestation_version < LEAST_VERSION {
        return Err(AttestationError::Version);
    }
    let security_level = security_level(&description, rules.min_security_level)?;
    let hardware = &description.hardware_enforced;
    require_possession_key(hardware)?;
    require_verified_boot(hardware)?;
    Ok(VerifiedAttestation {
        kind: Kind::AndroidKey,
        security_level,
        application: application(&description, &rules.apps)?,
        os_version: hardware.os_version,
        os_patch_level: hardware.os_patch_level,
        verified_at: now,
    })
}

fn description_in<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    let mut found = certificate.extensions().iter();
    found
        .find(|extension| extension.oid == KEY_DESCRIPTION)
        .map(|extension| extension.value)
}

/// The weaker of the two: where the attestation was made and where the key lives.
fn security_level(
    description: &KeyDescription,
    least: SecurityLevel,
) -> Result<SecurityLevel, AttestationError> {
    let weaker = description
        .attestation_security_level
        .min(description.key_security_level);
    let level = match weaker {
        1 => SecurityLevel::TrustedEnvironment,
        2 => SecurityLevel::Strongbox,
        _ => return Err(AttestationError::SecurityLevel),
    };
    if level < least {
        return Err(AttestationError::SecurityLevel);
    }
    Ok(level)
}

fn require_possession_key(hardware: &AuthorizationList) -> Result<(), AttestationError> {
    if hardware.origin != Some(GENERATED) {
        return Err(AttestationError::Origin);
    }
    if hardware.purpose.as_deref() != Some(&[SIGN]) {
        return Err(AttestationError::Purpose);
    }
    // Some secure elements leave the curve out; the key itself was seen to be one of P-256.
    if hardware.algorithm != Some(EC) || hardware.curve.is_some_and(|curve| curve != P256) {
        return Err(AttestationError::Algorithm);
    }
    Ok(())
}

fn require_verified_boot(hardware: &AuthorizationList) -> Result<(), AttestationError> {
    let root = hardware
        .root_of_trust
        .as_ref()
        .ok_or(AttestationError::VerifiedBoot)?;
    if root.verified_boot_state != VERIFIED {
        return Err(AttestationError::VerifiedBoot);
    }
    if !root.device_locked {
        return Err(AttestationError::DeviceUnlocked);
    }
    Ok(())
}

/// The one app that the key belongs to, signed by nobody but those who may.
fn application(description: &KeyDescription, apps: &[AndroidApp]) -> Result<String, AttestationError> {
    let (software, hardware) = (&description.software_enforced, &description.hardware_enforced);
    let asked = software
        .application
        .as_ref()
        .ok_or(AttestationError::Application)?;
    let ([package], false) = (
        asked.packages.as_slice(),
        software.all_applications || hardware.all_applications,
    ) else {
        return Err(AttestationError::Application);
    };
    let mut apps = apps.iter();
    let app = apps
        .find(|app| app.package.as_bytes() == package)
        .ok_or(AttestationError::Application)?;
    let mut digests = asked.signature_digests.iter();
    let known = |digest: &Vec<u8>| {
        app.signing_certificates
            .iter()
            .any(|known| known.as_slice() == digest)
    };
    if asked.signature_digests.is_empty() || !digests.all(known) {
        return Err(AttestationError::SigningCertificate);
    }
    Ok(app.package.clone())
}

/// A serial number as lists of revoked ones have it.
fn serial_text(serial: &[u8]) -> String {
    let text = data_encoding::HEXLOWER.encode(serial);
    text.trim_start_matches('0').to_owned()
}
