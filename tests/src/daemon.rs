//! One `paraphed` process on one folder: started, stopped with SIGTERM, killed.
//!
//! Callers: [`World`](crate::World) and the tests of starting and stopping. Invariant: the process never outlives the value.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const LISTENING: &str = "paraphed: listening on ";
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A daemon that listens.
pub struct Daemon {
    process: Child,
    stdout: BufReader<ChildStdout>,
    /// `127.0.0.1:PORT`
    pub address: String,
}

/// How a daemon or one of its commands ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said on standard error.
    pub stderr: String,
}

/// A command on the configuration of a folder; the clock file is the folder's.
pub fn command(binary: &Path, verb: &str, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .arg(verb)
        .arg("--config")
        .arg(folder.join("paraphed.toml"))
        .env("PARAPHE_TEST_CLOCK_FILE", clock_file(folder))
        .stdin(Stdio::null());
    command
}

/// Runs a command of the daemon to its end.
pub fn run(binary: &Path, verb: &str, folder: &Path, arguments: &[&str]) -> Ended {
    let output = command(binary, verb, folder).args(arguments).output();
    let output = output.expect("the daemon's binary runs");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The file whose number of seconds the daemon with hooks adds to its clock.
pub fn clock_file(folder: &Path) -> PathBuf {
    folder.join("clock")
}

/// The daemon's log.
pub fn log_file(folder: &Path) -> PathBuf {
    folder.join("paraphed.log")
}

impl Daemon {
    /// Starts `serve` and waits until it listens.
    ///
    /// # Errors
    /// [`Ended`] when it ends instead.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self, Ended> {
        let log = log_file(folder);
        let file = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .expect("the log");
        let before = file.metadata().expect("the log").len();
        let mut process = command(binary, "serve", folder)
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the daemon's binary runs");
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the daemon's output is text");
        if let Some(address) = line.trim().strip_prefix(LISTENING) {
            let address = address.to_owned();
            return Ok(Self {
                process,
                stdout,
                address,
            });
        }
        let status = process.wait().expect("the daemon ends");
        let said = std::fs::read(&log).expect("the log");
        let said = said
            .get(usize::try_from(before).expect("a small log")..)
            .unwrap_or_default();
        Err(Ended {
            code: status.code().unwrap_or(-1),
            stdout: line,
            stderr: String::from_utf8_lossy(said).into_owned(),
        })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGTERM, without waiting.
    pub fn ask_to_stop(&self) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), Signal::TERM).expect("SIGTERM");
    }

    /// Waits for its end; -1 when a signal ended it. Clients in this runtime go on meanwhile, as they must for a drain.
    ///
    /// # Panics
    /// After 20 s.
    pub async fn wait(mut self) -> i32 {
        let until = Instant::now() + STOP_LIMIT;
        while Instant::now() < until {
            if let Some(status) = self.process.try_wait().expect("the daemon's status") {
                let mut rest = String::new();
                self.stdout
                    .read_line(&mut rest)
                    .expect("the daemon's output is text");
                assert_eq!(rest, "", "the daemon prints one line on standard output");
                return status.code().unwrap_or(-1);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("paraphed still runs {STOP_LIMIT:?} after it was asked to stop");
    }

    /// SIGTERM, and the exit code.
    pub async fn stop(self) -> i32 {
        self.ask_to_stop();
        self.wait().await
    }

    /// SIGKILL: nothing is drained.
    pub fn kill(mut self) {
        self.process.kill().expect("SIGKILL");
        self.process.wait().expect("the daemon ends");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _reaped = self.process.wait();
    }
}
