//! The measured goals: `cargo bench -p paraphe-tests [-- NAME…]` runs every row, or those of the groups or rows that a NAME is
//! part of, against the release `paraphed` as its own process. docs/performance.md says how to repeat and read them.
//!
//! Prints a table and appends one JSON object per row to target/bench.jsonl. The scale comes from the environment: [`scale`].
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "benchmarks are an edge: they measure by the system's clock and draw from it"
)]

mod backend;
mod bare;
mod binaries;
mod deployment;
mod disk;
mod floor;
mod load;
mod machine;
mod phones;
mod process;
mod report;
mod rows;
mod scale;
mod seed;
mod transport;
mod window;

use std::process::ExitCode;

use report::Report;
use scale::Scale;

/// What a benchmark may end in: it is shown and the others go on.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What every group of rows is given.
struct Bench {
    scale: Scale,
    report: Report,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder] = arguments.as_slice()
        && mode == bare::MODE
    {
        return done(bare::serve(folder.as_ref()));
    }
    // Cargo adds `--bench`.
    let wanted: Vec<String> = arguments
        .into_iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    done(run(&wanted))
}

fn done(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: &[String]) -> Result<()> {
    process::allow_many_files()?;
    let chosen: Vec<_> = rows::GROUPS
        .iter()
        .filter(|group| group.is_wanted(wanted))
        .collect();
    if chosen.is_empty() {
        return Err(format!("no row is called {wanted:?}; there are: {}", rows::names()).into());
    }
    if chosen.iter().any(|group| group.needs_daemon) {
        binaries::build()?;
    }
    let mut bench = Bench {
        scale: Scale::from_environment()?,
        report: Report::new(machine::describe()),
    };
    let mut failed = Vec::new();
    for group in chosen {
        eprintln!("== {}", group.name);
        if let Err(error) = (group.run)(&mut bench) {
            eprintln!("{}: {error}", group.name);
            failed.push(group.name);
        }
    }
    bench.report.print(&bench.scale);
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("not measured: {}", failed.join(", ")).into())
}
