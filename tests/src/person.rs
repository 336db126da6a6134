//! A person with an activated phone: the `companion` crate over a folder, and its pieces for those who would cheat.
//!
//! Called by the tests through [`World`](crate::World). A clone is a copy of the folder: what a thief of the phone's image has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use paraphe_companion::protocol::{self, Expected, Prover};
use paraphe_companion::state::Seen;
use paraphe_companion::{
    Activation, Argon2Cost, Error, Invitation, IssuerKeys, KeyStore, Phone, Receipt, Server, Shown,
    SoftwareKeyStore,
};
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::oprf::{self, BlindState, BlindedElement};
use paraphe_proto::pin::Pin;
use paraphe_proto::statements::{Evaluation, EvaluationContext};
use paraphe_proto::v1::{Outcome, RequestResponse};

use crate::clock::rng;
use crate::folder;
use crate::world::Link;

/// The PIN of everybody who has no other.
pub const PIN: &str = "507294";

/// A person's phone.
pub struct Person {
    link: Arc<Link>,
    /// The phone's folder.
    pub dir: PathBuf,
    /// The phone.
    pub phone: Phone,
    /// Its secure chip, in software.
    pub keystore: Arc<dyn KeyStore>,
    /// The PIN.
    pub pin: String,
}

/// A charged evaluation under which the right PIN opened the approval key.
pub struct Unlocked {
    /// What the daemon signed.
    pub evaluation: Evaluation,
    /// The approval key.
    pub key: SoftwareKey,
}

/// The software chip of a phone's folder.
#[must_use]
pub fn keystore_in(dir: &Path) -> Arc<dyn KeyStore> {
    Arc::new(SoftwareKeyStore::open(dir.join("keys"), "e2e/0").expect("a keystore"))
}

/// Activates a phone in a folder up to the six digits.
pub async fn activate(link: &Arc<Link>, dir: &Path, uri: &str, pin: &str) -> (Person, String) {
    link.keep_secret(pin);
    let (server, keystore) = (link.server(), keystore_in(dir));
    let invitation = Invitation::from_uri(uri).expect("the QR code");
    let begun = Activation::begin(dir, Arc::clone(&keystore), invitation, &server, &mut rng()).await;
    let mut begun = begun.expect("the activation begins");
    let activated = begun.finish(&server, pin, Argon2Cost::LOWEST, &mut rng()).await;
    let activated = activated.expect("the activation is finished");
    let digits = activated.sas.to_string();
    link.keep_secret(&digits);
    let person = Person {
        link: Arc::clone(link),
        dir: dir.to_owned(),
        phone: activated.phone,
        keystore,
        pin: pin.to_owned(),
    };
    (person, digits)
}

impl Person {
    /// The phone whose state lies in a folder.
    #[must_use]
    pub fn open(link: &Arc<Link>, dir: &Path, pin: &str) -> Self {
        link.keep_secret(pin);
        let keystore = keystore_in(dir);
        let phone = Phone::open(dir, Arc::clone(&keystore))
            .expect("a phone")
            .expect("an activated one");
        Self {
            link: Arc::clone(link),
            dir: dir.to_owned(),
            phone,
            keystore,
            pin: pin.to_owned(),
        }
    }

    /// A copy of the phone's whole image.
    #[must_use]
    pub fn stolen_image(&self) -> Self {
        let copy = self
            .dir
            .with_file_name(format!("image-{}", crate::clock::unique().to_lowercase()));
        folder::copy(&self.dir, &copy);
        Self::open(&self.link, &copy, &self.pin)
    }

    /// The daemon.
    #[must_use]
    pub fn server(&self) -> Server {
        self.link.server()
    }

    /// A pending challenge, verified for the screen.
    pub async fn shown(&self, challenge_id: &str) -> Shown {
        let pending = self.phone.fetch(&self.server()).await.expect("the phone fetches");
        let all = pending
            .into_iter()
            .map(|pending| pending.challenge.expect("a challenge to show"));
        let mut wanted = all.filter(|shown| shown.challenge_id().to_string() == challenge_id);
        wanted.next().expect("the challenge is pending on this phone")
    }

    /// Whether a challenge is pending on this phone.
    pub async fn has_pending(&self, challenge_id: &str) -> bool {
        let pending = self.phone.fetch(&self.server()).await.expect("the phone fetches");
        let mut shown = pending.into_iter().filter_map(|pending| pending.challenge.ok());
        shown.any(|shown| shown.challenge_id().to_string() == challenge_id)
    }

    /// Approves as a person does: looks, types the page's code and the PIN.
    pub async fn approve(&self, asked: &RequestResponse) -> Result<Receipt, Error> {
        self.approve_with(asked, &self.pin).await
    }

    /// The same with another PIN.
    pub async fn approve_with(&self, asked: &RequestResponse, pin: &str) -> Result<Receipt, Error> {
        let shown = self.shown(&asked.challenge_id).await;
        let code = Some(asked.match_code.as_str()).filter(|code| !code.is_empty());
        self.phone
            .approve(&self.server(), &shown, code, pin, &mut rng())
            .await
    }

    /// Attempts left, as the daemon counts.
    pub async fn attempts_left(&self) -> u32 {
        self.phone
            .device(&self.server())
            .await
            .expect("the phone asks")
            .attempts_left
    }

    /// Speaks for the phone.
    #[must_use]
    pub fn prover(&self) -> Prover {
        self.phone.prover().expect("a possession key")
    }

    /// One blinded guess for a challenge: the evaluation statement, once it was charged.
    pub async fn guess(&self, challenge: ChallengeId, pin: &str) -> Result<String, Error> {
        let (_, element) = blind(pin);
        protocol::request_evaluation(&self.server(), &self.prover(), challenge, &element).await
    }

    /// One evaluation under which the right PIN opens the approval key.
    pub async fn unlock(&self, challenge: ChallengeId) -> Result<Unlocked, Error> {
        let (state, element) = blind(&self.pin);
        let prover = self.prover();
        let compact = protocol::request_evaluation(&self.server(), &prover, challenge, &element).await?;
        let record = self.phone.record();
        let expected = Expected {
            context: EvaluationContext::Challenge(challenge),
            device_id: prover.device_id,
            epoch: prover.epoch,
            element_sha256: element.sha256(),
            seen: Seen::default(),
        };
        let keys = IssuerKeys::walk(record.trust.clone())?;
        let evaluation = protocol::check_evaluation(&keys, &compact, &expected)?.into_claims();
        let key = protocol::open_approval_key(&record, &*self.keystore, state, &evaluation)?;
        Ok(Unlocked { evaluation, key })
    }

    /// The approval statement of a challenge.
    #[must_use]
    pub fn approval(&self, shown: &Shown, unlocked: &Unlocked, code: &str) -> String {
        let issuer = self.phone.issuer();
        let made =
            protocol::approval_statement(issuer, &unlocked.key, shown.sha256(), code, &unlocked.evaluation);
        made.expect("an approval")
    }

    /// Sends an approval statement.
    pub async fn send(&self, challenge: ChallengeId, approval: &str) -> Result<Outcome, Error> {
        protocol::send_approval(&self.server(), &self.prover(), challenge, approval).await
    }
}

/// A blinded PIN.
#[must_use]
pub fn blind(pin: &str) -> (BlindState, BlindedElement) {
    let pin = Pin::enter(pin).expect("digits");
    oprf::blind(&pin, &mut rng()).expect("a blinded PIN")
}
