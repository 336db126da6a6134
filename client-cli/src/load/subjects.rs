//! What each backend calls the owner of each phone: asked once, then kept in the folder.
//!
//! Called by `run` before anything is measured. The backend must be registered with `may_identify` for those it asks.

use std::sync::Arc;

use super::backend::Backend;
use super::folder::{Folder, PhoneLine};
use super::patience::patiently;
use super::{progress, tasks};
use crate::error::Result;
use crate::output::Output;

/// Questions under way at the same time.
const ASKING: usize = 16;

/// Asks for every subject that is missing, and writes the folder anew where one was.
///
/// # Errors
/// What the daemon refuses; [`crate::error::Error::NotFound`] when it knows nobody of a phone's identity.
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
    let questions = missing.into_iter().map(|(index, backend, line)| async move {
        let subject = patiently(|| backend.subject(&line)).await?;
        Ok((index, backend.id.clone(), subject))
    });
    tasks::each(ASKING, questions, |(index, backend, subject)| {
        if let Some(line) = lines.get_mut(index) {
            line.subjects.insert(backend, subject);
        }
        bar.inc(1);
        Ok(())
    })
    .await?;
    bar.finish_and_clear();
    folder.replace(lines)
}
