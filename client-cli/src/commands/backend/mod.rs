//! `paraphe backend`: ask people to confirm, as a relying party. Protocol: section 6.

mod verdicts;

use std::path::PathBuf;

use clap::Subcommand;
use paraphe_proto::ids::RelyingPartyId;
use paraphe_proto::keys::Signer as _;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::check_request::Person;
use paraphe_proto::v1::step_up_client::StepUpClient;
use paraphe_proto::v1::{CancelRequest, CheckRequest, GetRequest, PivotIdentity, RequestRequest};
use rand_core::RngCore as _;
use serde::Serialize;

use crate::channel::AuthenticatedChannel;
use crate::commands::terminal::new_key;
use crate::context::Context;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::home::read_key;
use crate::output::{CODE, View, facts, time_text};
use crate::parameter::Parameter;
use crate::words::decision_name;
use crate::{countdown, edge, files};
use verdicts::{VerdictView, WatchArgs};

/// Commands of a backend.
#[derive(Subcommand)]
pub enum Command {
    /// Make a key and print its public JWK, which an administrator registers
    Key {
        /// Where the private key goes (PKCS#8 PEM); it must not exist yet
        file: PathBuf,
    },
    /// Does this action need a confirmation, and what is the person's subject here?
    Check(CheckArgs),
    /// Ask the person to confirm
    Request(RequestArgs),
    /// The state of one challenge, with the assertion once it is approved
    Get(OneArgs),
    /// Verdicts as they are reached, one per line
    Watch(WatchArgs),
    /// Withdraw a pending challenge
    Cancel(OneArgs),
}

/// Who asks.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "The backend")]
pub struct Account {
    /// Relying party id
    #[arg(long, value_name = "RP", env = "PARAPHE_BACKEND_ID", hide_env_values = true)]
    id: RelyingPartyId,
    /// Its private key (PKCS#8 PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "PARAPHE_BACKEND_KEY",
        hide_env_values = true
    )]
    key: PathBuf,
}

/// Options of `paraphe backend check`.
#[derive(clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    account: Account,
    /// Action of the catalogue, e.g. course.buy
    #[arg(long)]
    action: String,
    /// The person's subject, as an earlier check returned it
    #[arg(long, conflicts_with_all = ["family_name", "given_names", "birth_date"])]
    subject: Option<String>,
    /// Or by identity: family name
    #[arg(long, requires_all = ["given_names", "birth_date"], required_unless_present = "subject")]
    family_name: Option<String>,
    /// Given names, separated by spaces
    #[arg(long, requires = "family_name")]
    given_names: Option<String>,
    /// YYYY-MM-DD; 00 where unknown
    #[arg(long, requires = "family_name")]
    birth_date: Option<String>,
    /// INSEE COG code of five characters
    #[arg(long, requires = "family_name")]
    birthplace: Option<String>,
    /// Level of the person's session at the backend: eidas1, eidas2 or eidas3
    #[arg(long, value_name = "ACR", default_value = "", hide_default_value = true)]
    session_acr: String,
}

/// Options of `paraphe backend request`.
#[derive(clap::Args)]
pub struct RequestArgs {
    #[command(flatten)]
    account: Account,
    /// The person's subject, from check
    #[arg(long)]
    subject: String,
    /// Action of the catalogue
    #[arg(long)]
    action: String,
    /// name=text:…, name=money:1499.00:EUR, name=money-minor:149900:EUR, name=date:2026-12-01, name=integer:3, name=enum:x
    #[arg(long = "param", value_name = "NAME=KIND:VALUE")]
    parameters: Vec<Parameter>,
    /// Language of the document shown
    #[arg(long, default_value = "fr")]
    locale: String,
    /// Seconds until it expires [default: the action's]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    lifetime_s: u32,
    /// The same key and content ask once only [default: random]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait for the verdict; exit code 8 unless it is approved
    #[arg(long)]
    wait: bool,
}

/// Options of `get` and `cancel`.
#[derive(clap::Args)]
pub struct OneArgs {
    #[command(flatten)]
    account: Account,
    /// chl_…
    challenge: String,
}

#[derive(Serialize)]
struct KeyView {
    thumbprint: String,
    jwk: paraphe_proto::jwk::Jwk,
}

impl View for KeyView {
    fn text(&self) -> String {
        serde_json::to_string(&self.jwk)
            .map(|jwk| format!("{jwk}\n"))
            .unwrap_or_default()
    }
}

#[derive(Serialize)]
struct CheckView {
    decision: &'static str,
    subject: String,
    channels: Vec<String>,
}

impl View for CheckView {
    fn text(&self) -> String {
        facts([
            ("decision", self.decision.replace('_', " ")),
            ("subject", self.subject.clone()),
            ("channels open", self.channels.join(", ")),
        ])
    }
}

/// A challenge that was raised, with the code for the page.
#[derive(Serialize)]
struct RequestedView {
    challenge_id: String,
    match_code: String,
    expires_at: Timestamp,
    state: &'static str,
}

impl View for RequestedView {
    fn text(&self) -> String {
        let spaced: String = self.match_code.chars().flat_map(|digit| [digit, ' ']).collect();
        let code = if spaced.is_empty() {
            String::new()
        } else {
            format!("\n  Code of the page: {CODE}{}{CODE:#}\n\n", spaced.trim_end())
        };
        let facts = facts([
            ("challenge", self.challenge_id.clone()),
            ("state", self.state.to_owned()),
            ("until", time_text(self.expires_at)),
        ]);
        format!("{code}{facts}")
    }
}

/// Runs a backend's command.
///
/// # Errors
/// `NotApproved` for a verdict that is not, and what the daemon refuses.
pub async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Key { file } => key(context, &file),
        Command::Check(args) => check(context, args).await,
        Command::Request(args) => request(context, args).await,
        Command::Get(args) => {
            let request = GetRequest {
                challenge_id: args.challenge,
            };
            let verdict = client(context, &args.account).await?.get(request).await?;
            context.output.show(&VerdictView::from(verdict.into_inner()))
        }
        Command::Watch(args) => verdicts::watch(context, args).await,
        Command::Cancel(args) => {
            let request = CancelRequest {
                challenge_id: args.challenge,
            };
            let verdict = client(context, &args.account).await?.cancel(request).await?;
            context.output.show(&VerdictView::from(verdict.into_inner()))
        }
    }
}

fn key(context: &Context, file: &std::path::Path) -> Result<()> {
    let key = new_key()?;
    let pem = key
        .to_pkcs8_pem()
        .map_err(|error| Error::other(error.code(), error.to_string()))?;
    files::write_private_new(file, pem.as_bytes())?;
    let public = key.public_key();
    context.output.show(&KeyView {
        thumbprint: public.thumbprint().to_owned(),
        jwk: public.to_jwk(),
    })
}

async fn check(context: &Context, args: CheckArgs) -> Result<()> {
    let person = match (args.subject, args.family_name) {
        (Some(subject), _) => Person::Subject(subject),
        (None, family_name) => Person::Identity(PivotIdentity {
            family_name: family_name.unwrap_or_default(),
            given_names: args.given_names.unwrap_or_default(),
            birth_date: args.birth_date.unwrap_or_default(),
            birthplace: args.birthplace.unwrap_or_default(),
        }),
    };
    let request = CheckRequest {
        person: Some(person),
        action: args.action,
        session_acr: args.session_acr,
    };
    let reply = client(context, &args.account)
        .await?
        .check(request)
        .await?
        .into_inner();
    let decision = decision_name(reply.decision());
    context.output.show(&CheckView {
        decision,
        subject: reply.subject,
        channels: reply.channels,
    })
}

async fn request(context: &Context, args: RequestArgs) -> Result<()> {
    let mut client = client(context, &args.account).await?;
    let request = RequestRequest {
        idempotency_key: args.idempotency_key.unwrap_or_else(random_key),
        subject: args.subject,
        action: args.action,
        parameters: args
            .parameters
            .into_iter()
            .map(|parameter| (parameter.name, parameter.value))
            .collect(),
        locale: args.locale,
        lifetime_s: args.lifetime_s,
        ..RequestRequest::default()
    };
    let reply = client.request(request).await?.into_inner();
    let until = Timestamp::from_secs(reply.expires_at);
    let state = crate::words::state_name(reply.state());
    context.output.show(&RequestedView {
        challenge_id: reply.challenge_id.clone(),
        match_code: reply.match_code,
        expires_at: until,
        state,
    })?;
    if !args.wait {
        return Ok(());
    }
    let verdict = countdown::waiting(
        "waiting for the phone",
        until,
        verdicts::decided(&mut client, &reply.challenge_id),
    )
    .await?;
    context.output.show(&VerdictView::from(verdict.clone()))?;
    verdicts::approved(&verdict)
}

/// A fresh idempotency key.
fn random_key() -> String {
    let mut bytes = [0_u8; 16];
    edge::random().fill_bytes(&mut bytes);
    paraphe_proto::encoding::base64url(&bytes)
}

async fn client(context: &Context, account: &Account) -> Result<StepUpClient<AuthenticatedChannel>> {
    let server = context.server()?;
    let credentials = Credentials::Account {
        id: account.id.to_string(),
        key: read_key(&account.key).map_err(|error| error.of_option("--key"))?,
        issuer: server.issuer.clone(),
    };
    Ok(server.connect().await?.step_up(credentials))
}
