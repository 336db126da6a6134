//! Writes the seeds of every target into corpus/: real values, one a file. `tests/fuzz/run` calls it where a corpus is missing.

mod statements;

use std::fs;
use std::path::{Path, PathBuf};

use paraphe_fuzz::ISS;
use paraphe_fuzz::statements::key;
use paraphe_proto::activation::{ActivationSecret, ActivationUri};
use paraphe_proto::encoding::base64url;
use paraphe_proto::ids::ChallengeId;
use paraphe_proto::keys::Signer;
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
    statements::write(&folder.join("statements"));
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
