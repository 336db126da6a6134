//! The two server streams: verdicts for backends, pending challenges for phones.
//!
//! A stream reads the store at its start; then each wake brings what changed, and a stream that may have missed something reads again,
//! as it does every `RECHECK`. It ends with `UNAVAILABLE` when the daemon stops. A stream is polled by its connection alone: no task
//! and no queue of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch as channel;
use tonic::Status;

use super::Shared;
use crate::domain::challenge::Challenge;
use crate::domain::fault::{self, Fault};
use crate::wake::{Heard, Wake};

mod pending;
mod verdicts;

pub use pending::pending;
pub use verdicts::verdicts;

/// A lost wake costs at most this.
const RECHECK: Duration = Duration::from_secs(30);

/// What a stream is told.
type Change = Arc<Challenge>;

/// The messages of one server stream.
pub type Messages<T> = BoxStream<'static, Result<T, Status>>;

/// One open stream: where its messages come from, and those that were made and not sent yet.
struct Open<S: Source> {
    source: S,
    ready: VecDeque<S::Message>,
    stopping: channel::Receiver<bool>,
    is_read: bool,
}

/// What makes the messages of a stream.
trait Source: Send + 'static {
    /// What is sent.
    type Message: Send;

    /// Messages for all that the store says and that was not sent yet.
    fn read(&mut self) -> impl Future<Output = Result<Vec<Self::Message>, Status>> + Send;

    /// Messages for one change; `None` when the store must be read.
    fn apply(&mut self, change: &Challenge) -> Result<Option<Vec<Self::Message>>, Status>;

    /// The next wake.
    fn heard(&self) -> impl Future<Output = Heard<Change>> + Send;
}

/// The messages of `source`.
fn messages<S: Source>(shared: &Shared, source: S) -> Messages<S::Message> {
    let open = Open {
        source,
        ready: VecDeque::new(),
        stopping: shared.stopping.clone(),
        is_read: false,
    };
    stream::try_unfold(open, |mut open| async move {
        let message = open.next().await?;
        Ok(Some((message, open)))
    })
    .boxed()
}

impl<S: Source> Open<S> {
    async fn next(&mut self) -> Result<S::Message, Status> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            if !self.is_read {
                self.is_read = true;
                self.ready.extend(self.source.read().await?);
                continue;
            }
            let heard = tokio::select! {
                heard = self.source.heard() => heard,
                () = tokio::time::sleep(RECHECK) => Heard::TooMuch,
                _ = self.stopping.wait_for(|stopping| *stopping) => return Err(fault::SHUTTING_DOWN.fault().into()),
            };
            self.take(heard)?;
        }
    }

    fn take(&mut self, heard: Heard<Change>) -> Result<(), Status> {
        let Heard::Changes(changes) = heard else {
            self.is_read = false;
            return Ok(());
        };
        for change in changes {
            match self.source.apply(&change)? {
                Some(messages) => self.ready.extend(messages),
                None => self.is_read = false,
            }
        }
        Ok(())
    }
}

/// Refuses a stream too many of one caller, so that nobody takes the places of others.
fn require_place(open: usize, most: usize) -> Result<(), Fault> {
    if open >= most {
        return Err(fault::RATE_LIMITED
            .fault()
            .because(format!("At most {most} streams may be open.")));
    }
    Ok(())
}

/// A watcher of changes.
type Ear<K> = Wake<K, Change>;
