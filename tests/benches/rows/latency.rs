//! Verdict latency at half load: from `Answer` sent to the verdict at the backend, less one fsync of this disk.

use serde_json::json;

use super::confirmation::{SMALL, measured};
use crate::deployment::Deployment;
use crate::disk;
use crate::load::{Load, Order, Pace, Until};
use crate::report::{Goal, Row};
use crate::seed::seed;
use crate::{Bench, Result};

pub const ROWS: &[&str] = &["latency.verdict_p99"];

/// Half of what the closed loop reached.
const SHARE: f64 = 0.5;

pub fn run(bench: &mut Bench) -> Result<()> {
    let deployment = Deployment::temporary()?;
    let seeded = seed(&deployment, SMALL)?;
    let daemon = deployment.start()?;
    let (peak, _) = measured(bench, &deployment, &daemon, &seeded)?;
    let fsync = disk::fsync(&deployment.path(""))?;
    let rate = peak.per_second() * SHARE;
    let until = Until::Count(bench.scale.confirmations.get());
    let pace = Pace::PerSecond(rate);
    let load = Load::start(&deployment, &daemon, &seeded, Order::new(pace, until))?.report()?;
    daemon.stop()?;
    let verdict = load.latency("verdict")?;
    let fsync_ms = fsync.p50.as_secs_f64() * 1_000.0;
    bench.report.add(Row {
        name: "latency.verdict_p99",
        value: verdict.p99 - fsync_ms,
        unit: "ms",
        goal: Goal::AtMost(5.0),
        full: bench.scale.confirmations.is_full(),
        scale: json!({
            "confirmations": load.confirmations,
            "rate_per_s": rate,
            "verdict_p50_ms": verdict.p50,
            "verdict_p99_ms": verdict.p99,
            "subtracted": "median fsync",
            "fsync_p50_ms": fsync_ms,
            "fsync_p99_ms": fsync.p99.as_secs_f64() * 1_000.0,
        }),
    })
}
