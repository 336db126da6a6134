//! `paraphe admin audit` and `paraphe admin statements`: what happened, and the signatures behind it.

use std::path::PathBuf;

use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{AuditEntry, GetStatementsRequest, ListAuditEntriesRequest};
use serde::Serialize;

use super::client;
use crate::context::Context;
use crate::error::Result;
use crate::output::{View, table, time_text};
use crate::views::StatementsView;

/// Options of `paraphe admin audit`.
#[derive(clap::Args)]
pub struct AuditArgs {
    /// Begin after this entry; the oldest come first
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// At most this many, 1 to 500
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    count: u32,
}

/// Options of `paraphe admin statements`.
#[derive(clap::Args)]
pub struct StatementsArgs {
    /// chl_…
    challenge: String,
    /// Folder for the files; it is made where it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct EntryView {
    number: u64,
    at: Timestamp,
    actor: String,
    verb: String,
    target: String,
    outcome: String,
}

impl From<AuditEntry> for EntryView {
    fn from(entry: AuditEntry) -> Self {
        EntryView {
            number: entry.number,
            at: Timestamp::from_secs(entry.at),
            actor: entry.actor,
            verb: entry.verb,
            target: entry.target,
            outcome: entry.outcome,
        }
    }
}

#[derive(Serialize)]
struct AuditView {
    entries: Vec<EntryView>,
    #[serde(skip)]
    asked: u32,
}

impl View for AuditView {
    fn text(&self) -> String {
        let row = |entry: &EntryView| {
            let what = format!("{}\n{}: {}", time_text(entry.at), entry.verb, entry.outcome);
            [
                entry.number.to_string(),
                what,
                format!("{}\n{}", entry.actor, entry.target),
            ]
        };
        let table = table(["#", "what", "by, on"], self.entries.iter().map(row));
        let more = match self.entries.last() {
            Some(last) if u32::try_from(self.entries.len()).is_ok_and(|shown| shown >= self.asked) => {
                format!(
                    "  Newer ones may follow: paraphe admin audit --after {}\n",
                    last.number
                )
            }
            _ => String::new(),
        };
        format!("{table}{more}")
    }
}

pub(super) async fn audit(context: &Context, args: &AuditArgs) -> Result<()> {
    let request = ListAuditEntriesRequest {
        after: args.after,
        page_size: args.count,
    };
    let list = client(context)
        .await?
        .list_audit_entries(request)
        .await?
        .into_inner();
    context.output.show(&AuditView {
        entries: list.entries.into_iter().map(EntryView::from).collect(),
        asked: args.count,
    })
}

pub(super) async fn statements(context: &Context, args: &StatementsArgs) -> Result<()> {
    let request = GetStatementsRequest {
        challenge_id: args.challenge.clone(),
    };
    let statements = client(context).await?.get_statements(request).await?.into_inner();
    context
        .output
        .show(&StatementsView::write(&statements, &args.out)?)
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
    fn an_audit_table_is_readable_on_eighty_columns() {
        let entry = EntryView {
            number: 12345,
            at: Timestamp::from_secs(1_795_509_123),
            actor: format!("opr_{}", "a".repeat(26)),
            verb: "register_relying_party".into(),
            target: format!("chl_{}", "b".repeat(26)),
            outcome: "ok".into(),
        };
        let text = AuditView {
            entries: vec![entry],
            asked: 1,
        }
        .text();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(
            text.contains(&format!("opr_{}", "a".repeat(26))),
            "ids stay whole: {text}"
        );
        assert!(text.contains("paraphe admin audit --after 12345"), "{text}");
    }
}
