//! The rows of one enrolled person, as the use cases leave them. The statements in them have the true length and repeat.

use paraphe_proto::encoding::B64;
use paraphe_proto::ids::{ActivationId, CaseId, ChallengeId, OperatorId};
use paraphe_proto::jws;
use paraphe_proto::keys::Signer;
use paraphe_proto::statements;
use paraphe_server::domain::activation::{self, Activation, Signature};
use paraphe_server::domain::attempts::Attempts;
use paraphe_server::domain::case::{self, Case, Evidence};
use paraphe_server::domain::device::{self, Device, KeyStorage};
use paraphe_server::domain::identity::PivotIdentity;
use paraphe_server::domain::level::Acr;
use paraphe_server::domain::secret::{Bytes, Secret};
use paraphe_server::domain::subject::{StoredIdentity, Subject};
use rand_core::{OsRng, RngCore};
use serde_bytes::ByteBuf;

use super::people::Person;
use super::store::Store;
use crate::Result;
use crate::phones::{EPOCH, Phone};

/// What a phone and a clerk sign at an enrolment.
pub struct Statements {
    activation: String,
    enrolment: String,
}

impl Statements {
    /// Signs both.
    ///
    /// # Errors
    /// When a key does not sign.
    pub fn sign(store: &Store, phone: &Phone) -> Result<Self> {
        let iss = store.facts.issuer().to_owned();
        let activation_id = ActivationId::random(&mut OsRng);
        let inner = statements::ActivationKey {
            iss: iss.clone(),
            activation_id,
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
        let outer = statements::Activation {
            iss: iss.clone(),
            inner,
        };
        let enrolment = statements::Enrolment {
            iss,
            challenge_sha256: B64(random()),
            device_id: phone.device_id,
            epoch: EPOCH,
            evaluation: 1,
            enrolled: statements::Enrolled {
                operator_id: OperatorId::random(&mut OsRng),
                activation_id,
                person_sha256: B64(random()),
                evidence_sha256: B64(random()),
                channel: "counter".to_owned(),
                acr: "eidas2".to_owned(),
            },
        };
        Ok(Self {
            activation: jws::sign(&outer, &*phone.possession)?.into_compact(),
            enrolment: jws::sign(&enrolment, &*phone.approval)?.into_compact(),
        })
    }
}

/// The person, found by name and birth date.
///
/// # Errors
/// When the name cannot be one.
pub fn subject(store: &Store, person: &Person) -> Result<Subject> {
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

/// The enrolment file.
pub fn case(person: &Person, clerk: OperatorId, id: CaseId) -> Case {
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
        proofed: None,
        previous_document: String::new(),
        another_person: false,
    };
    Case {
        id,
        channel: "counter".to_owned(),
        opened_by: clerk,
        opened_at: person.at,
        two_people: false,
        state: case::State::Enrolled(evidence, person.subject_id),
    }
}

/// The activation, signed by the clerk and confirmed.
pub fn activation(
    person: &Person,
    clerk: OperatorId,
    case_id: CaseId,
    id: ActivationId,
    signed: &Statements,
) -> Activation {
    Activation {
        id,
        subject_id: person.subject_id,
        case_id: Some(case_id),
        channel: "counter".to_owned(),
        issued_by: clerk.to_string(),
        issuer_phones: 0,
        expires_at: person.at.plus_s(600),
        mac_key: Secret::new(random()),
        wrong_digits: 0,
        vouched_by: None,
        replaced: None,
        acr: Some(Acr::Eidas2),
        replaces: false,
        suspension: None,
        signature: Some(Signature {
            challenge_id: ChallengeId::random(&mut OsRng),
            salt: Bytes(random()),
            statement: Some(signed.enrolment.clone()),
        }),
        state: activation::State::Confirmed {
            device_id: person.phone.device_id,
            possession_key: Bytes(*person.phone.possession.public_key().as_sec1()),
            sas_nonce: Secret::new(random()),
            finished: Bytes(random()),
        },
    }
}

/// The active phone.
pub fn device(person: &Person, activation_id: ActivationId, signed: &Statements) -> Device {
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
        activation: signed.activation.clone(),
        activation_id: Some(activation_id),
        created_at: person.at,
        valid_until: None,
        suspension: None,
        replaces: None,
        rollback_noticed: false,
        pin_change: None,
        vouched_by: None,
        suspension_of: None,
        newest_event: 0,
        approved_at: None,
        due_at: None,
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.fill_bytes(&mut bytes);
    bytes
}
