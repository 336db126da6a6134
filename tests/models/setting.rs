//! What one search may do: who is there, how much of each thing happens, and which rule is broken.

use paraphe_server::domain::attempts::Limits;

/// The thief never knows the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thief {
    Absent,
    /// Has the phone in hand: it says of itself what it has seen.
    InHand,
    /// Has all of its files: a clone says what the thief likes.
    Clone,
}

/// One rule that is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The evaluation is answered before its charge is durable.
    EvaluatesFirst,
    /// Counted in memory: a restart forgets the failures in a row.
    ForgetsAtRestart,
    /// Any charged evaluation is credited, not the latest alone.
    CreditsTheStale,
    /// A right PIN whose challenge has ended is not credited.
    CreditsOpenOnly,
    /// The verdict is decided on the state that was read when the call arrived.
    DecidesOnWhatItRead,
    /// The rolling budget is not looked at.
    NoRollingBudget,
    /// The phone's last seen evaluation is not compared.
    OverlooksRollback,
    /// A declared restore gives back the attempts of the backup.
    RestoresAttempts,
    /// A declared restore revives the challenges of the backup.
    RestoresChallenges,
    /// After a declared restore an approval from before is credited once more.
    RestoresCredit,
    /// The security journal holds nothing of attempts.
    JournalsNothing,
    /// The security journal holds locks, but not that the last try was made.
    JournalsNoLastTry,
}

/// The bounds of one search.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub thief: Thief,
    pub limits: Limits,
    /// Calls under way at the same time.
    pub parallel: usize,
    /// Challenges raised in all.
    pub challenges: u8,
    /// Owner's attempts in all; their PIN is right.
    pub owner_unlocks: u8,
    /// Whether the owner refuses, reports and mistypes codes, the backend cancels and asks anew, and time runs out.
    pub refusals: bool,
    /// Whether the daemon crashes and replies are lost.
    pub crashes: bool,
    /// Backups put back with `paraphed restore`.
    pub restores: u8,
    /// Backups put back by whoever holds the disk, undeclared.
    pub rollbacks: u8,
    pub broken: Option<Broken>,
}

/// The protocol's own limits.
pub const LIMITS: Limits = Limits {
    wait_after_3_s: 60,
    wait_after_4_s: 900,
    max_failures: 5,
    rolling_failures: 20,
    rolling_window_s: 30 * 86_400,
};

impl Setting {
    /// Nobody but an owner whose replies arrive.
    pub const fn calm() -> Self {
        Self {
            thief: Thief::Absent,
            limits: LIMITS,
            parallel: 1,
            challenges: 2,
            owner_unlocks: 0,
            refusals: false,
            crashes: false,
            restores: 0,
            rollbacks: 0,
            broken: None,
        }
    }

    pub const fn breaking(self, broken: Broken) -> Self {
        Self {
            broken: Some(broken),
            ..self
        }
    }

    pub fn breaks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }
}
