//! A phone that was seeded with real keys: as the daemon stores it, as `paraphe load run` reads it, as a row here uses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use paraphe_companion::protocol::Prover;
use paraphe_companion::state::Seen;
use paraphe_proto::encoding::{B64, B64Vec};
use paraphe_proto::ids::{DeviceId, PairwiseSubject};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::keys::{Signer, SigningError, SoftwareKey};
use paraphe_proto::oprf::{self, OprfKey};
use paraphe_proto::pin::{self, Argon2Cost, Pin};
use rand_core::{OsRng, RngCore};
use serde::Serialize;

use crate::Result;

/// Everybody's.
const PIN: &str = "739145";
/// Of every phone that was never moved to another PIN.
pub const EPOCH: u64 = 1;

/// Both keys and the PIN's evaluation key of one phone.
#[derive(Clone)]
pub struct Phone {
    /// The device.
    pub device_id: DeviceId,
    /// The person at the seeded backend.
    pub subject: PairwiseSubject,
    /// Proves requests.
    pub possession: Arc<SoftwareKey>,
    /// Approves.
    pub approval: Arc<SoftwareKey>,
    /// Scalar of the daemon's evaluation key.
    pub oprf: [u8; 32],
}

/// One line of phones.jsonl.
#[derive(Serialize)]
pub struct PhoneLine {
    name: String,
    family_name: String,
    given_names: String,
    birth_date: String,
    birthplace: String,
    device_id: DeviceId,
    epoch: u64,
    possession_key_pem: String,
    device_secret: B64<32>,
    wrapped_key: B64Vec,
    pin: &'static str,
    subjects: BTreeMap<String, String>,
}

/// The civil identity of a line.
pub struct Identity<'a> {
    /// As on the document.
    pub family_name: &'a str,
    /// As on the document.
    pub given_names: &'a str,
    /// `YYYY-MM-DD`.
    pub birth_date: &'a str,
}

impl Phone {
    /// Fresh keys.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(device_id: DeviceId, subject: PairwiseSubject) -> Result<Self> {
        Ok(Self {
            device_id,
            subject,
            possession: Arc::new(SoftwareKey::generate(&mut OsRng)?),
            approval: Arc::new(SoftwareKey::generate(&mut OsRng)?),
            oprf: *OprfKey::random(&mut OsRng)?.to_bytes(),
        })
    }

    /// What signs this phone's requests.
    pub fn prover(&self, issuer: &str) -> Prover {
        Prover {
            issuer: issuer.to_owned(),
            device_id: self.device_id,
            epoch: EPOCH,
            seen: Seen::default(),
            key: Box::new(Shared(Arc::clone(&self.possession))),
        }
    }

    /// The line, with the approval key wrapped at the lowest Argon2 cost.
    ///
    /// # Errors
    /// When the PIN cannot be evaluated, which never happens.
    pub fn line(&self, backend: &str, identity: &Identity<'_>) -> Result<PhoneLine> {
        let (state, element) = oprf::blind(&Pin::enter(PIN)?, &mut OsRng)?;
        let evaluated = OprfKey::from_bytes(&self.oprf)?.evaluate(&element);
        let output = state.finalize(&evaluated)?;
        let mut secret = [0; 32];
        OsRng.fill_bytes(&mut secret);
        let cost = Argon2Cost::LOWEST;
        let wrapped = pin::wrap(
            &self.approval,
            &output,
            &secret,
            &self.device_id,
            EPOCH,
            cost,
            &mut OsRng,
        )?;
        Ok(PhoneLine {
            name: format!("{} {}", identity.given_names, identity.family_name),
            family_name: identity.family_name.to_owned(),
            given_names: identity.given_names.to_owned(),
            birth_date: identity.birth_date.to_owned(),
            birthplace: String::new(),
            device_id: self.device_id,
            epoch: EPOCH,
            possession_key_pem: self.possession.to_pkcs8_pem()?.to_string(),
            device_secret: B64(secret),
            wrapped_key: B64Vec(serde_json::to_vec(&wrapped)?),
            pin: PIN,
            subjects: BTreeMap::from([(backend.to_owned(), self.subject.to_string())]),
        })
    }
}

/// A key that its phone keeps as well.
struct Shared(Arc<SoftwareKey>);

impl Signer for Shared {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> std::result::Result<[u8; 64], SigningError> {
        self.0.sign(message)
    }
}
