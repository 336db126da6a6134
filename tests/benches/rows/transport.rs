//! The transport of a confirmation alone, against the crypto floor of the same run: what is left of the goal for everything else.

use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Streaming};
use tonic_prost::ProstCodec;

use crate::backend::connect;
use crate::bare::Bare;
use crate::deployment::Deployment;
use crate::floor::Floor;
use crate::report::{Goal, Row};
use crate::transport::{BACKEND, Parcel, Step, WATCH};
use crate::{Bench, Result};

pub const ROWS: &[&str] = &["transport.cpu_over_floor"];

/// As many as the loading tool makes for its phones.
const PHONE_CONNECTIONS: usize = 3;

pub fn run(bench: &mut Bench) -> Result<()> {
    let deployment = Deployment::temporary()?;
    let bare = Bare::start(&deployment)?;
    let floor = Floor::measure()?;
    let (count, in_flight) = (bench.scale.confirmations.get(), bench.scale.in_flight.get());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cpu = confirm(&runtime, &deployment, &bare, in_flight, count)?;
    let each = cpu.as_secs_f64() * 1_000.0 / count as f64;
    let floor_ms = floor.ms().min(Floor::measure()?.ms());
    bench.report.add(Row {
        name: "transport.cpu_over_floor",
        value: each / floor_ms,
        unit: "ratio",
        goal: Goal::Published,
        full: bench.scale.confirmations.is_full() && bench.scale.in_flight.is_full(),
        scale: json!({
            "confirmations": count,
            "in_flight": in_flight,
            "server_cpu_ms": each,
            "floor_ms": floor_ms,
        }),
    })
}

/// Processor time of the bare server for `count` confirmations, after a tenth more.
fn confirm(
    runtime: &Runtime,
    deployment: &Deployment,
    bare: &Bare,
    in_flight: u64,
    count: u64,
) -> Result<Duration> {
    runtime.block_on(async {
        let backend = Caller::connect(deployment, bare).await?;
        let mut verdicts = backend.watch(BACKEND).await?;
        let mut places = Vec::new();
        let mut phones = JoinSet::new();
        let mut connections = Vec::new();
        for _ in 0..PHONE_CONNECTIONS {
            connections.push(Caller::connect(deployment, bare).await?);
        }
        for phone in 0..u32::try_from(in_flight)? {
            let (verdict, heard) = unbounded_channel();
            places.push(verdict);
            let connection = connections[phone as usize % PHONE_CONNECTIONS].clone();
            phones.spawn(confirmations(phone, backend.clone(), connection, heard));
        }
        let (mut seen, mut begun) = (0, Duration::ZERO);
        while let Some(verdict) = verdicts.message().await? {
            seen += 1;
            if seen == count / 10 {
                begun = bare.cpu()?;
            }
            if seen == count / 10 + count {
                return Ok(bare.cpu()? - begun);
            }
            places[verdict.phone as usize].send(())?;
        }
        Err("the stream of verdicts has ended".into())
    })
}

/// One place in flight: asks, hears on the phone, unlocks, answers, and waits for the verdict.
async fn confirmations(
    phone: u32,
    backend: Caller,
    caller: Caller,
    mut verdict: UnboundedReceiver<()>,
) -> Result<()> {
    let mut pending = caller.watch(phone).await?;
    loop {
        backend.call(Step::Request, phone).await?;
        pending.message().await?.ok_or("the phone's stream has ended")?;
        caller.call(Step::Unlock, phone).await?;
        caller.call(Step::Answer, phone).await?;
        verdict.recv().await.ok_or("no verdict")?;
    }
}

#[derive(Clone)]
struct Caller(Grpc<Channel>);

impl Caller {
    async fn connect(deployment: &Deployment, bare: &Bare) -> Result<Self> {
        Ok(Self(Grpc::new(connect(deployment, &bare.url).await?)))
    }

    async fn call(&self, step: Step, phone: u32) -> Result<Parcel> {
        let mut grpc = self.0.clone();
        grpc.ready().await?;
        let message = Request::new(Parcel::new(phone, step.sent()));
        let path = PathAndQuery::from_static(step.path());
        let answered = grpc.unary(message, path, ProstCodec::default()).await?;
        Ok(answered.into_inner())
    }

    /// An open stream: its first message has come.
    async fn watch(&self, listener: u32) -> Result<Streaming<Parcel>> {
        let mut grpc = self.0.clone();
        grpc.ready().await?;
        let message = Request::new(Parcel::new(listener, 0));
        let path = PathAndQuery::from_static(WATCH);
        let opened = grpc
            .server_streaming(message, path, ProstCodec::<Parcel, Parcel>::default())
            .await?;
        let mut messages = opened.into_inner();
        messages.message().await?;
        Ok(messages)
    }
}
