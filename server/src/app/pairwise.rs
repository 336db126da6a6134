//! Finding people: pairwise subjects and keyed hashes of identities (protocol.md section 2).

use paraphe_proto::ids::{PairwiseSubject, SubjectId};

use super::Scope;
use crate::domain::fault::{self, Result};
use crate::domain::identity::PivotIdentity;
use crate::domain::relying_party::RelyingParty;
use crate::domain::subject::{Pairwise, Subject};
use crate::store::record::Stored;
use crate::store::subject;

/// How a relying party names a person.
#[derive(Clone)]
pub enum Person {
    /// By the pairwise subject it was given.
    Subject(PairwiseSubject),
    /// By civil identity, where it may.
    Identity(PivotIdentity),
}

/// The person that a relying party means; `None` when nobody of that identity is enrolled.
///
/// # Errors
/// `subject.not_found` alike for unknown subjects and for those of another relying party; `identity.not_allowed`;
/// `subject.ambiguous`.
pub fn find(
    s: &mut Scope<'_, '_>,
    relying_party: &RelyingParty,
    person: &Person,
) -> Result<Option<Stored<Subject>>> {
    match person {
        Person::Subject(name) => {
            let Some(pairwise) = subject::pairwise(&mut s.rows, &relying_party.id, name)? else {
                return fault::SUBJECT_NOT_FOUND.broken();
            };
            Ok(subject::load(&mut s.rows, pairwise.subject_id)?)
        }
        Person::Identity(identity) => {
            if !relying_party.may_identify {
                return fault::IDENTIFY_FORBIDDEN.broken();
            }
            let mut found = of_identity(s, identity)?;
            if found.len() > 1 {
                return fault::SUBJECT_AMBIGUOUS.broken();
            }
            Ok(found.pop())
        }
    }
}

/// All people of this name and birth date, wherever they were born.
///
/// # Errors
/// Those of the store.
pub fn namesakes(s: &mut Scope<'_, '_>, identity: &PivotIdentity) -> Result<Vec<Stored<Subject>>> {
    let lookup = s.facts.keys.lookup_hash(&identity.lookup_text());
    Ok(subject::by_lookup(&mut s.rows, &lookup)?)
}

/// The people of this name and birth date: those of the same birthplace if there are any, else those whose birthplace is not known.
///
/// # Errors
/// Those of the store.
pub fn of_identity(s: &mut Scope<'_, '_>, identity: &PivotIdentity) -> Result<Vec<Stored<Subject>>> {
    let mut found = namesakes(s, identity)?;
    let birthplace_of = |person: &Stored<Subject>| {
        let known = person.identity.as_ref().map(|known| known.birthplace.clone());
        known.filter(|birthplace| !birthplace.is_empty())
    };
    if let Some(asked) = identity.birthplace() {
        found.retain(|person| birthplace_of(person).is_none_or(|known| known == asked));
        if found.iter().any(|person| birthplace_of(person).is_some()) {
            found.retain(|person| birthplace_of(person).is_some());
        }
    }
    Ok(found)
}

/// The subject's name at a relying party; noted, so that the relying party can use it.
///
/// # Errors
/// Those of the store.
pub fn name_at(
    s: &mut Scope<'_, '_>,
    relying_party_id: &str,
    subject_id: SubjectId,
) -> Result<PairwiseSubject> {
    let name = s.facts.keys.pairwise_subject(relying_party_id, &subject_id);
    if subject::pairwise(&mut s.rows, relying_party_id, &name)?.is_none() {
        let pairwise = Pairwise {
            relying_party_id: relying_party_id.to_owned(),
            subject: name,
            subject_id,
        };
        s.rows.insert(&pairwise)?;
    }
    Ok(name)
}
