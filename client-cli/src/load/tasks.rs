//! Work done side by side, a few at a time: enrolments, connections, streams that are opened.
//!
//! Called by all that prepares a load. Invariant: the first failure ends it; what is under way then is dropped.

use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// Does all of `work`, `at_once` at most at any time, and hands on each result as it comes.
///
/// # Errors
/// The first failure, of the work or of `done`.
pub async fn each<T, F>(
    at_once: usize,
    work: impl IntoIterator<Item = F>,
    mut done: impl FnMut(T) -> Result<()>,
) -> Result<()>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut work = work.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < at_once
            && let Some(next) = work.next()
        {
            running.spawn(next);
        }
        let Some(ended) = running.join_next().await else {
            return Ok(());
        };
        let ended = ended.map_err(|error| Error::other("load.task", format!("A task ended early: {error}.")));
        done(ended??)?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn all_of_it_is_done_a_few_at_a_time() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = (0..20).map(|number| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(number)
            }
        });
        let mut seen = Vec::new();
        each(3, work, |number: u32| {
            seen.push(number);
            Ok(())
        })
        .await
        .unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 3);
    }

    #[tokio::test]
    async fn the_first_failure_ends_it() {
        let work = (0..5).map(|number| async move {
            match number {
                2 => Err(Error::Unreachable("gone".to_owned())),
                _ => Ok(number),
            }
        });
        let mut seen = 0;
        let ended = each(1, work, |_: u32| {
            seen += 1;
            Ok(())
        });
        assert_eq!(ended.await.unwrap_err().exit(), 7);
        assert_eq!(seen, 2);
    }
}
