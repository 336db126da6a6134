//! A real `paraphed` in a folder of its own: initialised, started on a free port, killed when dropped.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::hygiene::Secrets;

pub const ISSUER: &str = "https://paraphe.test";

/// One deployment on disk and, while it runs, its process.
pub struct Daemon {
    pub folder: TempDir,
    pub url: String,
    /// Variables that its process gets.
    pub environment: Vec<(&'static str, OsString)>,
    child: Option<Child>,
    /// What its log must not hold.
    pub secrets: Secrets,
}

/// A binary that `tests/run` builds or brings, in a folder of Cargo's target.
pub fn binary(folder: &str, name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let path = target.join(folder).join(name);
    assert!(path.exists(), "{} is missing: run tests/run", path.display());
    path
}

fn config(extra: &str) -> String {
    let actions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/actions.toml");
    format!(
        r#"issuer = "{ISSUER}"
listen = "127.0.0.1:0"
actions_file = "{}"
[store]
path = "paraphe.db"
[keys]
master_key_file = "master.key"
issuer_keys_file = "issuer-keys.sealed"
root_public_key_file = "root.jwk.json"
[tls]
certificate_file = "tls.pem"
private_key_file = "tls.key"
[limits]
anonymous_requests_per_second_per_address = 100000
anonymous_burst = 100000
{extra}"#,
        actions.display()
    )
}

/// Demonstration: no quarantine at the counter, lifetimes of seconds.
pub const DEMONSTRATION: &str =
    "[profile]\ndemonstration = true\n[step_up]\nmin_lifetime_s = 1\n[channels.counter]\nquarantine_s = 0\n";

impl Daemon {
    /// Initialises a deployment without starting it; also what `init --json` printed.
    pub fn prepared(extra: &str) -> (Self, serde_json::Value) {
        Self::prepared_with(extra, Vec::new())
    }

    /// The same with variables for its process.
    pub fn prepared_with(
        extra: &str,
        environment: Vec<(&'static str, OsString)>,
    ) -> (Self, serde_json::Value) {
        let (daemon, made) = Self::init(extra, environment);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        (daemon, serde_json::from_slice(&made.stdout).unwrap())
    }

    /// An initialisation that must fail; what it said.
    pub fn refused(extra: &str, environment: Vec<(&'static str, OsString)>) -> (Self, String) {
        let (daemon, made) = Self::init(extra, environment);
        assert!(!made.status.success());
        (daemon, String::from_utf8_lossy(&made.stderr).into_owned())
    }

    fn init(extra: &str, environment: Vec<(&'static str, OsString)>) -> (Self, Output) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("paraphed.toml"), config(extra)).unwrap();
        std::fs::write(folder.path().join("clock"), "0").unwrap();
        let daemon = Self {
            folder,
            url: String::new(),
            environment,
            child: None,
            secrets: Secrets::default(),
        };
        let made = daemon
            .command("init")
            .args(["--development-tls", "--json"])
            .output()
            .unwrap();
        (daemon, made)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `paraphed-test-hooks` with the configuration of this folder.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(binary("debug", "paraphed-test-hooks"));
        command.arg(verb).arg("--config").arg(self.path("paraphed.toml"));
        command.env("PARAPHE_TEST_CLOCK_FILE", self.path("clock"));
        command.env("PARAPHE_TEST_KILL_FILE", self.path("kill"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn start(&mut self) {
        self.try_start().unwrap();
    }

    /// Starts it and waits until it listens; what its log says when it does not.
    pub fn try_start(&mut self) -> Result<(), String> {
        self.kill();
        let mut child = self.spawn();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        self.child = Some(child);
        let Some(address) = line.trim().strip_prefix("paraphed: listening on ") else {
            self.kill();
            return Err(format!("paraphed did not start: {}", self.log()));
        };
        self.url = format!("https://{address}");
        Ok(())
    }

    /// Its process, which may not listen yet.
    pub fn spawn(&self) -> Child {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let mut serve = self.command("serve");
        serve.stdout(Stdio::piped()).stderr(log).spawn().unwrap()
    }

    /// Whether its process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// A start that must fail, within 30 s; what it said, and its exit code.
    pub fn fail_to_start(&self) -> (String, i32) {
        let serve = self.command("serve");
        let mut bounded = Command::new("timeout");
        bounded.arg("30").arg(serve.get_program()).args(serve.get_args());
        let set = serve.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let output = bounded.envs(set).output().unwrap();
        (
            String::from_utf8_lossy(&output.stderr).into_owned(),
            output.status.code().unwrap_or(-1),
        )
    }

    /// SIGTERM; the exit code.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::TERM);
        let mut child = self.child.take().unwrap();
        child.wait().unwrap().code().unwrap_or(-1)
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(id, signal).unwrap();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Sets the daemon's clock to so many seconds from now.
    pub fn clock(&self, offset_s: i64) {
        let file = self.path("clock.new");
        std::fs::write(&file, offset_s.to_string()).unwrap();
        std::fs::rename(file, self.path("clock")).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            self.secrets.search(&self.log());
        }
    }
}
