//! `paraphe load run` as a child process, and the report it writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde::Deserialize;

use crate::Result;
use crate::binaries::binary;
use crate::deployment::{Deployment, Running, on_core};
use crate::seed::Seeded;

/// How confirmations are asked for.
#[derive(Clone, Copy)]
pub enum Pace {
    /// So many in progress at any time.
    InFlight(u64),
    /// So many begun per second.
    PerSecond(f64),
}

/// When it ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After so many.
    Count(u64),
    /// After so many seconds.
    Seconds(u64),
}

/// What a load is.
#[derive(Clone, Copy)]
pub struct Order {
    /// How confirmations are asked for.
    pub pace: Pace,
    /// When it ends.
    pub until: Until,
    /// Whether clients ignore the hint when to come again.
    pub retry_at_once: bool,
    /// The one core it may use; `None` for all.
    pub core: Option<u32>,
}

impl Order {
    /// A load that waits as it is told, on all cores.
    pub fn new(pace: Pace, until: Until) -> Self {
        Self {
            pace,
            until,
            retry_at_once: false,
            core: None,
        }
    }
}

/// What the report says of one latency.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Quantiles {
    /// Median, ms.
    pub p50: f64,
    /// 99th percentile, ms.
    pub p99: f64,
    /// The longest, ms.
    pub max: f64,
}

/// What the rows read of a report.
#[derive(Debug, Deserialize)]
pub struct LoadReport {
    /// Confirmations that got their verdict.
    pub confirmations: u64,
    /// Verdicts per second.
    pub per_second: f64,
    /// Those that were not brought to their end within a minute.
    pub given_up: u64,
    /// Refused calls by code.
    #[serde(default)]
    pub refused: BTreeMap<String, u64>,
    /// How long a refusal took, ms.
    #[serde(default)]
    pub refused_early_ms: Option<Quantiles>,
    /// Failed calls by code.
    #[serde(default)]
    pub errors: BTreeMap<String, u64>,
    /// What was not as it should be.
    #[serde(default)]
    pub discrepancies: Vec<serde_json::Value>,
    /// By step: request, delivery, unlock, answer, verdict, whole.
    #[serde(default)]
    pub latency_ms: BTreeMap<String, Quantiles>,
}

impl LoadReport {
    /// One step's latency.
    ///
    /// # Errors
    /// When the report lacks it.
    pub fn latency(&self, step: &str) -> Result<Quantiles> {
        let found = self.latency_ms.get(step).copied();
        found.ok_or_else(|| format!("the load report says nothing of {step}").into())
    }

    /// Refused calls.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// The longest that anybody waited for an answer of the daemon, ms.
    pub fn longest_ms(&self) -> f64 {
        let steps = ["request", "delivery", "unlock", "answer", "verdict"];
        let longest = steps.iter().filter_map(|step| self.latency_ms.get(*step));
        longest.map(|latency| latency.max).fold(0.0, f64::max)
    }
}

/// A run of the loading tool.
pub struct Load {
    child: Option<Child>,
    report: PathBuf,
    said: PathBuf,
}

impl Load {
    /// Starts it against a running daemon, with the phones and the backend that were seeded.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(deployment: &Deployment, daemon: &Running, seeded: &Seeded, order: Order) -> Result<Self> {
        let (report, said) = (deployment.path("load.json"), deployment.path("load.log"));
        let _earlier = std::fs::remove_file(&report);
        let mut command = on_core(&binary("paraphe"), order.core);
        command
            .env("PARAPHE_SERVER", &daemon.url)
            .env("PARAPHE_CA", deployment.path("ca.pem"))
            .env("PARAPHE_HOME", deployment.path("home"))
            .args(["--json", "load", "run", "--from"])
            .arg(&seeded.phones)
            .arg("--backend")
            .arg(format!("{}={}", seeded.backend, path_text(&seeded.backend_key)?))
            .arg("--report")
            .arg(&report)
            .args(arguments(order.pace, order.until))
            .args(order.retry_at_once.then_some("--retry-at-once"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said)?);
        Ok(Self {
            child: Some(command.spawn()?),
            report,
            said,
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_none()),
            None => Ok(false),
        }
    }

    /// Waits for its end; a discrepancy or a confirmation given up is an error.
    ///
    /// # Errors
    /// What it said when it failed.
    pub fn report(self) -> Result<LoadReport> {
        let report = self.report_with_given_up()?;
        if report.given_up == 0 {
            return Ok(report);
        }
        Err(format!(
            "{} confirmations were given up: {:?}",
            report.given_up, report.errors
        )
        .into())
    }

    /// Waits for its end; a discrepancy is an error.
    ///
    /// # Errors
    /// What it said when it wrote no report.
    pub fn report_with_given_up(mut self) -> Result<LoadReport> {
        let mut child = self.child.take().ok_or("it has ended")?;
        let ended = child.wait()?;
        let Ok(text) = std::fs::read_to_string(&self.report) else {
            let said = std::fs::read_to_string(&self.said).unwrap_or_default();
            return Err(format!("paraphe load ended with {ended}: {said}").into());
        };
        let report: LoadReport = serde_json::from_str(&text)?;
        if report.discrepancies.is_empty() {
            return Ok(report);
        }
        Err(format!("paraphe load found discrepancies: {:?}", report.discrepancies).into())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| "a path is not UTF-8".into())
}

fn arguments(pace: Pace, until: Until) -> [String; 4] {
    let (paced, pace) = match pace {
        Pace::InFlight(count) => ("--in-flight", count.to_string()),
        Pace::PerSecond(rate) => ("--rate", format!("{rate:.0}")),
    };
    let (limited, limit) = match until {
        Until::Count(count) => ("--count", count.to_string()),
        Until::Seconds(seconds) => ("--duration-s", seconds.to_string()),
    };
    [paced.to_owned(), pace, limited.to_owned(), limit]
}
