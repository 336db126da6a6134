//! The end of the demo: one table.

use std::path::PathBuf;

use serde::Serialize;

use super::proof::Proof;
use super::purchases::{Bought, Others, Purchase};
use super::stage::Stage;
use crate::error::Result;
use crate::output::{GOOD, HEADING, View, columns, table, wrapped};
use crate::words::state_name;

#[derive(Serialize)]
struct SummaryView {
    done: bool,
    purchases: Vec<PurchaseView>,
    checks: usize,
    elapsed_ms: u64,
    kept: Option<PathBuf>,
    #[serde(skip)]
    verify: Option<String>,
}

/// What `--keep` left.
pub struct Kept {
    /// The folder.
    pub root: PathBuf,
    /// The command that verifies the statements again.
    pub verify: String,
}

#[derive(Serialize)]
struct PurchaseView {
    challenge_id: String,
    course: &'static str,
    price: String,
    state: &'static str,
    how: &'static str,
}

impl PurchaseView {
    fn new(purchase: &Purchase, how: &'static str) -> Self {
        PurchaseView {
            challenge_id: purchase.challenge_id.clone(),
            course: purchase.course.title,
            price: purchase.course.price(),
            state: state_name(purchase.state),
            how,
        }
    }
}

impl View for SummaryView {
    fn text(&self) -> String {
        let rows = self.purchases.iter().map(|purchase| {
            [
                purchase.course.to_owned(),
                purchase.price.clone(),
                purchase.state.to_owned(),
                purchase.how.to_owned(),
            ]
        });
        let table = table(["course", "price", "verdict", "how"], rows);
        let kept = self
            .kept
            .as_ref()
            .map(|kept| format!("Everything is kept in {}.\n", kept.display()))
            .unwrap_or_default();
        // On a line of its own, so that it can be copied whole.
        let verify = self
            .verify
            .as_ref()
            .map(|verify| format!("Verify the proof again:\n{verify}\n"))
            .unwrap_or_default();
        let seconds = self.elapsed_ms / 1000;
        let tenths = self.elapsed_ms % 1000 / 100;
        let end = format!(
            "Everything was as it should be, in {seconds}.{tenths} s; {} checks of the proof held. Nothing was \
             simulated but the phone's screen and secure chip, and the people who type.",
            self.checks
        );
        let end = wrapped(&end, usize::from(columns()).saturating_sub(2)).join("\n  ");
        format!("\n{HEADING}Summary{HEADING:#}\n{table}{GOOD}✓{GOOD:#} {end}\n{kept}{verify}")
    }
}

/// Shows the summary.
///
/// # Errors
/// When standard output is closed.
pub fn show(
    stage: &Stage,
    bought: &Bought,
    others: &Others,
    proof: &Proof,
    kept: Option<Kept>,
) -> Result<()> {
    let how = [
        "code and PIN",
        "the person said no",
        "nobody answered",
        "after one wrong PIN",
    ];
    let (root, verify) = kept.map(|kept| (kept.root, kept.verify)).unzip();
    let purchases = std::iter::once(&bought.purchase).chain(&others.purchases);
    stage.show(&SummaryView {
        done: true,
        purchases: purchases
            .zip(how)
            .map(|(purchase, how)| PurchaseView::new(purchase, how))
            .collect(),
        checks: proof.checks,
        elapsed_ms: stage.elapsed_ms(),
        kept: root,
        verify,
    })
}
