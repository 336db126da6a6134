//! A window inside a run: counters of kernel and database read at its two ends, so that neither the arrival of the phones nor the
//! end of the run counts.

use std::time::{Duration, Instant};

use crate::Result;
use crate::deployment::{Deployment, Running};
use crate::load::Load;
use crate::process;

/// Between two looks at how far the run is.
const LOOK: Duration = Duration::from_millis(20);
const GIVE_UP: Duration = Duration::from_secs(600);

/// What happened in a window.
pub struct Window {
    /// Its length, seconds.
    pub seconds: f64,
    /// Verdicts that were committed.
    pub confirmations: u64,
    /// The daemon's user and system time, seconds.
    pub server_cpu_s: f64,
    /// The loading tool's.
    pub client_cpu_s: f64,
    /// Fsyncs of the daemon; 0 where they are not counted.
    pub fsyncs: u64,
}

impl Window {
    /// The daemon's time for one confirmation, ms.
    pub fn server_ms_each(&self) -> f64 {
        self.server_cpu_s * 1_000.0 / self.confirmations as f64
    }

    /// Confirmations per second.
    pub fn per_second(&self) -> f64 {
        self.confirmations as f64 / self.seconds
    }
}

#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    verdicts: u64,
    server: Duration,
    client: Duration,
    fsyncs: u64,
}

/// Observes `count` confirmations of a running load, after the first `skip`.
///
/// # Errors
/// When the run ends before, or takes too long.
pub fn observe(
    deployment: &Deployment,
    daemon: &Running,
    load: &mut Load,
    backend: &str,
    skip: u64,
    count: u64,
) -> Result<Window> {
    let before = deployment.verdicts(backend)?;
    let first = reached(deployment, daemon, load, backend, before + skip)?;
    let last = reached(deployment, daemon, load, backend, first.verdicts + count)?;
    Ok(Window {
        seconds: (last.at - first.at).as_secs_f64(),
        confirmations: last.verdicts - first.verdicts,
        server_cpu_s: (last.server - first.server).as_secs_f64(),
        client_cpu_s: (last.client - first.client).as_secs_f64(),
        fsyncs: last.fsyncs - first.fsyncs,
    })
}

fn reached(
    deployment: &Deployment,
    daemon: &Running,
    load: &mut Load,
    backend: &str,
    verdicts: u64,
) -> Result<Mark> {
    let begun = Instant::now();
    while begun.elapsed() < GIVE_UP {
        let seen = deployment.verdicts(backend)?;
        if seen >= verdicts {
            return Ok(Mark {
                at: Instant::now(),
                verdicts: seen,
                server: daemon.cpu()?,
                client: process::cpu(load.pid())?,
                fsyncs: deployment.fsyncs().unwrap_or(0),
            });
        }
        if !load.is_running()? {
            return Err(format!("the load ended after {seen} of {verdicts} verdicts").into());
        }
        std::thread::sleep(LOOK);
    }
    Err(format!("{verdicts} verdicts were not reached in {GIVE_UP:?}").into())
}
