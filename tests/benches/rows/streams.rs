//! Idle `Watch` streams, one TLS connection each: memory against a bare tonic stream, and whom a wake reaches at what cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use paraphe_companion::Server;
use paraphe_companion::protocol::method;
use paraphe_proto::v1::companion_event::Event;
use paraphe_proto::v1::{CompanionEvent, WatchBody};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::backend::{Backend, ISSUER, connect};
use crate::bare::Bare;
use crate::deployment::{Deployment, Running};
use crate::phones::Phone;
use crate::report::{Goal, Row};
use crate::seed::{Plan, Seeded, seed};
use crate::{Bench, Result};

pub const ROWS: &[&str] = &[
    "streams.memory_over_bare",
    "streams.wakes_astray",
    "streams.wake_cost",
    "streams.idle_cpu",
];

/// Connections that shake hands at once.
const AT_ONCE: usize = 32;
/// Streams of the comparison.
const FEW: usize = 50;
/// Wakes that are timed, one after the other.
const WAKES: usize = 2_000;
/// After the last wake, for those that go astray.
const LISTEN: Duration = Duration::from_millis(500);
/// Longer than the longest interval at which the daemon looks at an idle stream.
const IDLE: Duration = Duration::from_secs(35);
const IDLE_FEW: Duration = Duration::from_secs(2);

pub fn run(bench: &mut Bench) -> Result<()> {
    let count = usize::try_from(bench.scale.streams.get())?;
    let deployment = Arc::new(Deployment::temporary()?);
    let plan = Plan {
        subjects: bench.scale.streams.get(),
        phones: bench.scale.streams.get(),
        ..Plan::default()
    };
    let seeded = seed(&deployment, plan)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bare = runtime.block_on(bare(&deployment, count))?;
    let few = {
        let daemon = deployment.start()?;
        watched(&runtime, &deployment, &daemon, &seeded, FEW.min(count), IDLE_FEW)?
    };
    let daemon = deployment.start()?;
    let many = watched(&runtime, &deployment, &daemon, &seeded, count, IDLE)?;
    rows(bench, bare, &few, &many)
}

fn rows(bench: &mut Bench, bare: f64, few: &Watched, many: &Watched) -> Result<()> {
    let full = bench.scale.streams.is_full();
    let streams = bench.scale.streams.get();
    let figures = [
        (
            "streams.memory_over_bare",
            many.bytes_each / bare,
            "ratio",
            Goal::AtMost(1.3),
            json!({ "streams": streams, "bytes_each": many.bytes_each, "bare_bytes_each": bare }),
        ),
        (
            "streams.wakes_astray",
            many.astray as f64,
            "wakes",
            Goal::AtMost(0.0),
            json!({ "streams": streams, "wakes": WAKES, "delivery_p50_ms": many.wake_ms }),
        ),
        (
            "streams.wake_cost",
            many.cpu_ms_each / few.cpu_ms_each,
            "ratio",
            Goal::AtMost(1.15),
            json!({ "cpu_ms_each": many.cpu_ms_each, "with_few_ms": few.cpu_ms_each, "few": FEW }),
        ),
        (
            "streams.idle_cpu",
            many.idle_share * 100.0,
            "% of a core",
            Goal::Published,
            json!({ "streams": streams }),
        ),
    ];
    for (name, value, unit, goal, scale) in figures {
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

/// What was seen with so many streams open.
struct Watched {
    bytes_each: f64,
    idle_share: f64,
    cpu_ms_each: f64,
    wake_ms: f64,
    astray: usize,
}

struct Heard {
    phone: usize,
    challenge_id: String,
}

fn watched(
    runtime: &Runtime,
    deployment: &Arc<Deployment>,
    daemon: &Running,
    seeded: &Seeded,
    count: usize,
    idle_for: Duration,
) -> Result<Watched> {
    runtime.block_on(async {
        let before = daemon.resident()?;
        let (heard, mut hears) = mpsc::unbounded_channel();
        let mut open = JoinSet::new();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        for phone in &seeded.handsets[..count] {
            let phone = phone.clone();
            let (deployment, url, places) = (Arc::clone(deployment), daemon.url.clone(), Arc::clone(&places));
            open.spawn(async move {
                let _place = places.acquire_owned().await?;
                watch(&deployment, &url, &phone).await
            });
        }
        let mut streams = Vec::new();
        while let Some(stream) = open.join_next().await {
            streams.push(stream??);
        }
        let index = |stream: &Open| {
            let found = seeded
                .handsets
                .iter()
                .position(|phone| phone.device_id == stream.device);
            found.ok_or("a stream of nobody")
        };
        let mut listening = JoinSet::new();
        for stream in streams {
            listening.spawn(listen(index(&stream)?, stream, heard.clone()));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let bytes_each = (daemon.resident()? as f64 - before as f64) / count as f64;
        let idle = daemon.cpu()?;
        tokio::time::sleep(idle_for).await;
        let idle_share = (daemon.cpu()? - idle).as_secs_f64() / idle_for.as_secs_f64();
        let woken = wakes(deployment, daemon, seeded, count, &mut hears).await?;
        let busy = woken.cpu.as_secs_f64() - idle_share * woken.took.as_secs_f64();
        Ok(Watched {
            bytes_each,
            idle_share,
            cpu_ms_each: busy * 1_000.0 / WAKES as f64,
            wake_ms: woken.p50.as_secs_f64() * 1_000.0,
            astray: woken.astray,
        })
    })
}

struct Woken {
    cpu: Duration,
    took: Duration,
    p50: Duration,
    astray: usize,
}

/// Asks one phone after the other and waits until it heard.
async fn wakes(
    deployment: &Deployment,
    daemon: &Running,
    seeded: &Seeded,
    count: usize,
    hears: &mut mpsc::UnboundedReceiver<Heard>,
) -> Result<Woken> {
    let mut backend = Backend::connect(deployment, &daemon.url, seeded).await?;
    let (mut times, mut astray) = (Vec::new(), 0);
    let (begun, cpu) = (Instant::now(), daemon.cpu()?);
    for wake in 0..WAKES {
        let phone = wake * 7 % count;
        let asked_at = Instant::now();
        let asked = backend.ask(&seeded.handsets[phone].subject.to_string()).await?;
        loop {
            let heard = tokio::time::timeout(Duration::from_secs(5), hears.recv()).await?;
            let heard = heard.ok_or("every stream has ended")?;
            if heard.phone == phone && heard.challenge_id == asked.challenge_id {
                break;
            }
            astray += 1;
        }
        times.push(asked_at.elapsed());
    }
    let (took, cpu) = (begun.elapsed(), daemon.cpu()? - cpu);
    tokio::time::sleep(LISTEN).await;
    while hears.try_recv().is_ok() {
        astray += 1;
    }
    times.sort();
    Ok(Woken {
        cpu,
        took,
        p50: times[times.len() / 2],
        astray,
    })
}

struct Open {
    device: paraphe_proto::ids::DeviceId,
    events: Streaming<CompanionEvent>,
    _connection: Server,
}

async fn watch(deployment: &Deployment, url: &str, phone: &Phone) -> Result<Open> {
    let server = Server::over(url.to_owned(), connect(deployment, url).await?);
    let prover = phone.prover(ISSUER);
    let request = prover.prove_fresh(&server, method::WATCH, &WatchBody {}).await?;
    let mut events = server.client().watch(request).await?.into_inner();
    // What waits already, then `caught up`.
    while let Some(event) = events.message().await? {
        if let Some(Event::CaughtUp(_)) = event.event {
            break;
        }
    }
    Ok(Open {
        device: phone.device_id,
        events,
        _connection: server,
    })
}

async fn listen(phone: usize, mut open: Open, heard: mpsc::UnboundedSender<Heard>) {
    while let Ok(Some(event)) = open.events.message().await {
        if let Some(Event::Pending(pending)) = event.event {
            let challenge_id = challenge_of(&pending.challenge);
            let _over = heard.send(Heard { phone, challenge_id });
        }
    }
}

fn challenge_of(statement: &str) -> String {
    let claims = statement.split('.').nth(1).unwrap_or_default();
    let claims = paraphe_proto::encoding::from_base64url(claims).unwrap_or_default();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap_or_default();
    claims["challenge_id"].as_str().unwrap_or_default().to_owned()
}

/// Resident memory of one idle stream of the bare server, bytes.
async fn bare(deployment: &Arc<Deployment>, count: usize) -> Result<f64> {
    let bare = Bare::start(deployment)?;
    let before = bare.resident()?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let (deployment, url, places) = (Arc::clone(deployment), bare.url.clone(), Arc::clone(&places));
        opening.spawn(async move {
            let _place = places.acquire_owned().await?;
            let mut client = HealthClient::new(connect(&deployment, &url).await?);
            // As many calls as a phone makes: one, then the stream.
            client.check(HealthCheckRequest::default()).await?;
            let mut stream = client.watch(HealthCheckRequest::default()).await?.into_inner();
            stream.message().await?;
            crate::Result::Ok((client, stream))
        });
    }
    let mut open = Vec::new();
    while let Some(stream) = opening.join_next().await {
        open.push(stream??);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok((bare.resident()? as f64 - before as f64) / count as f64)
}
