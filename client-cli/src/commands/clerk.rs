//! `paraphe clerk`: from an identity document to a confirmed phone. Protocol: section 5.

use std::path::PathBuf;

use clap::Subcommand;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::enrolment_client::EnrolmentClient;
use paraphe_proto::v1::{
    Case, ConfirmActivationRequest, CountersignRequest, Document, GetActivationRequest, GetCaseRequest,
    IssueActivationRequest, OpenCaseRequest, RecordEvidenceRequest,
};
use serde::Serialize;

use crate::channel::AuthenticatedChannel;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{View, facts, time_text};
use crate::views::{ActivationView, CodeView, IssuedView};
use crate::words::ClerkCheck;
use crate::{countdown, files, prompt, signature};

/// Commands of a clerk.
#[derive(Subcommand)]
pub enum Command {
    /// Open a case for one person
    Open {
        /// How the person came: counter, home_visit, remote, letter, consulate or paper
        #[arg(long, default_value = "counter")]
        channel: String,
    },
    /// Record the document and the checks
    Evidence(EvidenceArgs),
    /// Stand for a colleague's case, where the channel asks for a second person
    Countersign {
        /// cas_…
        case: String,
    },
    /// Issue the activation of a verified case: sign it on your own phone, then a QR code and a typed code are shown, once
    Activate {
        /// cas_…
        case: String,
        /// The new phone takes the place of the one that the person has, once its quarantine is over; dev_… where they have several
        #[arg(long, value_name = "DEVICE", num_args = 0..=1, default_missing_value = "")]
        replace: Option<String>,
    },
    /// Type the six digits that the phone shows
    Confirm(ConfirmArgs),
    /// Show a case
    Case {
        /// cas_…
        case: String,
    },
    /// Show where an activation stands
    Activation {
        /// act_…
        activation: String,
    },
}

/// Options of `paraphe clerk evidence`.
#[derive(clap::Args)]
pub struct EvidenceArgs {
    /// cas_…
    case: String,
    /// The machine-readable zone, one line per line; - for standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["reject", "proofing_file"])]
    mrz_file: Option<PathBuf>,
    /// In the channel remote, instead of document and checks: the signed result of the identity-proofing provider; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mrz_file", "checks", "birthplace", "reject"])]
    proofing_file: Option<PathBuf>,
    /// A check that was made and passed; may be repeated
    #[arg(long = "check", value_name = "CHECK", value_enum)]
    checks: Vec<ClerkCheck>,
    /// Birthplace, INSEE COG code of five characters
    #[arg(long, value_name = "COG", default_value = "")]
    birthplace: String,
    /// Where namesakes are known: the document with which this same person was enrolled before, e.g. "FRA 12AB34567"
    #[arg(long, value_name = "DOCUMENT", default_value = "", hide_default_value = true)]
    previous_document: String,
    /// Where namesakes of unknown birthplace are known: this is none of them
    #[arg(long, requires = "birthplace")]
    another_person: bool,
    /// Close the case as rejected
    #[arg(long)]
    reject: bool,
}

/// Options of `confirm`, here and under `paraphe admin operator`.
#[derive(clap::Args)]
pub struct ConfirmArgs {
    /// act_…
    activation: String,
    /// The six digits, from a file or - for standard input; asked for without echo otherwise
    #[arg(long, value_name = "FILE")]
    code_file: Option<PathBuf>,
}

/// A case, for people and for scripts.
#[derive(Serialize)]
struct CaseView {
    case_id: String,
    channel: String,
    state: String,
    opened_at: Timestamp,
    countersignature_required: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    proofing_provider: String,
    document: Option<DocumentView>,
}

#[derive(Serialize)]
struct DocumentView {
    format: String,
    code: String,
    issuing_state: String,
    number_end: String,
    family_name: String,
    given_names: String,
    birth_date: String,
    sex: String,
    nationality: String,
    expiry_date: String,
}

impl From<Document> for DocumentView {
    fn from(document: Document) -> Self {
        DocumentView {
            format: document.format,
            code: document.code,
            issuing_state: document.issuing_state,
            number_end: document.number_end,
            family_name: document.family_name,
            given_names: document.given_names,
            birth_date: document.birth_date,
            sex: document.sex,
            nationality: document.nationality,
            expiry_date: document.expiry_date,
        }
    }
}

impl From<Case> for CaseView {
    fn from(case: Case) -> Self {
        CaseView {
            case_id: case.case_id,
            channel: case.channel,
            state: case.state,
            opened_at: Timestamp::from_secs(case.opened_at),
            countersignature_required: case.countersignature_required,
            proofing_provider: case.proofing_provider,
            document: case.document.map(DocumentView::from),
        }
    }
}

impl View for CaseView {
    fn text(&self) -> String {
        let waits = if self.countersignature_required {
            "a second person must countersign"
        } else {
            ""
        };
        let case = facts([
            ("case", self.case_id.clone()),
            ("channel", self.channel.clone()),
            ("state", self.state.clone()),
            ("opened", time_text(self.opened_at)),
            ("waits for", waits.to_owned()),
            ("proofed by", self.proofing_provider.clone()),
        ]);
        let document = self.document.as_ref().map(document_text).unwrap_or_default();
        format!("{case}{document}")
    }
}

fn document_text(document: &DocumentView) -> String {
    facts([
        (
            "document",
            format!(
                "{} {} of {}, number …{}",
                document.format, document.code, document.issuing_state, document.number_end
            ),
        ),
        ("family name", document.family_name.clone()),
        ("given names", document.given_names.clone()),
        ("born", format!("{}, {}", document.birth_date, document.sex)),
        ("nationality", document.nationality.clone()),
        ("expires", document.expiry_date.clone()),
    ])
}

/// Runs a clerk's command.
///
/// # Errors
/// `NotLoggedIn`, and what the daemon refuses.
pub async fn run(context: &Context, command: Command) -> Result<()> {
    let output = context.output;
    match command {
        Command::Open { channel } => {
            let case = client(context)
                .await?
                .open_case(OpenCaseRequest { channel })
                .await?;
            output.show(&CaseView::from(case.into_inner()))
        }
        Command::Evidence(args) => evidence(context, args).await,
        Command::Countersign { case } => {
            let case = client(context)
                .await?
                .countersign(CountersignRequest { case_id: case })
                .await?;
            output.show(&CaseView::from(case.into_inner()))
        }
        Command::Activate { case, replace } => activate(context, case, replace).await,
        Command::Confirm(args) => confirm(context, args).await,
        Command::Case { case } => {
            let case = client(context)
                .await?
                .get_case(GetCaseRequest { case_id: case })
                .await?;
            output.show(&CaseView::from(case.into_inner()))
        }
        Command::Activation { activation } => {
            let request = GetActivationRequest {
                activation_id: activation,
            };
            let activation = client(context).await?.get_activation(request).await?;
            output.show(&ActivationView::from(activation.into_inner()))
        }
    }
}

async fn evidence(context: &Context, args: EvidenceArgs) -> Result<()> {
    let mrz = args.mrz_file.as_deref().map(files::read).transpose();
    let mrz = mrz.map_err(|error| error.of_option("--mrz-file"))?;
    let proofing = args.proofing_file.as_deref().map(files::read).transpose();
    let proofing = proofing.map_err(|error| error.of_option("--proofing-file"))?;
    let request = RecordEvidenceRequest {
        case_id: args.case,
        mrz: mrz.map(|mrz| mrz.trim().to_owned()).unwrap_or_default(),
        checks: args
            .checks
            .into_iter()
            .map(|check| paraphe_proto::v1::Check::from(check).into())
            .collect(),
        accepted: !args.reject,
        birthplace: args.birthplace,
        previous_document: args.previous_document,
        another_person: args.another_person,
        proofing: proofing
            .map(|proofing| proofing.trim().to_owned())
            .unwrap_or_default(),
    };
    let case = client(context).await?.record_evidence(request).await?;
    context.output.show(&CaseView::from(case.into_inner()))
}

/// Issues, waits until the clerk has signed on their own phone, and only then shows the secret.
async fn activate(context: &Context, case_id: String, replaced: Option<String>) -> Result<()> {
    let mut client = client(context).await?;
    let issued = client
        .issue_activation(IssueActivationRequest {
            case_id,
            replaces: replaced.is_some(),
            replaced_device_id: replaced.unwrap_or_default(),
        })
        .await
        .map_err(of_phones)?
        .into_inner();
    let until = Timestamp::from_secs(issued.sign_until);
    context.output.show(&CodeView {
        challenge_id: issued.challenge_id.clone(),
        match_code: issued.match_code.clone(),
        expires_at: until,
    })?;
    let signing = signature::signed(&mut client, &issued.activation_id);
    countdown::waiting("waiting for your phone", until, signing).await?;
    let next = format!(
        "  Then type the six digits that the phone shows:\n  paraphe clerk confirm {}\n",
        issued.activation_id
    );
    context.output.show(&IssuedView::new(issued, next)?)
}

/// Somebody who has phones already may want another in the place of one.
fn of_phones(status: tonic::Status) -> Error {
    let in_its_place =
        "For a new phone in the place of the one that they have: paraphe clerk activate cas_… --replace";
    let in_place_of_one =
        "For a new phone in the place of one of them: paraphe clerk activate cas_… --replace dev_…";
    Error::from(status)
        .advised("subject.already_enrolled", in_its_place)
        .advised("subject.too_many_phones", in_place_of_one)
        .advised("replacement.ambiguous", in_place_of_one)
}

/// Types the six digits; also under `paraphe admin operator`.
///
/// # Errors
/// What the daemon refuses; a wrong code names the tries left.
pub async fn confirm(context: &Context, args: ConfirmArgs) -> Result<()> {
    let code = prompt::secret(
        args.code_file.as_deref(),
        "Six digits on the phone",
        "--code-file",
    )?;
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let request = ConfirmActivationRequest {
        activation_id: args.activation,
        code: digits,
    };
    let activation = client(context).await?.confirm_activation(request).await?;
    context
        .output
        .show(&ActivationView::from(activation.into_inner()))
}

async fn client(context: &Context) -> Result<EnrolmentClient<AuthenticatedChannel>> {
    let server = context.server()?;
    let credentials = context.operator(&server.issuer)?;
    Ok(server.connect().await?.enrolment(credentials))
}
