//! Android key attestation, every field wrong once.

use paraphe_proto::keys::SoftwareKey;

use super::makers::{Description, Held, Maker, PACKAGE, SIGNED_BY, authority, der, number, root_of_trust};
use super::*;

struct Phone {
    maker: Maker,
    key: SoftwareKey,
}

impl Phone {
    fn new() -> Self {
        Self {
            maker: Maker::of(&rcgen::PKCS_ECDSA_P256_SHA256),
            key: key(),
        }
    }

    fn description(&self) -> Description {
        let stated = stated(&self.key);
        Description::of(ISS, &stated.activation_id)
    }

    fn verify(&self, description: &Description) -> Result<VerifiedAttestation, AttestationError> {
        self.verify_chain(&description.attest(&self.maker, self.key.public_key()))
    }

    fn verify_chain(&self, chain: &[u8]) -> Result<VerifiedAttestation, AttestationError> {
        verify(&stated(&self.key), chain, &rules(&self.maker), NOW)
    }
}

#[test]
fn a_key_of_the_trusted_environment_and_of_strongbox_is_verified() {
    let phone = Phone::new();
    let verified = phone.verify(&phone.description()).unwrap();
    let expected = VerifiedAttestation {
        kind: Kind::AndroidKey,
        security_level: SecurityLevel::TrustedEnvironment,
        application: PACKAGE.to_owned(),
        os_version: Some(160_000),
        os_patch_level: Some(202_610),
        verified_at: NOW,
    };
    assert_eq!(verified, expected);
    let strongbox = Description {
        attestation_level: 2,
        key_level: 2,
        ..phone.description()
    };
    assert_eq!(
        phone.verify(&strongbox).unwrap().security_level,
        SecurityLevel::Strongbox
    );
    let silent = phone.description().without(10);
    assert!(phone.verify(&silent).is_ok(), "the curve is the key's own");
    for version in [3, 4, 100, 400] {
        let other = Description {
            version,
            ..phone.description()
        };
        assert!(phone.verify(&other).is_ok(), "version {version}");
    }
}

type Case = (&'static str, Description, AttestationError);

fn require_refused(phone: &Phone, cases: Vec<Case>) {
    for (what, description, expected) in cases {
        assert_eq!(phone.verify(&description).err(), Some(expected), "{what}");
    }
    assert!(phone.verify(&phone.description()).is_ok());
}

#[test]
fn a_wrong_challenge_version_or_level_is_refused() {
    use AttestationError::{Challenge, SecurityLevel, Version};
    let phone = Phone::new();
    let good = || phone.description();
    let id = stated(&phone.key).activation_id;
    let challenge = |challenge: Vec<u8>| Description { challenge, ..good() };
    let version = |version| Description { version, ..good() };
    let levels = |attestation_level, key_level| Description {
        attestation_level,
        key_level,
        ..good()
    };
    let later = Description::of(ISS, &ActivationId::from_bytes([7; 16]));
    let elsewhere = Description::of("https://other.example", &id);
    let more = [good().challenge, vec![0]].concat();
    let cases = vec![
        ("of another activation", later, Challenge),
        ("of another service", elsewhere, Challenge),
        ("no challenge", challenge(Vec::new()), Challenge),
        ("challenge with more behind it", challenge(more), Challenge),
        ("version", version(2), Version),
        ("attested by software", levels(0, 1), SecurityLevel),
        ("key in software", levels(1, 0), SecurityLevel),
        ("a level that nobody knows", levels(3, 3), SecurityLevel),
    ];
    require_refused(&phone, cases);
}

#[test]
fn a_key_that_is_not_made_inside_for_signing_is_refused() {
    use AttestationError::{Algorithm, Malformed, Origin, Purpose};
    let phone = Phone::new();
    let set = |tag, value| phone.description().hardware(tag, value);
    let without = |tag| phone.description().without(tag);
    let purposes = |purposes: &[u32]| {
        set(
            1,
            der(|w| w.write_set_of(|w| purposes.iter().for_each(|p| w.next().write_u32(*p)))),
        )
    };
    let cases = vec![
        ("imported", set(702, number(2)), Origin),
        ("derived", set(702, number(1)), Origin),
        ("no origin", without(702), Origin),
        ("for verifying", purposes(&[3]), Purpose),
        ("for signing and attesting", purposes(&[2, 7]), Purpose),
        ("for nothing", purposes(&[]), Purpose),
        ("no purpose", without(1), Purpose),
        ("RSA", set(2, number(1)), Algorithm),
        ("no algorithm", without(2), Algorithm),
        ("P-384", set(10, number(2)), Algorithm),
        (
            "of another type",
            set(702, der(|w| w.write_bytes(&[0]))),
            Malformed,
        ),
        (
            "more behind it",
            set(702, [number(0), number(0)].concat()),
            Malformed,
        ),
    ];
    require_refused(&phone, cases);
}

#[test]
fn a_device_that_did_not_start_verified_and_locked_is_refused() {
    use AttestationError::{DeviceUnlocked, VerifiedBoot};
    let phone = Phone::new();
    let boot = |locked, state| phone.description().hardware(704, root_of_trust(locked, state));
    let cases = vec![
        ("self-signed", boot(true, 1), VerifiedBoot),
        ("unverified", boot(true, 2), VerifiedBoot),
        ("failed", boot(true, 3), VerifiedBoot),
        ("no root of trust", phone.description().without(704), VerifiedBoot),
        ("unlocked", boot(false, 0), DeviceUnlocked),
    ];
    require_refused(&phone, cases);
}

#[test]
fn another_app_or_another_maker_of_the_app_is_refused() {
    use AttestationError::{Application, SigningCertificate};
    let phone = Phone::new();
    let app = |packages: &[&str], digests: &[[u8; 32]]| phone.description().application(packages, digests);
    let (other, another) = ("example.another.app", [8; 32]);
    let software = Vec::new();
    let nobody = Description {
        software,
        ..phone.description()
    };
    let all = phone.description().hardware(600, der(|w| w.write_null()));
    let mut all_by_system = phone.description();
    all_by_system.software.push((600, der(|w| w.write_null())));
    let cases = vec![
        ("another package", app(&[other], &[SIGNED_BY]), Application),
        (
            "a package more",
            app(&[PACKAGE, other], &[SIGNED_BY]),
            Application,
        ),
        ("no package", app(&[], &[SIGNED_BY]), Application),
        ("no app", nobody, Application),
        ("for all apps", all, Application),
        ("for all apps, says the system", all_by_system, Application),
        (
            "signed by another",
            app(&[PACKAGE], &[another]),
            SigningCertificate,
        ),
        (
            "signed by another too",
            app(&[PACKAGE], &[SIGNED_BY, another]),
            SigningCertificate,
        ),
        ("signed by nobody", app(&[PACKAGE], &[]), SigningCertificate),
    ];
    require_refused(&phone, cases);
}

#[test]
fn what_only_the_operating_system_says_counts_for_nothing() {
    let phone = Phone::new();
    for tag in [1, 2, 702, 704] {
        let mut moved = phone.description();
        let at = moved
            .hardware
            .iter()
            .position(|(known, _)| *known == tag)
            .unwrap();
        let entry = moved.hardware.remove(at);
        moved.software.push(entry);
        assert!(phone.verify(&moved).is_err(), "tag {tag}");
    }
    let mut twice = phone.description();
    twice.hardware.push((702, number(0)));
    assert_eq!(phone.verify(&twice).err(), Some(AttestationError::Malformed));
}

#[test]
fn another_key_no_description_or_a_statement_of_software_is_refused() {
    let phone = Phone::new();
    let other = phone.description().attest(&phone.maker, key().public_key());
    assert_eq!(phone.verify_chain(&other).err(), Some(AttestationError::Key));

    let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 2, 3], Vec::new());
    extension.set_criticality(false);
    let bare = phone
        .maker
        .attest(&Held::from(phone.key.public_key()), extension)
        .concat();
    assert_eq!(phone.verify_chain(&bare).err(), Some(AttestationError::Malformed));

    let mut software = stated(&phone.key);
    software.keystore = Keystore::Software;
    let chain = phone.description().attest(&phone.maker, phone.key.public_key());
    let refused = verify(&software, &chain, &rules(&phone.maker), NOW);
    assert_eq!(refused.err(), Some(AttestationError::Stated));
}

#[test]
fn a_deployment_may_ask_for_strongbox() {
    let phone = Phone::new();
    let mut rules = rules(&phone.maker);
    rules.android.as_mut().unwrap().min_security_level = SecurityLevel::Strongbox;
    let verdict = |attestation_level, key_level| {
        let description = Description {
            attestation_level,
            key_level,
            ..phone.description()
        };
        let chain = description.attest(&phone.maker, phone.key.public_key());
        verify(&stated(&phone.key), &chain, &rules, NOW)
    };
    assert!(verdict(2, 2).is_ok());
    for (attestation, key) in [(1, 1), (1, 2), (2, 1)] {
        assert_eq!(
            verdict(attestation, key).err(),
            Some(AttestationError::SecurityLevel)
        );
    }
}

/// An app can make a key that attests others; whatever it says there is its own word.
#[test]
fn a_key_that_an_attested_key_vouches_for_is_refused() {
    let phone = Phone::new();
    let mut attesting = authority("Key of an app");
    attesting.custom_extensions.push(phone.description().extension());
    let own = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertifiedIssuer::signed_by(attesting, own, &phone.maker.middle).unwrap();
    let mut leaf = super::makers::end_entity("Attested key");
    leaf.custom_extensions.push(phone.description().extension());
    let leaf = leaf.signed_by(&Held::from(phone.key.public_key()), &own).unwrap();
    let chain = [
        leaf.der().to_vec(),
        own.der().to_vec(),
        phone.maker.middle.der().to_vec(),
    ]
    .concat();
    assert_eq!(
        phone.verify_chain(&chain).err(),
        Some(AttestationError::Authority)
    );
}

#[test]
fn every_byte_of_a_chain_that_is_changed_or_cut_off_is_refused() {
    let phone = Phone::new();
    let chain = phone.description().attest(&phone.maker, phone.key.public_key());
    let root = phone.maker.root.der().len();
    // The root's own copy at the end is not looked at further than its name and key.
    for at in (0..chain.len() - root).filter(|at| !is_loosely_read(&chain, *at)) {
        let mut changed = chain.clone();
        changed[at] ^= 1;
        assert!(phone.verify_chain(&changed).is_err(), "byte {at}");
    }
    for length in (0..chain.len() - root).step_by(17) {
        assert!(phone.verify_chain(&chain[..length]).is_err(), "{length} bytes");
    }
}
