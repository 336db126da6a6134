//! `paraphe support`: a person calls, whose phone is lost or stolen. What stops a phone is here; nothing that lets it go on. Protocol: section 5.

use std::path::PathBuf;

use clap::Subcommand;
use paraphe_proto::v1::enrolment_client::EnrolmentClient;
use paraphe_proto::v1::{PivotIdentity, RevokeDeviceRequest, SuspendDeviceRequest};
use serde::Serialize;

use crate::channel::AuthenticatedChannel;
use crate::context::Context;
use crate::error::Result;
use crate::output::View;
use crate::prompt;

/// Commands of support staff and supervisors.
#[derive(Subcommand)]
pub enum Command {
    /// Suspend the phone of a person who tells their suspension code
    Suspend {
        #[command(flatten)]
        person: PersonArgs,
        /// The suspension code, from a file or - for standard input; asked for without echo otherwise
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// End every phone of a person for good; for supervisors
    Revoke {
        #[command(flatten)]
        person: PersonArgs,
        /// Why, for the audit trail and for the person, who reads it in their history
        #[arg(long)]
        reason: String,
    },
}

/// Who it is.
#[derive(clap::Args)]
pub struct PersonArgs {
    /// Family name as on the identity document
    #[arg(long)]
    family_name: String,
    /// Given names, separated by spaces
    #[arg(long)]
    given_names: String,
    /// YYYY-MM-DD; 00 where unknown
    #[arg(long)]
    birth_date: String,
    /// INSEE COG code of five characters, where namesakes are known
    #[arg(long, default_value = "", hide_default_value = true)]
    birthplace: String,
}

impl From<PersonArgs> for PivotIdentity {
    fn from(person: PersonArgs) -> Self {
        PivotIdentity {
            family_name: person.family_name,
            given_names: person.given_names,
            birth_date: person.birth_date,
            birthplace: person.birthplace,
        }
    }
}

#[derive(Serialize)]
struct SuspendedView {
    state: String,
}

impl View for SuspendedView {
    fn text(&self) -> String {
        format!(
            "The phone is {}. Only its PIN lets it go on; for a new phone the person needs a new enrolment.\n",
            self.state
        )
    }
}

#[derive(Serialize)]
struct RevokedView {
    revoked: u32,
}

impl View for RevokedView {
    fn text(&self) -> String {
        format!(
            "Ended for good: {} phone(s). The person needs a new enrolment.\n",
            self.revoked
        )
    }
}

/// Runs a support command.
///
/// # Errors
/// `NotLoggedIn`, and what the daemon refuses.
pub async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Suspend { person, code_file } => {
            let code = prompt::secret(code_file.as_deref(), "Suspension code", "--code-file")?;
            let request = SuspendDeviceRequest {
                identity: Some(person.into()),
                suspension_code: code.to_string(),
            };
            let state = client(context)
                .await?
                .suspend_device(request)
                .await?
                .into_inner()
                .state;
            context.output.show(&SuspendedView { state })
        }
        Command::Revoke { person, reason } => {
            let request = RevokeDeviceRequest {
                identity: Some(person.into()),
                reason,
            };
            let revoked = client(context)
                .await?
                .revoke_device(request)
                .await?
                .into_inner()
                .revoked;
            context.output.show(&RevokedView { revoked })
        }
    }
}

async fn client(context: &Context) -> Result<EnrolmentClient<AuthenticatedChannel>> {
    let server = context.server()?;
    let credentials = context.operator(&server.issuer)?;
    Ok(server.connect().await?.enrolment(credentials))
}
