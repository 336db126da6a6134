//! The rows of the model's store, each of them the mirror of a domain type: small, hashable, its times written as ages.
//!
//! Ages instead of times make worlds equal that differ in the hour alone. No rule looks further back than [`OLD_S`], except the
//! rolling window, which is longer than any run of the model.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use paraphe_proto::ids::{ChallengeId, DeviceId, PairwiseSubject, SubjectId};
use paraphe_proto::time::Timestamp;
use paraphe_server::domain::attempts::Attempts;
use paraphe_server::domain::challenge::{self, Challenge, Purpose};
use paraphe_server::domain::device::{self, Device, KeyStorage};
use paraphe_server::domain::level::Acr;
use paraphe_server::domain::secret::{Bytes, Secret};
use serde::{Deserialize, Serialize};

/// Every step happens at this time; what happened before is so many seconds old.
pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// An age from which on nothing depends.
pub const OLD_S: i64 = 1_000;

/// One of the few challenges or blinded elements of a run.
pub type Name = u8;

/// Mirror of a charge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Charge {
    pub number: u64,
    pub age_s: i64,
    pub challenge: Name,
    pub element: Name,
}

/// Mirror of `Attempts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counter {
    pub latest: u64,
    pub failures: u32,
    pub charged_age_s: Option<i64>,
    pub outstanding: Vec<Charge>,
    /// The last attempt was made: what the journal holds of it.
    pub last_made: bool,
    /// The journal of a restore says so.
    pub last_lost: bool,
}

/// How `Attempts` writes itself; another field of it would be refused here.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    latest: u64,
    failures: u32,
    last_charged_at: Option<Timestamp>,
    outstanding: Vec<WrittenCharge>,
    last_made: bool,
    last_lost: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCharge {
    number: u64,
    at: Timestamp,
    challenge_id: ChallengeId,
    element: Bytes<32>,
}

pub fn challenge_id(name: Name) -> ChallengeId {
    ChallengeId::from_bytes([name; 16])
}

pub fn element(name: Name) -> [u8; 32] {
    [name; 32]
}

fn age_s(at: Timestamp) -> i64 {
    NOW.since_s(at).min(OLD_S)
}

impl Counter {
    /// The daemon's own counter. The few that a search meets are made once.
    pub fn attempts(&self) -> Attempts {
        thread_local! {
            static MADE: RefCell<HashMap<Counter, Attempts>> = RefCell::default();
        }
        let known = MADE.with_borrow(|made| made.get(self).cloned());
        known.unwrap_or_else(|| {
            let made = self.make();
            MADE.with_borrow_mut(|all| all.insert(self.clone(), made.clone()));
            made
        })
    }

    fn make(&self) -> Attempts {
        let written = Written {
            latest: self.latest,
            failures: self.failures,
            last_charged_at: self.charged_age_s.map(|age_s| NOW.plus_s(-age_s)),
            outstanding: self.outstanding.iter().map(Charge::written).collect(),
            last_made: self.last_made,
            last_lost: self.last_lost,
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&written, &mut bytes).unwrap();
        ciborium::from_reader(bytes.as_slice()).expect("the mirror writes what Attempts reads")
    }

    /// Its mirror.
    pub fn of(attempts: &Attempts) -> Self {
        let mut bytes = Vec::new();
        ciborium::into_writer(attempts, &mut bytes).unwrap();
        let written: Written = ciborium::from_reader(bytes.as_slice())
            .expect("Attempts has fields that the model does not know");
        Self {
            latest: written.latest,
            failures: written.failures,
            charged_age_s: written.last_charged_at.map(age_s),
            outstanding: written.outstanding.iter().map(Charge::of).collect(),
            last_made: written.last_made,
            last_lost: written.last_lost,
        }
    }
}

impl Charge {
    fn written(&self) -> WrittenCharge {
        WrittenCharge {
            number: self.number,
            at: NOW.plus_s(-self.age_s),
            challenge_id: challenge_id(self.challenge),
            element: Bytes(element(self.element)),
        }
    }

    fn of(written: &WrittenCharge) -> Self {
        Self {
            number: written.number,
            age_s: age_s(written.at),
            challenge: written.challenge_id.as_bytes()[0],
            element: written.element.0[0],
        }
    }
}

/// Mirror of a device: what of it changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Phone {
    pub locked: bool,
    pub rollback_noticed: bool,
    pub counter: Counter,
}

impl Phone {
    pub fn new() -> Self {
        Self {
            locked: false,
            rollback_noticed: false,
            counter: Counter::default(),
        }
    }

    /// The daemon's own device.
    pub fn device(&self) -> Device {
        let locked = device::State::Locked { at: NOW };
        Device {
            id: DeviceId::from_bytes([1; 16]),
            subject_id: SubjectId::from_bytes([2; 16]),
            state: if self.locked {
                locked
            } else {
                device::State::Active
            },
            epoch: 1,
            acr: Acr::Eidas2,
            key_storage: KeyStorage::Unattested,
            possession_key: Bytes([4; 65]),
            approval_key: Bytes([4; 65]),
            oprf_key: (!self.locked).then(|| Secret::new([7; 32])),
            attempts: self.counter.attempts(),
            wrong_codes: 0,
            activation: String::new(),
            activation_id: None,
            created_at: NOW,
            valid_until: None,
            suspension: None,
            replaces: None,
            rollback_noticed: self.rollback_noticed,
            pin_change: None,
            vouched_by: None,
            suspension_of: None,
            newest_event: 0,
            approved_at: None,
            due_at: None,
        }
    }

    /// Its mirror.
    pub fn of(device: &Device) -> Self {
        Self {
            locked: device.oprf_key.is_none(),
            rollback_noticed: device.rollback_noticed,
            counter: Counter::of(&device.attempts),
        }
    }
}

/// Mirror of a challenge's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Pending,
    Approved,
    Denied,
    Reported,
    Expired,
    Cancelled,
    Superseded,
    /// By a wrong match code: the statement is kept.
    WrongCode,
    /// With its device.
    Failed,
}

impl Stage {
    pub fn state(self) -> challenge::State {
        use challenge::State;
        let (at, text) = (NOW, String::new);
        match self {
            Self::Pending => State::Pending,
            Self::Approved => State::Approved {
                at,
                approval: text(),
                assertion: text(),
                assertion_expires_at: at,
            },
            Self::Denied => State::Denied { at, refusal: text() },
            Self::Reported => State::Reported { at, refusal: text() },
            Self::Expired => State::Expired { at },
            Self::Cancelled => State::Cancelled { at },
            Self::Superseded => State::Superseded { at },
            Self::WrongCode => State::Failed {
                at,
                approval: Some(text()),
            },
            Self::Failed => State::Failed { at, approval: None },
        }
    }
}

/// Mirror of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    pub stage: Stage,
    /// Whether its time is over. That may be at any moment: backends ask for lives of their own.
    pub overdue: bool,
}

impl Asked {
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Pending && !self.overdue
    }

    /// The daemon's own challenge.
    pub fn challenge(&self, name: Name) -> Challenge {
        Challenge {
            id: challenge_id(name),
            relying_party_id: "market".into(),
            subject_id: SubjectId::from_bytes([2; 16]),
            subject: PairwiseSubject::from_bytes([3; 32]),
            device_id: DeviceId::from_bytes([1; 16]),
            idempotency_key: String::new(),
            content: Bytes([0; 32]),
            action: String::new(),
            transaction: true,
            acr: Acr::Eidas2,
            parameters: String::new(),
            statement: String::new(),
            match_code: Some(RIGHT_CODE.into()),
            quiet: false,
            purpose: Purpose::StepUp,
            created_at: NOW.plus_s(-LIFE_S),
            subject_number: 1,
            expires_at: if self.overdue { NOW } else { NOW.plus_s(LIFE_S) },
            verdict_number: None,
            state: self.stage.state(),
        }
    }
}

const LIFE_S: i64 = 300;

/// What the backend's page shows.
pub const RIGHT_CODE: &str = "482913";

/// The whole store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rows {
    pub phone: Phone,
    pub challenges: BTreeMap<Name, Asked>,
    pub restore_epoch: u64,
}

impl Rows {
    pub fn new() -> Self {
        Self {
            phone: Phone::new(),
            challenges: BTreeMap::new(),
            restore_epoch: 0,
        }
    }

    /// Everything in it grows older.
    pub fn age(&mut self, seconds: i64) {
        let older = |age_s: &mut i64| *age_s = (*age_s + seconds).min(OLD_S);
        let counter = &mut self.phone.counter;
        counter.charged_age_s.iter_mut().for_each(older);
        counter
            .outstanding
            .iter_mut()
            .for_each(|charge| older(&mut charge.age_s));
    }
}
