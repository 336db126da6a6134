//! One state of the world: the store, what lies beside it, what is on its way, and what people hold.

use std::collections::BTreeSet;

use paraphe_server::domain::device::Seen;

use super::ghost::Ghost;
use super::rows::{Name, Rows, Stage};

/// Who types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    Owner,
    Thief,
}

/// What a proof says that the phone has seen: restore epoch, then evaluation.
pub type Claim = (u64, u64);

/// An approval: its PIN was right, or the key would not have opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Approval {
    pub challenge: Name,
    pub element: Name,
    pub number: u64,
    pub right_code: bool,
}

/// A call that has arrived and has no outcome yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    Unlock {
        who: Who,
        challenge: Name,
        element: Name,
        claim: Claim,
        /// Number and restore epoch, once the charge is durable.
        charged: Option<(u64, u64)>,
    },
    Answer {
        approval: Approval,
        claim: Claim,
        /// The challenge's state when the call arrived; nothing may depend on it.
        read: Stage,
    },
    Refuse {
        challenge: Name,
        not_me: bool,
        claim: Claim,
        read: Stage,
    },
    Cancel {
        challenge: Name,
        read: Stage,
    },
}

/// What one person holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hand {
    /// Challenge and element of an attempt without reply.
    pub sent: Option<(Name, Name)>,
    /// Challenge, element and number of an evaluation.
    pub evaluation: Option<(Name, Name, u64)>,
}

/// The security journal, apart from the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    pub locked: bool,
    pub last_try: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub store: Rows,
    pub journal: Journal,
    pub backup: Option<Rows>,
    pub calls: Vec<Call>,
    pub owner: Hand,
    pub thief: Hand,
    /// What the phone itself has seen.
    pub seen: Claim,
    /// Approvals that somebody has kept.
    pub kept: BTreeSet<Approval>,
    pub ghost: Ghost,
}

impl World {
    pub fn new() -> Self {
        Self {
            store: Rows::new(),
            journal: Journal::default(),
            backup: None,
            calls: Vec::new(),
            owner: Hand::default(),
            thief: Hand::default(),
            seen: (0, 0),
            kept: BTreeSet::new(),
            ghost: Ghost::default(),
        }
    }

    pub fn hand(&mut self, who: Who) -> &mut Hand {
        match who {
            Who::Owner => &mut self.owner,
            Who::Thief => &mut self.thief,
        }
    }

    /// A blinded element that nobody and nothing remembers.
    pub fn fresh_element(&self) -> Name {
        let stored = [Some(&self.store), self.backup.as_ref()];
        let outstanding = stored
            .into_iter()
            .flatten()
            .flat_map(|rows| &rows.phone.counter.outstanding);
        let mut used: BTreeSet<Name> = outstanding.map(|charge| charge.element).collect();
        used.extend(self.kept.iter().map(|approval| approval.element));
        used.extend(self.ghost.spent.iter().map(|spent| spent.element));
        for hand in [&self.owner, &self.thief] {
            used.extend(hand.sent.map(|(_, element)| element));
            used.extend(hand.evaluation.map(|(_, element, _)| element));
        }
        used.extend(self.calls.iter().filter_map(|call| match call {
            Call::Unlock { element, .. } => Some(*element),
            Call::Answer { approval, .. } => Some(approval.element),
            Call::Refuse { .. } | Call::Cancel { .. } => None,
        }));
        (0..=Name::MAX).find(|name| !used.contains(name)).unwrap()
    }

    /// Calls are a set: worlds that differ in their order are one.
    pub fn arrive(&mut self, call: Call) {
        self.calls.push(call);
        self.calls.sort_unstable();
    }
}

/// As the daemon reads a claim: a restored store counts anew, so a number of before says nothing.
pub fn claimed(claim: Claim, restore_epoch: u64) -> Seen {
    let (epoch, evaluation) = claim;
    Seen {
        evaluation: if epoch < restore_epoch { 0 } else { evaluation },
        restore_epoch: epoch,
    }
}
