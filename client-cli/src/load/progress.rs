//! The live view of a load, on standard error of a terminal: one line, twice a second.
//!
//! Called by `run`. Invariant: a display only; where no terminal reads it, nothing is drawn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::quantile_ms;
use super::tally::{Counts, Tally};
use crate::output::Output;

const TICK: Duration = Duration::from_millis(500);

/// A bar of so many steps; hidden with `--json`.
pub fn bar(output: Output, label: &str, total: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), target(output));
    if let Ok(style) = ProgressStyle::with_template("  {msg} {wide_bar:.cyan/dim} {pos:>5} of {len}") {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar.set_message(label.to_owned());
    bar
}

/// Draws what the tally says until `work` is done.
pub async fn shown<T>(output: Output, tally: &Arc<Tally>, work: impl Future<Output = T>) -> T {
    let line = ProgressBar::with_draw_target(None, target(output));
    if let Ok(style) = ProgressStyle::with_template("  {spinner:.cyan} {wide_msg}") {
        line.set_style(style);
    }
    let mut tick = tokio::time::interval(TICK);
    let mut last = (Instant::now(), 0);
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                line.finish_and_clear();
                return result;
            }
            _ = tick.tick() => {
                let counts = tally.counts();
                let since = last.0.elapsed().as_secs_f64().max(0.001);
                let rate = (counts.confirmations - last.1) as f64 / since;
                last = (Instant::now(), counts.confirmations);
                line.set_message(text(&counts, rate));
                line.tick();
            }
        }
    }
}

fn target(output: Output) -> ProgressDrawTarget {
    if output.is_json() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    }
}

fn text(counts: &Counts, rate: f64) -> String {
    let mut text = format!("{rate:.0}/s, {} in flight", counts.in_flight);
    for (state, count) in &counts.verdicts {
        text.push_str(&format!(", {state} {count}"));
    }
    let others = [
        ("refused", counts.refused.values().sum()),
        ("errors", counts.errors.values().sum()),
        ("given up", counts.given_up),
        ("DISCREPANCIES", counts.discrepancies),
    ];
    for (what, count) in others.into_iter().filter(|(_, count)| *count > 0_u64) {
        text.push_str(&format!(", {what} {count}"));
    }
    if let Some(whole) = counts.times.last().filter(|whole| !whole.is_empty()) {
        let (p50, p99) = (quantile_ms(whole, 0.5), quantile_ms(whole, 0.99));
        text.push_str(&format!(", p50 {p50:.0} ms, p99 {p99:.0} ms"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::super::tally::Step;
    use super::*;

    #[test]
    fn the_line_names_what_happened_and_nothing_that_did_not() {
        let tally = Tally::new().unwrap();
        assert_eq!(text(&tally.counts(), 0.0), "0/s, 0 in flight");
        tally.concluded("approved");
        tally.took(Step::Whole, Duration::from_millis(20));
        let line = text(&tally.counts(), 41.7);
        assert_eq!(line, "42/s, 0 in flight, approved 1, p50 20 ms, p99 20 ms");
        tally.discrepancy("x".to_owned());
        assert!(text(&tally.counts(), 0.0).contains("DISCREPANCIES 1"));
    }

    #[tokio::test]
    async fn the_work_decides_when_it_ends() {
        let tally = Arc::new(Tally::new().unwrap());
        assert_eq!(shown(Output::new(true), &tally, async { 7 }).await, 7);
    }
}
