//! Purchases as a marketplace asks for them, with statements that were really signed.

use std::sync::LazyLock;

use paraphe_proto::challenge::device_handle;
use paraphe_proto::encoding::{B64, base64url};
use paraphe_proto::ids::{ChallengeId, DeviceId, PairwiseSubject, SubjectId};
use paraphe_proto::jws::{self, Statement};
use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::statements;
use paraphe_proto::time::Timestamp;
use rand_core::RngCore;

use crate::domain::challenge::{Challenge, State};
use crate::domain::digest::sha256;
use crate::domain::secret::Bytes;

const COURSES: [(&str, &str, &str); 4] = [
    ("Soudure TIG, niveau 2", "GRETA Lyon Métropole", "1 499,00 €"),
    (
        "Anglais professionnel, préparation au TOEIC",
        "CCI Formation Gironde",
        "890,00 €",
    ),
    (
        "Permis de conduire, catégorie B",
        "Auto-école des Quatre Vents",
        "1 250,00 €",
    ),
    ("Bilan de compétences", "Cabinet Horizon", "1 980,00 €"),
];

static KEYS: LazyLock<[SoftwareKey; 2]> =
    LazyLock::new(|| [(); 2].map(|()| SoftwareKey::generate(&mut crate::entropy::system()).unwrap()));

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    crate::entropy::system().fill_bytes(&mut bytes);
    bytes
}

fn signed(statement: &impl Statement, key: &SoftwareKey) -> String {
    jws::sign(statement, key).unwrap().compact().to_owned()
}

fn display([title, provider, price, reference]: [&str; 4]) -> statements::Display {
    let row = |label: &str, value: &str| statements::DisplayRow {
        label: label.into(),
        value: value.into(),
    };
    statements::Display {
        locale: "fr".into(),
        title: "Acheter une formation".into(),
        rows: vec![
            row("Formation", title),
            row("Organisme", provider),
            row("Prix", price),
            row("Début de la session", "11 janvier 2027"),
            row("Référence", reference),
        ],
    }
}

/// The purchase number `n`, approved, with ids, nonces, digests and keys that differ from those of every other.
pub(in crate::store) fn purchase(n: i64) -> Challenge {
    let now = Timestamp::from_secs(1_795_000_000 + n * 7);
    let (title, provider, price) = COURSES[usize::try_from(n).unwrap() % COURSES.len()];
    let (reference, session) = (format!("CM-{}", 50_210_034 + n), "2027-01-11");
    let (id, device_id) = (ChallengeId::from_bytes(random()), DeviceId::from_bytes(random()));
    let display = display([title, provider, price, &reference]);
    let parameters = serde_json::json!({
        "price": { "currency": "EUR", "minor_units": 149_900 }, "provider": provider,
        "reference": reference, "session": session, "title": title,
    });
    let asked = statements::Challenge {
        iss: "https://confirmation.exemple.fr".into(),
        challenge_id: id,
        device_handle: B64(device_handle(&device_id, &id)),
        relying_party: statements::RelyingParty {
            id: "course-marketplace".parse().unwrap(),
            name: "La place des formations".into(),
        },
        action: "course.buy".into(),
        display: display.clone(),
        match_rule: statements::MatchRule {
            mode: statements::MatchMode::EnterCode,
            digits: 6,
        },
        enrolment: None,
        new_pin_policy: None,
        replacement: None,
        nonce: B64(random()),
        iat: now,
        exp: now.plus_s(300),
    };
    let statement = signed(&asked, &KEYS[0]);
    let mut challenge = Challenge {
        id,
        device_id,
        subject_id: SubjectId::from_bytes(random()),
        subject: PairwiseSubject::from_bytes(random()),
        relying_party_id: "course-marketplace".into(),
        idempotency_key: base64url(&random::<16>()),
        content: Bytes(random()),
        parameters: parameters.to_string(),
        match_code: Some(format!("{:06}", u32::from_le_bytes(random()) % 1_000_000)),
        statement,
        created_at: now,
        expires_at: now.plus_s(300),
        subject_number: 1 + u64::try_from(n % 50).unwrap(),
        verdict_number: Some(100_000 + u64::try_from(n).unwrap()),
        ..crate::domain::challenge::tests::pending()
    };
    challenge.state = approved(&challenge, display, parameters, now.plus_s(20));
    challenge
}

fn approved(
    challenge: &Challenge,
    display: statements::Display,
    parameters: serde_json::Value,
    at: Timestamp,
) -> State {
    let phone = SoftwareKey::generate(&mut crate::entropy::system()).unwrap();
    let challenge_sha256 = B64(sha256(&challenge.statement));
    let approval = statements::Approval {
        iss: "https://confirmation.exemple.fr".into(),
        challenge_sha256,
        decision: statements::ApprovalDecision::Approve,
        match_code: challenge.match_code.clone().unwrap(),
        device_id: challenge.device_id,
        epoch: 1,
        evaluation: 12,
        element_sha256: B64(random()),
    };
    let approval = signed(&approval, &phone);
    let assertion = statements::Assertion {
        iss: "https://confirmation.exemple.fr".into(),
        aud: challenge.relying_party_id.parse().unwrap(),
        sub: challenge.subject,
        jti: base64url(&random::<16>()),
        txn: challenge.id,
        acr: "eidas2".into(),
        amr: ["pin", "swk", "pop", "mfa"].map(str::to_owned).to_vec(),
        auth_time: at,
        iat: at,
        exp: at.plus_s(60),
        authorization_details: vec![statements::AuthorizationDetail {
            action: challenge.action.clone(),
            display_sha256: B64(display.sha256()),
            locale: display.locale,
            title: display.title,
            parameters: serde_json::from_value(parameters).unwrap(),
        }],
        challenge_sha256,
        approval_sha256: B64(sha256(&approval)),
    };
    State::Approved {
        at,
        approval,
        assertion: signed(&assertion, &KEYS[1]),
        assertion_expires_at: at.plus_s(60),
    }
}
