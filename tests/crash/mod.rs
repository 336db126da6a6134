//! The daemon dies at random moments, and nothing that anybody was told is undone.
//!
//! Each round: load by clients who keep their own records (`client`, `book`), trouble with the disk (`disk`, shim.c), SIGKILL, the loss
//! of what no fsync covered (`loss`), a look at the rows (`rows`), a new start, and the comparison (`recall`, `ledger`).
//! `PARAPHE_CRASH_ROUNDS` sets the number of rounds, `PARAPHE_CRASH_SEED` repeats the dice of an earlier run.

use std::collections::BTreeMap;

use campaign::Campaign;
use dice::Dice;
use figures::Figures;
use trouble::Variant;

mod book;
mod campaign;
mod client;
mod crowd;
mod dice;
mod disk;
mod figures;
mod ledger;
mod link;
mod loss;
mod recall;
mod rows;
mod trouble;

const ROUNDS: usize = 20;
/// A deployment lives so long: wrong PINs stay on a phone's account for 30 days.
const ROUNDS_OF_DEPLOYMENT: usize = 20;
/// Deployments within which a daemon that does not sync must be caught.
const TRIES_TO_CATCH: usize = 6;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number")),
    )
}

fn seed() -> u64 {
    let seed = number("PARAPHE_CRASH_SEED")
        .unwrap_or_else(|| Dice::seeded(u64::try_from(crate::world::now()).unwrap()).draw());
    println!("PARAPHE_CRASH_SEED={seed}");
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_anybody_was_told_is_lost_in_a_crash() {
    let rounds = number("PARAPHE_CRASH_ROUNDS").map_or(ROUNDS, |rounds| usize::try_from(rounds).unwrap());
    let mut dice = Dice::seeded(seed());
    let mut campaign = None;
    let mut tally: BTreeMap<Variant, Figures> = BTreeMap::new();
    for round in 0..rounds {
        if round % ROUNDS_OF_DEPLOYMENT == 0 {
            campaign = Some(Campaign::new(dice.fork(), &[]).await);
        }
        let campaign = campaign.as_mut().unwrap();
        let variant = Variant::ALL[round % Variant::ALL.len()];
        let figures = campaign.round(variant).await;
        println!("round {round}, {variant:?}: {figures}");
        *tally.entry(variant).or_default() += figures;
        let findings = campaign.book.findings();
        assert!(
            findings.is_empty(),
            "round {round}, {variant:?}:\n{}",
            findings.join("\n")
        );
    }
    print(&tally);
}

/// The whole run. A harness that takes nothing away from the disk shows nothing.
fn print(tally: &BTreeMap<Variant, Figures>) {
    let mut all = Figures::default();
    for (variant, figures) in tally {
        println!("{variant:?}: {figures}");
        all += *figures;
    }
    println!("all: {all}");
    let bites = all.unsynced > 0 && all.refused > 0;
    assert!(
        bites || usize::try_from(all.rounds).unwrap() < ROUNDS,
        "the shim did nothing"
    );
}

/// Rounds on a daemon that syncs less than it should, until the clients' records show it: a phone alone may notice first, and answers
/// nothing any more.
async fn is_caught(synchronous: &str) -> bool {
    let weakened = [("PARAPHE_TEST_SYNCHRONOUS", synchronous)];
    let mut dice = Dice::seeded(seed());
    for _ in 0..TRIES_TO_CATCH {
        let mut campaign = Campaign::new(dice.fork(), &weakened).await;
        campaign.round(Variant::Killed).await;
        let findings = campaign.book.findings();
        println!("{}", findings.join("\n"));
        if findings.iter().any(|finding| finding.starts_with("chl_")) {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_never_syncs_is_caught() {
    assert!(is_caught("OFF").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_syncs_at_checkpoints_only_is_caught() {
    assert!(is_caught("NORMAL").await);
}
