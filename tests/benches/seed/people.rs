//! Enrolled people: subject, case, activation, device, name at the backend, and the audit entries of an enrolment.

use std::sync::Arc;

use paraphe_proto::ids::{ActivationId, CaseId, DeviceId, OperatorId, PairwiseSubject, SubjectId};
use paraphe_proto::time::Timestamp;
use paraphe_server::domain::subject::Pairwise;
use paraphe_server::store::audit::Entry;
use rand_core::OsRng;

use super::BACKEND;
use super::records::{self, Statements};
use super::store::Store;
use crate::Result;
use crate::phones::{Identity, Phone};

/// People whose rows share a transaction.
const BATCH: u64 = 1_000;
/// What an enrolment leaves in the audit trail.
const ENROLMENT: [&str; 7] = [
    "open_case",
    "record_evidence",
    "issue_activation",
    "sign_enrolment",
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
    /// As on the document.
    pub family_name: String,
    /// As on the document.
    pub given_names: String,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
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

/// Somebody, before their rows are made.
pub struct Person {
    /// Their id.
    pub subject_id: SubjectId,
    /// Their phone.
    pub phone: Phone,
    /// Their name.
    pub name: Name,
    /// When they were enrolled.
    pub at: Timestamp,
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
        let statements = Statements::sign(store, &people[0].phone)?;
        let (mut subjects, mut cases, mut activations) = (Vec::new(), Vec::new(), Vec::new());
        let (mut devices, mut names, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        let count = u64::try_from(people.len() * ENROLMENT.len())?;
        let mut number = store.audit_numbers(count);
        for person in people {
            let (case_id, activation_id) = (CaseId::random(&mut OsRng), ActivationId::random(&mut OsRng));
            subjects.push(records::subject(store, person)?);
            cases.push(records::case(person, self.clerk, case_id));
            activations.push(records::activation(
                person,
                self.clerk,
                case_id,
                activation_id,
                &statements,
            ));
            devices.push(records::device(person, activation_id, &statements));
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
