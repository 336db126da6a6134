//! Many challenges that expire in the same second, while a light load goes on: the longest that anybody else waits.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::deployment::Deployment;
use crate::load::{Load, Order, Pace, Until};
use crate::report::{Goal, Row};
use crate::seed::{Plan, seed};
use crate::{Bench, Result, disk};

pub const ROWS: &[&str] = &["expiry.longest_pause", "expiry.seconds"];

/// Confirmations per second of the others.
const LIGHT: f64 = 20.0;
const PHONES: u64 = 128;
/// From the seeding to the moment of expiry: the daemon starts and the load runs in.
const AHEAD_S: u64 = 30;
const CALM_S: u64 = 8;
const GIVE_UP: Duration = Duration::from_secs(300);

pub fn run(bench: &mut Bench) -> Result<()> {
    let deployment = Deployment::temporary()?;
    let count = bench.scale.expiring.get();
    // Seeding is fast, but not of a known speed.
    let seeding_s = count / 5_000;
    let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
    let expires_at = now + seeding_s + AHEAD_S;
    let plan = Plan {
        subjects: count,
        phones: PHONES,
        past: 0,
        pending: Some((count, i64::try_from(expires_at)?)),
    };
    let seeded = seed(&deployment, plan)?;
    let daemon = deployment.start()?;
    let pace = Pace::PerSecond(LIGHT);
    let calm = Load::start(
        &deployment,
        &daemon,
        &seeded,
        Order::new(pace, Until::Seconds(CALM_S)),
    )?
    .report()?;
    let until = Until::Seconds(expires_at.saturating_sub(std::time::UNIX_EPOCH.elapsed()?.as_secs()) + 20);
    let load = Load::start(&deployment, &daemon, &seeded, Order::new(pace, until))?;
    wait_until(expires_at)?;
    let begun = Instant::now();
    while deployment.pending(&seeded.backend)? > count / 100 + PHONES && begun.elapsed() < GIVE_UP {
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = begun.elapsed().as_secs_f64();
    let report = load.report()?;
    daemon.stop()?;
    let fsync = disk::fsync(&deployment.path(""))?;
    let full = bench.scale.expiring.is_full();
    bench.report.add(Row {
        name: "expiry.longest_pause",
        value: report.longest_ms(),
        unit: "ms",
        goal: Goal::AtMost(50.0),
        full,
        scale: json!({
            "expiring": count,
            "others_per_s": LIGHT,
            "longest_without_ms": calm.longest_ms(),
            "fsync_p99_ms": fsync.p99.as_secs_f64() * 1_000.0,
            "by_step_ms": report.latency_ms.iter().map(|(step, latency)| (step.clone(), latency.max)).collect::<std::collections::BTreeMap<_, _>>(),
        }),
    })?;
    bench.report.add(Row {
        name: "expiry.seconds",
        value: took,
        unit: "s",
        goal: Goal::Published,
        full,
        scale: json!({ "expiring": count }),
    })
}

fn wait_until(unix_s: u64) -> Result<()> {
    while std::time::UNIX_EPOCH.elapsed()?.as_secs() < unix_s {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
