//! `paraphe admin`: operators, service accounts, terminals, backends, the audit trail, the statements behind a verdict.

mod operators;
mod registry;
mod trail;

use clap::Subcommand;
use paraphe_proto::v1::admin_client::AdminClient;

use crate::channel::AuthenticatedChannel;
use crate::context::Context;
use crate::error::Result;

/// Commands of administrators and auditors.
#[derive(Subcommand)]
pub enum Command {
    /// People who work with Paraphe
    #[command(subcommand)]
    Operator(operators::OperatorCommand),
    /// Accounts of programs
    #[command(subcommand)]
    Service(operators::ServiceCommand),
    /// Terminals on which operators may log in
    #[command(subcommand)]
    Terminal(registry::TerminalCommand),
    /// Backends (relying parties)
    #[command(subcommand)]
    Backend(registry::BackendCommand),
    /// Read the audit trail, oldest first
    Audit(trail::AuditArgs),
    /// Write the signed statements behind a verdict into files
    Statements(trail::StatementsArgs),
}

/// Runs an administrator's command.
///
/// # Errors
/// `NotLoggedIn`, and what the daemon refuses.
pub async fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::Operator(command) => operators::run_operator(context, command).await,
        Command::Service(command) => operators::run_service(context, command).await,
        Command::Terminal(command) => registry::run_terminal(context, command).await,
        Command::Backend(command) => registry::run_backend(context, command).await,
        Command::Audit(args) => trail::audit(context, &args).await,
        Command::Statements(args) => trail::statements(context, &args).await,
    }
}

async fn client(context: &Context) -> Result<AdminClient<AuthenticatedChannel>> {
    let server = context.server()?;
    let credentials = context.operator(&server.issuer)?;
    Ok(server.connect().await?.admin(credentials))
}
