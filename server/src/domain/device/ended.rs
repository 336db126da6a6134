//! What of a device must stay ended when an older database is put back (protocol.md section 4, rule 6).

use paraphe_proto::time::Timestamp;

use super::{Device, Limits, State};
use crate::domain::ended::{DeviceEnd, Ended};

impl Device {
    /// After a declared restore: one attempt is left, or none where the last one was made since the backup; what was not confirmed begins
    /// again with a new activation.
    pub fn cut(&mut self, now: Timestamp, limits: &Limits) {
        match self.state {
            State::AwaitingConfirmation => self.revoke(now),
            State::Quarantined { .. } | State::Active | State::Suspended { .. }
                if self.attempts.is_last_lost() =>
            {
                self.end(State::Locked { at: now });
            }
            State::Quarantined { .. } | State::Active | State::Suspended { .. } => self.attempts.cut(limits),
            State::Locked { .. } | State::Revoked { .. } | State::Replaced { .. } | State::Expired { .. } => {
            }
        }
    }

    /// What of it must stay ended when an older database is put back. The end of a document comes again by itself.
    pub fn ended(&self) -> Option<Ended> {
        let end = match self.state {
            State::AwaitingConfirmation
            | State::Quarantined { .. }
            | State::Active
            | State::Suspended { .. }
                if self.rollback_noticed =>
            {
                Some(DeviceEnd::RollbackNoticed)
            }
            State::AwaitingConfirmation
            | State::Quarantined { .. }
            | State::Active
            | State::Expired { .. } => None,
            State::Suspended { .. } => Some(DeviceEnd::Suspended),
            State::Locked { .. } => Some(DeviceEnd::Locked),
            State::Revoked { .. } => Some(DeviceEnd::Revoked),
            State::Replaced { .. } => Some(DeviceEnd::Replaced),
        };
        let last_try = self.is_confirmed() && self.attempts.is_last_made();
        (end.is_some() || self.epoch > 1 || last_try).then_some(Ended::Device {
            id: self.id,
            end,
            pin_epoch: self.epoch,
            last_try,
        })
    }

    /// Carries out what the security journal says of it; whether that changed anything. A phone that its owner resumed after it was
    /// suspended goes on again; nothing else is taken back. The phone of a later PIN epoch has no key that this record knows.
    pub fn end_again(&mut self, end: Option<DeviceEnd>, pin_epoch: u64, now: Timestamp) -> bool {
        match end {
            _ if !self.is_alive() => return false,
            Some(DeviceEnd::Locked) => self.end(State::Locked { at: now }),
            Some(DeviceEnd::Revoked) => self.revoke(now),
            Some(DeviceEnd::Replaced) => self.replace(now),
            _ if pin_epoch > self.epoch => self.revoke(now),
            Some(DeviceEnd::RollbackNoticed) if !self.rollback_noticed => self.rollback_noticed = true,
            Some(DeviceEnd::Suspended) => return self.suspend(now).is_ok(),
            None => return self.resume().is_ok(),
            Some(DeviceEnd::RollbackNoticed) => return false,
        }
        true
    }
}
