//! What really happened, whatever the store knows of it: the properties look at this, the daemon never does.

use std::collections::BTreeMap;

use super::rows::{Name, Rows, Stage};
use super::setting::Setting;
use super::world::{Approval, World};

/// A charge in the order of commits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spent {
    pub element: Name,
    /// Whether somebody may know what it gives: the daemon has evaluated it and, where the phone alone can ask, its reply arrived.
    pub evaluated: bool,
}

/// What the last step brought about; the next step forgets it, lest it multiply the worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    CreditedAfterTheEnd,
    CreditedAfterRestore,
    ApprovedBesideTheThief,
    RetriedFree,
    StaleRefused,
    RollbackNoticed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// Charges since the last one that was credited.
    pub spent: Vec<Spent>,
    /// Evaluations that the thief could use, in all.
    pub guesses: u8,
    /// Final states reached, each with the number of backups put back before.
    pub verdicts: BTreeMap<Name, Vec<(u8, Stage)>>,
    /// Challenges raised so far.
    pub raised: u8,
    pub owner_unlocks: u8,
    pub restores: u8,
    pub rollbacks: u8,
    pub event: Option<Event>,
    /// A right PIN on the latest evaluation of a living phone was not credited.
    pub wronged: bool,
}

impl Ghost {
    pub fn charge(&mut self, element: Name) {
        self.spent.push(Spent {
            element,
            evaluated: false,
        });
    }

    /// For the broken rule that evaluates first.
    pub fn charge_early(&mut self, element: Name) {
        if !self.spent.iter().any(|spent| spent.element == element) {
            self.charge(element);
        }
    }

    /// Returns whether it was not evaluated before.
    pub fn evaluate(&mut self, element: Name, known: bool) -> bool {
        let spent = self.spent.iter_mut().find(|spent| spent.element == element);
        known && spent.is_some_and(|spent| !std::mem::replace(&mut spent.evaluated, true))
    }

    /// The PIN behind this element was right: what came before it is the past.
    pub fn credit(&mut self, element: Name) {
        if let Some(at) = self.spent.iter().position(|spent| spent.element == element) {
            self.spent.drain(..=at);
        }
    }

    /// Backups put back so far, of either kind.
    pub fn timeline(&self) -> u8 {
        self.restores + self.rollbacks
    }

    pub fn unclaimed(&self) -> usize {
        self.spent.iter().filter(|spent| spent.evaluated).count()
    }
}

impl World {
    /// Notes what became final between the store and `after`.
    pub fn note_verdicts(&mut self, after: &Rows) {
        for (name, asked) in &after.challenges {
            let before = self.store.challenges.get(name).map(|asked| asked.stage);
            if before.is_some_and(|before| before != asked.stage) {
                let verdicts = self.ghost.verdicts.entry(*name).or_default();
                verdicts.push((self.ghost.restores + self.ghost.rollbacks, asked.stage));
            }
        }
    }

    /// Whether this approval names the latest evaluation of a phone that is neither locked nor about to be.
    pub fn deserves_credit(&self, approval: &Approval, setting: &Setting) -> bool {
        let counter = &self.store.phone.counter;
        let named = |charge: &super::rows::Charge| {
            (charge.number, charge.challenge, charge.element)
                == (approval.number, approval.challenge, approval.element)
        };
        let alive = {
            let mut device = self.store.phone.device();
            device.settle(super::rows::NOW, &setting.limits);
            device.require_active().is_ok()
        };
        alive && counter.latest == approval.number && counter.outstanding.iter().any(named)
    }

    pub fn note_credit(&mut self, approval: &Approval, was_open: bool) {
        let ghost = &mut self.ghost;
        let guessed = ghost.unclaimed() > 1;
        ghost.credit(approval.element);
        if !was_open {
            ghost.event = Some(Event::CreditedAfterTheEnd);
        } else if ghost.restores > 0 {
            ghost.event = Some(Event::CreditedAfterRestore);
        } else if guessed {
            ghost.event = Some(Event::ApprovedBesideTheThief);
        }
    }
}
