//! What happens to the daemon and its disk in one round, up to the kill and what the disk keeps of it.

use std::time::Duration;

use super::campaign::Campaign;
use super::disk::Fault;
use super::loss::{self, Loss};

/// Between two looks at the daemon.
const PAUSE: Duration = Duration::from_millis(10);

/// What happens besides the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// SIGKILL at a random moment.
    Killed,
    /// In the middle of a write; the disk keeps a part of it.
    TornWrite,
    /// In the middle of an fsync.
    InSync,
    /// In the middle of a checkpoint.
    InCheckpoint,
    /// The disk is full for a while.
    FullDisk,
    /// The disk takes no writes for a while.
    ReadOnly,
    /// Each fsync takes long.
    SlowSync,
    /// Clients die in the middle of their calls.
    KilledClients,
    /// The daemon is killed again while it recovers.
    KilledStarting,
}

impl Variant {
    pub const ALL: [Self; 9] = [
        Self::Killed,
        Self::TornWrite,
        Self::InSync,
        Self::InCheckpoint,
        Self::FullDisk,
        Self::ReadOnly,
        Self::SlowSync,
        Self::KilledClients,
        Self::KilledStarting,
    ];
}

impl Campaign {
    /// What the disk does while there is load, until the moment of the kill.
    pub async fn trouble(&mut self, variant: Variant) {
        if self.dice.chance(50) {
            self.disk.slow_syncs(self.dice.millis(1, 8));
        }
        tokio::time::sleep(self.dice.millis(150, 700)).await;
        match variant {
            Variant::TornWrite => self.disk.die_within_write(self.dice.between(1, 200)),
            Variant::InSync => self.disk.die_before_sync(self.dice.between(1, 40)),
            Variant::InCheckpoint => self.disk.die_within_move(self.dice.between(1, 100)),
            Variant::FullDisk => {
                let (room, copying) = (self.dice.below(100_000), self.dice.chance(70));
                let fault = if copying {
                    Fault::FullCopying { room }
                } else {
                    Fault::Full { room }
                };
                self.spoil(fault).await;
            }
            Variant::ReadOnly => self.spoil(Fault::ReadOnly).await,
            Variant::SlowSync => {
                self.disk.slow_syncs(self.dice.millis(20, 80));
                tokio::time::sleep(self.dice.millis(200, 600)).await;
            }
            _ => {}
        }
        let dies = [Variant::TornWrite, Variant::InSync, Variant::InCheckpoint].contains(&variant);
        for _ in 0..300 {
            if !dies || self.world.daemon.has_ended() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A fault for a while. Half of the time the daemon must go on by itself before it is killed.
    async fn spoil(&mut self, fault: Fault) {
        self.disk.set(fault);
        tokio::time::sleep(self.dice.millis(200, 600)).await;
        if self.dice.chance(50) {
            self.disk.set(Fault::None);
            let before = self.book.open().ended.len();
            for _ in 0..3_000 {
                tokio::time::sleep(PAUSE).await;
                if self.book.open().ended.len() > before {
                    return tokio::time::sleep(self.dice.millis(0, 300)).await;
                }
            }
            self.book
                .finding(format!("nothing is confirmed any more after {fault:?}"));
        }
    }

    /// The power has gone: drops what the disk does not keep.
    pub fn lose(&mut self, variant: Variant) {
        let loss = match variant {
            Variant::TornWrite => Loss::TornTail,
            _ => Loss::draw(&mut self.dice),
        };
        let folder = self.world.daemon.folder.path();
        self.figures.refused += self.disk.refused();
        self.figures.syncs += self.disk.syncs();
        self.figures.moves += self.disk.moves();
        self.figures.unsynced += loss::apply(&self.disk.undo_log(), folder, loss, &mut self.dice);
        let _rebuilt = std::fs::remove_file(folder.join("paraphe.db-shm"));
    }

    /// Kills the daemon a few times before it listens.
    pub fn kill_starting(&mut self) {
        for _ in 0..self.dice.between(1, 3) {
            self.disk.settle();
            if self.dice.chance(50) {
                self.disk.die_within_write(self.dice.between(1, 20));
            }
            let mut child = self.world.daemon.spawn();
            std::thread::sleep(self.dice.millis(5, 120));
            child.kill().unwrap();
            child.wait().unwrap();
            self.lose(Variant::KilledStarting);
        }
    }
}
