//! Rows as they are measured: kept for the table, appended to target/bench.jsonl at once.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::Result;
use crate::binaries::target;
use crate::scale::Scale;

/// Columns of the table, so that a log of it reads like the terminal.
const WIDTH: u16 = 160;

/// What a value is held against.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Holds when the value is not above.
    AtMost(f64),
    /// Holds when the value is not below.
    AtLeast(f64),
    /// The figure is published.
    Published,
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {most}"),
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::Published => "published".to_owned(),
        }
    }

    fn holds(self, value: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(value <= most),
            Self::AtLeast(least) => Some(value >= least),
            Self::Published => None,
        }
    }
}

/// One measured figure.
pub struct Row {
    /// Stable name, `noun.figure`.
    pub name: &'static str,
    /// The figure.
    pub value: f64,
    /// Its unit; `ratio` where it is one within the run.
    pub unit: &'static str,
    /// What it is held against.
    pub goal: Goal,
    /// Whether it was measured at the goal's scale.
    pub full: bool,
    /// Counts and parts that the figure was made from.
    pub scale: Value,
}

/// All rows of this run.
pub struct Report {
    machine: Value,
    rows: Vec<Row>,
}

impl Report {
    /// No rows yet, on this machine.
    pub fn new(machine: Value) -> Self {
        Self {
            machine,
            rows: Vec::new(),
        }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// When target/bench.jsonl cannot be written.
    pub fn add(&mut self, row: Row) -> Result<()> {
        let holds = row.goal.holds(row.value).filter(|_| row.full);
        let line = json!({
            "name": row.name,
            "value": row.value,
            "unit": row.unit,
            "goal": row.goal.text(),
            "holds": holds,
            "scale": row.scale,
            "machine": self.machine,
        });
        let file = target().join("bench.jsonl");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
        writeln!(file, "{line}")?;
        eprintln!("   {} = {} {}", row.name, shown(row.value), row.unit);
        self.rows.push(row);
        Ok(())
    }

    /// The table on standard output.
    pub fn print(&self, scale: &Scale) {
        println!("{}", machine_line(&self.machine));
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH)
            .set_header(["row", "value", "unit", "goal", "holds", "from"]);
        for row in &self.rows {
            let holds = match row.goal.holds(row.value) {
                None => "",
                Some(_) if !row.full => "smaller scale",
                Some(true) => "yes",
                Some(false) => "NO",
            };
            table.add_row([
                row.name.to_owned(),
                shown(row.value),
                row.unit.to_owned(),
                row.goal.text(),
                holds.to_owned(),
                parts(&row.scale),
            ]);
        }
        println!("{table}");
        for line in scale.explain() {
            println!("{line}");
        }
    }
}

fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn parts(scale: &Value) -> String {
    let all = scale.as_object().into_iter().flatten();
    let part = |(name, value): (&String, &Value)| format!("{name} {}", plain(value));
    all.map(part).collect::<Vec<_>>().join(", ")
}

/// Numbers as in the table, lists and objects in brackets.
fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => shown(number.as_f64().unwrap_or(0.0)),
        Value::String(text) => text.clone(),
        Value::Array(values) => format!("[{}]", values.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(_) => format!("[{}]", parts(value)),
        other => other.to_string(),
    }
}

fn machine_line(machine: &Value) -> String {
    format!("Machine: {}", parts(machine))
}
