//! What happened, in numbers: printed after each round and, by variant, at the end.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

#[derive(Clone, Copy, Default)]
pub struct Figures {
    pub rounds: u32,
    /// Challenges that reached a final state.
    pub ended: usize,
    /// Calls that a client had to make again.
    pub lost_replies: usize,
    pub syncs: u64,
    /// Pages that checkpoints moved into the database.
    pub moves: u64,
    /// Writes that a full or read-only disk refused.
    pub refused: u64,
    /// Writes that no fsync covered when the power went.
    pub unsynced: usize,
    /// From the start of the process until it listens, all rounds together.
    pub starting: Duration,
    pub slowest_start: Duration,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.ended += other.ended;
        self.lost_replies += other.lost_replies;
        self.syncs += other.syncs;
        self.moves += other.moves;
        self.refused += other.refused;
        self.unsynced += other.unsynced;
        self.starting += other.starting;
        self.slowest_start = self.slowest_start.max(other.slowest_start);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean_ms = self.starting.as_millis() / u128::from(self.rounds.max(1));
        write!(
            f,
            "{} rounds, {} challenges ended, {} replies lost, {} fsyncs, {} pages moved, {} writes refused, {} writes not synced, \
             back in {mean_ms} ms (slowest {} ms)",
            self.rounds,
            self.ended,
            self.lost_replies,
            self.syncs,
            self.moves,
            self.refused,
            self.unsynced,
            self.slowest_start.as_millis()
        )
    }
}
