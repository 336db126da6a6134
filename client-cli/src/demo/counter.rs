//! Act 3: at the counter. From an identity document to a confirmed phone. Protocol: section 5.

use paraphe_proto::v1::{
    Check, IssueActivationRequest, IssueActivationResponse, OpenCaseRequest, RecordEvidenceRequest,
};

use super::handset::Handset;
use super::opening::House;
use super::profile::Folder;
use super::staff::{self, Operator};
use super::stage::{Stage, ensure};
use crate::error::{Error, Result};
use crate::output::CODE;
use crate::{qr, signature};

/// The specimen passport of ICAO Doc 9303 part 4: Anna Maria Eriksson of Utopia.
const PASSPORT: [&str; 2] = [
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
];

/// Plays the act: the person's phone, active.
///
/// # Errors
/// When anything is not as it should be.
pub async fn play(stage: &Stage, folder: &Folder, house: &House, clerk: &Operator) -> Result<Handset> {
    stage.act("Act 3: at the counter")?;
    let case_id = evidence(stage, house, clerk).await?;
    let issued = activation(stage, house, clerk, case_id).await?;

    stage.step("activate Anna Maria's phone")?;
    stage.say("Anna Maria scans the QR code and chooses a PIN. It never leaves her phone.")?;
    let (handset, activated) = Handset::activate(
        folder.path("phones/anna-maria"),
        "Anna Maria's phone",
        &issued.uri,
        &house.phones,
    )
    .await?;
    ensure(activated.confirmation_required, || {
        "the phone does not ask for six digits.".to_owned()
    })?;
    stage.fact("phone", handset.device_id())?;
    stage.picture(&handset.screen_with_digits(&activated.six_digits))?;
    staff::confirm(stage, house, clerk, &issued, &activated.six_digits).await?;
    Ok(handset)
}

async fn evidence(stage: &Stage, house: &House, clerk: &Operator) -> Result<String> {
    stage.step("open a case and record the passport")?;
    let mut enrolment = house.connection.enrolment(clerk.credentials.clone());
    let case = enrolment
        .open_case(OpenCaseRequest {
            channel: "counter".to_owned(),
        })
        .await?
        .into_inner();
    stage.fact("case", &*case.case_id)?;
    for line in PASSPORT {
        stage.say(line)?;
    }
    let request = RecordEvidenceRequest {
        case_id: case.case_id,
        mrz: PASSPORT.join("\n"),
        checks: vec![Check::DocumentGenuine.into(), Check::HolderLikeness.into()],
        accepted: true,
        ..Default::default()
    };
    let case = enrolment.record_evidence(request).await?.into_inner();
    ensure(case.state == "verified", || {
        format!("the case is {} after the evidence.", case.state)
    })?;
    let document = case
        .document
        .ok_or_else(|| Error::other("demo.reply", "the case holds no document."))?;
    stage.fact(
        "person",
        format!(
            "{} {}, born {}",
            document.given_names, document.family_name, document.birth_date
        ),
    )?;
    stage.good("check digits, document and likeness")?;
    Ok(case.case_id)
}

async fn activation(
    stage: &Stage,
    house: &House,
    clerk: &Operator,
    case_id: String,
) -> Result<IssueActivationResponse> {
    stage.step("issue the activation and sign it")?;
    let mut enrolment = house.connection.enrolment(clerk.credentials.clone());
    let issued = enrolment
        .issue_activation(IssueActivationRequest {
            case_id,
            replaces: false,
            ..Default::default()
        })
        .await?
        .into_inner();
    let code = &issued.match_code;
    stage.say(&format!(
        "Claire signs the enrolment on her own phone; her terminal shows the code {CODE}{code}{CODE:#}"
    ))?;
    let shown = clerk.handset.fetch(&house.phones, &issued.challenge_id).await?;
    stage.picture(&clerk.handset.screen(&shown))?;
    clerk.handset.approve(&house.phones, &shown, code).await?;
    signature::signed(&mut enrolment, &issued.activation_id).await?;
    stage.good("signed by the clerk's phone; only now is the activation good")?;
    stage.picture(&qr::render(&issued.uri)?)?;
    stage.fact("or typed", &*issued.code)?;
    Ok(issued)
}
