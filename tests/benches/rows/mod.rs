//! Every row of the table of goals, in groups that share one daemon and one database.

mod confirmation;
mod expiry;
mod floor;
mod growth;
mod latency;
mod overload;
mod soak;
mod streams;
mod transport;

use crate::{Bench, Result};

/// Rows that are measured together.
pub struct Group {
    /// What a filter may name.
    pub name: &'static str,
    /// The rows, which a filter may name as well.
    rows: &'static [&'static str],
    /// Whether the release binaries are needed.
    pub needs_daemon: bool,
    /// Measures them.
    pub run: fn(&mut Bench) -> Result<()>,
}

/// All groups, in the order of the table.
pub const GROUPS: &[Group] = &[
    group("floor", floor::ROWS, false, floor::run),
    group("transport", transport::ROWS, true, transport::run),
    group("confirmation", confirmation::ROWS, true, confirmation::run),
    group("fsyncs", confirmation::FSYNC_ROWS, true, confirmation::fsyncs),
    group("latency", latency::ROWS, true, latency::run),
    group("streams", streams::ROWS, true, streams::run),
    group("growth", growth::ROWS, true, growth::run),
    group("expiry", expiry::ROWS, true, expiry::run),
    group("overload", overload::ROWS, true, overload::run),
    group("soak", soak::ROWS, true, soak::run),
];

const fn group(
    name: &'static str,
    rows: &'static [&'static str],
    needs_daemon: bool,
    run: fn(&mut Bench) -> Result<()>,
) -> Group {
    Group {
        name,
        rows,
        needs_daemon,
        run,
    }
}

impl Group {
    /// Whether a filter asks for it, by the name of the group or by part of a row's; every group is wanted without a filter.
    pub fn is_wanted(&self, wanted: &[String]) -> bool {
        let named = |word: &String| {
            if GROUPS.iter().any(|group| group.name == word) {
                return self.name == word;
            }
            self.rows.iter().any(|row| row.contains(word.as_str()))
        };
        wanted.is_empty() || wanted.iter().any(named)
    }
}

/// All names that a filter may use.
pub fn names() -> String {
    let names = GROUPS
        .iter()
        .flat_map(|group| [group.name].into_iter().chain(group.rows.iter().copied()));
    names.collect::<Vec<_>>().join(" ")
}
