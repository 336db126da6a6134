//! Act 2: the first administrator's phone, a login, and a clerk with a phone and a terminal of her own.

use std::sync::Arc;

use paraphe_proto::keys::{Signer as _, SoftwareKey};
use paraphe_proto::v1::{
    ConfirmActivationRequest, CreateOperatorRequest, IssueActivationResponse, RegisterTerminalRequest, Role,
    WhoAmIRequest,
};

use super::handset::Handset;
use super::opening::House;
use super::profile::Folder;
use super::stage::{Stage, ensure};
use crate::commands::terminal::new_key;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::home::read_key;
use crate::login::Login;
use crate::output::CODE;
use crate::words::role_names;

const CLERK: &str = "claire.martin";
const COUNTER: &str = "Lyon Bellecour, counter 3";

/// Somebody who works with Paraphe and is logged in.
pub struct Operator {
    /// Their session, bound to their terminal.
    pub credentials: Credentials,
    /// Their phone.
    pub handset: Handset,
}

/// Plays the act: the administrator and the clerk, both logged in.
///
/// # Errors
/// When anything is not as it should be.
pub async fn play(stage: &Stage, folder: &Folder, house: &House) -> Result<(Operator, Operator)> {
    stage.act("Act 2: the people who run it")?;
    let administrator = administrator(stage, folder, house).await?;
    let clerk = clerk(stage, folder, house, &administrator).await?;
    Ok((administrator, clerk))
}

async fn administrator(stage: &Stage, folder: &Folder, house: &House) -> Result<Operator> {
    stage.step("activate the first administrator's phone")?;
    let first = house.initialised.administrators.first();
    let first = first.ok_or_else(|| Error::other("demo.init", "paraphed init named no administrator."))?;
    stage.say(&format!(
        "{} scans the activation that `paraphed init` printed, and chooses a PIN.",
        first.operator
    ))?;
    let (handset, activated) = Handset::activate(
        folder.path("phones/administrator"),
        "admin-1's phone",
        &first.uri,
        &house.phones,
    )
    .await?;
    ensure(!activated.confirmation_required, || {
        "the first administrator's phone waits for six digits.".to_owned()
    })?;
    stage.fact("phone", handset.device_id())?;

    stage.step("log the administrator in")?;
    let terminal = read_key(&house.initialised.terminal_key_file)?;
    log_in(stage, house, handset, terminal, &first.operator).await
}

/// Six digits on the phone, typed by the administrator: the relaying thief of a QR code cannot have the same.
async fn clerk(stage: &Stage, folder: &Folder, house: &House, administrator: &Operator) -> Result<Operator> {
    stage.step("create a clerk and activate her phone")?;
    let request = CreateOperatorRequest {
        name: CLERK.to_owned(),
        roles: vec![Role::Clerk.into()],
    };
    let created = house
        .connection
        .admin(administrator.credentials.clone())
        .create_operator(request)
        .await?
        .into_inner();
    let issued = created
        .activation
        .ok_or_else(|| Error::other("demo.reply", "the daemon issued no activation."))?;
    stage.fact("operator", CLERK)?;
    let (handset, activated) = Handset::activate(
        folder.path("phones/clerk"),
        "Claire's phone",
        &issued.uri,
        &house.phones,
    )
    .await?;
    stage.picture(&handset.screen_with_digits(&activated.six_digits))?;
    confirm(stage, house, administrator, &issued, &activated.six_digits).await?;

    stage.step("register the counter's terminal and log the clerk in")?;
    let terminal = Arc::new(new_key()?);
    let request = RegisterTerminalRequest {
        thumbprint: terminal.public_key().thumbprint().to_owned(),
        label: COUNTER.to_owned(),
    };
    let registered = house
        .connection
        .admin(administrator.credentials.clone())
        .register_terminal(request)
        .await?
        .into_inner();
    stage.fact("terminal", registered.label)?;
    log_in(stage, house, handset, terminal, CLERK).await
}

/// An operator types the six digits that a phone shows; the phone is active afterwards.
///
/// # Errors
/// When the daemon refuses them or the phone is not active.
pub async fn confirm(
    stage: &Stage,
    house: &House,
    operator: &Operator,
    issued: &IssueActivationResponse,
    digits: &str,
) -> Result<()> {
    let request = ConfirmActivationRequest {
        activation_id: issued.activation_id.clone(),
        code: digits.to_owned(),
    };
    let confirmed = house
        .connection
        .enrolment(operator.credentials.clone())
        .confirm_activation(request)
        .await?
        .into_inner();
    let device = confirmed.device.map(|device| device.state).unwrap_or_default();
    ensure(confirmed.state == "confirmed" && device == "active", || {
        format!(
            "the activation is {}, the phone {device:?}, after the six digits.",
            confirmed.state
        )
    })?;
    stage.good("the six digits were typed; the phone is active")
}

/// A login is an ordinary challenge on the operator's own phone, with the daemon as backend.
async fn log_in(
    stage: &Stage,
    house: &House,
    handset: Handset,
    terminal: Arc<SoftwareKey>,
    name: &str,
) -> Result<Operator> {
    let connection = &house.connection;
    let login = Login::begin(connection, Arc::clone(&terminal), name).await?;
    let code = login.begun.match_code.clone();
    stage.say(&format!("the terminal shows the code {CODE}{code}{CODE:#}"))?;
    let shown = handset.fetch(&house.phones, &login.begun.challenge_id).await?;
    stage.picture(&handset.screen(&shown))?;
    handset.approve(&house.phones, &shown, &code).await?;
    let reply = login.complete().await?;
    let credentials = Credentials::Session {
        key: terminal,
        issuer: connection.issuer.clone(),
        token: reply.token,
    };
    let who = connection
        .session(credentials.clone())
        .who_am_i(WhoAmIRequest {})
        .await?
        .into_inner();
    ensure(who.name == name, || format!("the session is {}'s.", who.name))?;
    stage.good(&format!(
        "{name} is logged in as {}",
        role_names(who.roles()).join(", ")
    ))?;
    Ok(Operator { credentials, handset })
}
