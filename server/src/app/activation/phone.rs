//! The phone's side of an activation: begin, evaluate, finish (protocol.md section 5).

use paraphe_proto::activation::verify_begin_mac;
use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, DeviceId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws::{self, Verified};
use paraphe_proto::oprf::OprfKey;
use paraphe_proto::sas::{self, SasInput};
use paraphe_proto::statements::{self, ActivationKey};

use super::attested::{Refused, level};
use super::{FIRST_EPOCH, accept, load, profile_named, require_issuer_trusted};
use crate::app::{Scope, case, replacement};
use crate::domain::activation::{Activation, Evaluated, Offered, State};
use crate::domain::attempts::Attempts;
use crate::domain::device::{Cause, Device, KeyStorage, State as DeviceState, Who};
use crate::domain::digest::sha256;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::secret::{Bytes, Secret};
use crate::store::activation;

/// `BeginActivation`: the MAC first, so that a stranger learns nothing and burns nothing; then the signed offer.
///
/// # Errors
/// `activation.not_found` for an unknown id and a wrong MAC alike; `activation.used`, `.expired`, `.revoked`.
pub fn begin(s: &mut Scope<'_, '_>, id: ActivationId, key: &PublicKey, mac: &[u8]) -> Result<String> {
    let mut found = load(s, id)?;
    if !verify_begin_mac(mac, found.mac_key.expose(), s.facts.issuer(), &id, key) {
        return fault::ACTIVATION_NOT_FOUND.broken();
    }
    found.require_alive(s.now)?;
    require_issuer_trusted(s, &found)?;
    match &found.state {
        State::Issued => {}
        State::AwaitingSignature => return fault::ACTIVATION_UNSIGNED.broken(),
        State::Begun { offered, .. } if offered.possession_key.0 == *key.as_sec1() => {
            return Ok(offered.offer.clone());
        }
        _ => return fault::ACTIVATION_USED.broken(),
    }
    let (device_id, nonce, sas_nonce) = (DeviceId::random(&mut s.rng()), s.random(), s.random());
    let claims = statements::Offer {
        iss: s.facts.issuer().to_owned(),
        activation_id: id,
        device_id,
        nonce: B64(nonce),
        pin_policy: s.facts.pin_policy(),
        sas_commitment: B64(sas::commitment(&sas_nonce)),
        keyset_version: s.facts.keys.key_set_version(),
        iat: s.now,
        exp: found.expires_at,
    };
    let offer = jws::sign(&claims, &*s.facts.keys.challenge())?.into_compact();
    let offered = Offered {
        device_id,
        possession_key: Bytes(*key.as_sec1()),
        nonce: Bytes(nonce),
        sas_nonce: Secret::new(sas_nonce),
        offer: offer.clone(),
    };
    found.state = State::Begun {
        offered,
        evaluated: None,
    };
    s.rows.update(&mut found)?;
    s.audit(&device_id.to_string(), "begin_activation", id, "ok")?;
    Ok(offer)
}

/// The key under which proofs of this activation verify, and the device id that they must name.
///
/// # Errors
/// `caller.unauthenticated` before a phone has begun.
pub fn proof_key(s: &mut Scope<'_, '_>, id: ActivationId) -> Result<(DeviceId, [u8; 65])> {
    let found = activation::load(&mut s.rows, id)?.ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
    match (found.device_id(), found.possession_key()) {
        (Some(device_id), Some(key)) => Ok((device_id, *key)),
        _ => fault::UNAUTHENTICATED.broken(),
    }
}

/// `EvaluateActivation`: the key for this one element, and the offer; another element draws another key.
///
/// # Errors
/// `activation.state`, `.expired`, `.revoked`.
pub fn evaluate(s: &mut Scope<'_, '_>, id: ActivationId, element: [u8; 32]) -> Result<(OprfKey, String)> {
    let mut found = load(s, id)?;
    found.require_alive(s.now)?;
    let State::Begun { evaluated, offered } = &mut found.state else {
        return Err(found.at_another_step());
    };
    let offer = offered.offer.clone();
    if let Some(known) = evaluated.as_ref().filter(|known| known.element.0 == element) {
        let key = OprfKey::from_bytes(known.oprf_key.expose()).map_err(Fault::internal)?;
        return Ok((key, offer));
    }
    let key = OprfKey::random(&mut s.rng()).map_err(Fault::internal)?;
    *evaluated = Some(Evaluated {
        oprf_key: Secret::new(*key.to_bytes()),
        element: Bytes(element),
    });
    s.rows.update(&mut found)?;
    Ok((key, offer))
}

/// What `FinishActivation` answers.
pub struct Finished {
    /// Opens the commitment.
    pub sas_nonce: [u8; 32],
    /// Whether the six digits must be typed.
    pub confirmation_required: bool,
}

/// What a phone states at the end, and what the policy makes of its attestation.
pub struct Stated {
    /// The statement, compact JWS.
    pub outer: String,
    /// Its inner layer.
    pub inner: Verified<ActivationKey>,
    /// Where the possession key lives, or why the phone is refused.
    pub key_storage: std::result::Result<KeyStorage, Refused>,
}

/// `FinishActivation`: the device comes into being. Repeating it with the same keys answers alike.
///
/// # Errors
/// `activation.mismatch`, `.state`, `.expired`, `.revoked`; `attestation.required`, `.refused`; `replacement.level`.
pub fn finish(s: &mut Scope<'_, '_>, id: ActivationId, stated: &Stated) -> Result<Finished> {
    let mut found = load(s, id)?;
    found.require_alive(s.now)?;
    require_issuer_trusted(s, &found)?;
    let claims = stated.inner.claims();
    let finished = keys_digest(claims);
    let required = profile_named(s, &found.channel)?.sas_confirmation;
    if let Some(sas_nonce) = finished_before(&found.state, &finished)? {
        return Ok(Finished {
            sas_nonce,
            confirmation_required: required,
        });
    }
    let State::Begun { offered, evaluated } = std::mem::replace(&mut found.state, State::Revoked) else {
        return fault::ACTIVATION_STATE.broken();
    };
    let Some(evaluated) = evaluated else {
        return fault::ACTIVATION_STATE.broken();
    };
    let offer_sha256 = sha256(&offered.offer);
    require_bound(claims, id, &offered, &offer_sha256)?;
    let sas_nonce = *offered.sas_nonce.expose();
    let digits = digits_of(s, claims, &offer_sha256, &sas_nonce);
    let (device_id, possession_key) = (offered.device_id, offered.possession_key);
    let mut phone = new_device(s, &found, offered, evaluated, stated)?;
    found.state = if required {
        let sas_nonce = Secret::new(sas_nonce);
        State::AwaitingConfirmation {
            device_id,
            possession_key,
            sas_nonce,
            finished: Bytes(finished),
            sas: digits,
        }
    } else {
        accept(s, &found, &mut phone)?;
        State::Confirmed {
            device_id,
            possession_key,
            sas_nonce: Secret::new(sas_nonce),
            finished: Bytes(finished),
        }
    };
    s.rows.update(&mut found)?;
    s.insert_device(&mut phone, &Cause::new(Who::OwnPhone, found.channel.as_str()))?;
    s.audit(&device_id.to_string(), "finish_activation", id, "ok")?;
    Ok(Finished {
        sas_nonce,
        confirmation_required: required,
    })
}

/// The nonce that a repetition with the same keys is answered with; nothing for a phone that has only begun.
fn finished_before(state: &State, finished: &[u8; 32]) -> Result<Option<[u8; 32]>> {
    match state {
        State::AwaitingConfirmation {
            sas_nonce,
            finished: known,
            ..
        }
        | State::Confirmed {
            sas_nonce,
            finished: known,
            ..
        } if known.0 == *finished => Ok(Some(*sas_nonce.expose())),
        State::AwaitingConfirmation { .. } | State::Confirmed { .. } => fault::ACTIVATION_USED.broken(),
        State::Begun { .. } => Ok(None),
        _ => fault::ACTIVATION_STATE.broken(),
    }
}

/// The statement answers exactly the offer, and its two keys are two.
fn require_bound(
    claims: &ActivationKey,
    id: ActivationId,
    offered: &Offered,
    offer_sha256: &[u8; 32],
) -> Result<()> {
    if claims.activation_id != id
        || claims.device_id != offered.device_id
        || claims.nonce.0 != offered.nonce.0
        || claims.offer_sha256.0 != *offer_sha256
        || claims.possession_key.as_sec1() != &offered.possession_key.0
        || claims.approval_key == claims.possession_key
    {
        return fault::ACTIVATION_MISMATCH.broken();
    }
    Ok(())
}

fn digits_of(s: &Scope<'_, '_>, claims: &ActivationKey, offer: &[u8; 32], sas_nonce: &[u8; 32]) -> String {
    let input = SasInput {
        issuer: s.facts.issuer(),
        activation_id: &claims.activation_id,
        device_id: &claims.device_id,
        offer_sha256: offer,
        nonce: claims.nonce.as_bytes(),
        possession_key: &claims.possession_key,
        approval_key: &claims.approval_key,
    };
    sas::compute(&input, sas_nonce).to_string()
}

fn new_device(
    s: &mut Scope<'_, '_>,
    found: &Activation,
    offered: Offered,
    evaluated: Evaluated,
    stated: &Stated,
) -> Result<Device> {
    let key_storage = stated.key_storage.clone()?;
    let channel = match found.acr {
        Some(acr) => acr,
        None => profile_named(s, &found.channel)?.acr,
    };
    let acr = level(s.facts, channel, &key_storage);
    let old = found
        .vouched_by
        .map(|id| replacement::voucher(s, id))
        .transpose()?;
    if old.as_ref().is_some_and(|old| acr < old.acr) {
        return fault::REPLACEMENT_LEVEL.broken();
    }
    let valid_until = match &old {
        Some(old) => old.valid_until,
        None => case::valid_until(s, found.case_id)?,
    };
    let suspension = old.as_ref().map_or(found.suspension, |old| old.suspension);
    let suspension_of = old
        .as_ref()
        .and_then(|old| old.suspension_of.or(old.activation_id));
    Ok(Device {
        id: offered.device_id,
        subject_id: found.subject_id,
        state: DeviceState::AwaitingConfirmation,
        epoch: FIRST_EPOCH,
        acr,
        key_storage,
        possession_key: offered.possession_key,
        approval_key: Bytes(*stated.inner.claims().approval_key.as_sec1()),
        oprf_key: Some(evaluated.oprf_key),
        attempts: Attempts::default(),
        wrong_codes: 0,
        activation: stated.outer.clone(),
        activation_id: Some(found.id),
        created_at: s.now,
        valid_until,
        suspension,
        replaces: None,
        vouched_by: found.vouched_by,
        suspension_of,
        approved_at: None,
        rollback_noticed: false,
        pin_change: None,
        newest_event: 0,
        due_at: None,
    })
}

fn keys_digest(claims: &ActivationKey) -> [u8; 32] {
    let keys = [
        claims.possession_key.as_sec1().as_slice(),
        claims.approval_key.as_sec1().as_slice(),
    ]
    .concat();
    sha256(keys)
}
