//! A past challenge in few bytes, every byte of it kept.
//!
//! Compact JWS texts are cut at their dots and kept as the bytes that they encode. Digests that follow from what came before are marked
//! instead of spelt out. Signatures, which nothing compresses, lie beside the rest, which is CBOR, deflated. Called by [`super::Past`]
//! inside the seal. Invariant: unpacking gives back what was packed, byte for byte; a text that is not the one encoding of its bytes is
//! kept as it is.

use paraphe_proto::challenge::device_handle;
use paraphe_proto::encoding::{base64url, from_base64url};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::deflate::{deflate, inflate};
use crate::domain::challenge::{Challenge, State};
use crate::domain::digest::sha256;

/// Format of [`Packed`].
const FORMAT: u8 = 1;
/// Most bytes of a challenge before it is deflated and after it is inflated. Three statements of 8 KiB and their parameters need half.
const MOST_BYTES: usize = 64 * 1024;
/// Begins a mark in a payload; in UTF-8, and so in any JSON, there is no such byte.
const MARK: u8 = 0xFF;

/// What lies inside the seal: format, the deflated [`Inner`], signatures.
#[derive(Serialize, Deserialize)]
pub(super) struct Packed(u8, ByteBuf, Vec<ByteBuf>);

/// The challenge without the statements that were cut, and their headers and payloads in the order of [`statements`].
#[derive(Serialize, Deserialize)]
struct Inner(Challenge, Vec<Option<(ByteBuf, ByteBuf)>>);

/// Why a challenge cannot be packed or unpacked.
#[derive(Debug, thiserror::Error)]
#[error("a past challenge is not in the packed form: {0}")]
pub(super) struct PackError(&'static str);

/// Packs a challenge.
///
/// # Errors
/// For one of more than 64 KiB.
pub(super) fn pack(challenge: &Challenge) -> Result<Packed, PackError> {
    let mut inner = Inner(challenge.clone(), Vec::new());
    let mut signatures = Vec::new();
    let mut known = Known::of(challenge);
    for text in statements(&mut inner.0) {
        let parts = cut(text).map(|[header, payload, signature]| {
            let payload = known.mark(payload);
            known.add(text);
            text.clear();
            signatures.push(ByteBuf::from(signature));
            (ByteBuf::from(header), ByteBuf::from(payload))
        });
        inner.1.push(parts);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    ciborium::into_writer(&inner, &mut *bytes).map_err(|_| PackError("it cannot be encoded"))?;
    if bytes.len() > MOST_BYTES {
        return Err(PackError("it is too long"));
    }
    let deflated = deflate(&bytes).ok_or(PackError("it cannot be deflated"))?;
    Ok(Packed(FORMAT, ByteBuf::from(deflated), signatures))
}

/// The challenge that was packed.
///
/// # Errors
/// For what [`pack`] did not make.
pub(super) fn unpack(packed: &Packed) -> Result<Challenge, PackError> {
    let Packed(FORMAT, deflated, signatures) = packed else {
        return Err(PackError("of another format"));
    };
    let bytes = inflate(deflated, MOST_BYTES).ok_or(PackError("it cannot be inflated"))?;
    let inner = ciborium::from_reader(bytes.as_slice());
    let Inner(mut challenge, parts) = inner.map_err(|_| PackError("its fields are not the expected ones"))?;
    let mut known = Known::of(&challenge);
    let texts = statements(&mut challenge);
    if texts.len() != parts.len() {
        return Err(PackError("a statement is missing"));
    }
    let mut signatures = signatures.iter();
    for (text, parts) in texts.into_iter().zip(parts) {
        let Some((header, payload)) = parts else { continue };
        let signature = signatures.next().ok_or(PackError("a signature is missing"))?;
        let payload = known.spell_out(payload.into_vec());
        *text = [header.as_slice(), &payload, signature].map(base64url).join(".");
        known.add(text);
    }
    Ok(challenge)
}

/// Digests, as texts, that a statement of a challenge may repeat: the device handle, and the hash of each statement before it.
struct Known(Vec<String>);

impl Known {
    fn of(challenge: &Challenge) -> Self {
        let handle = device_handle(&challenge.device_id, &challenge.id);
        Self(vec![base64url(&handle)])
    }

    fn add(&mut self, statement: &str) {
        self.0.push(base64url(&sha256(statement)));
    }

    fn mark(&self, payload: Vec<u8>) -> Vec<u8> {
        let each = self.0.iter().zip(0u8..);
        each.fold(payload, |text, (digest, n)| {
            replaced(&text, digest.as_bytes(), &[MARK, n])
        })
    }

    fn spell_out(&self, payload: Vec<u8>) -> Vec<u8> {
        let each = self.0.iter().zip(0u8..);
        each.fold(payload, |text, (digest, n)| {
            replaced(&text, &[MARK, n], digest.as_bytes())
        })
    }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.windows(from.len()).position(|part| part == from) {
        let (before, found) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(to);
        rest = found.get(from.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// The three parts of a compact JWS; `None` for any text that they would not give back, or with [`MARK`] in its payload.
fn cut(text: &str) -> Option<[Vec<u8>; 3]> {
    let mut parts = text.split('.').map(from_base64url);
    let mut next = || parts.next()?.ok();
    let cut = [next()?, next()?, next()?];
    let [_, payload, _] = &cut;
    (parts.next().is_none() && !payload.contains(&MARK)).then_some(cut)
}

/// Every compact JWS of a challenge, always in the same order.
fn statements(challenge: &mut Challenge) -> Vec<&mut String> {
    let mut all = vec![&mut challenge.statement];
    match &mut challenge.state {
        State::Approved {
            approval, assertion, ..
        } => all.extend([approval, assertion]),
        State::Denied { refusal, .. } | State::Reported { refusal, .. } => all.push(refusal),
        State::Failed { approval, .. } => all.extend(approval),
        State::Pending | State::Expired { .. } | State::Cancelled { .. } | State::Superseded { .. } => {}
    }
    all
}

#[cfg(test)]
mod tests;
