//! Writes the seeds of every target into corpus/: real values, one a file. `tests/fuzz/run` calls it where a corpus is missing.

use std::fs;
use std::path::{Path, PathBuf};

use paraphe_fuzz::ISS;
use paraphe_fuzz::statements::key;
use paraphe_proto::activation::{ActivationSecret, ActivationUri};
use paraphe_proto::encoding::{B64, base64url};
use paraphe_proto::ids::{ActivationId, ChallengeId, DeviceId};
use paraphe_proto::jws::{self, Statement};
use paraphe_proto::keys::Signer;
use paraphe_proto::statements as s;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1;
use prost::Message;

const ZONES: [&str; 4] = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10",
    "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6",
    "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<",
    "I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<",
];

const CODE: &str = "000G-40R4-0M30-E209-185G-R38E-1W0H";

fn main() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    mrz(&folder.join("mrz"));
    activation(&folder.join("activation"));
    deployed(&folder);
    statements(&folder.join("statements"));
    messages(&folder.join("messages"));
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    fs::create_dir_all(folder).expect("corpus/ can be made");
    fs::write(folder.join(name), bytes).expect("corpus/ can be written");
}

fn mrz(folder: &Path) {
    for (number, zone) in ZONES.iter().enumerate() {
        write(folder, &format!("icao-{number}"), zone.as_bytes());
    }
}

fn activation(folder: &Path) {
    write(folder, "code", CODE.as_bytes());
    let uri = ActivationUri {
        secret: ActivationSecret::from_code(CODE).ok().expect("a code"),
        issuer: ISS.into(),
        root_key: key().public_key().clone(),
    };
    write(folder, "qr", uri.to_text().as_bytes());
}

fn deployed(folder: &Path) {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for (target, file) in [("config", "paraphed.toml"), ("catalogue", "actions.toml")] {
        let text = fs::read(deploy.join(file)).expect("deploy/ is there");
        write(&folder.join(target), file, &text);
    }
}

/// The tags are those of `statements::run`.
fn statements(folder: &Path) {
    let (iss, device_id, epoch) = (ISS.to_owned(), DeviceId::from_bytes([1; 16]), 1);
    let (challenge_id, now) = (
        ChallengeId::from_bytes([2; 16]),
        Timestamp::from_secs(1_790_000_000),
    );
    let activation_id = ActivationId::from_bytes([3; 16]);
    let proof = s::Proof {
        iss: iss.clone(),
        method: "/paraphe.v1.Companion/Unlock".into(),
        device_id,
        epoch,
        body_sha256: B64([5; 32]),
        freshness: s::Freshness::Challenge(challenge_id),
        seen_evaluation: 7,
        seen_restore_epoch: 0,
    };
    statement(folder, 1, &proof);
    let approval = s::Approval {
        iss: iss.clone(),
        challenge_sha256: B64([6; 32]),
        decision: s::ApprovalDecision::Approve,
        match_code: "482913".into(),
        device_id,
        epoch,
        evaluation: 8,
        element_sha256: B64([7; 32]),
    };
    statement(folder, 2, &approval);
    let refusal = s::Refusal {
        iss: iss.clone(),
        challenge_sha256: B64([6; 32]),
        decision: s::RefusalDecision::NotMe,
        device_id,
        epoch,
    };
    statement(folder, 3, &refusal);
    let offer = s::Offer {
        iss,
        activation_id,
        device_id,
        nonce: B64([8; 32]),
        pin_policy: paraphe_proto::pin::PinPolicy::default(),
        sas_commitment: B64([9; 32]),
        keyset_version: 1,
        iat: now,
        exp: now.plus_s(600),
    };
    statement(folder, 5, &offer);
    let challenge = s::Challenge {
        iss: ISS.into(),
        challenge_id,
        device_handle: B64([10; 32]),
        relying_party: s::RelyingParty {
            id: "course-market".parse().expect("an id"),
            name: "Course Market".into(),
        },
        action: "course.buy".into(),
        display: s::Display {
            locale: "fr".into(),
            title: "Acheter une formation".into(),
            rows: vec![s::DisplayRow {
                label: "Prix".into(),
                value: "1 499,00 EUR".into(),
            }],
        },
        match_rule: s::MatchRule {
            mode: s::MatchMode::EnterCode,
            digits: 6,
        },
        enrolment: None,
        nonce: B64([4; 32]),
        iat: now,
        exp: now.plus_s(300),
    };
    statement(folder, 0, &challenge);
}

/// The signed text, and its payload alone.
fn statement<S: Statement>(folder: &Path, tag: u8, claims: &S) {
    let signed = jws::sign(claims, key()).expect("it is signed");
    let text = [&[tag, 0], signed.compact().as_bytes()].concat();
    write(folder, &format!("{tag:02}-text"), &text);
    let payload = serde_json::to_vec(claims).expect("claims are JSON");
    write(
        folder,
        &format!("{tag:02}-payload"),
        &[&[tag, 1], payload.as_slice()].concat(),
    );
}

/// The tags are those of `messages::run`.
fn messages(folder: &Path) {
    let challenge_id = ChallengeId::from_bytes([2; 16]).to_string();
    let message =
        |tag: u8, bytes: Vec<u8>| write(folder, &format!("{tag:02}"), &[&[tag], bytes.as_slice()].concat());
    let identity = v1::PivotIdentity {
        family_name: "Eriksson".into(),
        given_names: "Anna Maria".into(),
        birth_date: "1974-08-12".into(),
        birthplace: "99100".into(),
        ..Default::default()
    };
    let person = Some(v1::check_request::Person::Identity(identity));
    let check = v1::CheckRequest {
        person,
        action: "course.buy".into(),
        ..Default::default()
    };
    message(0, check.encode_to_vec());
    let request = v1::RequestRequest {
        idempotency_key: base64url(&[1; 16]),
        action: "course.buy".into(),
        locale: "fr".into(),
        parameters: [("price".to_owned(), price())].into(),
        ..Default::default()
    };
    message(1, request.encode_to_vec());
    let unlock = v1::UnlockBody {
        challenge_id: challenge_id.clone(),
        blinded_element: key().public_key().compressed().to_vec(),
    };
    message(14, unlock.encode_to_vec());
    message(
        5,
        v1::SignedRequest {
            body: unlock.encode_to_vec(),
            proof: "a.b.c".into(),
        }
        .encode_to_vec(),
    );
    message(
        15,
        v1::AnswerBody {
            challenge_id,
            approval: "a.b.c".into(),
            ..Default::default()
        }
        .encode_to_vec(),
    );
    let evidence = v1::RecordEvidenceRequest {
        case_id: "cas_aebagbafaydqqcikbmga2dqpca".into(),
        mrz: ZONES[0].into(),
        checks: vec![1, 2],
        accepted: true,
        ..Default::default()
    };
    message(20, evidence.encode_to_vec());
    let account = v1::CreateServiceAccountRequest {
        name: "desk".into(),
        roles: vec![1],
        public_jwk: serde_json::to_string(&key().public_key().to_jwk()).expect("a JWK is JSON"),
    };
    message(31, account.encode_to_vec());
}

fn price() -> v1::ParameterValue {
    let money = v1::Money {
        minor_units: 149_900,
        currency: "EUR".into(),
    };
    v1::ParameterValue {
        kind: Some(v1::parameter_value::Kind::Money(money)),
    }
}
