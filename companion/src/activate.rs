//! Activation: from the QR code or typed code to a phone that waits for its six digits.
//!
//! Called by the app: [`Activation::begin`], [`Activation::finish`]; after a crash [`Activation::resume`]. Invariants: every
//! step is on disk before the daemon is asked for what follows from it; the issuer is trusted by the root key of the
//! invitation only; the six digits are shown only when the daemon opened the commitment of its own offer. A typed code
//! carries no root key, so the app must bring one. The protocol: section 5.

use std::path::Path;
use std::sync::Arc;

use paraphe_proto::attestation;
use paraphe_proto::ids::{ActivationId, DeviceId};
use paraphe_proto::jws::Verified;
use paraphe_proto::pin::{Argon2Cost, Pin, PinPolicy};
use paraphe_proto::sas::{self, Sas, SasInput};
use paraphe_proto::statements::Offer;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{FinishActivationBody, FinishActivationResponse};
use rand_core::{CryptoRng, RngCore};

use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::invitation::{Invitation, ask_for_offer, verify_offer};
use crate::keystore::KeyStore;
use crate::outcome::malformed;
use crate::phone::Phone;
use crate::prepare::{FIRST_EPOCH, prepare};
use crate::request::{Prover, method, resend};
use crate::state::{DeviceRecord, PendingActivation, PreparedActivation, Seen};
use crate::state_file::StateFile;
use crate::trust::IssuerKeys;

/// An activation under way.
pub struct Activation {
    file: StateFile,
    keystore: Arc<dyn KeyStore>,
    pub(crate) pending: PendingActivation,
    pub(crate) offer: Verified<Offer>,
    pub(crate) keys: IssuerKeys,
}

/// A phone whose part of the activation is done.
pub struct Activated {
    /// The phone. Until somebody typed the digits it can do nothing but ask for its state.
    pub phone: Phone,
    /// The six digits to show.
    pub sas: Sas,
    /// Whether somebody must type them.
    pub confirmation_required: bool,
}

impl Activation {
    /// Begins: makes the possession key, gets the issuer's keys and the offer. With the invitation of an activation that
    /// was begun in `dir` before, that one goes on. A phone that is active in `dir` stays so until the new one is done.
    ///
    /// # Errors
    /// What the daemon refuses (an expired or used activation), [`Error::Unreachable`], or [`Error::Untrusted`] when
    /// the offer does not lead back to the root key.
    pub async fn begin(
        dir: impl AsRef<Path>,
        keystore: Arc<dyn KeyStore>,
        invitation: Invitation,
        server: &Server,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, Error> {
        let file = StateFile::at(dir.as_ref())?;
        let activation_id = invitation.secret.activation_id();
        if let Some(begun) = file.load()?.activation
            && begun.activation_id == activation_id
        {
            return Self::with_pending(file, keystore, begun);
        }
        let label = activation_id.to_string();
        let challenge = attestation::challenge(&invitation.issuer, &activation_id);
        keystore.generate(&label, &challenge, rng)?;
        let possession_key = keystore.possession_key(&label)?.public_key().clone();
        let keys = IssuerKeys::fetch(server, invitation.issuer.clone(), invitation.root_key.clone()).await?;
        let offer = ask_for_offer(server, &invitation, &possession_key).await?;
        let (keys, offer) = verify_offer(server, keys, activation_id, &offer).await?;
        let pending = PendingActivation {
            trust: keys.trust().clone(),
            endpoint: server.url().to_owned(),
            activation_id,
            offer: offer.compact().to_owned(),
            prepared: None,
        };
        let replaced = file.update(|state| Ok(state.activation.replace(pending.clone())))?;
        if let Some(replaced) = replaced {
            keystore.erase(&replaced.activation_id.to_string())?;
        }
        Ok(Self {
            file,
            keystore,
            pending,
            offer,
            keys,
        })
    }

    /// The activation that was begun in `dir` and not finished, if there is one.
    ///
    /// # Errors
    /// [`Error::State`] when the file cannot be used.
    pub fn resume(dir: impl AsRef<Path>, keystore: Arc<dyn KeyStore>) -> Result<Option<Self>, Error> {
        let file = StateFile::at(dir.as_ref())?;
        let Some(pending) = file.load()?.activation else {
            return Ok(None);
        };
        Self::with_pending(file, keystore, pending).map(Some)
    }

    fn with_pending(
        file: StateFile,
        keystore: Arc<dyn KeyStore>,
        pending: PendingActivation,
    ) -> Result<Self, Error> {
        let keys = IssuerKeys::walk(pending.trust.clone())?;
        let offer = keys.verify(&pending.offer)?;
        Ok(Self {
            file,
            keystore,
            pending,
            offer,
            keys,
        })
    }

    /// The daemon's rules for the PIN.
    #[must_use]
    pub fn pin_policy(&self) -> &PinPolicy {
        &self.offer.claims().pin_policy
    }

    /// The activation's id: what the clerk's screen names.
    #[must_use]
    pub fn activation_id(&self) -> ActivationId {
        self.pending.activation_id
    }

    /// The id that the device will have.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        self.offer.claims().device_id
    }

    /// The issuer's URL.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.keys.issuer()
    }

    /// The daemon's offer, verified.
    #[must_use]
    pub fn offer(&self) -> &Verified<Offer> {
        &self.offer
    }

    /// Until when the activation must be finished, by the daemon's clock.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.offer.claims().exp
    }

    /// Whether a PIN was chosen before a crash or a lost reply. Then call [`Activation::complete`], not
    /// [`Activation::finish`].
    #[must_use]
    pub fn pin_is_chosen(&self) -> bool {
        self.pending.prepared.is_some()
    }

    /// Whether a new PIN keeps the daemon's rules, for the app to say before it asks for it a second time.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the rule by a code `pin.…`.
    pub fn check_pin(&self, pin: &str) -> Result<(), Error> {
        self.choose(pin).map(drop)
    }

    /// Sets the PIN and finishes. `cost` is [`Argon2Cost::DEFAULT`] but for load generators and tests. Blocks its thread
    /// for the Argon2id step.
    ///
    /// After [`Error::Unreachable`] look at [`Activation::pin_is_chosen`] and go on with `finish` or `complete`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the PIN breaks a rule or was chosen before; what the daemon refuses;
    /// [`Error::Untrusted`] when its answers do not hold together.
    pub async fn finish(
        &mut self,
        server: &Server,
        pin: &str,
        cost: Argon2Cost,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Activated, Error> {
        if self.pin_is_chosen() {
            let message = "a PIN was chosen for this activation already; complete it";
            return Err(Error::invalid("activation.pin_is_chosen", message));
        }
        let pin = self.choose(pin)?;
        let prepared = prepare(self, server, &pin, cost, rng).await?;
        self.write_down(prepared)?;
        self.complete(server).await
    }

    /// Sends, or sends again, what [`Activation::finish`] wrote down.
    ///
    /// # Errors
    /// Like [`Activation::finish`].
    pub async fn complete(&mut self, server: &Server) -> Result<Activated, Error> {
        let Some(prepared) = self.pending.prepared.clone() else {
            return Err(Error::invalid("activation.pin_missing", "choose a PIN first"));
        };
        let prover = self.prover()?;
        let body = FinishActivationBody {
            activation_id: self.pending.activation_id.to_string(),
            activation: prepared.statement.clone(),
        };
        let reply = resend(|| send_finish(server, &prover, &body)).await?;
        let sas = self.six_digits(&prover, &prepared, &reply.sas_nonce)?;
        let shown = reply.confirmation_required.then(|| sas.to_string());
        let record = self.record(prepared, shown);
        let phone = self.settle(record)?;
        Ok(Activated {
            phone,
            sas,
            confirmation_required: reply.confirmation_required,
        })
    }

    /// Gives the activation up and destroys its keys. The daemon forgets it when it expires.
    ///
    /// # Errors
    /// [`Error::State`] or [`Error::KeyStore`] when the phone cannot forget it.
    pub fn abandon(self) -> Result<(), Error> {
        self.file.update(|state| {
            state.activation = None;
            Ok(())
        })?;
        Ok(self.keystore.erase(&self.pending.activation_id.to_string())?)
    }

    /// Speaks for the device that this activation makes. Tests may use it.
    ///
    /// # Errors
    /// [`Error::KeyStore`] when the possession key is gone.
    pub fn prover(&self) -> Result<Prover, Error> {
        Ok(Prover {
            issuer: self.keys.issuer().to_owned(),
            device_id: self.device_id(),
            epoch: FIRST_EPOCH,
            seen: Seen::default(),
            key: self
                .keystore
                .possession_key(&self.pending.activation_id.to_string())?,
        })
    }

    pub(crate) fn keystore(&self) -> &dyn KeyStore {
        &*self.keystore
    }

    fn choose(&self, pin: &str) -> Result<Pin, Error> {
        Pin::choose(pin, self.pin_policy()).map_err(|error| Error::invalid(error.code(), error.to_string()))
    }

    fn write_down(&mut self, prepared: PreparedActivation) -> Result<(), Error> {
        let mut pending = self.pending.clone();
        pending.prepared = Some(prepared);
        self.file.update(|state| {
            state.activation = Some(pending.clone());
            Ok(())
        })?;
        self.pending = pending;
        Ok(())
    }

    /// The digits, once the daemon opened the commitment that it made before it knew the phone's keys.
    fn six_digits(
        &self,
        prover: &Prover,
        prepared: &PreparedActivation,
        sas_nonce: &[u8],
    ) -> Result<Sas, Error> {
        let offer = self.offer.claims();
        let sas_nonce: &[u8; 32] = sas_nonce
            .try_into()
            .map_err(|_| malformed("the nonce of the six digits is not 32 bytes".to_owned()))?;
        if !sas::opens(sas_nonce, offer.sas_commitment.as_bytes()) {
            let detail = "the service changed the nonce of the six digits after it saw this phone's keys";
            return Err(Error::untrusted("activation.commitment", detail));
        }
        let input = SasInput {
            issuer: self.keys.issuer(),
            activation_id: &self.pending.activation_id,
            device_id: &offer.device_id,
            offer_sha256: &self.offer.sha256(),
            nonce: offer.nonce.as_bytes(),
            possession_key: prover.key.public_key(),
            approval_key: &prepared.key.public,
        };
        Ok(sas::compute(&input, sas_nonce))
    }

    fn record(&self, prepared: PreparedActivation, sas: Option<String>) -> DeviceRecord {
        DeviceRecord {
            trust: self.pending.trust.clone(),
            endpoint: self.pending.endpoint.clone(),
            device_id: self.device_id(),
            epoch: FIRST_EPOCH,
            key_label: self.pending.activation_id.to_string(),
            key: prepared.key,
            seen: prepared.seen,
            sas,
            pin_policy: Some(*self.pin_policy()),
            pin_change: None,
        }
    }

    /// Makes the new device the phone's, in one write, and destroys the keys of the one before.
    fn settle(&self, record: DeviceRecord) -> Result<Phone, Error> {
        let replaced = self.file.update(|state| {
            state.activation = None;
            Ok(state.device.replace(record.clone()))
        })?;
        if let Some(replaced) = replaced.filter(|replaced| replaced.key_label != record.key_label) {
            self.keystore.erase(&replaced.key_label)?;
        }
        Phone::with_record(self.file.clone(), Arc::clone(&self.keystore), record)
    }
}

async fn send_finish(
    server: &Server,
    prover: &Prover,
    body: &FinishActivationBody,
) -> Result<FinishActivationResponse, Error> {
    let request = prover
        .prove_fresh(server, method::FINISH_ACTIVATION, body)
        .await?;
    let reply = server.client().finish_activation(with_deadline(request)).await?;
    Ok(reply.into_inner())
}
