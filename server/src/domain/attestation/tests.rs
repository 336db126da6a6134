//! Chains made here under test roots, right in everything but the one field that a test changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod android;
mod apple;
mod links;
mod makers;

use paraphe_proto::encoding::{B64, B64Vec};
use paraphe_proto::keys::{Signer as _, SoftwareKey};

use super::*;
use makers::{APP_ID, Maker, PACKAGE, SIGNED_BY};

const ISS: &str = "https://paraphe.example";

/// In November 2026.
const NOW: Timestamp = Timestamp::from_secs(1_795_800_000);

fn key() -> SoftwareKey {
    SoftwareKey::generate(&mut crate::entropy::system()).unwrap()
}

/// What a phone states with this possession key.
fn stated(possession_key: &SoftwareKey) -> ActivationKey {
    ActivationKey {
        iss: ISS.to_owned(),
        activation_id: ActivationId::from_bytes([1; 16]),
        device_id: DeviceId::from_bytes([2; 16]),
        nonce: B64([3; 32]),
        offer_sha256: B64([4; 32]),
        platform: "test/1".to_owned(),
        keystore: Keystore::Hardware,
        possession_key: possession_key.public_key().clone(),
        approval_key: key().public_key().clone(),
        attestation: Some(B64Vec(Vec::new())),
    }
}

/// The tag of the algorithm that a certificate names outside what is signed: x509-parser takes another one for it. What is
/// named there must be what the signed part names all the same.
fn is_loosely_read(der: &[u8], at: usize) -> bool {
    const ECDSA: [u8; 11] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let start = at.wrapping_sub(2);
    // A BIT STRING follows only outside.
    der.get(start..)
        .is_some_and(|der| der.starts_with(&ECDSA) && der.get(12) == Some(&0x03))
}

fn rules(maker: &Maker) -> Rules {
    let roots = vec![Root::parse(maker.root.der()).unwrap()];
    Rules {
        android: Some(AndroidRules {
            roots: roots.clone(),
            revoked: std::collections::BTreeSet::new(),
            min_security_level: SecurityLevel::TrustedEnvironment,
            apps: vec![AndroidApp {
                package: PACKAGE.to_owned(),
                signing_certificates: vec![[9; 32], SIGNED_BY],
            }],
        }),
        apple: Some(AppleRules {
            roots,
            app_ids: vec!["ABCDE12345.another".to_owned(), APP_ID.to_owned()],
            environment: Environment::Production,
        }),
    }
}

#[test]
fn what_is_neither_or_of_a_kind_without_rules_is_refused() {
    let maker = Maker::new();
    let stated = stated(&key());
    let all = rules(&maker);
    let refused = |bytes: &[u8], rules: &Rules| verify(&stated, bytes, rules, NOW).unwrap_err();
    for bytes in [&b""[..], b"\x00", b"hello", b"\x5f", b"\xc0"] {
        assert_eq!(refused(bytes, &all), AttestationError::Malformed, "{bytes:?}");
    }
    assert_eq!(refused(&[0x30; MAX_BYTES + 1], &all), AttestationError::TooLong);
    assert_eq!(
        refused(b"\x30", &all),
        AttestationError::Chain(ChainError::Malformed(0))
    );
    assert_eq!(refused(b"\xa0", &all), AttestationError::Malformed);
    assert_eq!(refused(b"\x30", &Rules::default()), AttestationError::Kind);
    assert_eq!(refused(b"\xa3", &Rules::default()), AttestationError::Kind);
}

#[test]
fn a_stored_device_of_yesterday_reads_as_unattested_and_an_attested_one_as_it_was() {
    use crate::domain::device::KeyStorage;
    let around = |storage: &KeyStorage| {
        let mut bytes = Vec::new();
        ciborium::into_writer(storage, &mut bytes).unwrap();
        ciborium::from_reader::<KeyStorage, _>(bytes.as_slice()).unwrap()
    };
    let yesterday: KeyStorage = ciborium::from_reader(&b"\x6aUnattested"[..]).unwrap();
    assert_eq!(yesterday.amr(), "swk");
    let attested = KeyStorage::Attested(VerifiedAttestation {
        kind: Kind::AndroidKey,
        security_level: SecurityLevel::Strongbox,
        application: PACKAGE.to_owned(),
        os_version: None,
        os_patch_level: Some(202_610),
        verified_at: NOW,
    });
    assert_eq!(around(&attested), attested);
    assert_eq!(attested.amr(), "hwk");
    assert_eq!(around(&yesterday), yesterday);
}
