//! Activations: issue, begin, evaluate, finish, confirm (protocol.md section 5).

use paraphe_proto::activation::{ActivationSecret, ActivationUri, verify_begin_mac};
use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, CaseId, DeviceId, SubjectId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws::{self, Verified};
use paraphe_proto::oprf::OprfKey;
use paraphe_proto::sas::{self, Sas, SasInput};
use paraphe_proto::statements::{self, ActivationKey};
use paraphe_proto::time::Timestamp;

use super::{Scope, expiry, lift};
use crate::config::{ChannelName, ChannelProfile};
use crate::domain::activation::{Activation, Evaluated, Offered, Signature, State};
use crate::domain::attempts::Attempts;
use crate::domain::device::{Device, KeyStorage, State as DeviceState};
use crate::domain::digest::sha256;
use crate::domain::fault::{self, Fault, Result};
use crate::domain::secret::{Bytes, Secret};
use crate::store::record::Stored;
use crate::store::{activation, case, challenge, device, operator};

/// PIN epoch of a new device.
pub const FIRST_EPOCH: u64 = 1;

/// What the operator is shown, once.
pub struct Issued {
    /// Derived from the secret.
    pub id: ActivationId,
    /// For typing.
    pub code: String,
    /// Content of the QR code.
    pub uri: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// For whom an activation is issued, and by whom.
pub struct Issue<'a> {
    /// The person.
    pub subject_id: SubjectId,
    /// The case behind it; `None` for an operator's phone.
    pub case_id: Option<CaseId>,
    /// Its channel.
    pub channel: ChannelName,
    /// Actor.
    pub issued_by: &'a str,
    /// The clerk's signature that it waits for; `None` where none is asked for.
    pub signature: Option<Signature>,
}

/// Hands out the single-use secret. Where no signature is waited for, earlier open activations of the same person end.
///
/// # Errors
/// Those of the store.
pub fn issue(s: &mut Scope<'_, '_>, secret: ActivationSecret, issue: Issue<'_>) -> Result<Issued> {
    if issue.signature.is_none() {
        end_earlier(s, issue.subject_id, secret.activation_id(), issue.issued_by)?;
    }
    let (id, code) = (secret.activation_id(), secret.code().to_string());
    let profile = profile_of(s, issue.channel)?;
    let (acr, expires_at) = (
        profile.acr,
        s.now.plus_s(i64::from(profile.activation_lifetime_s)),
    );
    let state = match issue.signature {
        Some(_) => State::AwaitingSignature,
        None => State::Issued,
    };
    s.rows.insert(&Activation {
        id,
        subject_id: issue.subject_id,
        case_id: issue.case_id,
        channel: issue.channel.as_str().to_owned(),
        acr: Some(acr),
        issued_by: issue.issued_by.to_owned(),
        expires_at,
        mac_key: Secret::new(*secret.mac_key()),
        wrong_digits: 0,
        signature: issue.signature,
        state,
    })?;
    s.audit(issue.issued_by, "issue_activation", id, "ok")?;
    let issuer = s.facts.issuer().to_owned();
    let uri = ActivationUri {
        secret,
        issuer,
        root_key: s.facts.keys.root_public().clone(),
    };
    Ok(Issued {
        id,
        code,
        uri: uri.to_text().to_string(),
        expires_at,
    })
}

/// Ends what was issued to a person before `newest` and not used to its end.
///
/// # Errors
/// Those of the store.
pub fn end_earlier(
    s: &mut Scope<'_, '_>,
    subject_id: SubjectId,
    newest: ActivationId,
    actor: &str,
) -> Result<()> {
    let mut earlier = activation::open_of_subject(&mut s.rows, subject_id)?;
    earlier.retain(|activation| activation.id != newest);
    for activation in earlier {
        end(s, activation, actor)?;
    }
    Ok(())
}

/// Revokes an activation and the phone that it made, if any.
///
/// # Errors
/// Those of the store.
pub fn end(s: &mut Scope<'_, '_>, mut found: Stored<Activation>, actor: &str) -> Result<()> {
    if let Some(id) = found.device_id() {
        expiry::revoke_unconfirmed(s, id)?;
    }
    found.state = State::Revoked;
    s.rows.update(&mut found)?;
    s.audit(actor, "revoke_activation", found.id, "ok")
}

/// An operator who was disabled enrols nobody any more, also by what they handed out before.
fn require_issuer_trusted(s: &mut Scope<'_, '_>, found: &Activation) -> Result<()> {
    let Ok(id) = found.issued_by.parse() else {
        return Ok(());
    };
    match operator::load(&mut s.rows, id)? {
        Some(issuer) if issuer.disabled => fault::ACTIVATION_REVOKED.broken(),
        _ => Ok(()),
    }
}

fn profile_of<'a>(s: &Scope<'a, '_>, channel: ChannelName) -> Result<&'a ChannelProfile> {
    s.facts
        .config
        .channels
        .profile(channel)
        .ok_or_else(|| fault::CHANNEL_UNKNOWN.fault())
}

fn profile_named<'a>(s: &Scope<'a, '_>, channel: &str) -> Result<&'a ChannelProfile> {
    let name = ChannelName::from_name(channel).ok_or_else(|| fault::CHANNEL_UNKNOWN.fault())?;
    profile_of(s, name)
}

fn load(s: &mut Scope<'_, '_>, id: ActivationId) -> Result<Stored<Activation>> {
    activation::load(&mut s.rows, id)?.ok_or_else(|| fault::ACTIVATION_NOT_FOUND.fault())
}

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
    let offer = jws::sign(&claims, s.facts.keys.challenge())
        .map_err(Fault::internal)?
        .into_compact();
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

/// `EvaluateActivation`: the key for this one element; another element draws another key.
///
/// # Errors
/// `activation.state`, `.expired`, `.revoked`.
pub fn evaluate(s: &mut Scope<'_, '_>, id: ActivationId, element: [u8; 32]) -> Result<OprfKey> {
    let mut found = load(s, id)?;
    found.require_alive(s.now)?;
    let State::Begun { evaluated, .. } = &mut found.state else {
        return fault::ACTIVATION_STATE.broken();
    };
    if let Some(known) = evaluated.as_ref().filter(|known| known.element.0 == element) {
        return OprfKey::from_bytes(known.oprf_key.expose()).map_err(Fault::internal);
    }
    let key = OprfKey::random(&mut s.rng()).map_err(Fault::internal)?;
    *evaluated = Some(Evaluated {
        oprf_key: Secret::new(*key.to_bytes()),
        element: Bytes(element),
    });
    s.rows.update(&mut found)?;
    Ok(key)
}

/// What `FinishActivation` answers.
pub struct Finished {
    /// Opens the commitment.
    pub sas_nonce: [u8; 32],
    /// Whether the six digits must be typed.
    pub confirmation_required: bool,
}

/// `FinishActivation`: the device comes into being. Repeating it with the same keys answers alike.
///
/// # Errors
/// `activation.mismatch`, `.state`, `.expired`, `.revoked`.
pub fn finish(
    s: &mut Scope<'_, '_>,
    id: ActivationId,
    outer: &str,
    stated: &Verified<ActivationKey>,
) -> Result<Finished> {
    let mut found = load(s, id)?;
    found.require_alive(s.now)?;
    require_issuer_trusted(s, &found)?;
    let claims = stated.claims();
    let finished = keys_digest(claims);
    let required = profile_named(s, &found.channel)?.sas_confirmation;
    match &found.state {
        State::AwaitingConfirmation {
            sas_nonce,
            finished: known,
            ..
        }
        | State::Confirmed {
            sas_nonce,
            finished: known,
            ..
        } => {
            if known.0 != finished {
                return fault::ACTIVATION_USED.broken();
            }
            return Ok(Finished {
                sas_nonce: *sas_nonce.expose(),
                confirmation_required: required,
            });
        }
        State::Begun { .. } => {}
        _ => return fault::ACTIVATION_STATE.broken(),
    }
    let State::Begun { offered, evaluated } = std::mem::replace(&mut found.state, State::Revoked) else {
        return fault::ACTIVATION_STATE.broken();
    };
    let Some(evaluated) = evaluated else {
        return fault::ACTIVATION_STATE.broken();
    };
    let offer_sha256 = sha256(&offered.offer);
    if claims.activation_id != id
        || claims.device_id != offered.device_id
        || claims.nonce.0 != offered.nonce.0
        || claims.offer_sha256.0 != offer_sha256
        || claims.possession_key.as_sec1() != &offered.possession_key.0
        || claims.approval_key == claims.possession_key
    {
        return fault::ACTIVATION_MISMATCH.broken();
    }
    let sas_nonce = *offered.sas_nonce.expose();
    let digits = digits_of(s, claims, &offer_sha256, &sas_nonce);
    let (device_id, possession_key) = (offered.device_id, offered.possession_key);
    let mut phone = new_device(s, &found, offered, evaluated, claims, outer)?;
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
    phone.schedule(&s.facts.attempt_limits());
    s.rows.insert(&phone)?;
    s.audit(&device_id.to_string(), "finish_activation", id, "ok")?;
    Ok(Finished {
        sas_nonce,
        confirmation_required: required,
    })
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
    s: &Scope<'_, '_>,
    found: &Activation,
    offered: Offered,
    evaluated: Evaluated,
    claims: &ActivationKey,
    outer: &str,
) -> Result<Device> {
    Ok(Device {
        id: offered.device_id,
        subject_id: found.subject_id,
        state: DeviceState::AwaitingConfirmation,
        epoch: FIRST_EPOCH,
        acr: match found.acr {
            Some(acr) => acr,
            None => profile_named(s, &found.channel)?.acr,
        },
        key_storage: KeyStorage::Unattested,
        possession_key: offered.possession_key,
        approval_key: Bytes(*claims.approval_key.as_sec1()),
        oprf_key: Some(evaluated.oprf_key),
        attempts: Attempts::default(),
        wrong_codes: 0,
        activation: outer.to_owned(),
        activation_id: Some(found.id),
        created_at: s.now,
        rollback_noticed: false,
        due_at: None,
    })
}

/// The device counts from here, after its quarantine; the case is done.
fn accept(s: &mut Scope<'_, '_>, found: &Activation, phone: &mut Device) -> Result<()> {
    let mut alive = device::alive_of_subject(&mut s.rows, found.subject_id)?;
    alive.retain(|phone| !phone.rollback_noticed);
    if alive
        .iter()
        .any(|other| other.id != phone.id && other.state != DeviceState::AwaitingConfirmation)
    {
        return fault::ALREADY_ENROLLED.broken();
    }
    let quarantine_s = i64::from(profile_named(s, &found.channel)?.quarantine_s);
    phone.confirm(s.now, quarantine_s)?;
    let Some(case_id) = found.case_id else {
        return Ok(());
    };
    if let Some(open) = case::load(&mut s.rows, case_id)? {
        let mut enrolled = open.try_map(|case| case.enrol(found.id))?;
        s.rows.update(&mut enrolled)?;
    }
    lift::proofed(s, found.subject_id)
}

/// An activation as the operator sees it.
pub struct View {
    /// Its id.
    pub id: ActivationId,
    /// Name of its state.
    pub state: &'static str,
    /// Tries left for the six digits.
    pub tries_left: u32,
    /// When it ends.
    pub expires_at: Timestamp,
    /// State of its phone.
    pub device: Option<DeviceState>,
    /// Why the digits did not count; the try is spent all the same.
    pub refused: Option<Fault>,
}

/// `GetActivation`, for the operator who issued it.
///
/// # Errors
/// `activation.not_found`, alike for missing ones and those of others.
pub fn view(s: &mut Scope<'_, '_>, actor: &str, id: ActivationId) -> Result<View> {
    let found = of_actor(s, actor, id)?;
    view_of(s, &found, None)
}

/// `ConfirmActivation`: three tries, then the activation and its device are revoked.
///
/// # Errors
/// `activation.not_found`, `.state`, `.expired`, `.revoked`. Wrong digits are in [`View::refused`]: that try is stored.
pub fn confirm(s: &mut Scope<'_, '_>, actor: &str, id: ActivationId, digits: &Sas) -> Result<View> {
    let mut found = of_actor(s, actor, id)?;
    found.require_alive(s.now)?;
    let State::AwaitingConfirmation {
        device_id,
        possession_key,
        sas_nonce,
        finished,
        sas,
    } = &found.state
    else {
        return fault::ACTIVATION_STATE.broken();
    };
    let right = Sas::parse(sas).is_ok_and(|right| right.ct_eq(digits));
    let confirmed = State::Confirmed {
        device_id: *device_id,
        possession_key: *possession_key,
        sas_nonce: Secret::new(*sas_nonce.expose()),
        finished: *finished,
    };
    let phone = device::load(&mut s.rows, *device_id)?;
    let mut phone = phone.ok_or_else(|| Fault::internal("an activation without its device"))?;
    let refused = if right {
        accept(s, &found, &mut phone)?;
        found.state = confirmed;
        None
    } else {
        found.wrong_digits();
        if matches!(found.state, State::Revoked) {
            phone.revoke(s.now);
        }
        Some(
            fault::SAS_WRONG
                .fault()
                .on("code")
                .because(format!("Tries left: {}.", found.tries_left())),
        )
    };
    s.save_device(&mut phone)?;
    s.rows.update(&mut found)?;
    let outcome = if right { "ok" } else { fault::SAS_WRONG.code };
    s.audit(actor, "confirm_activation", id, outcome)?;
    view_of(s, &found, refused)
}

fn of_actor(s: &mut Scope<'_, '_>, actor: &str, id: ActivationId) -> Result<Stored<Activation>> {
    let found = load(s, id)?;
    if found.issued_by != actor {
        return fault::ACTIVATION_NOT_FOUND.broken();
    }
    Ok(found)
}

fn view_of(s: &mut Scope<'_, '_>, found: &Activation, refused: Option<Fault>) -> Result<View> {
    let device = match &found.state {
        State::Confirmed { device_id, .. } => device::load(&mut s.rows, *device_id)?.map(|phone| phone.state),
        _ => None,
    };
    let state = if found.is_overdue(s.now) {
        "expired"
    } else if is_unsigned(s, found)? {
        "unsigned"
    } else {
        found.state.as_str()
    };
    let tries_left = found.tries_left();
    Ok(View {
        id: found.id,
        state,
        tries_left,
        expires_at: found.expires_at,
        device,
        refused,
    })
}

/// Whether the challenge that asked for the clerk's signature ended without one.
fn is_unsigned(s: &mut Scope<'_, '_>, found: &Activation) -> Result<bool> {
    let (State::AwaitingSignature, Some(signature)) = (&found.state, &found.signature) else {
        return Ok(false);
    };
    let asked = challenge::load(&mut s.rows, signature.challenge_id)?;
    Ok(!asked.is_some_and(|asked| asked.is_open(s.now)))
}

fn keys_digest(claims: &ActivationKey) -> [u8; 32] {
    let keys = [
        claims.possession_key.as_sec1().as_slice(),
        claims.approval_key.as_sec1().as_slice(),
    ]
    .concat();
    sha256(keys)
}
