//! What came of a load: for people a table, for scripts one JSON object.
//!
//! Made by `run` from the tally. Invariant: times are milliseconds; what a field is called is part of the interface
//! (docs/operations.md, "Sizing a deployment").

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::pace::Pace;
use super::tally::{Counts, Step};
use crate::error::{Error, Result};
use crate::output::{BAD, HEADING, View, facts, table};

/// The report.
#[derive(Serialize)]
pub struct Report {
    phones: usize,
    backends: usize,
    in_flight: Option<usize>,
    rate_per_s: Option<f64>,
    elapsed_ms: u64,
    confirmations: u64,
    per_second: f64,
    verdicts: BTreeMap<&'static str, u64>,
    refused: BTreeMap<String, u64>,
    refused_early_ms: Refusals,
    errors: BTreeMap<String, u64>,
    given_up: u64,
    #[serde(skip)]
    given_up_for: BTreeMap<String, u64>,
    spared_wrong_pins: u64,
    behind_ms: u64,
    discrepancy_count: u64,
    discrepancies: Vec<String>,
    latency_ms: BTreeMap<&'static str, Latency>,
}

#[derive(Serialize)]
struct Refusals {
    p50: f64,
    p99: f64,
}

#[derive(Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
    mean: f64,
}

impl Latency {
    fn of(times: &Histogram<u64>) -> Self {
        Latency {
            p50: quantile_ms(times, 0.5),
            p90: quantile_ms(times, 0.9),
            p99: quantile_ms(times, 0.99),
            max: ms(times.max()),
            mean: rounded(times.mean() / 1000.0),
        }
    }
}

impl Report {
    /// The report of a load of so many phones and backends that took so long.
    pub fn new(phones: usize, backends: usize, pace: Pace, elapsed: Duration, counts: &Counts) -> Self {
        let (in_flight, rate_per_s) = match pace {
            Pace::InFlight(most) => (Some(most), None),
            Pace::PerSecond(rate) => (None, Some(rate)),
        };
        let seconds = elapsed.as_secs_f64().max(0.001);
        let steps = Step::ALL.iter().zip(&counts.times);
        Report {
            phones,
            backends,
            in_flight,
            rate_per_s,
            elapsed_ms: whole_ms(elapsed),
            confirmations: counts.confirmations,
            per_second: rounded(f64::from(u32::try_from(counts.confirmations).unwrap_or(u32::MAX)) / seconds),
            verdicts: counts.verdicts.clone(),
            refused: counts.refused.clone(),
            refused_early_ms: Refusals {
                p50: quantile_ms(&counts.refusal_times, 0.5),
                p99: quantile_ms(&counts.refusal_times, 0.99),
            },
            errors: counts.errors.clone(),
            given_up: counts.given_up,
            given_up_for: counts.given_up_for.clone(),
            spared_wrong_pins: counts.spared,
            behind_ms: whole_ms(counts.behind),
            discrepancy_count: counts.discrepancies,
            discrepancies: counts.told.clone(),
            latency_ms: steps
                .map(|(step, times)| (step.name(), Latency::of(times)))
                .collect(),
        }
    }

    /// Whether every confirmation had the verdict that was meant.
    ///
    /// # Errors
    /// [`Error::Verification`] for a discrepancy; [`Error::Other`] `load.incomplete` where a confirmation was given up, or
    /// there was none.
    pub fn verdict(&self) -> Result<()> {
        if let Some(first) = self.discrepancies.first() {
            return Err(Error::Verification {
                check: "load",
                why: format!("{} discrepancies; the first: {first}", self.discrepancy_count),
            });
        }
        if self.given_up == 0 && self.confirmations > 0 {
            return Ok(());
        }
        let why = if self.given_up_for.is_empty() {
            String::new()
        } else {
            format!(" ({})", counted(&self.given_up_for))
        };
        let message = format!(
            "{} confirmations have had their verdict, {} were given up{why}.",
            self.confirmations, self.given_up
        );
        Err(Error::other("load.incomplete", message))
    }
}

impl View for Report {
    fn text(&self) -> String {
        let pace = match (self.in_flight, self.rate_per_s) {
            (Some(most), _) => format!("{most} in flight"),
            (None, rate) => format!("{} a second", rate.unwrap_or_default()),
        };
        let unless_zero = |number: u64| {
            if number == 0 {
                String::new()
            } else {
                number.to_string()
            }
        };
        let facts = facts([
            (
                "load",
                format!("{pace}, {} phones, {} backends", self.phones, self.backends),
            ),
            (
                "took",
                format!("{:.1} s", Duration::from_millis(self.elapsed_ms).as_secs_f64()),
            ),
            (
                "confirmations",
                format!("{}, {:.1} a second", self.confirmations, self.per_second),
            ),
            ("verdicts", counted(&self.verdicts)),
            ("refused", counted(&self.refused)),
            ("errors", counted(&self.errors)),
            ("given up", unless_zero(self.given_up)),
            ("wrong PINs spared", unless_zero(self.spared_wrong_pins)),
            (
                "behind the rate",
                if self.behind_ms == 0 {
                    String::new()
                } else {
                    format!("{} ms", self.behind_ms)
                },
            ),
        ]);
        let mut text = format!("{facts}\n{}", self.latencies());
        for what in &self.discrepancies {
            text.push_str(&format!("{BAD}discrepancy: {what}{BAD:#}\n"));
        }
        text
    }
}

impl Report {
    fn latencies(&self) -> String {
        let rows = Step::ALL.iter().filter_map(|step| {
            let latency = self.latency_ms.get(step.name())?;
            let figures = [latency.p50, latency.p90, latency.p99, latency.max, latency.mean];
            let [p50, p90, p99, max, mean] = figures.map(|figure| format!("{figure:.1}"));
            Some([step.name().to_owned(), p50, p90, p99, max, mean])
        });
        let header = ["milliseconds", "p50", "p90", "p99", "max", "mean"];
        format!("{HEADING}Latency{HEADING:#}\n{}", table(header, rows))
    }
}

fn counted<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let each: Vec<String> = counts
        .iter()
        .map(|(what, count)| format!("{what} {count}"))
        .collect();
    each.join(", ")
}

/// A quantile in milliseconds; 0 where nothing was measured.
pub fn quantile_ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    ms(times.value_at_quantile(quantile))
}

fn ms(microseconds: u64) -> f64 {
    rounded(Duration::from_micros(microseconds).as_secs_f64() * 1000.0)
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Three decimals: more than is measured.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::super::tally::Tally;
    use super::*;

    fn report(fill: impl FnOnce(&Tally)) -> Report {
        let tally = Tally::new().unwrap();
        fill(&tally);
        let counts = tally.counts();
        Report::new(4, 2, Pace::InFlight(3), Duration::from_millis(1500), &counts)
    }

    #[test]
    fn the_json_has_the_documented_fields() {
        let report = report(|tally| {
            tally.concluded("approved");
            tally.took(Step::Whole, Duration::from_micros(12_345));
        });
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (json["phones"].as_u64(), json["backends"].as_u64()),
            (Some(4), Some(2))
        );
        assert_eq!(
            (json["in_flight"].as_u64(), json["rate_per_s"].is_null()),
            (Some(3), true)
        );
        assert_eq!(
            (json["elapsed_ms"].as_u64(), json["per_second"].as_f64()),
            (Some(1500), Some(0.667))
        );
        assert_eq!(json["verdicts"]["approved"], 1);
        for field in ["refused", "errors"] {
            assert!(json[field].as_object().unwrap().is_empty());
        }
        assert!(json["discrepancies"].as_array().unwrap().is_empty());
        for step in Step::ALL {
            for figure in ["p50", "p90", "p99", "max", "mean"] {
                assert!(
                    json["latency_ms"][step.name()][figure].is_number(),
                    "{step:?} {figure}"
                );
            }
        }
        let p50 = json["latency_ms"]["whole"]["p50"].as_f64().unwrap();
        assert!((12.3..12.4).contains(&p50), "{p50}");
        assert!(report.verdict().is_ok());
    }

    #[test]
    fn every_field_is_documented_for_operators() {
        let guide = include_str!("../../../docs/operations.md");
        let json = serde_json::to_value(report(|_| {})).unwrap();
        let latencies = json["latency_ms"].as_object().unwrap().keys();
        for field in json.as_object().unwrap().keys().chain(latencies) {
            assert!(guide.contains(&format!("`{field}`")), "{field}");
        }
    }

    #[test]
    fn a_discrepancy_or_a_confirmation_given_up_fails_the_load() {
        let discrepancy = report(|tally| {
            tally.concluded("denied");
            tally.discrepancy("chl_x ended as denied.".to_owned());
        });
        let error = discrepancy.verdict().unwrap_err();
        assert_eq!(error.exit(), 9);
        assert!(discrepancy.text().contains("chl_x ended as denied."));
        let given_up = report(|tally| tally.gave_up(&Error::Unreachable("gone".to_owned())));
        assert_eq!(given_up.verdict().unwrap_err().code(), "load.incomplete");
        let busy = |tally: &Tally| {
            tally.gave_up(&Error::Daemon(crate::error::Refusal {
                grpc: tonic::Code::ResourceExhausted,
                code: "daemon.busy".to_owned(),
                message: String::new(),
                fields: Vec::new(),
                wait_s: Some(1),
            }));
        };
        let told = report(busy).verdict().unwrap_err().to_string();
        assert!(told.ends_with("1 were given up (daemon.busy 1)."), "{told}");
        let nothing = report(|_| {}).verdict().unwrap_err().to_string();
        assert!(nothing.ends_with("0 were given up."), "{nothing}");
        assert_eq!(report(|_| {}).verdict().unwrap_err().code(), "load.incomplete");
    }

    #[test]
    fn the_text_shows_each_step_once() {
        let text = report(|tally| tally.concluded("approved")).text();
        for step in Step::ALL {
            assert_eq!(text.matches(&format!("│ {} ", step.name())).count(), 1, "{text}");
        }
    }
}
