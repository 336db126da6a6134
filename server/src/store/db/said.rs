//! What the transactions of a group say besides what they write: events that the security journal must hold before the commit, and
//! challenges that others wait for, who are told after it. Kept by the driver's connection, read by `lanes`.
//! Invariant: what a transaction said goes with it when it is undone.

use std::sync::Arc;

use crate::domain::challenge::Challenge;
use crate::domain::ended::Event;

/// Hears of every challenge that a committed transaction made or moved, in the order of the commits.
pub type Listener = Box<dyn Fn(&Arc<Challenge>) + Send + Sync>;

/// In the order in which it was said.
#[derive(Default)]
pub(super) struct Said {
    pub(super) events: Vec<Event>,
    pub(super) changes: Vec<Arc<Challenge>>,
}

/// How much had been said at some time.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    events: usize,
    changes: usize,
}

impl Said {
    pub(super) fn mark(&self) -> Mark {
        Mark {
            events: self.events.len(),
            changes: self.changes.len(),
        }
    }

    /// Forgets what was said since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.events.truncate(mark.events);
        self.changes.truncate(mark.changes);
    }
}
