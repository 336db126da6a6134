//! What the tests of this crate share: an issuer that signs as the daemon does, and a daemon that lives in the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;
use std::sync::Arc;

use paraphe_proto::challenge::device_handle;
use paraphe_proto::encoding::{B64, B64Vec};
use paraphe_proto::ids::{ChallengeId, DeviceId};
use paraphe_proto::jws::{self, Statement};
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::oprf::{BlindedElement, OprfKey, OprfOutput, blind};
use paraphe_proto::pin::{self, Argon2Cost, Pin};
use paraphe_proto::statements::{
    Challenge, Display, DisplayRow, Evaluation, EvaluationContext, KeySet, KeySetEntry, KeyState, KeyUse,
    MatchMode, MatchRule, RelyingParty,
};
use paraphe_proto::time::Timestamp;
use rand_core::{CryptoRng, RngCore};

use crate::keystore::KeyStore;
use crate::state::{DeviceRecord, LockedKey, Seen, Trust};
use crate::{IssuerKeys, SoftwareKeyStore};

pub(crate) mod daemon;

pub(crate) const ISS: &str = "https://id.example";
pub(crate) const PIN: &str = "738264";
pub(crate) const CODE: &str = "482913";
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn rng() -> impl CryptoRng + RngCore {
    #[expect(clippy::disallowed_types, reason = "a test is an edge")]
    use rand_core::OsRng;
    OsRng
}

pub(crate) fn key() -> SoftwareKey {
    SoftwareKey::generate(&mut rng()).unwrap()
}

/// An issuer with a root key and challenge keys, of which one signs.
pub(crate) struct Issuer {
    pub(crate) root: SoftwareKey,
    pub(crate) key: SoftwareKey,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        Self {
            root: key(),
            key: key(),
        }
    }

    pub(crate) fn first_key_set(&self) -> String {
        key_set(1, &[(&self.key, KeyUse::Challenge, KeyState::Active)], &self.root)
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust {
            issuer: ISS.to_owned(),
            root_key: self.root.public_key().clone(),
            key_sets: vec![self.first_key_set()],
        }
    }

    pub(crate) fn keys(&self) -> IssuerKeys {
        IssuerKeys::walk(self.trust()).unwrap()
    }

    pub(crate) fn sign<S: Statement>(&self, statement: &S) -> String {
        jws::sign(statement, &self.key).unwrap().into_compact()
    }
}

pub(crate) fn key_set(
    version: u64,
    keys: &[(&SoftwareKey, KeyUse, KeyState)],
    signer: &SoftwareKey,
) -> String {
    let entry = |(key, key_use, state): &(&SoftwareKey, KeyUse, KeyState)| KeySetEntry {
        jwk: key.public_key().clone(),
        kid: key.public_key().thumbprint().to_owned(),
        key_use: *key_use,
        state: *state,
    };
    let set = KeySet {
        iss: ISS.to_owned(),
        version,
        keys: keys.iter().map(entry).collect(),
        iat: NOW,
    };
    jws::sign(&set, signer).unwrap().into_compact()
}

/// A challenge for a device: a course to be bought, with a code to be typed.
pub(crate) fn challenge(device_id: &DeviceId) -> Challenge {
    let challenge_id = ChallengeId::random(&mut rng());
    Challenge {
        iss: ISS.to_owned(),
        challenge_id,
        device_handle: B64(device_handle(device_id, &challenge_id)),
        relying_party: RelyingParty {
            id: "courses".parse().unwrap(),
            name: "Course Market".to_owned(),
        },
        action: "course.buy".to_owned(),
        display: Display {
            locale: "fr".to_owned(),
            title: "Acheter une formation".to_owned(),
            rows: vec![DisplayRow {
                label: "Prix".to_owned(),
                value: "1\u{202f}499,00\u{a0}€".to_owned(),
            }],
        },
        match_rule: MatchRule {
            mode: MatchMode::EnterCode,
            digits: 6,
        },
        enrolment: None,
        new_pin_policy: None,
        replacement: None,
        nonce: B64([9; 32]),
        iat: NOW,
        exp: NOW.plus_s(300),
    }
}

/// A device whose daemon is at hand: what an approval needs, without a network.
pub(crate) struct LockedDevice {
    pub(crate) record: DeviceRecord,
    pub(crate) keystore: SoftwareKeyStore,
    pub(crate) oprf: OprfKey,
    pub(crate) approval_key: SoftwareKey,
}

pub(crate) fn keystore(dir: &Path) -> Arc<dyn KeyStore> {
    Arc::new(SoftwareKeyStore::open(dir.join("keys"), "test/1").unwrap())
}

pub(crate) fn locked_device(dir: &Path, issuer: &Issuer) -> LockedDevice {
    let keystore = SoftwareKeyStore::open(dir.join("keys"), "test/1").unwrap();
    keystore.generate("label", &[0; 32], &mut rng()).unwrap();
    let (oprf, approval_key, device_id) = (
        OprfKey::random(&mut rng()).unwrap(),
        key(),
        DeviceId::random(&mut rng()),
    );
    let secret = [7; 32];
    let output = oprf_output(&oprf, PIN);
    let wrapped = pin::wrap(
        &approval_key,
        &output,
        &secret,
        &device_id,
        1,
        Argon2Cost::LOWEST,
        &mut rng(),
    )
    .unwrap();
    let record = DeviceRecord {
        trust: issuer.trust(),
        endpoint: ISS.to_owned(),
        device_id,
        epoch: 1,
        key_label: "label".to_owned(),
        key: LockedKey {
            sealed_device_secret: B64Vec(keystore.seal("label", &secret, &mut rng()).unwrap()),
            wrapped,
            public: approval_key.public_key().clone(),
        },
        seen: Seen::default(),
        sas: None,
        pin_policy: None,
        pin_change: None,
    };
    LockedDevice {
        record,
        keystore,
        oprf,
        approval_key,
    }
}

fn oprf_output(key: &OprfKey, digits: &str) -> OprfOutput {
    let (state, element) = blind(&Pin::enter(digits).unwrap(), &mut rng()).unwrap();
    state.finalize(&key.evaluate(&element)).unwrap()
}

/// An evaluation as the daemon would sign it: number 1, four attempts left.
pub(crate) fn evaluation(
    context: EvaluationContext,
    device_id: DeviceId,
    oprf: &OprfKey,
    element: &BlindedElement,
) -> Evaluation {
    Evaluation {
        iss: ISS.to_owned(),
        context,
        device_id,
        epoch: 1,
        evaluation: 1,
        element_sha256: B64(element.sha256()),
        evaluated: B64(*oprf.evaluate(element).as_bytes()),
        attempts_left: 4,
        wait_s: 0,
        restore_epoch: 0,
        iat: NOW,
    }
}
