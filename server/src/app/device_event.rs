//! The one way in which a use case writes a phone: whoever does says who they are and why, and what happened is told in the person's
//! history in the same transaction.

use super::Scope;
use crate::domain::device::{Cause, Device, DeviceEvent, Mark, told};
use crate::domain::fault::Result;
use crate::store::device_event;
use crate::store::record::Stored;

impl Scope<'_, '_> {
    /// Writes a phone with its next due time, and tells what happened to it.
    ///
    /// # Errors
    /// Those of the store.
    pub fn save_device(&mut self, device: &mut Stored<Device>, by: &Cause) -> Result<()> {
        device.schedule(&self.facts.attempt_limits());
        let was = device.was();
        self.rows.update(device)?;
        self.tell(device, was, by)
    }

    /// Writes a phone that comes into being.
    ///
    /// # Errors
    /// Those of the store.
    pub fn insert_device(&mut self, device: &mut Device, by: &Cause) -> Result<()> {
        device.schedule(&self.facts.attempt_limits());
        self.rows.insert(device)?;
        self.tell(device, None, by)
    }

    fn tell(&mut self, device: &Device, was: Option<Mark>, by: &Cause) -> Result<()> {
        for (what, cause) in told(was, device.mark(), by) {
            let number = device_event::next_number(&mut self.rows, device.subject_id)?;
            self.rows.insert(&DeviceEvent {
                subject_id: device.subject_id,
                number,
                at: self.now,
                device_id: device.id,
                what,
                state: device.state,
                who: cause.who,
                why: cause.why,
            })?;
        }
        Ok(())
    }
}
