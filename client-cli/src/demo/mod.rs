//! `paraphe demo`: the main job from an empty folder to a verified proof, against a real `paraphed` in its own process.
//!
//! One file per act. Nothing is simulated but the phone's screen and secure chip, and the people who type. Invariant: the
//! demo ends with exit status 0 only when every step was as it should be; else it names the step.

mod counter;
mod daemon;
mod handset;
mod keepsakes;
mod marketplace;
mod opening;
mod profile;
mod proof;
mod purchases;
mod restart;
mod staff;
mod stage;
mod summary;

use crate::commands::demo::Args;
use crate::error::Result;
use crate::output::Output;
use daemon::Daemon;
use profile::Folder;
use stage::Stage;
use summary::Kept;

/// Plays the whole story.
///
/// # Errors
/// [`crate::error::Error::Demo`] with the step that was not as it should be; `Usage` and `Forbidden` before the first step.
pub async fn run(output: Output, args: Args) -> Result<()> {
    let folder = Folder::prepare(args.keep.as_deref())?;
    let daemon = Daemon::new(args.paraphed.as_deref(), folder.config())?;
    let stage = Stage::new(output);
    let ended = stage.run(story(&stage, &folder, &daemon, &args)).await;
    // Whatever happened, the daemon ends before its folder goes.
    drop(stage.release_daemon());
    ended
}

async fn story(stage: &Stage, folder: &Folder, daemon: &Daemon, args: &Args) -> Result<()> {
    let house = opening::play(stage, daemon).await?;
    let (administrator, clerk) = staff::play(stage, folder, &house).await?;
    let marketplace = marketplace::register(stage, &house, &administrator).await?;
    let person = counter::play(stage, folder, &house, &clerk).await?;
    let bought = purchases::approve(stage, &house, &marketplace, &person).await?;
    let proof = proof::verify(stage, &house, &administrator, &bought, args.tamper).await?;
    let mut others = purchases::others(stage, &house, &marketplace, &person, &bought).await?;
    let kept = match &args.keep {
        Some(root) => Some(Kept {
            root: root.clone(),
            verify: keepsakes::write(folder, &house, &bought, &others, &proof)?,
        }),
        None => None,
    };
    restart::play(
        stage,
        daemon,
        house,
        &marketplace,
        &person,
        (&bought, &mut others),
    )
    .await?;
    summary::show(stage, &bought, &others, &proof, kept)
}
