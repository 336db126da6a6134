//! `paraphe login`, `logout`, `whoami`: an operator on this terminal.

use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{EndSessionRequest, WhoAmIRequest};
use serde::Serialize;

use crate::context::Context;
use crate::countdown;
use crate::error::Result;
use crate::home::SavedSession;
use crate::login::Login;
use crate::output::{View, facts, time_text};
use crate::views::CodeView;
use crate::words::role_names;

/// Options of `paraphe login`.
#[derive(clap::Args)]
pub struct LoginArgs {
    /// Your operator name, e.g. claire.martin
    name: String,
}

#[derive(Serialize)]
struct SessionView {
    operator: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_id: Option<String>,
    roles: Vec<&'static str>,
    expires_at: Timestamp,
}

impl View for SessionView {
    fn text(&self) -> String {
        facts([
            ("operator", self.operator.clone()),
            ("id", self.operator_id.clone().unwrap_or_default()),
            ("roles", self.roles.join(", ")),
            ("until", time_text(self.expires_at)),
        ])
    }
}

#[derive(Serialize)]
struct LoggedOutView {
    logged_in: bool,
}

impl View for LoggedOutView {
    fn text(&self) -> String {
        "  Logged out.\n".to_owned()
    }
}

/// `paraphe login`: shows the code, waits for the phone, keeps the session.
///
/// # Errors
/// What the daemon refuses; `NotApproved` when the person said no.
pub async fn login(context: &Context, args: &LoginArgs) -> Result<()> {
    let key = context.home.terminal_key()?;
    let connection = context.connect().await?;
    let login = Login::begin(&connection, key, &args.name).await?;
    let until = Timestamp::from_secs(login.begun.expires_at);
    context.output.show(&CodeView {
        challenge_id: login.begun.challenge_id.clone(),
        match_code: login.begun.match_code.clone(),
        expires_at: until,
    })?;
    let reply = countdown::waiting("waiting for your phone", until, login.complete()).await?;
    let roles = role_names(reply.roles());
    let session = SavedSession {
        operator: args.name.clone(),
        issuer: connection.issuer,
        token: reply.token.clone(),
        expires_at: Timestamp::from_secs(reply.expires_at),
    };
    context.home.save_session(&session)?;
    context.output.show(&SessionView {
        operator: session.operator,
        operator_id: None,
        roles,
        expires_at: session.expires_at,
    })
}

/// `paraphe logout`: ends the session at the daemon and forgets it here.
///
/// # Errors
/// What the daemon refuses; the session is forgotten here in any case.
pub async fn logout(context: &Context) -> Result<()> {
    let server = context.server()?;
    let credentials = context.operator(&server.issuer)?;
    let connection = server.connect().await?;
    let ended = connection.session(credentials).end(EndSessionRequest {}).await;
    context.home.forget_session()?;
    ended?;
    context.output.show(&LoggedOutView { logged_in: false })
}

/// `paraphe whoami`.
///
/// # Errors
/// `NotLoggedIn`, and what the daemon refuses.
pub async fn whoami(context: &Context) -> Result<()> {
    let server = context.server()?;
    let credentials = context.operator(&server.issuer)?;
    let who = server
        .connect()
        .await?
        .session(credentials)
        .who_am_i(WhoAmIRequest {})
        .await?
        .into_inner();
    let roles = role_names(who.roles());
    context.output.show(&SessionView {
        operator: who.name,
        operator_id: Some(who.operator_id),
        roles,
        expires_at: Timestamp::from_secs(who.expires_at),
    })
}
