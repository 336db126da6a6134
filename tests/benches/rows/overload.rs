//! Four times what the daemon can do, by clients that retry at once: what is served, how early the rest is refused, memory.

use std::time::{Duration, Instant};

use serde_json::json;

use super::confirmation::measured_on;
use crate::deployment::{Deployment, Running};
use crate::load::{Load, Order, Pace, Until};
use crate::report::{Goal, Row};
use crate::seed::{Plan, seed};
use crate::{Bench, Result, process};

pub const ROWS: &[&str] = &[
    "overload.served_over_peak",
    "overload.refused_p99",
    "overload.memory_growth",
];

/// Daemon and clients have a core each, at the peak and above it: clients that retry at once would take the daemon's.
const DAEMON_CORE: u32 = 0;
const CLIENT_CORE: u32 = 1;

const TIMES: f64 = 4.0;
/// Enough that the phones are not the limit.
const PHONES: u64 = 8_000;

pub fn run(bench: &mut Bench) -> Result<()> {
    let deployment = Deployment::temporary()?;
    let plan = Plan {
        subjects: PHONES,
        phones: PHONES,
        ..Plan::default()
    };
    let seeded = seed(&deployment, plan)?;
    let daemon = deployment.start_on(DAEMON_CORE)?;
    let (peak, _) = measured_on(bench, &deployment, &daemon, &seeded, Some(CLIENT_CORE))?;
    let seconds = bench.scale.overload_s.get();
    let order = Order {
        pace: Pace::PerSecond(peak.per_second() * TIMES),
        until: Until::Seconds(seconds),
        retry_at_once: true,
        core: Some(CLIENT_CORE),
    };
    let mut load = Load::start(&deployment, &daemon, &seeded, order)?;
    let seen = observed(&daemon, &mut load)?;
    let resident = &seen.resident;
    let report = load.report_with_given_up()?;
    daemon.stop()?;
    let full = bench.scale.overload_s.is_full();
    bench.report.add(Row {
        name: "overload.served_over_peak",
        value: report.per_second / peak.per_second(),
        unit: "ratio",
        goal: Goal::AtLeast(0.9),
        full,
        scale: json!({
            "peak_per_s": peak.per_second(),
            "offered_per_s": peak.per_second() * TIMES,
            "served_per_s": report.per_second,
            "given_up": report.given_up,
            "refused": report.refused,
            "errors": report.errors,
            "seconds": seconds,
            "server_cpu_share": seen.server_share,
            "client_cpu_share": seen.client_share,
        }),
    })?;
    let refused = report.refused_early_ms.unwrap_or_default();
    bench.report.add(Row {
        name: "overload.refused_p99",
        value: refused.p99,
        unit: "ms",
        goal: Goal::Published,
        full,
        scale: json!({ "refused": report.refusals(), "p50_ms": refused.p50 }),
    })?;
    let (first, last) = (
        resident.first().copied().unwrap_or(0),
        resident.last().copied().unwrap_or(0),
    );
    let most = resident.iter().copied().max().unwrap_or(0);
    bench.report.add(Row {
        name: "overload.memory_growth",
        value: last as f64 / first.max(1) as f64,
        unit: "ratio",
        goal: Goal::AtMost(1.1),
        full,
        scale: json!({
            "after_a_quarter_mib": first as f64 / 1_048_576.0,
            "at_the_end_mib": last as f64 / 1_048_576.0,
            "most_mib": most as f64 / 1_048_576.0,
        }),
    })
}

/// What the daemon and its clients took while the load ran.
struct Observed {
    /// By the half second, after the first quarter, bytes.
    resident: Vec<u64>,
    server_share: f64,
    client_share: f64,
}

fn observed(daemon: &Running, load: &mut Load) -> Result<Observed> {
    let (begun, server) = (Instant::now(), daemon.cpu()?);
    let (mut resident, mut shares) = (Vec::new(), (0.0, 0.0));
    while load.is_running()? {
        resident.push(daemon.resident()?);
        let seconds = begun.elapsed().as_secs_f64().max(0.001);
        // It may have ended since it was asked.
        if let Ok(client) = process::cpu(load.pid()) {
            let server = daemon.cpu()? - server;
            shares = (server.as_secs_f64() / seconds, client.as_secs_f64() / seconds);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(Observed {
        resident: resident.split_off(resident.len() / 4),
        server_share: shares.0,
        client_share: shares.1,
    })
}
