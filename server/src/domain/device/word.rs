//! What the word of a phone is worth to one that rests on it (protocol.md section 5.2).
//!
//! Called by `app::replacement`. Invariant: a new phone takes the place of the old one only after a whole quarantine in which the old one
//! could have vetoed it.

use paraphe_proto::time::Timestamp;

use super::{Before, Device, State};

/// A quarantine that begins again takes an hour at least, so that no sweep finds the same phone again and again.
const LEAST_S: i64 = 3_600;

/// What the word of a phone is worth when the quarantine of the one that rests on it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The phone is active; or it was replaced already, in a transaction of which a crash or a restore has left the security journal's half
    /// alone. (Another phone that replaced it would have ended the new one as well.)
    Counts,
    /// The phone is suspended: its PIN may still let it go on.
    Waits,
    /// The phone has ended, or will never approve again.
    Gone,
}

impl Device {
    /// What its word is worth now.
    pub fn word(&self) -> Word {
        match self.state {
            State::Replaced { .. } => Word::Counts,
            State::Suspended { .. } if self.require_suspended().is_ok() => Word::Waits,
            _ if self.require_active().is_ok() => Word::Counts,
            _ => Word::Gone,
        }
    }

    /// Whether nothing but the phone whose place it takes is to be waited for.
    pub fn has_waited(&self, now: Timestamp) -> bool {
        match self.state {
            State::Quarantined { until } => now >= until,
            State::Active => true,
            _ => false,
        }
    }

    /// Its quarantine begins again, also while it is suspended; it never becomes shorter.
    pub fn begin_quarantine_again(&mut self, now: Timestamp, quarantine_s: i64) {
        if let State::Quarantined { until }
        | State::Suspended {
            before: Before::Quarantined { until },
            ..
        } = &mut self.state
        {
            *until = now.plus_s(quarantine_s.max(LEAST_S)).max(*until);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{at, device};
    use super::*;

    #[test]
    fn the_word_of_a_suspended_phone_waits_unless_it_can_never_go_on() {
        let mut phone = device();
        assert_eq!(phone.word(), Word::Gone, "not confirmed yet");
        phone.confirm(at(0), 100).unwrap();
        assert_eq!(phone.word(), Word::Gone, "in quarantine itself");
        phone.state = State::Active;
        assert_eq!(phone.word(), Word::Counts);
        phone.suspend(at(1)).unwrap();
        assert_eq!(phone.word(), Word::Waits);
        phone.rollback_noticed = true;
        assert_eq!(phone.word(), Word::Gone);
        for (state, word) in [
            (State::Replaced { at: at(2) }, Word::Counts),
            (State::Locked { at: at(2) }, Word::Gone),
            (State::Revoked { at: at(2) }, Word::Gone),
            (State::Expired { at: at(2) }, Word::Gone),
        ] {
            phone.state = state;
            assert_eq!(phone.word(), word, "{}", state.as_str());
        }
    }

    #[test]
    fn a_quarantine_begins_again_for_an_hour_at_least_and_never_becomes_shorter() {
        let mut phone = device();
        phone.confirm(at(0), 100).unwrap();
        assert!(!phone.has_waited(at(99)) && phone.has_waited(at(100)));
        phone.begin_quarantine_again(at(100), 0);
        assert!(!phone.has_waited(at(3_699)) && phone.has_waited(at(3_700)));
        phone.begin_quarantine_again(at(100), 60);
        assert!(phone.has_waited(at(3_700)));
        phone.suspend(at(200)).unwrap();
        assert!(!phone.has_waited(at(9_999)));
        phone.begin_quarantine_again(at(200), 7_200);
        phone.resume().unwrap();
        assert!(!phone.has_waited(at(7_399)) && phone.has_waited(at(7_400)));
        phone.state = State::Active;
        phone.begin_quarantine_again(at(0), 7_200);
        assert_eq!(phone.state, State::Active);
    }
}
