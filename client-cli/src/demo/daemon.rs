//! The real `paraphed`, in its own process: initialised, started, stopped with SIGTERM.
//!
//! Callers: the first and the last act. Invariant: it never outlives the demo.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::stage::ensure;
use crate::channel::Server;
use crate::error::{Error, Result};

const STOP_LIMIT: Duration = Duration::from_secs(20);
const LISTENING: &str = "paraphed: listening on ";

/// What `paraphed init --json` prints.
#[derive(Deserialize)]
pub struct Initialised {
    /// Issuer URL.
    pub issuer: String,
    /// Activations of the first administrators.
    pub administrators: Vec<FirstAdministrator>,
    /// Public root key (JWK, JSON).
    pub root_public_key_file: PathBuf,
    /// Private key of the first terminal.
    pub terminal_key_file: PathBuf,
    /// Authority of the TLS certificate.
    pub ca_file: PathBuf,
}

/// One of the first administrators.
#[derive(Deserialize)]
pub struct FirstAdministrator {
    /// Operator name.
    pub operator: String,
    /// Content of the QR code.
    pub uri: String,
}

/// A `paraphed` binary with its configuration.
#[derive(Clone)]
pub struct Daemon {
    binary: PathBuf,
    config: PathBuf,
}

/// A daemon that listens.
pub struct Running {
    /// The process.
    pub process: Child,
    /// Its process id.
    pub pid: u32,
    /// `127.0.0.1:PORT`
    pub address: String,
}

impl Daemon {
    /// The daemon's binary, by default beside this one, with the configuration at `config`.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is no such binary.
    pub fn new(binary: Option<&Path>, config: PathBuf) -> Result<Self> {
        let beside = || {
            std::env::current_exe()
                .ok()
                .map(|own| own.with_file_name("paraphed"))
        };
        let binary = binary.map(Path::to_owned).or_else(beside).unwrap_or_default();
        if !binary.is_file() {
            return Err(Error::Usage(format!(
                "There is no daemon at {}: build the workspace (cargo build --release), or give --paraphed PATH.",
                binary.display()
            )));
        }
        Ok(Daemon { binary, config })
    }

    /// `paraphed init`: keys, database, development TLS, the first administrators' activations.
    ///
    /// # Errors
    /// What it prints on standard error.
    pub async fn init(&self) -> Result<Initialised> {
        let done = self
            .command("init")
            .args(["--development-tls", "--json"])
            .output()
            .await
            .map_err(self.cannot_run())?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure(done.status.success(), || {
            format!("paraphed init: {} ({})", said.trim(), done.status)
        })?;
        serde_json::from_slice(&done.stdout).map_err(|error| {
            Error::other(
                "demo.init",
                format!("paraphed init printed something else than announced: {error}."),
            )
        })
    }

    /// `paraphed serve`, until it listens. Its log goes to `paraphed.log` beside the configuration.
    ///
    /// # Errors
    /// When it ends or prints something else before it listens.
    pub async fn serve(&self) -> Result<Running> {
        let log = self.config.with_file_name("paraphed.log");
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(&log)
            .map_err(Error::file("write", &log))?;
        let mut process = self
            .command("serve")
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .map_err(self.cannot_run())?;
        let (Some(stdout), Some(pid)) = (process.stdout.take(), process.id()) else {
            return Err(Error::other("demo.serve", "paraphed ended at once."));
        };
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        stdout
            .read_line(&mut line)
            .await
            .map_err(|error| Error::other("demo.serve", format!("paraphed cannot be read: {error}.")))?;
        let address = line
            .trim()
            .strip_prefix(LISTENING)
            .ok_or_else(|| did_not_listen(&line, &log))?;
        // Kept open: a daemon that prints more must not fail.
        process.stdout = Some(stdout.into_inner());
        Ok(Running {
            process,
            pid,
            address: address.to_owned(),
        })
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg(verb)
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null());
        command
    }

    fn cannot_run(&self) -> impl FnOnce(std::io::Error) -> Error {
        Error::file("run", &self.binary)
    }
}

fn did_not_listen(line: &str, log: &Path) -> Error {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let last = log.lines().next_back().unwrap_or_default();
    Error::other(
        "demo.serve",
        format!("paraphed does not listen: {} {last}", line.trim()),
    )
}

impl Running {
    /// How clients reach it.
    pub fn server(&self, initialised: &Initialised) -> Server {
        Server {
            url: format!("https://{}", self.address),
            ca_file: initialised.ca_file.clone(),
            issuer: initialised.issuer.clone(),
        }
    }
}

/// Asks the daemon to stop (SIGTERM) and waits until it has, with exit status 0.
///
/// # Errors
/// When it does not, in 20 s.
pub async fn stop(mut process: Child) -> Result<()> {
    let pid = process
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::other("demo.stop", "paraphed ended before it was asked to."))?;
    kill_process(pid, Signal::TERM)
        .map_err(|error| Error::other("demo.stop", format!("paraphed cannot be stopped: {error}.")))?;
    let ended = tokio::time::timeout(STOP_LIMIT, process.wait()).await;
    let status = ended
        .map_err(|_| {
            Error::other(
                "demo.stop",
                format!("paraphed still runs {} s after SIGTERM.", STOP_LIMIT.as_secs()),
            )
        })?
        .map_err(|error| Error::other("demo.stop", error.to_string()))?;
    ensure(status.success(), || {
        format!("paraphed ended with {status} after SIGTERM.")
    })
}
