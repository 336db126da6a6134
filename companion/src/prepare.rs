//! The middle of an activation: one evaluation of the new PIN, the approval key made and wrapped, the statement signed.
//!
//! Called by `activate`. Invariants: the approval key is in memory until it is wrapped, and on disk only wrapped; the
//! evaluation is number 0 of this very activation. The protocol: sections 4 and 5.

use paraphe_proto::attestation::ClientData;
use paraphe_proto::encoding::B64;
use paraphe_proto::encoding::B64Vec;
use paraphe_proto::ids::DeviceId;
use paraphe_proto::jws::Verified;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::oprf::{self, BlindedElement, OprfOutput};
use paraphe_proto::pin::{self, Argon2Cost, Pin};
use paraphe_proto::statements::{
    Activation as ActivationStatement, ActivationKey, Evaluation, EvaluationContext,
};
use paraphe_proto::v1::EvaluateActivationBody;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::activate::Activation;
use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::keystore::KeyStore;
use crate::request::{Prover, method, resend, sign};
use crate::state::{LockedKey, PreparedActivation, Seen};
use crate::unlock::{Expected, check_evaluation, finalize, seen};

/// The PIN epoch that an activation begins.
pub(crate) const FIRST_EPOCH: u64 = 1;

/// Everything that `FinishActivation` needs, to be written down before it is sent.
pub(crate) async fn prepare(
    activation: &Activation,
    server: &Server,
    pin: &Pin,
    cost: Argon2Cost,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<PreparedActivation, Error> {
    let prover = activation.prover()?;
    let (blind, element) =
        oprf::blind(pin, rng).map_err(|error| Error::invalid(error.code(), error.to_string()))?;
    let compact = resend(|| request_evaluation(server, &prover, activation, &element)).await?;
    let evaluation = check_first(activation, &compact, &element)?;
    let output = finalize(blind, evaluation.claims())?;
    let approval_key = generate(rng)?;
    let lock = LockFor {
        keystore: activation.keystore(),
        label: &activation.activation_id().to_string(),
        device_id: activation.device_id(),
        epoch: FIRST_EPOCH,
        cost,
    };
    let key = lock_approval_key(&lock, &approval_key, &output, rng)?;
    let statement = activation_statement(activation, &prover, &approval_key)?;
    Ok(PreparedActivation {
        key,
        seen: seen(evaluation.claims()),
        statement,
    })
}

async fn request_evaluation(
    server: &Server,
    prover: &Prover,
    activation: &Activation,
    element: &BlindedElement,
) -> Result<String, Error> {
    let body = EvaluateActivationBody {
        activation_id: activation.activation_id().to_string(),
        blinded_element: element.as_bytes().to_vec(),
    };
    let request = prover
        .prove_fresh(server, method::EVALUATE_ACTIVATION, &body)
        .await?;
    let reply = server
        .client()
        .evaluate_activation(with_deadline(request))
        .await?;
    Ok(reply.into_inner().evaluation)
}

fn check_first(
    activation: &Activation,
    compact: &str,
    element: &BlindedElement,
) -> Result<Verified<Evaluation>, Error> {
    let expected = Expected {
        context: EvaluationContext::Activation(activation.activation_id()),
        device_id: activation.device_id(),
        epoch: FIRST_EPOCH,
        element_sha256: element.sha256(),
        seen: Seen::default(),
    };
    let evaluation = check_evaluation(&activation.keys, compact, &expected)?;
    if evaluation.claims().evaluation != 0 {
        let detail = "the evaluation of an activation is not the first";
        return Err(Error::untrusted("evaluation.mismatch", detail));
    }
    Ok(evaluation)
}

fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Result<SoftwareKey, Error> {
    SoftwareKey::generate(rng).map_err(|error| Error::invalid(error.code(), error.to_string()))
}

/// What a wrapped approval key is bound to.
pub struct LockFor<'a> {
    /// Seals the device secret.
    pub keystore: &'a dyn KeyStore,
    /// Label of the phone's keys in it.
    pub label: &'a str,
    /// The phone.
    pub device_id: DeviceId,
    /// PIN epoch.
    pub epoch: u64,
    /// Cost of the Argon2id step.
    pub cost: Argon2Cost,
}

/// Wraps the approval key under the PIN's evaluation and a fresh device secret that only the keystore opens.
///
/// # Errors
/// [`Error::Invalid`] `pin.cost`; [`Error::KeyStore`] when the device secret cannot be sealed.
pub fn lock_approval_key(
    lock: &LockFor<'_>,
    key: &SoftwareKey,
    output: &OprfOutput,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<LockedKey, Error> {
    let mut device_secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(device_secret.as_mut_slice());
    let (device_id, epoch) = (&lock.device_id, lock.epoch);
    let wrapped = pin::wrap(key, output, &device_secret, device_id, epoch, lock.cost, rng)
        .map_err(|error| Error::invalid(error.code(), error.to_string()))?;
    let sealed = lock.keystore.seal(lock.label, &device_secret, rng)?;
    Ok(LockedKey {
        sealed_device_secret: B64Vec(sealed),
        wrapped,
        public: key.public_key().clone(),
    })
}

/// What the maker of the chip says of the possession key, bound to this activation.
fn attestation(activation: &Activation, prover: &Prover) -> Result<Option<B64Vec>, Error> {
    let offer = activation.offer.claims();
    let bound = ClientData {
        iss: &prover.issuer,
        activation_id: &activation.activation_id(),
        device_id: &offer.device_id,
        nonce: offer.nonce.as_bytes(),
        possession_key: prover.key.public_key(),
    };
    let label = activation.activation_id().to_string();
    let given = activation.keystore().attestation(&label, &bound.sha256())?;
    Ok(given.map(B64Vec))
}

/// The approval key signs inside, the possession key outside: each proves that the phone holds it.
fn activation_statement(
    activation: &Activation,
    prover: &Prover,
    approval_key: &SoftwareKey,
) -> Result<String, Error> {
    let offer = activation.offer.claims();
    let attestation = attestation(activation, prover)?;
    let inner = ActivationKey {
        iss: prover.issuer.clone(),
        activation_id: activation.activation_id(),
        device_id: offer.device_id,
        nonce: offer.nonce,
        offer_sha256: B64(activation.offer.sha256()),
        platform: activation.keystore().platform().to_owned(),
        keystore: activation.keystore().kind(),
        possession_key: prover.key.public_key().clone(),
        approval_key: approval_key.public_key().clone(),
        attestation,
    };
    let outer = ActivationStatement {
        iss: prover.issuer.clone(),
        inner: sign(&inner, approval_key)?,
    };
    sign(&outer, &*prover.key)
}
