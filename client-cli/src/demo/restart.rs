//! Act 7: the daemon is stopped and started again on the same file; the history is still there.

use paraphe_proto::v1::State;

use super::daemon::{self, Daemon};
use super::handset::Handset;
use super::marketplace::Marketplace;
use super::opening::{self, House};
use super::purchases::{Bought, Others, Verdicts};
use super::stage::{Stage, ensure};
use crate::error::{Error, Result};
use crate::handset;
use crate::words::state_name;

/// Plays the act. At its end the daemon is stopped again.
///
/// # Errors
/// When anything is not as it should be.
pub async fn play(
    stage: &Stage,
    daemon: &Daemon,
    house: House,
    marketplace: &Marketplace,
    person: &Handset,
    (bought, others): (&Bought, &mut Others),
) -> Result<()> {
    stage.act("Act 7: the daemon is restarted")?;
    stop(stage, others).await?;

    stage.step("start it again on the same file")?;
    let server = opening::serve(stage, daemon, &house.initialised).await?;
    let connection = server.connect().await?;
    let phones = handset::connect(&server).await?;
    let house = House {
        server,
        connection,
        phones,
        ..house
    };

    stage.step("resume the marketplace's watch")?;
    let mut expected = vec![(bought.purchase.challenge_id.as_str(), bought.purchase.state)];
    expected.extend(
        others
            .purchases
            .iter()
            .map(|purchase| (purchase.challenge_id.as_str(), purchase.state)),
    );
    verdicts(stage, &house, marketplace, &expected).await?;

    stage.step("read the history on the phone")?;
    history(stage, &house, person, &expected).await?;

    stage.step("stop the daemon")?;
    daemon::stop(release(stage)?).await?;
    stage.good("SIGTERM, exit status 0")
}

async fn stop(stage: &Stage, others: &mut Others) -> Result<()> {
    stage.step("stop the daemon while phone and marketplace are listening")?;
    daemon::stop(release(stage)?).await?;
    stage.good("SIGTERM, exit status 0")?;
    let watch = others.verdicts.next().await;
    ensure(watch.is_err(), || {
        "the marketplace's watch goes on without a daemon.".to_owned()
    })?;
    ensure(others.events.ended().await, || {
        "the phone's stream goes on without a daemon.".to_owned()
    })?;
    stage.good("both streams ended; they resume elsewhere")
}

fn release(stage: &Stage) -> Result<tokio::process::Child> {
    stage
        .release_daemon()
        .ok_or_else(|| Error::other("demo.stop", "no daemon is running."))
}

/// All verdicts, from the first on, in the order in which they were reached.
async fn verdicts(
    stage: &Stage,
    house: &House,
    marketplace: &Marketplace,
    expected: &[(&str, State)],
) -> Result<()> {
    let mut watch = Verdicts::open(house, marketplace, "0").await?;
    for (challenge_id, state) in expected {
        let verdict = watch.next().await?;
        ensure(
            verdict.challenge_id == *challenge_id && verdict.state() == *state,
            || {
                format!(
                    "the daemon now says {} on {}.",
                    state_name(verdict.state()),
                    verdict.challenge_id
                )
            },
        )?;
    }
    stage.good(&format!("all {} verdicts, in order", expected.len()))
}

/// Newest first, each with the title that was shown and the final state.
async fn history(stage: &Stage, house: &House, person: &Handset, expected: &[(&str, State)]) -> Result<()> {
    let entries = person.history(&house.phones).await?;
    let newest_first: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry.challenge_id.as_str(), entry.state.as_str()))
        .collect();
    let wanted: Vec<(&str, &str)> = expected
        .iter()
        .rev()
        .map(|(id, state)| (*id, state_name(*state)))
        .collect();
    ensure(newest_first == wanted, || {
        format!("the history is {newest_first:?}, not {wanted:?}.")
    })?;
    let rows = entries.iter().map(|entry| {
        let course = entry
            .rows
            .first()
            .map(|row| row.value.clone())
            .unwrap_or_default();
        [
            entry.relying_party_name.clone(),
            format!("{}: {course}", entry.title),
            entry.state.clone(),
        ]
    });
    stage.table(["who asked", "for what", "answer"], rows)
}
