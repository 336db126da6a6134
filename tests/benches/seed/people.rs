//! Enrolled people: subject, case, activation, device, name at the backend, and the audit entries of an enrolment.

use std::sync::Arc;

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, CaseId, DeviceId, OperatorId, PairwiseSubject, SubjectId};
use paraphe_proto::jws;
use paraphe_proto::keys::Signer;
use paraphe_proto::statements;
use paraphe_proto::time::Timestamp;
use paraphe_server::domain::activation::{self, Activation};
use paraphe_server::domain::attempts::Attempts;
use paraphe_server::domain::case::{self, Case, Evidence};
use paraphe_server::domain::device::{self, Device, KeyStorage};
use paraphe_server::domain::identity::PivotIdentity;
use paraphe_server::domain::level::Acr;
use paraphe_server::domain::secret::{Bytes, Secret};
use paraphe_server::domain::subject::{Pairwise, StoredIdentity, Subject};
use paraphe_server::store::audit::Entry;
use rand_core::{OsRng, RngCore};
use serde_bytes::ByteBuf;

use super::BACKEND;
use super::store::Store;
use crate::Result;
use crate::phones::{EPOCH, Identity, Phone};

/// People whose rows share a transaction.
const BATCH: u64 = 1_000;
/// What an enrolment leaves in the audit trail.
const ENROLMENT: [&str; 6] = [
    "open_case",
    "record_evidence",
    "issue_activation",
    "begin_activation",
    "finish_activation",
    "confirm_activation",
];
/// Everybody was enrolled a year ago, spread over a month.
const ENROLLED_AGO_S: i64 = 400 * 86_400;
const MONTH_S: i64 = 30 * 86_400;

/// All people of a database.
pub struct People {
    count: u64,
    clerk: OperatorId,
    enrolled_from: Timestamp,
}

/// Somebody's name on their document.
pub struct Name {
    family_name: String,
    given_names: String,
    birth_date: String,
}

impl Name {
    /// As phones.jsonl has it.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            family_name: &self.family_name,
            given_names: &self.given_names,
            birth_date: &self.birth_date,
        }
    }
}

struct Person {
    subject_id: SubjectId,
    phone: Phone,
    name: Name,
    at: Timestamp,
}

impl People {
    /// So many, none of them stored yet.
    pub fn new(store: &Store, count: u64) -> Self {
        Self {
            count,
            clerk: OperatorId::random(&mut OsRng),
            enrolled_from: store.now.plus_s(-ENROLLED_AGO_S),
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The person's id: the same for every call.
    pub fn subject_id(&self, index: u64) -> SubjectId {
        SubjectId::from_bytes(self.fixed(index, 0x5b))
    }

    /// Their phone's.
    pub fn device_id(&self, index: u64) -> DeviceId {
        DeviceId::from_bytes(self.fixed(index, 0xde))
    }

    /// Spread evenly, and the same for every call.
    fn fixed(&self, index: u64, kind: u8) -> [u8; 16] {
        let mut bytes = [kind; 16];
        let place = u64::MAX / self.count.max(1) * index;
        bytes[..8].copy_from_slice(&place.to_be_bytes());
        bytes[8..].copy_from_slice(&index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        bytes[15] ^= kind;
        bytes
    }

    /// Family name of letters that no two people share.
    pub fn name(&self, index: u64) -> Name {
        let mut letters = String::from("TESTE");
        let mut rest = index;
        for _ in 0..5 {
            let letter = u8::try_from(rest % 20).unwrap_or(0);
            letters.push(char::from(b"BCDFGHJKLMNPQRSTVWXZ"[usize::from(letter)]));
            rest /= 20;
        }
        Name {
            family_name: letters,
            given_names: "ANNA MARIA".to_owned(),
            birth_date: format!(
                "19{:02}-{:02}-{:02}",
                30 + index % 70,
                1 + index % 12,
                1 + index % 28
            ),
        }
    }

    /// Stores all of them; the first `real` phones have keys, the others share theirs.
    ///
    /// # Errors
    /// Those of the store.
    pub fn enrol(&self, store: &Store, real: u64) -> Result<Vec<Phone>> {
        let mut handsets = Vec::new();
        let mut shared = None;
        for first in (0..self.count).step_by(usize::try_from(BATCH)?) {
            let mut batch = Vec::new();
            for index in first..self.count.min(first + BATCH) {
                let person = self.person(store, index, shared.as_ref().filter(|_| index >= real))?;
                if index < real {
                    handsets.push(person.phone.clone());
                }
                shared.get_or_insert_with(|| person.phone.clone());
                batch.push(person);
            }
            self.store_batch(store, &batch)?;
        }
        Ok(handsets)
    }

    fn person(&self, store: &Store, index: u64, keys_of: Option<&Phone>) -> Result<Person> {
        let subject_id = self.subject_id(index);
        let device_id = self.device_id(index);
        let subject = store.facts.keys.pairwise_subject(BACKEND, &subject_id);
        let phone = match keys_of {
            Some(other) => borrowed(other, device_id, subject),
            None => Phone::new(device_id, subject)?,
        };
        let within = MONTH_S * i64::try_from(index)? / i64::try_from(self.count)?.max(1);
        Ok(Person {
            subject_id,
            phone,
            name: self.name(index),
            at: self.enrolled_from.plus_s(within),
        })
    }

    fn store_batch(&self, store: &Store, people: &[Person]) -> Result<()> {
        let statement = activation_statement(store, &people[0].phone)?;
        let (mut subjects, mut cases, mut activations) = (Vec::new(), Vec::new(), Vec::new());
        let (mut devices, mut names, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        let count = u64::try_from(people.len() * ENROLMENT.len())?;
        let mut number = store.audit_numbers(count);
        for person in people {
            let (case_id, activation_id) = (CaseId::random(&mut OsRng), ActivationId::random(&mut OsRng));
            subjects.push(subject(store, person)?);
            cases.push(self.case(person, case_id));
            activations.push(self.activation(person, case_id, activation_id));
            devices.push(device(person, &statement));
            names.push(Pairwise {
                relying_party_id: BACKEND.to_owned(),
                subject: person.phone.subject,
                subject_id: person.subject_id,
            });
            for verb in ENROLMENT {
                entries.push(Entry {
                    number,
                    at: person.at,
                    actor: self.clerk.to_string(),
                    verb: verb.to_owned(),
                    target: activation_id.to_string(),
                    outcome: "ok".to_owned(),
                });
                number += 1;
            }
        }
        store.insert(Arc::new(subjects))?;
        store.insert(Arc::new(cases))?;
        store.insert(Arc::new(activations))?;
        store.insert(Arc::new(devices))?;
        store.insert(Arc::new(names))?;
        store.insert(Arc::new(entries))
    }

    fn case(&self, person: &Person, id: CaseId) -> Case {
        let evidence = Evidence {
            format: "TD3".to_owned(),
            code: "P".to_owned(),
            issuing_state: "UTO".to_owned(),
            number: "L898902C3".to_owned(),
            family_name: person.name.family_name.clone(),
            given_names: person.name.given_names.clone(),
            birth_date: person.name.birth_date.clone(),
            sex: "F".to_owned(),
            nationality: "UTO".to_owned(),
            expiry_date: "2035-04-15".to_owned(),
            birthplace: String::new(),
            checks: vec!["document_genuine".to_owned(), "holder_likeness".to_owned()],
            recorded_at: person.at,
        };
        Case {
            id,
            channel: "counter".to_owned(),
            opened_by: self.clerk,
            opened_at: person.at,
            two_people: false,
            state: case::State::Enrolled(evidence, person.subject_id),
        }
    }

    fn activation(&self, person: &Person, case_id: CaseId, id: ActivationId) -> Activation {
        Activation {
            id,
            subject_id: person.subject_id,
            case_id: Some(case_id),
            channel: "counter".to_owned(),
            issued_by: self.clerk.to_string(),
            expires_at: person.at.plus_s(600),
            mac_key: Secret::new(random()),
            wrong_digits: 0,
            state: activation::State::Confirmed {
                device_id: person.phone.device_id,
                possession_key: Bytes(*person.phone.possession.public_key().as_sec1()),
                sas_nonce: Secret::new(random()),
                finished: Bytes(random()),
            },
        }
    }
}

fn borrowed(other: &Phone, device_id: DeviceId, subject: PairwiseSubject) -> Phone {
    Phone {
        device_id,
        subject,
        possession: Arc::clone(&other.possession),
        approval: Arc::clone(&other.approval),
        oprf: other.oprf,
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

fn subject(store: &Store, person: &Person) -> Result<Subject> {
    let name = &person.name;
    let pivot = PivotIdentity::parse(&name.family_name, &name.given_names, &name.birth_date, "")?;
    let lookup = store.facts.keys.lookup_hash(&pivot.lookup_text());
    Ok(Subject {
        id: person.subject_id,
        lookup: Some(ByteBuf::from(lookup.to_vec())),
        identity: Some(StoredIdentity {
            family_name: name.family_name.clone(),
            given_names: name.given_names.clone(),
            birth_date: name.birth_date.clone(),
            birthplace: String::new(),
            document: "UTO L898902C3".to_owned(),
        }),
        frozen_at: None,
        created_at: person.at,
    })
}

fn device(person: &Person, activation: &str) -> Device {
    let phone = &person.phone;
    Device {
        id: phone.device_id,
        subject_id: person.subject_id,
        state: device::State::Active,
        epoch: EPOCH,
        acr: Acr::Eidas2,
        key_storage: KeyStorage::Unattested,
        possession_key: Bytes(*phone.possession.public_key().as_sec1()),
        approval_key: Bytes(*phone.approval.public_key().as_sec1()),
        oprf_key: Some(Secret::new(phone.oprf)),
        attempts: Attempts::default(),
        wrong_codes: 0,
        activation: activation.to_owned(),
        created_at: person.at,
        rollback_noticed: false,
        due_at: None,
    }
}

/// Signed anew for every batch; its length is what counts.
fn activation_statement(store: &Store, phone: &Phone) -> Result<String> {
    let iss = store.facts.issuer().to_owned();
    let inner = statements::ActivationKey {
        iss: iss.clone(),
        activation_id: ActivationId::random(&mut OsRng),
        device_id: phone.device_id,
        nonce: B64(random()),
        offer_sha256: B64(random()),
        platform: "software/1".to_owned(),
        keystore: statements::Keystore::Software,
        possession_key: phone.possession.public_key().clone(),
        approval_key: phone.approval.public_key().clone(),
        attestation: None,
    };
    let inner = jws::sign(&inner, &*phone.approval)?.into_compact();
    let outer = statements::Activation { iss, inner };
    Ok(jws::sign(&outer, &*phone.possession)?.into_compact())
}
