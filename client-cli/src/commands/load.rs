//! `paraphe load`: phones and backends by the hundred, to size a deployment. The work is under `load/`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::files;
use crate::load::{self, BackendOption, Mix, Order, Pace, Patience, Plan, Until};

/// Commands of a load.
#[derive(Subcommand)]
pub enum Command {
    /// Enrol phones for a load at the real desk, in the name of the clerk who is logged in
    Prepare(PrepareArgs),
    /// Let backends ask and phones answer, measure it, and check every verdict
    Run(Box<RunArgs>),
}

/// Options of `paraphe load prepare`.
#[derive(clap::Args)]
#[command(
    after_help = "The people are specimens of Utopia (ICAO Doc 9303), so this is for a demonstration profile only. The \
folder holds their phones with their PINs: keep it as you keep keys. Phones are added to a folder that has some."
)]
pub struct PrepareArgs {
    /// How many phones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    phones: u32,
    /// Folder of the phones
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The clerk's own software phone, which signs the enrolments
    #[arg(long, value_name = "DIR")]
    clerk_phone: PathBuf,
    /// The PIN of the clerk's phone, from a file or - for standard input
    #[arg(long, value_name = "FILE")]
    pin_file: PathBuf,
    /// Enrolment channel; it must ask for no second person
    #[arg(long, default_value = "counter")]
    channel: String,
}

/// Options of `paraphe load run`.
#[derive(clap::Args)]
#[command(
    after_help = "Each confirmation is whole: a backend asks to confirm a purchase (course.buy of deploy/actions.toml), the phone \
gets it on its stream, verifies it, answers with its PIN, and the backend gets the verdict on its stream. Checked is \
that the phone shows what was asked, and that there is one verdict, the one that was meant.\n\n\
Exit code 9 after a discrepancy, 1 when a confirmation was given up. Ctrl-C ends a load early, with its report."
)]
pub struct RunArgs {
    /// Folder of phones, from `paraphe load prepare`
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// A backend and its private key (PKCS#8 PEM); they take turns. Registered with --may-identify, or known to the phones
    #[arg(long = "backend", value_name = "ID=KEYFILE", required = true)]
    backends: Vec<BackendOption>,
    /// Connections that the phones share; more are opened where they have more streams than these can carry
    #[arg(long, value_name = "C", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// What every client learned, one JSON object per line, appended
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Write the report, one JSON object, to a file as well
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    people: PeopleArgs,
    #[command(flatten)]
    failures: FailureArgs,
}

/// How much, how long.
#[derive(clap::Args)]
#[command(next_help_heading = "How much")]
struct PaceArgs {
    /// Closed loop: so many confirmations under way at any time [default: 64]
    #[arg(long, value_name = "N", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: Option<u32>,
    /// Open loop: so many confirmations begin each second
    #[arg(long, value_name = "PER_S", value_parser = rate)]
    rate: Option<f64>,
    /// End after so many confirmations
    #[arg(long, value_name = "N", required_unless_present = "duration_s", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    duration_s: Option<u64>,
}

/// What the people do.
#[derive(clap::Args)]
#[command(next_help_heading = "What people do")]
struct PeopleArgs {
    /// Shares of what people do: approve, deny, report, wrong-pin (then right), expire
    #[arg(long, default_value = "approve=100,deny=0,report=0,wrong-pin=0,expire=0")]
    mix: Mix,
    /// Life of a challenge that nobody answers; no less than step_up.min_lifetime_s
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    expire_after_s: u32,
    /// Phones fetch each challenge instead of holding a stream open
    #[arg(long)]
    no_watch_phones: bool,
}

/// What is done about failures.
#[derive(clap::Args)]
#[command(next_help_heading = "Failures")]
struct FailureArgs {
    /// Connect again when the connection is lost, and bring every confirmation to its verdict
    #[arg(long)]
    ride_out: bool,
    /// Do not wait as long as a refusal asks: for overload tests
    #[arg(long)]
    retry_at_once: bool,
    /// Give a confirmation up after so long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    give_up_after_s: u64,
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.001..=1_000_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("it must be from 0.001 to 1000000 a second".to_owned())
    }
}

/// Enrols phones.
///
/// # Errors
/// What the daemon refuses.
pub async fn prepare(context: &Context, args: PrepareArgs) -> Result<()> {
    let prepared = load::prepare(context, args.into()).await?;
    context.output.show(&prepared)
}

/// Runs a load and shows its report.
///
/// # Errors
/// What the daemon refuses; after the load, a discrepancy or confirmations that were given up.
pub async fn measure(context: &Context, args: RunArgs) -> Result<()> {
    let file = args.report.clone();
    let report = load::run(context.server()?, args.into(), context.output).await?;
    if let Some(file) = file {
        let json =
            serde_json::to_string(&report).map_err(|error| Error::other("cli.output", error.to_string()))?;
        files::write_public(&file, &format!("{json}\n"))?;
    }
    context.output.show(&report)?;
    report.verdict()
}

impl From<PrepareArgs> for Order {
    fn from(args: PrepareArgs) -> Self {
        Order {
            phones: usize::try_from(args.phones).unwrap_or(usize::MAX),
            to: args.to,
            clerk_phone: args.clerk_phone,
            pin_file: args.pin_file,
            channel: args.channel,
        }
    }
}

impl From<RunArgs> for Plan {
    fn from(args: RunArgs) -> Self {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Plan {
            from: args.from,
            backends: args.backends,
            pace: match args.pace.rate {
                Some(rate) => Pace::PerSecond(rate),
                None => Pace::InFlight(size(args.pace.in_flight.unwrap_or(DEFAULT_IN_FLIGHT))),
            },
            until: Until {
                count: args.pace.count,
                duration: args.pace.duration_s.map(Duration::from_secs),
            },
            mix: args.people.mix,
            patience: Patience {
                retry_at_once: args.failures.retry_at_once,
                ride_out: args.failures.ride_out,
                give_up_after: Duration::from_secs(args.failures.give_up_after_s),
            },
            expire_after_s: args.people.expire_after_s,
            journal: args.journal,
            connections: size(args.connections),
            watching: !args.people.no_watch_phones,
        }
    }
}

const DEFAULT_IN_FLIGHT: u32 = 64;
