//! What a clerk hands over, and the first step it allows: the issuer's offer.
//!
//! [`Invitation`] is made by the app; the rest is called by `activate`. Invariants: the secret never travels, only a MAC under a
//! key derived from it; an offer counts only by a key that leads back to the root key of the invitation, and for this
//! activation. The protocol: section 5.

use paraphe_proto::activation::{ActivationSecret, ActivationUri, begin_mac};
use paraphe_proto::ids::ActivationId;
use paraphe_proto::jwk::PublicKey;
use paraphe_proto::jws::Verified;
use paraphe_proto::statements::Offer;
use paraphe_proto::v1::BeginActivationRequest;

use crate::connect::{Server, with_deadline};
use crate::error::Error;
use crate::request::resend;
use crate::trust::IssuerKeys;

/// What a clerk handed over: the secret, and whom to trust.
pub struct Invitation {
    /// The secret of one activation.
    pub secret: ActivationSecret,
    /// The issuer's URL.
    pub issuer: String,
    /// The issuer's root key.
    pub root_key: PublicKey,
}

impl Invitation {
    /// Reads the content of the QR code, which names the issuer and its root key.
    ///
    /// # Errors
    /// [`Error::Invalid`] with a code `activation.…`.
    pub fn from_uri(text: &str) -> Result<Self, Error> {
        let uri =
            ActivationUri::parse(text).map_err(|error| Error::invalid(error.code(), error.to_string()))?;
        Ok(Self {
            secret: uri.secret,
            issuer: uri.issuer,
            root_key: uri.root_key,
        })
    }

    /// Reads the typed code. It names nobody: issuer and root key are built into or configured in the app.
    ///
    /// # Errors
    /// [`Error::Invalid`] with a code `activation.…`.
    pub fn from_code(code: &str, issuer: String, root_key: PublicKey) -> Result<Self, Error> {
        let secret = ActivationSecret::from_code(code)
            .map_err(|error| Error::invalid(error.code(), error.to_string()))?;
        Ok(Self {
            secret,
            issuer,
            root_key,
        })
    }
}

pub(crate) async fn ask_for_offer(
    server: &Server,
    invitation: &Invitation,
    possession_key: &PublicKey,
) -> Result<String, Error> {
    let activation_id = invitation.secret.activation_id();
    let mac_key = invitation.secret.mac_key();
    let mac = begin_mac(&mac_key, &invitation.issuer, &activation_id, possession_key);
    let request = BeginActivationRequest {
        activation_id: activation_id.to_string(),
        possession_key: possession_key.as_sec1().to_vec(),
        mac: mac.to_vec(),
    };
    let send = || async {
        let reply = server
            .client()
            .begin_activation(with_deadline(request.clone()))
            .await?;
        Ok(reply.into_inner().offer)
    };
    resend(send).await
}

/// The offer, and the keys that verified it: those of the version that it names, or newer.
pub(crate) async fn verify_offer(
    server: &Server,
    keys: IssuerKeys,
    activation_id: ActivationId,
    compact: &str,
) -> Result<(IssuerKeys, Verified<Offer>), Error> {
    let (keys, offer) = match check_offer(&keys, activation_id, compact) {
        Ok(offer) => (keys, offer),
        Err(first) => {
            let keys = keys.refreshed(server).await?.ok_or(first)?;
            let offer = check_offer(&keys, activation_id, compact)?;
            (keys, offer)
        }
    };
    Ok((keys, offer))
}

fn check_offer(
    keys: &IssuerKeys,
    activation_id: ActivationId,
    compact: &str,
) -> Result<Verified<Offer>, Error> {
    let offer: Verified<Offer> = keys.verify(compact)?;
    if offer.claims().activation_id != activation_id {
        return Err(Error::untrusted(
            "activation.mismatch",
            "the offer is for another activation",
        ));
    }
    if offer.claims().keyset_version > keys.version() {
        return Err(Error::untrusted(
            "keyset.version",
            "the offer names a key set that is not known",
        ));
    }
    Ok(offer)
}
