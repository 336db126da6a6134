//! The phone's calls by hand, for those who would cheat, and statements as no honest party signs them.

use std::path::PathBuf;
use std::sync::Arc;

use paraphe_companion::protocol;
use paraphe_companion::{Error, Phone, Shown, SoftwareKeyStore};
use paraphe_proto::encoding::{base64url, from_base64url};
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::oprf::{self, BlindState, BlindedElement};
use paraphe_proto::pin::Pin;
use paraphe_proto::statements::Evaluation;
use paraphe_proto::v1;
use rand_core::OsRng;
use serde_json::Value;

use crate::world::{PIN, Person, World};

/// A demonstration in which no quota is in the way.
pub const OPEN: &str = "[profile]\ndemonstration = true\n[step_up]\nmin_lifetime_s = 1\nrequests_per_10_min = 1000\n\
    requests_per_day = 10000\nwakes_per_hour = 1000\n[operators]\nrequests_per_10_min = 1000\n\
    [channels.counter]\nquarantine_s = 0\n";

/// A challenge that waits, and whose.
pub struct Asked {
    pub reply: v1::RequestResponse,
    pub shown: Shown,
}

impl Asked {
    pub fn id(&self) -> ChallengeId {
        self.shown.challenge_id()
    }
}

/// A fresh purchase at the market, as the person's phone shows it.
pub async fn ask(world: &World, person: &Person) -> Asked {
    let subject = world.subject(&world.market, person).await;
    let reply = world.ask(&world.market, &subject).await;
    Asked {
        shown: shown(world, person, &reply.challenge_id).await,
        reply,
    }
}

/// One of the challenges that wait for a phone.
pub async fn shown(world: &World, person: &Person, id: &str) -> Shown {
    let pending = person.phone.fetch(&world.server).await.unwrap();
    let all = pending.into_iter().filter_map(|pending| pending.challenge.ok());
    let mut wanted = all.filter(|shown| shown.challenge_id().to_string() == id);
    wanted.next().expect("the challenge waits for this phone")
}

pub fn folder(world: &World, person: &Person) -> PathBuf {
    world.daemon.path(&format!("phone-{}", person.name))
}

pub fn keystore(world: &World, person: &Person) -> Arc<SoftwareKeyStore> {
    Arc::new(SoftwareKeyStore::open(folder(world, person).join("keys"), "test/1").unwrap())
}

/// A copy of everything that lies on a phone.
pub fn stolen_image(world: &World, person: &Person) -> Person {
    let name = format!("{}-image-{}", person.name, crate::world::jti());
    let copy = world.daemon.path(&format!("phone-{name}"));
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([folder(world, person), copy.clone()])
        .status();
    assert!(copied.unwrap().success());
    let keys = Arc::new(SoftwareKeyStore::open(copy.join("keys"), "test/1").unwrap());
    let phone = Phone::open(&copy, keys).unwrap().unwrap();
    Person { phone, name }
}

pub fn blind(pin: &str) -> (BlindState, BlindedElement) {
    oprf::blind(&Pin::enter(pin).unwrap(), &mut OsRng).unwrap()
}

/// One blinded guess; the evaluation statement once it was charged.
pub async fn guess(world: &World, person: &Person, id: ChallengeId, pin: &str) -> Result<String, Error> {
    let prover = person.phone.prover().unwrap();
    protocol::request_evaluation(&world.server, &prover, id, &blind(pin).1).await
}

/// One evaluation under which the right PIN opens the approval key.
pub async fn unlock(world: &World, person: &Person, asked: &Asked) -> (SoftwareKey, Evaluation) {
    let (state, element) = blind(PIN);
    let prover = person.phone.prover().unwrap();
    let compact = protocol::request_evaluation(&world.server, &prover, asked.id(), &element).await;
    let evaluation: Evaluation = serde_json::from_value(Parts::of(&compact.unwrap()).claims).unwrap();
    let (record, keys) = (person.phone.record(), keystore(world, person));
    let key = protocol::open_approval_key(&record, &*keys, state, &evaluation).unwrap();
    (key, evaluation)
}

pub fn approval(asked: &Asked, unlocked: &(SoftwareKey, Evaluation), code: &str) -> String {
    let issuer = crate::daemon::ISSUER.to_owned();
    let (key, evaluation) = unlocked;
    protocol::approval_statement(issuer, key, asked.shown.sha256(), code, evaluation).unwrap()
}

pub async fn send(
    world: &World,
    person: &Person,
    id: ChallengeId,
    approval: &str,
) -> Result<v1::Outcome, Error> {
    let prover = person.phone.prover().unwrap();
    protocol::send_approval(&world.server, &prover, id, approval).await
}

/// Approves as a person does.
pub async fn approve(
    world: &World,
    person: &Person,
    asked: &Asked,
) -> Result<paraphe_companion::Receipt, Error> {
    let code = Some(asked.reply.match_code.as_str());
    person
        .phone
        .approve(&world.server, &asked.shown, code, PIN, &mut OsRng)
        .await
}

#[track_caller]
pub fn code_of<T>(reply: Result<T, Error>) -> String {
    match reply {
        Ok(_) => panic!("this call must be refused"),
        Err(error) => error.code().to_owned(),
    }
}

/// A compact JWS taken apart.
#[derive(Clone, Debug)]
pub struct Parts {
    pub header: Value,
    pub claims: Value,
    pub signature: Vec<u8>,
}

impl Parts {
    pub fn of(compact: &str) -> Self {
        let parts: Vec<&str> = compact.split('.').collect();
        let json = |part: &str| serde_json::from_slice(&from_base64url(part).unwrap()).unwrap();
        Self {
            header: json(parts[0]),
            claims: json(parts[1]),
            signature: from_base64url(parts[2]).unwrap(),
        }
    }

    pub fn signed_text(&self) -> String {
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    /// With the signature as it is.
    pub fn compact(&self) -> String {
        format!("{}.{}", self.signed_text(), base64url(&self.signature))
    }

    /// Signed anew; the header stays what it is.
    pub fn sign(mut self, key: &dyn Signer) -> String {
        self.signature = key.sign(self.signed_text().as_bytes()).unwrap().to_vec();
        self.compact()
    }

    pub fn with_header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    pub fn with_claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    pub fn with_signature(mut self, signature: Vec<u8>) -> Self {
        self.signature = signature;
        self
    }
}
