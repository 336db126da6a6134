//! A countdown on standard error while a person is waited for.
//!
//! Callers: `paraphe login`, `paraphe backend request --wait`, `paraphe phone watch`. It draws on a terminal only.

use std::future::Future;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use paraphe_proto::time::Timestamp;

use crate::edge;

const TICK: Duration = Duration::from_millis(250);

/// Runs `work` and shows `label` with the seconds left until `until`. The countdown is a display only: it never ends the work.
pub async fn waiting<T>(label: &str, until: Timestamp, work: impl Future<Output = T>) -> T {
    let bar = bar(label, until.since_s(edge::now()));
    let mut tick = tokio::time::interval(TICK);
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                bar.finish_and_clear();
                return result;
            }
            _ = tick.tick() => bar.set_position(left_s(until, edge::now())),
        }
    }
}

fn bar(label: &str, total_s: i64) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(total_s).unwrap_or(0));
    if let Ok(style) = ProgressStyle::with_template("  {msg} {wide_bar:.cyan/dim} {pos:>3} s") {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar.set_message(label.to_owned());
    bar
}

fn left_s(until: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(until.since_s(now)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    #[test]
    fn the_seconds_left_fall_to_zero_and_stay_there() {
        let until = Timestamp::from_secs(100);
        assert_eq!(left_s(until, Timestamp::from_secs(40)), 60);
        assert_eq!(left_s(until, Timestamp::from_secs(100)), 0);
        assert_eq!(left_s(until, Timestamp::from_secs(500)), 0);
    }

    #[tokio::test]
    async fn the_work_decides_when_it_ends_not_the_countdown() {
        let past = Timestamp::from_secs(1);
        assert_eq!(waiting("waiting", past, async { 7 }).await, 7);
    }
}
