//! Real confirmations, made by the daemon's own use cases as a backend and a phone would: their statements have the true length.

use std::collections::BTreeMap;

use paraphe_proto::encoding::B64;
use paraphe_proto::jws;
use paraphe_proto::keys::Signer;
use paraphe_proto::oprf::blind;
use paraphe_proto::pin::Pin;
use paraphe_proto::statements::{Approval, ApprovalDecision};
use paraphe_server::app::Scope;
use paraphe_server::app::answer::{Signed, answer};
use paraphe_server::app::enrolment::Statement;
use paraphe_server::app::request::{RequestCommand, request};
use paraphe_server::app::unlock::{UnlockCommand, unlock};
use paraphe_server::domain::catalogue::ParameterValue;
use paraphe_server::domain::challenge::Challenge;
use paraphe_server::domain::device::{ProvenPhone, Seen};
use paraphe_server::domain::digest::sha256;
use paraphe_server::domain::fault::Fault;
use paraphe_server::domain::relying_party::RelyingParty;
use rand_core::OsRng;

use super::store::Store;
use crate::Result;
use crate::phones::{EPOCH, Phone};

/// Purchases with titles from short to long.
const TITLES: [&str; 4] = [
    "TIG welding",
    "Rust for services",
    "Assistante de vie aux familles, titre professionnel",
    "Conduite d'engins de chantier : CACES R482 catégories A, B1, C1 et F, théorie et pratique",
];
const COUNT: u64 = 64;

/// Confirms some purchases on one phone.
///
/// # Errors
/// Those of the use cases.
pub fn confirm(store: &Store, party: &RelyingParty, phone: &Phone) -> Result<Vec<Challenge>> {
    let one = |index| {
        let (party, phone) = (party.clone(), phone.clone());
        store.write(move |s| purchase(s, &party, &phone, index))
    };
    (0..COUNT).map(one).collect()
}

fn purchase(
    s: &mut Scope<'_, '_>,
    party: &RelyingParty,
    phone: &Phone,
    index: u64,
) -> std::result::Result<Challenge, Fault> {
    let cmd = RequestCommand {
        relying_party: party.clone(),
        idempotency_key: format!("template-{index}"),
        subject: phone.subject,
        action: "course.buy".to_owned(),
        parameters: parameters(index),
        locale: if index.is_multiple_of(2) { "fr" } else { "en" }.to_owned(),
        lifetime_s: None,
        match_code: None,
        content: sha256(index.to_be_bytes()),
    };
    let asked = request(s, &cmd)?;
    let pin = Pin::enter("739145").map_err(Fault::internal)?;
    let (_, element) = blind(&pin, &mut OsRng).map_err(Fault::internal)?;
    let proven = ProvenPhone {
        device_id: phone.device_id,
        epoch: EPOCH,
        seen: Seen::default(),
    };
    let cmd = UnlockCommand {
        phone: proven,
        challenge_id: asked.id,
        element: element.sha256(),
    };
    let unlocked = unlock(s, &cmd)?;
    let approval = Approval {
        iss: s.facts.issuer().to_owned(),
        challenge_sha256: B64(sha256(&asked.statement)),
        decision: ApprovalDecision::Approve,
        match_code: asked.match_code.clone().unwrap_or_default(),
        device_id: phone.device_id,
        epoch: EPOCH,
        evaluation: unlocked.number,
        element_sha256: B64(element.sha256()),
    };
    let signed = jws::sign(&approval, &*phone.approval).map_err(Fault::internal)?;
    let key = phone.approval.public_key();
    let verified = jws::verify(signed.compact(), key, s.facts.issuer()).map_err(Fault::internal)?;
    let signed = Signed {
        approval: verified,
        enrolment: Statement::Absent,
    };
    let answered = answer(s, &proven, asked.id, &signed)?;
    Ok(Challenge::clone(&answered.challenge))
}

fn parameters(index: u64) -> BTreeMap<String, ParameterValue> {
    let text = |text: &str| ParameterValue::Text(text.to_owned());
    let title = TITLES[usize::try_from(index).unwrap_or(0) % TITLES.len()];
    let price = ParameterValue::Money {
        minor_units: 49_900 + i64::try_from(index).unwrap_or(0) * 1_000,
        currency: "EUR".to_owned(),
    };
    BTreeMap::from([
        ("title".to_owned(), text(title)),
        ("provider".to_owned(), text("GRETA Lyon Métropole")),
        ("price".to_owned(), price),
        (
            "session".to_owned(),
            ParameterValue::Date("2027-01-11".to_owned()),
        ),
        ("reference".to_owned(), text(&format!("CF-2027-{index:04}"))),
    ])
}
