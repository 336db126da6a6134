//! App Attest, every field wrong once.

use paraphe_proto::attestation::ClientData;
use paraphe_proto::keys::SoftwareKey;
use rcgen::{CertifiedIssuer, KeyPair};

use super::makers::{AppAttest, Maker, authority, object};
use super::*;

struct Phone {
    maker: Maker,
    key: SoftwareKey,
}

impl Phone {
    fn new() -> Self {
        Self {
            maker: Maker::new(),
            key: key(),
        }
    }

    fn good(&self) -> AppAttest {
        AppAttest::over(client_data(&stated(&self.key)))
    }

    fn verify(&self, said: &AppAttest) -> Result<VerifiedAttestation, AttestationError> {
        self.verify_object(&said.attest(&self.maker))
    }

    fn verify_object(&self, object: &[u8]) -> Result<VerifiedAttestation, AttestationError> {
        verify(&stated(&self.key), object, &rules(&self.maker), NOW)
    }
}

fn client_data(stated: &ActivationKey) -> [u8; 32] {
    let data = ClientData {
        iss: &stated.iss,
        activation_id: &stated.activation_id,
        device_id: &stated.device_id,
        nonce: stated.nonce.as_bytes(),
        possession_key: &stated.possession_key,
    };
    data.sha256()
}

#[test]
fn a_new_key_of_the_app_vouches_for_the_possession_key() {
    let phone = Phone::new();
    let expected = VerifiedAttestation {
        kind: Kind::AppleAppAttest,
        security_level: SecurityLevel::SecureEnclave,
        application: APP_ID.to_owned(),
        os_version: None,
        os_patch_level: None,
        verified_at: NOW,
    };
    assert_eq!(phone.verify(&phone.good()), Ok(expected));
}

#[test]
fn each_field_that_is_wrong_is_refused_for_what_it_is() {
    use AttestationError as E;
    type Change = Box<dyn FnOnce(&mut AppAttest)>;
    let phone = Phone::new();
    let point = *key().public_key().as_sec1();
    let cases: [(&str, Change, E); 14] = [
        (
            "client data",
            Box::new(|a| a.client_data_sha256 = [0; 32]),
            E::Challenge,
        ),
        ("app", Box::new(|a| a.app_id.push('x')), E::Application),
        (
            "team",
            Box::new(|a| a.app_id = APP_ID.replace('A', "B")),
            E::Application,
        ),
        ("counter", Box::new(|a| a.counter = 1), E::Counter),
        (
            "development",
            Box::new(|a| a.aaguid = *b"appattestdevelop"),
            E::Environment,
        ),
        (
            "nobody's aaguid",
            Box::new(|a| a.aaguid = [0; 16]),
            E::Environment,
        ),
        (
            "credential id",
            Box::new(|a| a.credential_id = Some(vec![7; 32])),
            E::Credential,
        ),
        (
            "short credential id",
            Box::new(|a| a.credential_id = Some(vec![7; 31])),
            E::Credential,
        ),
        (
            "no credential id",
            Box::new(|a| a.credential_id = Some(Vec::new())),
            E::Credential,
        ),
        (
            "public key",
            Box::new(move |a| a.public_key = Some(point)),
            E::Key,
        ),
        ("no credential data", Box::new(|a| a.flags = 0), E::Malformed),
        ("extensions", Box::new(|a| a.flags = 0xc0), E::Malformed),
        ("more behind it", Box::new(|a| a.after = vec![0]), E::Malformed),
        ("format", Box::new(|a| a.format = "packed"), E::Malformed),
    ];
    for (what, change, expected) in cases {
        let mut said = phone.good();
        change(&mut said);
        assert_eq!(phone.verify(&said).err(), Some(expected), "{what}");
    }
}

#[test]
fn it_vouches_for_one_activation_device_nonce_key_and_service() {
    let phone = Phone::new();
    let attested = phone.good().attest(&phone.maker);
    let rules = rules(&phone.maker);
    let changed: [fn(&mut ActivationKey); 5] = [
        |stated| stated.iss = "https://other.example".to_owned(),
        |stated| stated.activation_id = ActivationId::from_bytes([8; 16]),
        |stated| stated.device_id = DeviceId::from_bytes([8; 16]),
        |stated| stated.nonce = B64([8; 32]),
        |stated| stated.possession_key = key().public_key().clone(),
    ];
    for (number, change) in changed.into_iter().enumerate() {
        let mut stated = stated(&phone.key);
        change(&mut stated);
        let refused = verify(&stated, &attested, &rules, NOW).err();
        assert_eq!(refused, Some(AttestationError::Challenge), "{number}");
    }
    let mut software = stated(&phone.key);
    software.keystore = Keystore::Software;
    assert_eq!(
        verify(&software, &attested, &rules, NOW).err(),
        Some(AttestationError::Stated)
    );
}

#[test]
fn its_chain_is_verified_like_any_other() {
    let phone = Phone::new();
    let other = phone.good().attest(&Maker::new());
    assert_eq!(
        phone.verify_object(&other).err(),
        Some(AttestationError::Chain(ChainError::UnknownRoot))
    );

    let good = Maker::new();
    let mut expired = authority("Expired");
    expired.not_after = rcgen::date_time_ymd(2026, 1, 1);
    let middle = CertifiedIssuer::signed_by(expired, KeyPair::generate().unwrap(), &good.root).unwrap();
    let maker = Maker {
        root: good.root,
        middle,
    };
    let phone = Phone { maker, key: key() };
    let refused = phone.verify(&phone.good()).err();
    assert_eq!(refused, Some(AttestationError::Chain(ChainError::NotValidNow(1))));

    let phone = Phone::new();
    let empty = object("apple-appattest", Vec::new(), Vec::new());
    assert_eq!(
        phone.verify_object(&empty).err(),
        Some(AttestationError::Chain(ChainError::Length))
    );
}

#[test]
fn a_development_app_counts_where_the_deployment_says_so() {
    let phone = Phone::new();
    let mut rules = rules(&phone.maker);
    rules.apple.as_mut().unwrap().environment = Environment::Development;
    let verdict =
        |said: &AppAttest| verify(&stated(&phone.key), &said.attest(&phone.maker), &rules, NOW).err();
    let development = AppAttest {
        aaguid: *b"appattestdevelop",
        ..phone.good()
    };
    assert_eq!(verdict(&development), None);
    assert_eq!(verdict(&phone.good()), Some(AttestationError::Environment));
}

#[test]
fn every_byte_that_is_signed_or_bound_is_refused_when_it_changes() {
    let phone = Phone::new();
    let attested = phone.good().attest(&phone.maker);
    let receipt = attested
        .windows(64)
        .position(|bytes| bytes == [0x30; 64])
        .unwrap();
    // Nobody asks for the receipt, which is for Apple's eyes.
    for at in (0..attested.len()).filter(|at| !(receipt..receipt + 2_000).contains(at)) {
        if is_loosely_read(&attested, at) {
            continue;
        }
        let mut changed = attested.clone();
        changed[at] ^= 1;
        assert!(phone.verify_object(&changed).is_err(), "byte {at}");
    }
    let behind = [attested.as_slice(), &[0]].concat();
    assert_eq!(
        phone.verify_object(&behind).err(),
        Some(AttestationError::Malformed)
    );
    for length in (0..attested.len()).step_by(23) {
        assert!(
            phone.verify_object(&attested[..length]).is_err(),
            "{length} bytes"
        );
    }
}
