//! `paraphe admin operator` and `paraphe admin service`.

use std::path::PathBuf;

use clap::Subcommand;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{
    CreateOperatorRequest, CreateOperatorResponse, CreateServiceAccountRequest, DisableOperatorRequest,
    ListOperatorsRequest, Operator, ReplaceOperatorPhoneRequest, Role,
};
use serde::Serialize;

use super::client;
use crate::commands::clerk::{self, ConfirmArgs};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::files;
use crate::output::{View, facts, table, time_text};
use crate::views::IssuedView;
use crate::words::{OperatorRole, role_names};

/// What giving another phone has ended.
const ENDED: &str = "Their phone and sessions have ended, and so have the activations that they handed out and nobody has used:\n  \
    who waits for one, e.g. by letter, needs another.";

/// Commands about people who work with Paraphe.
#[derive(Subcommand)]
pub enum OperatorCommand {
    /// Create an operator and the activation of their phone
    Add {
        /// 2 to 64 characters of a-z 0-9 . -
        name: String,
        /// May be repeated
        #[arg(long = "role", value_name = "ROLE", value_enum, required = true)]
        roles: Vec<OperatorRole>,
    },
    /// For an operator whose phone is lost: end it, their sessions and what they handed out, and issue the activation of a new one
    ReplacePhone {
        /// opr_…
        id: String,
        /// Why, for the audit trail and for the operator, who reads it in their history
        #[arg(long)]
        reason: String,
    },
    /// Type the six digits that the operator's phone shows
    Confirm(ConfirmArgs),
    /// All operators and service accounts
    List,
    /// End an operator's sessions and refuse new ones
    Disable {
        /// opr_…
        id: String,
    },
}

/// Commands about accounts of programs.
#[derive(Subcommand)]
pub enum ServiceCommand {
    /// Create an account that signs with a key file
    Add {
        /// 2 to 64 characters of a-z 0-9 . -
        name: String,
        /// May be repeated
        #[arg(long = "role", value_name = "ROLE", value_enum, required = true)]
        roles: Vec<OperatorRole>,
        /// Public key (JWK, JSON), as `paraphe backend key` prints it
        #[arg(long, value_name = "FILE")]
        jwk: PathBuf,
    },
}

#[derive(Serialize)]
struct OperatorView {
    operator_id: String,
    name: String,
    roles: Vec<&'static str>,
    state: String,
    service: bool,
    created_at: Timestamp,
}

impl From<Operator> for OperatorView {
    fn from(operator: Operator) -> Self {
        let roles = role_names(operator.roles());
        OperatorView {
            operator_id: operator.operator_id,
            name: operator.name,
            roles,
            state: operator.state,
            service: operator.service,
            created_at: Timestamp::from_secs(operator.created_at),
        }
    }
}

impl View for OperatorView {
    fn text(&self) -> String {
        facts([
            ("operator", self.name.clone()),
            ("id", self.operator_id.clone()),
            ("roles", self.roles.join(", ")),
            ("state", self.state.clone()),
            ("created", time_text(self.created_at)),
        ])
    }
}

#[derive(Serialize)]
struct NewOperatorView {
    operator: OperatorView,
    activation: IssuedView,
    /// What ended with an earlier phone; for people.
    #[serde(skip)]
    ended: Option<&'static str>,
}

impl View for NewOperatorView {
    fn text(&self) -> String {
        let ended = self.ended.map(|ended| format!("  {ended}\n")).unwrap_or_default();
        format!("{}\n{ended}{}", self.operator.text(), self.activation.text())
    }
}

#[derive(Serialize)]
struct OperatorsView {
    operators: Vec<OperatorView>,
}

impl View for OperatorsView {
    fn text(&self) -> String {
        let row = |operator: &OperatorView| {
            let kind = if operator.service { "program" } else { "person" };
            let who = format!("{}\n{}", operator.name, operator.operator_id);
            [
                who,
                operator.roles.join(" "),
                format!("{}\n{kind}", operator.state),
            ]
        };
        table(["operator", "roles", "state"], self.operators.iter().map(row))
    }
}

pub(super) async fn run_operator(context: &Context, command: OperatorCommand) -> Result<()> {
    let output = context.output;
    match command {
        OperatorCommand::Add { name, roles } => add(context, name, &roles).await,
        OperatorCommand::ReplacePhone { id, reason } => replace_phone(context, id, reason).await,
        OperatorCommand::Confirm(args) => clerk::confirm(context, args).await,
        OperatorCommand::List => {
            let list = client(context)
                .await?
                .list_operators(ListOperatorsRequest {})
                .await?
                .into_inner();
            output.show(&OperatorsView {
                operators: list.operators.into_iter().map(OperatorView::from).collect(),
            })
        }
        OperatorCommand::Disable { id } => {
            let operator = client(context)
                .await?
                .disable_operator(DisableOperatorRequest { operator_id: id })
                .await?;
            output.show(&OperatorView::from(operator.into_inner()))
        }
    }
}

async fn add(context: &Context, name: String, roles: &[OperatorRole]) -> Result<()> {
    let request = CreateOperatorRequest {
        name,
        roles: role_numbers(roles),
    };
    let created = client(context).await?.create_operator(request).await;
    let created = created.map_err(|status| {
        let advice = "For another phone of theirs: paraphe admin operator replace-phone opr_… --reason \"…\"";
        Error::from(status).advised("operator.exists", advice)
    })?;
    show_issued(context, created.into_inner(), None)
}

async fn replace_phone(context: &Context, operator_id: String, reason: String) -> Result<()> {
    let request = ReplaceOperatorPhoneRequest { operator_id, reason };
    let issued = client(context).await?.replace_operator_phone(request).await?;
    show_issued(context, issued.into_inner(), Some(ENDED))
}

fn show_issued(
    context: &Context,
    created: CreateOperatorResponse,
    ended: Option<&'static str>,
) -> Result<()> {
    let (Some(operator), Some(issued)) = (created.operator, created.activation) else {
        return Err(Error::other(
            "daemon.reply",
            "The daemon's answer names no operator or no activation.",
        ));
    };
    let next = format!(
        "  Then type the six digits that the phone shows:\n  paraphe admin operator confirm {}\n",
        issued.activation_id
    );
    context.output.show(&NewOperatorView {
        operator: operator.into(),
        activation: IssuedView::new(issued, next)?,
        ended,
    })
}

pub(super) async fn run_service(context: &Context, command: ServiceCommand) -> Result<()> {
    let ServiceCommand::Add { name, roles, jwk } = command;
    let public_jwk = files::read_value(&jwk)
        .map_err(|error| error.of_option("--jwk"))?
        .to_string();
    let request = CreateServiceAccountRequest {
        name,
        roles: role_numbers(&roles),
        public_jwk,
    };
    let operator = client(context).await?.create_service_account(request).await?;
    context.output.show(&OperatorView::from(operator.into_inner()))
}

fn role_numbers(roles: &[OperatorRole]) -> Vec<i32> {
    roles.iter().map(|role| Role::from(*role).into()).collect()
}
