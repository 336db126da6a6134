//! What putting a backup back does, declared or not (protocol.md section 4, rule 6).
//!
//! A declared restore takes the model's word for what `paraphed restore` has to do, but for the last try, which is the daemon's own; each
//! line of it is broken once in `checks`.

use super::rows::{NOW, Phone, Rows, Stage};
use super::setting::{Broken, Setting};
use super::world::{Journal, World};

impl World {
    /// `paraphed restore`: nobody calls meanwhile, the daemon is stopped.
    pub fn restore(&mut self, backup: Rows, setting: &Setting) {
        self.calls.clear();
        self.ghost.restores += 1;
        self.store = declared(backup, u64::from(self.ghost.restores), &self.journal, setting);
    }

    /// Whoever holds the disk puts an older file in its place and starts the daemon again.
    pub fn roll_back(&mut self, backup: Rows) {
        self.calls.clear();
        self.ghost.rollbacks += 1;
        self.store = backup;
    }
}

fn declared(mut rows: Rows, restore_epoch: u64, journal: &Journal, setting: &Setting) -> Rows {
    rows.restore_epoch = restore_epoch;
    if !setting.breaks(Broken::RestoresChallenges) {
        let pending = rows
            .challenges
            .values_mut()
            .filter(|asked| asked.stage == Stage::Pending);
        pending.for_each(|asked| asked.stage = Stage::Failed);
    }
    let (counter, last) = (&mut rows.phone.counter, setting.limits.max_failures);
    if !setting.breaks(Broken::RestoresAttempts) && counter.failures < last - 1 {
        counter.failures = last - 1;
        counter.charged_age_s = None;
    }
    if !setting.breaks(Broken::RestoresCredit) {
        counter.latest += 1;
    }
    if journal.last_try {
        let mut phone = rows.phone.device();
        phone.attempts.lose_last(true);
        phone.cut(NOW, &setting.limits);
        rows.phone = Phone::of(&phone);
    }
    rows.phone.locked |= journal.locked;
    rows
}
