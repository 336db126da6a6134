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

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use paraphe_proto::ids::DeviceId;
    use paraphe_proto::keys::Signer as _;
    use paraphe_proto::pin::PinPolicy;

    use super::*;
    use crate::testing::{ISS, Issuer, NOW, rng};

    #[test]
    fn an_offer_counts_for_its_own_activation_and_a_known_key_set_only() {
        let issuer = Issuer::new();
        let activation_id = ActivationId::random(&mut rng());
        let offer = |activation_id, keyset_version| Offer {
            iss: ISS.to_owned(),
            activation_id,
            device_id: DeviceId::random(&mut rng()),
            nonce: [3; 32].into(),
            pin_policy: PinPolicy::default(),
            sas_commitment: [4; 32].into(),
            keyset_version,
            iat: NOW,
            exp: NOW.plus_s(600),
        };
        let verdict = |offer: Offer| {
            let checked = check_offer(&issuer.keys(), activation_id, &issuer.sign(&offer));
            checked.map(drop).map_err(|error| error.code().to_owned())
        };
        assert_eq!(verdict(offer(activation_id, 1)), Ok(()));
        let other = ActivationId::random(&mut rng());
        assert_eq!(verdict(offer(other, 1)), Err("activation.mismatch".to_owned()));
        assert_eq!(verdict(offer(activation_id, 2)), Err("keyset.version".to_owned()));
    }

    #[test]
    fn a_typed_code_brings_no_issuer_and_no_root_key() {
        let (secret, issuer) = (ActivationSecret::random(&mut rng()), Issuer::new());
        let root_key = issuer.root.public_key().clone();
        let invitation = Invitation::from_code(&secret.code(), ISS.to_owned(), root_key.clone()).unwrap();
        assert_eq!(invitation.secret.activation_id(), secret.activation_id());
        assert_eq!(
            (invitation.issuer.as_str(), &invitation.root_key),
            (ISS, &root_key)
        );
        let mistyped = Invitation::from_code("0000-0000", ISS.to_owned(), root_key);
        assert_eq!(mistyped.err().unwrap().code(), "activation.code_malformed");
        assert_eq!(
            Invitation::from_uri(&secret.code()).err().unwrap().code(),
            "activation.uri"
        );
    }
}
