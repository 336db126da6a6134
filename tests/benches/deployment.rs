//! A deployment of the release `paraphed` in a folder on the disk of target/: deploy/paraphed.toml with local paths, in which
//! only the anti-fatigue and rate figures are raised.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::binaries::{binary, root, target};
use crate::{Result, disk, process};

/// Anti-fatigue and rate figures, which one machine that plays all people and all backends would hit.
const RAISED: [(&str, &str); 7] = [
    ("requests_per_second_per_caller", "1000000"),
    ("caller_burst", "1000000"),
    ("anonymous_requests_per_second_per_address", "1000000"),
    ("anonymous_burst", "1000000"),
    ("requests_per_10_min", "1000"),
    ("requests_per_day", "10000"),
    ("wakes_per_hour", "1000"),
];

/// A folder with configuration, keys and database.
pub struct Deployment {
    folder: PathBuf,
    _kept_until: Option<TempDir>,
}

/// The daemon while it runs. SIGKILL when dropped.
pub struct Running {
    child: Child,
    /// `https://localhost:PORT`.
    pub url: String,
    /// From its start to its `listening` line.
    pub started_in: Duration,
}

impl Deployment {
    /// A new one, deleted when dropped.
    ///
    /// # Errors
    /// When `paraphed init` fails.
    pub fn temporary() -> Result<Self> {
        std::fs::create_dir_all(target())?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target())?;
        Self::initialised(folder.path().to_owned(), Some(folder))
    }

    /// The one in this folder, which stays; made where there is none. `true` when it was there.
    ///
    /// # Errors
    /// When `paraphed init` fails.
    pub fn kept(folder: &Path) -> Result<(Self, bool)> {
        if folder.join("paraphed.toml").exists() {
            let kept = Self {
                folder: folder.to_owned(),
                _kept_until: None,
            };
            return Ok((kept, true));
        }
        std::fs::create_dir_all(folder)?;
        Ok((Self::initialised(folder.to_owned(), None)?, false))
    }

    fn initialised(folder: PathBuf, kept_until: Option<TempDir>) -> Result<Self> {
        std::fs::write(folder.join("paraphed.toml"), configuration()?)?;
        std::fs::copy(root().join("deploy/actions.toml"), folder.join("actions.toml"))?;
        let made = Self {
            folder,
            _kept_until: kept_until,
        };
        let init = made
            .command("init")
            .args(["--development-tls", "--json"])
            .output()?;
        if !init.status.success() {
            return Err(format!("paraphed init: {}", String::from_utf8_lossy(&init.stderr)).into());
        }
        Ok(made)
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Size of the database without its write-ahead log, bytes.
    ///
    /// # Errors
    /// When it is missing.
    pub fn database_bytes(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.path("paraphe.db"))?.len())
    }

    /// Size of the write-ahead log, bytes; 0 without one.
    pub fn wal_bytes(&self) -> u64 {
        std::fs::metadata(self.path("paraphe.db-wal")).map_or(0, |file| file.len())
    }

    /// Verdicts that the daemon has committed for a backend, read beside it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn verdicts(&self, backend: &str) -> Result<u64> {
        let sql = "SELECT COALESCE(MAX(last_number), 0) FROM verdict_sequence WHERE relying_party_id = ?1";
        self.number(sql, backend)
    }

    /// Pending challenges of a backend, read beside the daemon.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn pending(&self, backend: &str) -> Result<u64> {
        let sql = "SELECT COUNT(*) FROM challenge WHERE state = 'pending' AND relying_party_id = ?1";
        self.number(sql, backend)
    }

    fn number(&self, sql: &str, backend: &str) -> Result<u64> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(self.path("paraphe.db"), flags)?;
        database.busy_timeout(Duration::from_secs(5))?;
        let number: i64 = database.query_row(sql, [backend], |row| row.get(0))?;
        Ok(u64::try_from(number)?)
    }

    fn command(&self, verb: &str) -> Command {
        self.command_on(verb, None)
    }

    fn command_on(&self, verb: &str, core: Option<u32>) -> Command {
        let mut command = on_core(&binary("paraphed"), core);
        command.arg(verb).arg("--config").arg(self.path("paraphed.toml"));
        command
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// When it does not listen; its log says why.
    pub fn start(&self) -> Result<Running> {
        self.started(&mut self.command("serve"))
    }

    /// Starts the daemon on one core.
    ///
    /// # Errors
    /// As [`Deployment::start`].
    pub fn start_on(&self, core: u32) -> Result<Running> {
        self.started(&mut self.command_on("serve", Some(core)))
    }

    /// Starts the daemon and counts its fsyncs in [`Deployment::fsyncs`].
    ///
    /// # Errors
    /// As [`Deployment::start`], and without a C compiler.
    pub fn start_counting(&self) -> Result<Running> {
        let mut command = self.command("serve");
        command.envs(disk::counting(&self.path("fsyncs"))?);
        self.started(&mut command)
    }

    /// Fsyncs of the daemon that was started counting.
    ///
    /// # Errors
    /// When it was not.
    pub fn fsyncs(&self) -> Result<u64> {
        disk::counted(&self.path("fsyncs"))
    }

    fn started(&self, command: &mut Command) -> Result<Running> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))?;
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut line = String::new();
        let said = child.stdout.take().ok_or("no standard output")?;
        BufReader::new(said).read_line(&mut line)?;
        let started_in = begun.elapsed();
        let port = line.trim().rsplit_once(':').map(|(_, port)| port.to_owned());
        let Some(port) = port else {
            let log = std::fs::read_to_string(self.path("log"))?;
            return Err(format!("paraphed did not start: {log}").into());
        };
        Ok(Running {
            child,
            url: format!("https://localhost:{port}"),
            started_in,
        })
    }
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// User and system time so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> Result<Duration> {
        process::cpu(self.pid())
    }

    /// Resident memory, bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident(&self) -> Result<u64> {
        process::resident(self.pid())
    }

    /// SIGTERM, and waits.
    ///
    /// # Errors
    /// When it ends otherwise than it should.
    pub fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?).ok_or("no process")?;
        kill_process(pid, Signal::TERM)?;
        let ended = self.child.wait()?;
        if ended.success() {
            return Ok(());
        }
        Err(format!("paraphed ended with {ended}").into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A program, kept on one core by `taskset` of util-linux.
pub fn on_core(program: &Path, core: Option<u32>) -> Command {
    let Some(core) = core else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

fn configuration() -> Result<String> {
    let text = std::fs::read_to_string(root().join("deploy/paraphed.toml"))?;
    let text = text
        .replace("\"/etc/paraphe/", "\"")
        .replace("\"/var/lib/paraphe-journal/", "\"")
        .replace("\"/var/lib/paraphe/", "\"");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (key, value) in RAISED.into_iter().chain([("listen", "\"127.0.0.1:0\"")]) {
        let mut found = false;
        for line in &mut lines {
            if line.starts_with(&format!("{key} = ")) {
                *line = format!("{key} = {value}");
                found = true;
            }
        }
        if !found {
            return Err(format!("deploy/paraphed.toml has no {key}").into());
        }
    }
    Ok(lines.join("\n"))
}
