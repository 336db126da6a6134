//! A long run at 70 % load: memory, open files, write-ahead log and latency at intervals must be flat.

use serde_json::{Value, json};

use super::confirmation::measured;
use crate::deployment::{Deployment, Running};
use crate::load::{Load, Order, Pace, Until};
use crate::report::{Goal, Row};
use crate::seed::{Plan, seed};
use crate::{Bench, Result, process};

pub const ROWS: &[&str] = &[
    "soak.memory_growth",
    "soak.open_files_growth",
    "soak.wal_mib",
    "soak.latency_growth",
];

const SHARE: f64 = 0.7;
/// Each interval is a run of its own, whose report says its latency.
const INTERVALS: u64 = 10;
const SHORTEST_S: u64 = 5;
/// So many that nobody is asked much more often than quotas would allow: a Request counts its person's day.
const PHONES: u64 = 8_000;

struct Interval {
    resident: u64,
    open_files: usize,
    wal: u64,
    p50_ms: f64,
    p99_ms: f64,
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let deployment = Deployment::temporary()?;
    let plan = Plan {
        subjects: PHONES,
        phones: PHONES,
        ..Plan::default()
    };
    let seeded = seed(&deployment, plan)?;
    let daemon = deployment.start()?;
    let (peak, _) = measured(bench, &deployment, &daemon, &seeded)?;
    let rate = peak.per_second() * SHARE;
    let total = bench.scale.soak_s.get();
    let seconds = (total / INTERVALS).max(SHORTEST_S);
    let mut intervals = Vec::new();
    for _ in 0..total.div_ceil(seconds) {
        let pace = Pace::PerSecond(rate);
        let load = Load::start(
            &deployment,
            &daemon,
            &seeded,
            Order::new(pace, Until::Seconds(seconds)),
        )?;
        intervals.push(interval(&deployment, &daemon, load)?);
    }
    daemon.stop()?;
    report(bench, &intervals, rate)
}

fn interval(deployment: &Deployment, daemon: &Running, mut load: Load) -> Result<Interval> {
    let (mut open_files, mut wal) = (0, 0);
    while load.is_running()? {
        open_files = open_files.max(process::open_files(daemon.pid())?);
        wal = wal.max(deployment.wal_bytes());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let whole = load.report()?.latency("verdict")?;
    Ok(Interval {
        resident: daemon.resident()?,
        open_files,
        wal,
        p50_ms: whole.p50,
        p99_ms: whole.p99,
    })
}

/// The median of the last three intervals over that of the first three after the first: what rises with time rises in both, and a machine
/// that stood still during one interval is in neither.
fn trend(intervals: &[Interval], figure: fn(&Interval) -> f64) -> f64 {
    let median = |of: &[Interval]| {
        let mut figures: Vec<f64> = of.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let later = intervals.get(1..).unwrap_or_default();
    let three = later.len().min(3);
    median(later.get(later.len() - three..).unwrap_or_default())
        / median(later.get(..three).unwrap_or_default())
}

fn report(bench: &mut Bench, intervals: &[Interval], rate: f64) -> Result<()> {
    // The first interval fills caches and pools.
    let (Some(second), Some(last)) = (intervals.get(1), intervals.last()) else {
        return Err("a soak needs two intervals".into());
    };
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let all = |figure: fn(&Interval) -> f64| intervals.iter().map(figure).collect::<Vec<f64>>();
    let largest_wal = mib(intervals.iter().map(|interval| interval.wal).max().unwrap_or(0));
    let figures: [(&str, f64, &str, Goal, Value); 4] = [
        (
            "soak.memory_growth",
            last.resident as f64 / second.resident as f64,
            "ratio",
            Goal::AtMost(1.1),
            json!({ "mib": all(|interval| interval.resident as f64 / 1_048_576.0) }),
        ),
        (
            "soak.open_files_growth",
            last.open_files as f64 / second.open_files as f64,
            "ratio",
            Goal::AtMost(1.1),
            json!({ "open": all(|interval| interval.open_files as f64) }),
        ),
        (
            "soak.wal_mib",
            largest_wal,
            "MiB",
            Goal::AtMost(64.0),
            json!({ "mib": all(|interval| interval.wal as f64 / 1_048_576.0) }),
        ),
        (
            "soak.latency_growth",
            trend(intervals, |interval| interval.p99_ms),
            "ratio",
            Goal::AtMost(1.5),
            json!({
                "verdict_p50_ms": all(|interval| interval.p50_ms),
                "verdict_p99_ms": all(|interval| interval.p99_ms),
                "rate_per_s": rate,
            }),
        ),
    ];
    for (name, value, unit, goal, scale) in figures {
        let full = bench.scale.soak_s.is_full();
        bench.report.add(Row {
            name,
            value,
            unit,
            goal,
            full,
            scale,
        })?;
    }
    Ok(())
}
