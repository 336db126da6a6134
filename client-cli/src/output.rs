//! Everything that is printed: one value per result, as a readable text or, with `--json`, as one JSON object per line.
//!
//! Callers: every command. Invariant: standard output carries results only; notes and countdowns go to standard error,
//! so that a script can read one and a person the other. Colours are dropped where no terminal reads them.

use std::io::{IsTerminal as _, Write as _};

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, Width};
use paraphe_proto::time::Timestamp;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::error::{Error, Result};

/// Headings.
pub const HEADING: Style = Style::new().bold();
/// What must not be missed: match codes, six digits.
pub const CODE: Style = Style::new()
    .bold()
    .fg_color(Some(clap::builder::styling::Color::Ansi(AnsiColor::Cyan)));
/// It is as it should be.
pub const GOOD: Style = Style::new().fg_color(Some(clap::builder::styling::Color::Ansi(AnsiColor::Green)));
/// It is not.
pub const BAD: Style = Style::new().fg_color(Some(clap::builder::styling::Color::Ansi(AnsiColor::Red)));
/// Less important.
pub const DIM: Style = Style::new().dimmed();

/// Columns where no terminal says how wide it is, and the widest that a table is drawn.
const WIDTH: u16 = 80;
const WIDEST: u16 = 120;
/// Left and right of a cell's text.
const PADDING: u16 = 2;

/// A result: a JSON object for scripts, a text for people.
pub trait View: Serialize {
    /// The text for people; it ends with a newline and may hold styles.
    fn text(&self) -> String;
}

/// Where results go.
#[derive(Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Results as JSON lines or as text.
    pub fn new(json: bool) -> Self {
        Output { json }
    }

    /// Whether results are JSON lines.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints one result.
    ///
    /// # Errors
    /// [`Error::OutputClosed`]; [`Error::Other`] `cli.output` when standard output cannot be written to.
    pub fn show(self, view: &impl View) -> Result<()> {
        if self.json {
            let line =
                serde_json::to_string(view).map_err(|error| Error::other("cli.output", error.to_string()))?;
            self.write(&format!("{line}\n"))
        } else {
            self.write(&view.text())
        }
    }

    /// Prints a text that only people need; nothing with `--json`.
    ///
    /// # Errors
    /// As [`Output::show`].
    pub fn say(self, text: &str) -> Result<()> {
        if self.json {
            Ok(())
        } else {
            self.write(&format!("{text}\n"))
        }
    }

    /// Tells a person something on standard error, such as what is waited for; nothing with `--json`.
    pub fn note(self, text: &str) {
        if !self.json {
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Prints text as it is, such as a completion script.
    ///
    /// # Errors
    /// As [`Output::show`].
    pub fn write(self, text: &str) -> Result<()> {
        let mut stdout = anstream::stdout();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(unwritten)
    }
}

fn unwritten(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Error::OutputClosed;
    }
    Error::other("cli.output", format!("Cannot write to standard output: {error}."))
}

/// Prints an error on standard error: as text, or as one JSON object. Nothing where the reader of the results went away.
pub fn show_error(error: &Error, json: bool) {
    if matches!(error, Error::OutputClosed) {
        return;
    }
    let mut stderr = anstream::stderr();
    if json {
        let _ = writeln!(stderr, "{}", error.json());
        return;
    }
    let said = match error {
        Error::Demo { .. } => error.to_string(),
        _ => format!("paraphe: {}: {error}", error.code()),
    };
    // For a script or a log, one line stays one line.
    let width = if std::io::stderr().is_terminal() {
        usize::from(columns())
    } else {
        usize::MAX
    };
    for line in said.lines().flat_map(|line| wrapped(line, width)) {
        let _ = writeln!(stderr, "{BAD}{line}{BAD:#}");
    }
}

/// Columns of the terminal, at most 120; 80 where there is none.
pub fn columns() -> u16 {
    Table::new().width().map_or(WIDTH, |columns| columns.min(WIDEST))
}

/// `text` on lines of at most `width` characters, broken between words; a longer word has a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A table with a heading row, as wide as the terminal allows.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    table_within(columns(), header, rows)
}

/// A table with a heading row, at most `width` columns wide.
pub fn table_within<const N: usize>(
    width: u16,
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = empty_table(width);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    keep_words_whole(&mut table);
    format!("{table}\n")
}

/// Gives each column the width of its longest word where all of them fit, so that ids are not broken.
fn keep_words_whole(table: &mut Table) {
    let longest = |index: usize, table: &Table| {
        let cells = table.column_cells_with_header_iter(index).flatten();
        let words: Vec<usize> = cells
            .flat_map(|cell| {
                cell.content()
                    .split_whitespace()
                    .map(|word| word.chars().count())
                    .collect::<Vec<_>>()
            })
            .collect();
        u16::try_from(words.into_iter().max().unwrap_or(0))
            .unwrap_or(u16::MAX)
            .saturating_add(PADDING)
    };
    let columns = table.column_count();
    let widths: Vec<u16> = (0..columns).map(|index| longest(index, table)).collect();
    let borders = columns + 1;
    let needed = widths.iter().map(|width| usize::from(*width)).sum::<usize>() + borders;
    if needed <= usize::from(table.width().unwrap_or(WIDTH)) {
        table.set_constraints(
            widths
                .into_iter()
                .map(|width| ColumnConstraint::LowerBoundary(Width::Fixed(width))),
        );
    }
}

/// Label and value, one below the other; rows without a value are left out.
pub fn facts<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<(&str, String)> = rows.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let widest = rows
        .iter()
        .map(|(label, _)| label.chars().count())
        .max()
        .unwrap_or(0);
    rows.iter()
        .map(|(label, value)| format!("  {DIM}{label:<widest$}{DIM:#}  {value}\n"))
        .collect()
}

/// A box with a title, such as a phone's screen; long lines are wrapped inside.
pub fn boxed(title: &str, lines: &[String], width: u16) -> String {
    let mut table = empty_table(width);
    table.load_style(UTF8_FULL_CONDENSED.with_rounded_corners());
    table.set_header([Cell::new(title)]);
    // Padding by hand: one column keeps the asked width only when a cell fills it.
    let inner = usize::from(width.saturating_sub(4));
    for line in lines {
        table.add_row([Cell::new(format!("{line:<inner$}"))]);
    }
    format!("{table}\n")
}

fn empty_table(width: u16) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    table
}

/// A time for people, e.g. `2026-11-24 09:12:03 UTC`; empty for 0.
pub fn time_text(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    match at.as_secs() {
        0 => String::new(),
        seconds => OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|time| time.format(format).ok())
            .unwrap_or_else(|| seconds.to_string()),
    }
}

/// A time as [`time_text`] prints it (UTC, also without saying so), or seconds since 1970.
///
/// # Errors
/// A sentence that names both ways.
pub fn read_time(text: &str) -> std::result::Result<Timestamp, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Timestamp::from_secs(seconds));
    }
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let utc = text.trim().trim_end_matches("UTC").trim_end();
    time::PrimitiveDateTime::parse(utc, format)
        .map(|time| Timestamp::from_secs(time.assume_utc().unix_timestamp()))
        .map_err(|_| "write it as 2026-11-27 17:45:03 UTC, or as seconds since 1970".to_owned())
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
    fn a_table_stays_within_eighty_columns_where_there_is_no_terminal() {
        let long = "word ".repeat(40);
        let text = table(
            ["id", "what"],
            [["opr_aaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned(), long]],
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("opr_aaaaaaaaaaaaaaaaaaaaaaaaaa"));
    }

    #[test]
    fn text_is_broken_between_words_and_a_long_word_stays_whole() {
        let lines = wrapped("one two three averyveryverylongword four", 9);
        assert_eq!(lines, ["one two", "three", "averyveryverylongword", "four"]);
        assert_eq!(wrapped("", 9), [""]);
    }

    #[test]
    fn facts_align_and_leave_out_what_is_empty() {
        let text = facts([
            ("state", "active".to_owned()),
            ("quarantined until", String::new()),
            ("wait", "3 s".to_owned()),
        ]);
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(text, "  state  active\n  wait   3 s\n");
    }

    #[test]
    fn a_box_has_the_asked_width_and_wraps() {
        let text = boxed("Phone", &["short".to_owned(), "long ".repeat(20)], 40);
        assert!(text.lines().all(|line| line.chars().count() == 40), "{text}");
        assert!(text.contains('╭') && text.contains("Phone"));
    }

    #[test]
    fn a_time_is_read_as_it_is_printed_and_as_seconds() {
        let printed = Timestamp::from_secs(1_795_509_123);
        for text in ["2026-11-24 08:32:03 UTC", "2026-11-24 08:32:03", "1795509123"] {
            assert_eq!(read_time(text), Ok(printed), "{text}");
        }
        for text in [
            "2026-11-24",
            "2026-02-30 00:00:00 UTC",
            "08:32:03",
            "",
            "2026-11-24 08:32:03 CET",
        ] {
            assert!(read_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_to_tell_of() {
        let error = unwritten(std::io::ErrorKind::BrokenPipe.into());
        assert_eq!((error.exit(), error.code()), (141, "cli.output"));
        assert_eq!(unwritten(std::io::ErrorKind::StorageFull.into()).exit(), 1);
    }

    #[test]
    fn times_are_utc_and_zero_is_no_time() {
        assert_eq!(
            time_text(Timestamp::from_secs(1_795_509_123)),
            "2026-11-24 08:32:03 UTC"
        );
        assert_eq!(time_text(Timestamp::from_secs(0)), "");
    }
}
