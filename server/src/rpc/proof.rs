//! Phones prove themselves on every call: a `paraphe-proof+jwt` over exactly the bytes that were sent (protocol.md section 3).
//!
//! The device's state, and what the phone says it has seen, are looked at in the use case's own transaction; its keys never change
//! under one id and epoch (see `phones`).

use std::sync::Arc;

use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId};
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws;
use paraphe_proto::statements::{Freshness, Proof};
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::SignedRequest;
use prost::Message;
use tonic::Status;

use super::phones::PhoneKeys;
use super::{Shared, status};
use crate::app::{activation, unlock};
use crate::domain::device::{ProvenPhone, Seen};
use crate::domain::fault::{self, Fault, Result};
use crate::store::device;

/// Longest body.
const BODY_BYTES: usize = 32 * 1024;

/// A phone's request whose proof has verified. Only [`device()`] and [`activating`] make one.
pub struct Proven<B> {
    /// The decoded body.
    pub body: B,
    /// The phone, its epoch, and what it says that it has seen.
    pub phone: ProvenPhone,
    /// Its possession key.
    pub possession_key: PublicKey,
    /// Its approval key; `None` while it activates.
    pub approval_key: Option<PublicKey>,
}

/// What a proof must be bound to.
pub enum Bound<'a, B> {
    /// A nonce of ours, used up here.
    Nonce,
    /// The challenge that the body names.
    Challenge(&'a (dyn Fn(&B) -> &str + Send + Sync)),
}

/// Proves an enrolled phone. What is bound to a challenge is checked by keys that may have been read before: its use case looks at the
/// device again, at its epoch and at what the phone has seen. What is bound to a nonce reads the device here, and so does a proof of
/// another epoch than the one that was read before.
///
/// # Errors
/// `caller.unauthenticated`, alike for every reason; `proof.nonce`; `device.rollback_noticed`.
pub async fn device<B: Message + Default>(
    shared: &Shared,
    request: SignedRequest,
    method: &str,
    bound: Bound<'_, B>,
    now: Timestamp,
) -> std::result::Result<Proven<B>, Status> {
    let id = Proof::unverified_device(&request.proof).map_err(refused)?;
    let known = match bound {
        Bound::Challenge(_) => shared.known_phones.of(id),
        Bound::Nonce => None,
    };
    let (mut keys, mut latest) = match known {
        Some(keys) => (keys, None),
        None => read_keys(shared, id, now).await?,
    };
    let proof = verify(shared, &request, &keys.possession_key, method)?;
    if latest.is_none() && proof.epoch != keys.epoch {
        (keys, latest) = read_keys(shared, id, now).await?;
    }
    if proof.device_id != id {
        return Err(fault::UNAUTHENTICATED.fault().into());
    }
    let body = decode(&request)?;
    check_bound(shared, &proof, &body, &bound, now)?;
    let seen = Seen {
        evaluation: proof.seen_evaluation,
        restore_epoch: proof.seen_restore_epoch,
    };
    if let Some(latest) = latest
        && let Err(noticed) = seen.require_known(latest, shared.daemon.facts.restore_epoch)
    {
        return Err(settle(shared, id, now, noticed).await);
    }
    if proof.epoch != keys.epoch {
        return Err(fault::UNAUTHENTICATED.fault().into());
    }
    let phone = ProvenPhone {
        device_id: id,
        epoch: keys.epoch,
        seen,
    };
    Ok(Proven {
        body,
        phone,
        possession_key: keys.possession_key.clone(),
        approval_key: Some(keys.approval_key.clone()),
    })
}

async fn read_keys(
    shared: &Shared,
    id: DeviceId,
    now: Timestamp,
) -> std::result::Result<(Arc<PhoneKeys>, Option<u64>), Status> {
    let found = shared.read("prove", now, move |s| {
        let found = device::load(&mut s.rows, id)?.ok_or_else(|| fault::UNAUTHENTICATED.fault())?;
        Ok((
            found.possession_key,
            found.approval_key,
            found.epoch,
            found.attempts.latest(),
        ))
    });
    let (possession_key, approval_key, epoch, latest) = found.await?;
    let keys = Arc::new(PhoneKeys {
        possession_key: PublicKey::from_sec1(&possession_key.0).map_err(Fault::internal)?,
        approval_key: PublicKey::from_sec1(&approval_key.0).map_err(Fault::internal)?,
        epoch,
    });
    // Named once here rather than by every statement that they verify.
    let _named = (keys.possession_key.thumbprint(), keys.approval_key.thumbprint());
    shared.known_phones.remember(id, &keys);
    Ok((keys, Some(latest)))
}

/// The status of a fault; a rollback that a phone has noticed is stored first, so that the phone approves nothing any more.
pub async fn settle(shared: &Shared, id: DeviceId, now: Timestamp, fault: Fault) -> Status {
    if fault.code() != fault::ROLLBACK_NOTICED.code {
        return status::status(fault);
    }
    tracing::error!(code = fault.code(), device_id = %id, "a phone has seen later evaluations than the store knows: undeclared rollback");
    let noticed = shared.write("notice_rollback", now, move |s| unlock::notice_rollback(s, id));
    noticed.await.err().unwrap_or_else(|| status::status(fault))
}

/// Proves a phone that is being activated, by the key that took the offer.
///
/// # Errors
/// `caller.unauthenticated`, alike for every reason; `proof.nonce`.
pub async fn activating<B: Message + Default>(
    shared: &Shared,
    request: SignedRequest,
    method: &str,
    activation_of: impl Fn(&B) -> &str,
    now: Timestamp,
) -> std::result::Result<(Proven<B>, ActivationId), Status> {
    let body: B = decode(&request)?;
    let id: ActivationId = activation_of(&body)
        .parse()
        .map_err(|_| fault::UNAUTHENTICATED.fault())?;
    let found = shared
        .read("prove", now, move |s| activation::proof_key(s, id))
        .await?;
    let key = PublicKey::from_sec1(&found.1).map_err(Fault::internal)?;
    let proof = verify(shared, &request, &key, method)?;
    if proof.device_id != found.0 || proof.epoch != activation::FIRST_EPOCH {
        return Err(fault::UNAUTHENTICATED.fault().into());
    }
    check_bound(shared, &proof, &body, &Bound::Nonce, now)?;
    let phone = ProvenPhone {
        device_id: found.0,
        epoch: proof.epoch,
        seen: Seen::default(),
    };
    let proven = Proven {
        body,
        phone,
        possession_key: key,
        approval_key: None,
    };
    Ok((proven, id))
}

fn verify(shared: &Shared, request: &SignedRequest, key: &PublicKey, method: &str) -> Result<Proof> {
    let proof = jws::verify::<Proof>(&request.proof, key, shared.daemon.facts.issuer()).map_err(refused)?;
    let proof = proof.into_claims();
    let digest = ring::digest::digest(&ring::digest::SHA256, &request.body);
    if proof.method != method || proof.body_sha256.as_bytes().as_slice() != digest.as_ref() {
        return fault::UNAUTHENTICATED.broken();
    }
    Ok(proof)
}

fn decode<B: Message + Default>(request: &SignedRequest) -> Result<B> {
    if request.body.len() > BODY_BYTES {
        return Err(Fault::field(
            "body",
            format!("It must be at most {BODY_BYTES} bytes."),
        ));
    }
    B::decode(request.body.as_slice()).map_err(|error| {
        Fault::field("body", "It must be the encoded message that the RPC names.").caused_by(error)
    })
}

fn check_bound<B>(
    shared: &Shared,
    proof: &Proof,
    body: &B,
    bound: &Bound<'_, B>,
    now: Timestamp,
) -> Result<()> {
    match (&proof.freshness, bound) {
        (Freshness::Nonce(nonce), Bound::Nonce) => shared.nonces.use_up(nonce, now),
        (Freshness::Challenge(named), Bound::Challenge(of_body)) => {
            let asked: ChallengeId = of_body(body)
                .parse()
                .map_err(|_| fault::CHALLENGE_NOT_FOUND.fault().on("challenge_id"))?;
            if asked == *named {
                Ok(())
            } else {
                fault::UNAUTHENTICATED.broken()
            }
        }
        _ => fault::UNAUTHENTICATED.broken(),
    }
}

fn refused(error: jws::StatementError) -> Fault {
    fault::UNAUTHENTICATED.fault().caused_by(error)
}
