//! What a large database costs: processor time of a confirmation, disk of the past, start-up, memory after the start.
//!
//! `PARAPHE_BENCH_LARGE=DIR` keeps the large deployment in a folder and uses it again.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::confirmation::{SMALL, measured};
use crate::deployment::{Deployment, Running};
use crate::report::{Goal, Row};
use crate::seed::{BACKEND, Plan, Seeded, seed};
use crate::{Bench, Result};

pub const ROWS: &[&str] = &[
    "growth.disk_per_past",
    "growth.seeded_per_s",
    "growth.start_s",
    "growth.start_memory",
    "growth.cpu",
];

const MIB: f64 = 1_048_576.0;

pub fn run(bench: &mut Bench) -> Result<()> {
    let full = bench.scale.subjects.is_full() && bench.scale.past.is_full();
    let (deployment, seeded) = large(bench)?;
    disk(bench, &deployment, &seeded, full)?;
    let daemon = deployment.start()?;
    start(bench, &deployment, &daemon, full)?;
    // Before and after, so that a machine that others use as well does not tilt the ratio.
    let before = small(bench)?;
    let (large, _) = measured(bench, &deployment, &daemon, &seeded)?;
    daemon.stop()?;
    let small_ms = f64::midpoint(before, small(bench)?);
    let scale = json!({
        "subjects": bench.scale.subjects.get(),
        "past": bench.scale.past.get(),
        "large_ms": large.server_ms_each(),
        "small_ms": small_ms,
    });
    let ratio = large.server_ms_each() / small_ms;
    row(
        bench,
        "growth.cpu",
        ratio,
        "ratio",
        Goal::AtMost(1.15),
        full,
        scale,
    )
}

/// Processor time of a confirmation on the small database, ms.
fn small(bench: &Bench) -> Result<f64> {
    let deployment = Deployment::temporary()?;
    let seeded = seed(&deployment, SMALL)?;
    let daemon = deployment.start()?;
    let (window, _) = measured(bench, &deployment, &daemon, &seeded)?;
    daemon.stop()?;
    Ok(window.server_ms_each())
}

fn start(bench: &mut Bench, deployment: &Deployment, large: &Running, full: bool) -> Result<()> {
    let empty = {
        let deployment = Deployment::temporary()?;
        settled(&deployment.start()?)?
    };
    let scale = json!({ "database_mib": deployment.database_bytes()? as f64 / MIB });
    let start_s = large.started_in.as_secs_f64();
    row(
        bench,
        "growth.start_s",
        start_s,
        "s",
        Goal::AtMost(2.0),
        full,
        scale,
    )?;
    let scale = json!({ "empty_mib": empty / MIB });
    let above = (settled(large)? - empty) / MIB;
    row(
        bench,
        "growth.start_memory",
        above,
        "MiB",
        Goal::AtMost(100.0),
        full,
        scale,
    )
}

fn disk(bench: &mut Bench, deployment: &Deployment, seeded: &Seeded, full: bool) -> Result<()> {
    let past = bench.scale.past.get();
    if seeded.rows == 0 {
        eprintln!(
            "   {} was there: its past is not measured again",
            deployment.path("").display()
        );
        return Ok(());
    }
    let each = seeded.past_bytes as f64 / past as f64;
    let scale = json!({ "past": past, "bytes": seeded.past_bytes, "statements": "64 real ones, repeated" });
    row(
        bench,
        "growth.disk_per_past",
        each,
        "bytes",
        Goal::AtMost(3_072.0),
        full,
        scale,
    )?;
    let rate = seeded.rows as f64 / seeded.took.as_secs_f64();
    let scale = json!({ "rows": seeded.rows, "seconds": seeded.took.as_secs_f64() });
    row(
        bench,
        "growth.seeded_per_s",
        rate,
        "rows/s",
        Goal::Published,
        full,
        scale,
    )
}

fn row(
    bench: &mut Bench,
    name: &'static str,
    value: f64,
    unit: &'static str,
    goal: Goal,
    full: bool,
    scale: serde_json::Value,
) -> Result<()> {
    bench.report.add(Row {
        name,
        value,
        unit,
        goal,
        full,
        scale,
    })
}

fn large(bench: &Bench) -> Result<(Deployment, Seeded)> {
    let plan = Plan {
        subjects: bench.scale.subjects.get(),
        phones: SMALL.phones,
        past: bench.scale.past.get(),
        pending: None,
    };
    let Some(folder) = std::env::var_os("PARAPHE_BENCH_LARGE") else {
        let deployment = Deployment::temporary()?;
        let seeded = seed(&deployment, plan)?;
        return Ok((deployment, seeded));
    };
    let (deployment, was_there) = Deployment::kept(Path::new(&folder))?;
    let seeded = if was_there {
        Seeded::found(&deployment, BACKEND)
    } else {
        seed(&deployment, plan)?
    };
    Ok((deployment, seeded))
}

/// Resident memory once the first sweeps are over, bytes.
fn settled(daemon: &Running) -> Result<f64> {
    std::thread::sleep(Duration::from_secs(3));
    Ok(daemon.resident()? as f64)
}
