//! The crypto floor alone, with what every library takes.

use serde_json::json;

use crate::floor::Floor;
use crate::report::{Goal, Row};
use crate::{Bench, Result};

pub const ROWS: &[&str] = &["floor.cpu"];

pub fn run(bench: &mut Bench) -> Result<()> {
    let floor = Floor::measure()?;
    bench.report.add(Row {
        name: "floor.cpu",
        value: floor.ms(),
        unit: "ms CPU",
        goal: Goal::Published,
        full: true,
        scale: json!({
            "sign_us": floor.sign,
            "verify_us": floor.verify,
            "evaluate_us": floor.evaluate,
        }),
    })
}
