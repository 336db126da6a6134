//! The one way in which a use case writes a phone: whoever does says who they are and why, and what happened is told in the person's
//! history in the same transaction.
//!
//! Invariant: the phone keeps the number of its newest event under its seal, and events are numbered on from the newest that the person's
//! phones know. So nothing that stands in the clear, and no row that is missing or was forged, keeps a phone from moving; and what is
//! missing is noticed here, and when the history is read ([`super::history`]).

use paraphe_proto::ids::{DeviceId, SubjectId};

use super::Scope;
use crate::domain::device::{Cause, Device, DeviceEvent, What, told};
use crate::domain::fault::Result;
use crate::store::record::Stored;
use crate::store::{device, device_event};

impl Scope<'_, '_> {
    /// Writes a phone with its next due time, and tells what happened to it.
    ///
    /// # Errors
    /// Those of the store.
    pub fn save_device(&mut self, device: &mut Stored<Device>, by: &Cause) -> Result<()> {
        device.schedule(&self.facts.attempt_limits());
        let happened = told(device.was(), device.mark(), by);
        let events = self.numbered(device, happened)?;
        self.rows.update(device)?;
        self.tell(&events)
    }

    /// Writes a phone that comes into being.
    ///
    /// # Errors
    /// Those of the store.
    pub fn insert_device(&mut self, device: &mut Device, by: &Cause) -> Result<()> {
        device.schedule(&self.facts.attempt_limits());
        let happened = told(None, device.mark(), by);
        let events = self.numbered(device, happened)?;
        self.rows.insert(device)?;
        self.tell(&events)
    }

    /// The events with their numbers; the phone knows the last of them from here on.
    fn numbered(&mut self, phone: &mut Device, happened: Vec<(What, Cause)>) -> Result<Vec<DeviceEvent>> {
        if happened.is_empty() {
            return Ok(Vec::new());
        }
        let newest = newest_event(self, phone.subject_id)?;
        if newest > 0 && device_event::numbered(&mut self.rows, phone.subject_id, newest, newest)?.is_empty()
        {
            self.miss(phone.id, newest)?;
        }
        let (at, device_id, subject_id, state) = (self.now, phone.id, phone.subject_id, phone.state);
        let numbers = newest.saturating_add(1)..;
        let events = happened.into_iter().zip(numbers);
        let events: Vec<_> = events
            .map(|((what, cause), number)| DeviceEvent {
                subject_id,
                number,
                at,
                device_id,
                what,
                state,
                who: cause.who,
                why: cause.why,
            })
            .collect();
        phone.newest_event = events.last().map_or(newest, |last| last.number);
        Ok(events)
    }

    fn tell(&mut self, events: &[DeviceEvent]) -> Result<()> {
        for event in events {
            if device_event::put(&mut self.rows, event)? {
                self.miss(event.device_id, event.number)?;
            }
        }
        Ok(())
    }

    /// The row of this number was taken out, changed or put there outside the daemon.
    fn miss(&mut self, device_id: DeviceId, number: u64) -> Result<()> {
        tracing::error!(code = TAMPERED, %device_id, number, "{ALARM}");
        self.audit("paraphed", "miss_device_event", device_id, TAMPERED)
    }
}

/// The code of the alarm.
const TAMPERED: &str = crate::domain::fault::STORE_TAMPERED.code;
/// What the log says of it.
const ALARM: &str = "the history of a person's phones was changed outside the daemon";

/// The number of the newest event of a person; an alarm where somebody else's rows come after it, or a phone does not verify.
///
/// # Errors
/// Those of the database.
pub fn newest_event(s: &mut Scope<'_, '_>, subject_id: SubjectId) -> Result<u64> {
    let (known, damaged) = device::newest_event(&mut s.rows, subject_id)?;
    let (newest, foreign) = device_event::newest(&mut s.rows, subject_id, known)?;
    if damaged + foreign > 0 {
        tracing::error!(
            code = TAMPERED,
            phones = damaged,
            events = foreign,
            "rows of a person do not verify and are left out of their history"
        );
    }
    Ok(newest)
}

/// Raises the alarm over events that somebody who read the history did not get.
pub fn alarm(reader: DeviceId, missing: usize) {
    if missing > 0 {
        tracing::error!(code = TAMPERED, %reader, missing, "{ALARM}");
    }
}
