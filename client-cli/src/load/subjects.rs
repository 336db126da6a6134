//! What each backend calls the owner of each phone: asked once, then kept in the folder.
//!
//! Called by `run` before anything is measured. The backend must be registered with `may_identify` for those it asks.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::backend::Backend;
use super::folder::{Folder, PhoneLine};
use super::patience::patiently;
use super::progress;
use crate::error::{Error, Result};
use crate::output::Output;

/// Questions under way at the same time.
const ASKING: usize = 16;

/// Asks for every subject that is missing, and writes the folder anew where one was.
///
/// # Errors
/// What the daemon refuses; [`Error::NotFound`] when it knows nobody of a phone's identity.
pub async fn complete(
    folder: &Folder,
    lines: &mut [PhoneLine],
    backends: &[Arc<Backend>],
    output: Output,
) -> Result<()> {
    let mut missing = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let unknown = backends
            .iter()
            .filter(|backend| !line.subjects.contains_key(&backend.id));
        missing.extend(unknown.map(|backend| (index, Arc::clone(backend), line.clone())));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let bar = progress::bar(output, "asking for subjects", missing.len());
    let mut asking: JoinSet<Result<(usize, String, String)>> = JoinSet::new();
    let mut missing = missing.into_iter();
    loop {
        while asking.len() < ASKING
            && let Some((index, backend, line)) = missing.next()
        {
            asking.spawn(async move {
                Ok((
                    index,
                    backend.id.clone(),
                    patiently(|| backend.subject(&line)).await?,
                ))
            });
        }
        let Some(asked) = asking.join_next().await else {
            break;
        };
        let ended = |error| Error::other("load.task", format!("A task ended early: {error}."));
        let (index, backend, subject) = asked.map_err(ended)??;
        if let Some(line) = lines.get_mut(index) {
            line.subjects.insert(backend, subject);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    folder.replace(lines)
}
