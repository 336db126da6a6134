//! One confirmation at 64 in flight: the daemon's processor time against the crypto floor of the same run, confirmations per second,
//! fsyncs.

use serde_json::json;

use crate::deployment::{Deployment, Running};
use crate::floor::Floor;
use crate::load::{Load, LoadReport, Order, Pace, Until};
use crate::report::{Goal, Row};
use crate::seed::{Plan, Seeded, seed};
use crate::window::{Window, observe};
use crate::{Bench, Result};

pub const ROWS: &[&str] = &[
    "confirmation.cpu_over_floor",
    "confirmation.per_second",
    "confirmation.cpu_s_per_1000",
    "confirmation.against_privacyidea",
    "confirmation.against_ciba",
];
pub const FSYNC_ROWS: &[&str] = &["confirmation.fsyncs"];

/// Processor time of one confirmation, measured on another machine like this one: the comparison holds as far as they are alike.
const PRIVACYIDEA_MS: f64 = 233.0;
const CIBA_MS: f64 = 6.1;

/// People of the small database.
pub const SMALL: Plan = Plan {
    subjects: 1_000,
    phones: 512,
    past: 0,
    pending: None,
};

/// A load that is observed after its first tenth; the window and the load's own report.
pub fn measured(
    bench: &Bench,
    deployment: &Deployment,
    daemon: &Running,
    seeded: &Seeded,
) -> Result<(Window, LoadReport)> {
    measured_on(bench, deployment, daemon, seeded, None)
}

/// The same, with the loading tool on one core.
pub fn measured_on(
    bench: &Bench,
    deployment: &Deployment,
    daemon: &Running,
    seeded: &Seeded,
    core: Option<u32>,
) -> Result<(Window, LoadReport)> {
    let (count, in_flight) = (bench.scale.confirmations.get(), bench.scale.in_flight.get());
    let skip = count / 10 + in_flight;
    let until = Until::Count(skip + count + 2 * in_flight);
    let order = Order {
        core,
        ..Order::new(Pace::InFlight(in_flight), until)
    };
    let mut load = Load::start(deployment, daemon, seeded, order)?;
    let window = observe(deployment, daemon, &mut load, &seeded.backend, skip, count)?;
    Ok((window, load.report()?))
}

pub fn run(bench: &mut Bench) -> Result<()> {
    let deployment = Deployment::temporary()?;
    let seeded = seed(&deployment, SMALL)?;
    let daemon = deployment.start()?;
    let floor = Floor::measure()?;
    let (window, load) = measured(bench, &deployment, &daemon, &seeded)?;
    let again = Floor::measure()?;
    daemon.stop()?;
    let floor_ms = floor.ms().min(again.ms());
    let full = bench.scale.confirmations.is_full() && bench.scale.in_flight.is_full();
    let each = window.server_ms_each();
    bench.report.add(Row {
        name: "confirmation.cpu_over_floor",
        value: each / floor_ms,
        unit: "ratio",
        goal: Goal::AtMost(1.5),
        full,
        scale: json!({
            "confirmations": window.confirmations,
            "in_flight": bench.scale.in_flight.get(),
            "server_cpu_ms": each,
            "floor_ms": floor_ms,
        }),
    })?;
    bench.report.add(Row {
        name: "confirmation.per_second",
        value: window.per_second(),
        unit: "1/s",
        goal: Goal::Published,
        full,
        scale: json!({
            "confirmations": window.confirmations,
            "server_cpu_share": window.server_cpu_s / window.seconds,
            "client_cpu_share": window.client_cpu_s / window.seconds,
            "whole_p50_ms": load.latency("whole")?.p50,
            "whole_p99_ms": load.latency("whole")?.p99,
        }),
    })?;
    comparisons(bench, each, full)
}

fn comparisons(bench: &mut Bench, each: f64, full: bool) -> Result<()> {
    let figures = [
        ("confirmation.cpu_s_per_1000", each, "s CPU", json!({})),
        (
            "confirmation.against_privacyidea",
            PRIVACYIDEA_MS / each,
            "times as many",
            json!({ "privacyidea_ms": PRIVACYIDEA_MS, "measured_on": "another machine like this" }),
        ),
        (
            "confirmation.against_ciba",
            CIBA_MS / each,
            "times as many",
            json!({ "node_ciba_ms": CIBA_MS, "measured_on": "another machine like this" }),
        ),
    ];
    for (name, value, unit, scale) in figures {
        let goal = Goal::Published;
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

pub fn fsyncs(bench: &mut Bench) -> Result<()> {
    let deployment = Deployment::temporary()?;
    let seeded = seed(&deployment, SMALL)?;
    let daemon = deployment.start_counting()?;
    let (window, _) = measured(bench, &deployment, &daemon, &seeded)?;
    daemon.stop()?;
    bench.report.add(Row {
        name: "confirmation.fsyncs",
        value: window.fsyncs as f64 / window.confirmations as f64,
        unit: "each",
        goal: Goal::AtMost(0.2),
        full: bench.scale.confirmations.is_full() && bench.scale.in_flight.is_full(),
        scale: json!({
            "confirmations": window.confirmations,
            "in_flight": bench.scale.in_flight.get(),
            "fsyncs": window.fsyncs,
        }),
    })
}
