//! Moving the write-ahead log into the database beside the writer: nobody waits for pages that are durable already. Started by
//! `Db`; the writer's connection says after each commit how long the log is.
//! Invariant: the log stays bounded while nobody reads an old snapshot for long (a backup does). A log that others append to is never moved
//! whole and so never starts anew; the writer moves what is left of it once it is [`Log::most`] pages long.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::DbError;
use super::sqlite::Sqlite;

/// Pages that make it worth moving some: each time costs two fsyncs, and a page that changed often is moved once.
#[cfg(not(feature = "test-hooks"))]
fn step() -> i32 {
    3_000
}

/// What `PARAPHE_TEST_CHECKPOINT_PAGES` says, so that the crash harness sees many of them; as ever without it.
#[cfg(feature = "test-hooks")]
fn step() -> i32 {
    let named = std::env::var("PARAPHE_TEST_CHECKPOINT_PAGES").ok();
    named.and_then(|pages| pages.parse().ok()).unwrap_or(3_000)
}

/// The writer's side: when to call for the thread, and when not to wait for it any longer.
pub(super) struct Log {
    /// Pages between two calls.
    step: i32,
    /// Length at the last call, pages.
    called_at: i32,
    thread: SyncSender<()>,
}

impl Log {
    /// An empty log, and what its thread listens to.
    pub(super) fn new() -> (Log, Receiver<()>) {
        let (thread, calls) = sync_channel(1);
        let log = Log {
            step: step(),
            called_at: 0,
            thread,
        };
        (log, calls)
    }

    /// Pages after which the writer moves the rest: some time after the thread was called, so that little is left for it.
    fn most(&self) -> i32 {
        self.step.saturating_mul(4).saturating_add(self.step / 3)
    }

    /// A commit has made it `pages` long; whether the writer is to move it.
    pub(super) fn grown(&mut self, pages: i32) -> bool {
        if pages < self.called_at {
            self.called_at = 0;
        }
        if pages >= self.most() {
            return true;
        }
        if pages >= self.called_at.saturating_add(self.step) {
            self.called_at = pages;
            // One that is called already will see these pages too.
            let _called = self.thread.try_send(());
        }
        false
    }
}

/// The thread: moves what there is at each call, until the writer's connection is closed.
pub(super) fn run(sqlite: Sqlite, calls: &Receiver<()>, file_lock: Arc<File>) -> Result<(), DbError> {
    while calls.recv().is_ok() {
        if let Err(error) = sqlite.checkpoint_some() {
            tracing::warn!(code = error.code(), %error, "the write-ahead log could not be moved into the database");
        }
    }
    drop(sqlite);
    drop(file_lock);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_is_called_every_3_000_pages_and_the_writer_moves_the_rest() {
        let (mut log, calls) = Log::new();
        let called = |pages, log: &mut Log| (log.grown(pages), calls.try_recv().is_ok());
        assert_eq!(called(2_999, &mut log), (false, false));
        assert_eq!(called(3_000, &mut log), (false, true));
        assert_eq!(called(5_999, &mut log), (false, false));
        assert_eq!(called(6_010, &mut log), (false, true));
        assert_eq!(called(12_900, &mut log), (false, true));
        assert_eq!(called(13_000, &mut log), (true, false));
        assert_eq!(called(12, &mut log), (false, false), "it has started anew");
        assert_eq!(called(3_012, &mut log), (false, true));
    }
}
