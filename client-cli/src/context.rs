//! What every command works with: where results go, the home folder, the daemon, the caller's credentials.

use paraphe_proto::ids::OperatorId;

use crate::channel::{Connection, Server};
use crate::cli::Global;
use crate::credentials::Credentials;
use crate::edge;
use crate::error::{Error, Result};
use crate::home::{Home, read_key};
use crate::output::Output;

/// Surroundings of one command.
pub struct Context {
    /// Where results go.
    pub output: Output,
    /// The folder that is kept between commands.
    pub home: Home,
    global: Global,
}

impl Context {
    /// The surroundings that the global options ask for.
    ///
    /// # Errors
    /// [`Error::Usage`] when no home folder is known.
    pub fn new(global: Global) -> Result<Self> {
        Ok(Context {
            output: Output::new(global.json),
            home: Home::locate(global.home.as_deref())?,
            global,
        })
    }

    /// The daemon that the options name.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is not named.
    pub fn server(&self) -> Result<Server> {
        Server::from_options(
            self.global.server.as_deref(),
            self.global.ca.as_deref(),
            self.global.issuer.as_deref(),
        )
    }

    /// The issuer URL, where one was named by `--issuer` or `--server`.
    pub fn named_issuer(&self) -> Option<&str> {
        self.global
            .issuer
            .as_deref()
            .or(self.global.server.as_deref())
            .map(|url| url.trim_end_matches('/'))
    }

    /// The server's URL, where one was named.
    pub fn named_server(&self) -> Option<&str> {
        self.global.server.as_deref()
    }

    /// File of the certificate authority, where one was named.
    pub fn ca_file(&self) -> Option<&std::path::Path> {
        self.global.ca.as_deref()
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is not named, [`Error::Unreachable`].
    pub async fn connect(&self) -> Result<Connection> {
        self.server()?.connect().await
    }

    /// Credentials of the operator: the service account of the options, else whoever is logged in on this terminal.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`]; [`Error::Invalid`] for a service account that is none.
    pub fn operator(&self, issuer: &str) -> Result<Credentials> {
        if let (Some(id), Some(key_file)) = (&self.global.service_id, &self.global.service_key) {
            let id: OperatorId = id
                .parse()
                .map_err(|error| Error::invalid("operator.id", format!("--service-id: {error}.")))?;
            return Ok(Credentials::Account {
                id: id.to_string(),
                key: read_key(key_file).map_err(|error| error.of_option("--service-key"))?,
                issuer: issuer.to_owned(),
            });
        }
        let session = self.home.session(issuer, edge::now())?;
        Ok(Credentials::Session {
            key: self.home.terminal_key()?,
            issuer: issuer.to_owned(),
            token: session.token,
        })
    }
}
