//! What can happen next, and what it changes: stateright's side of the model.

use paraphe_server::domain::attempts::CREDIT_WINDOW_S;
use stateright::{Model, Property};

use super::properties;
use super::rows::{Name, Stage};
use super::setting::{Broken, Setting, Thief};
use super::world::{Approval, Call, Who, World};

/// One step. Indices are those of `World::calls`.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The backend asks.
    Raise,
    /// The backend withdraws.
    Cancel(Name),
    /// Seconds pass.
    Wait(i64),
    /// The challenge's time is over.
    Overdue(Name),
    /// The daemon does what time alone does.
    Sweep,
    /// A PIN is typed: a fresh element is on its way.
    Unlock(Who, Name),
    /// The same element once more: its reply was lost.
    Again(Who),
    /// The owner's phone sends the approval that its evaluation opened.
    Approve {
        right_code: bool,
    },
    Refuse {
        challenge: Name,
        not_me: bool,
    },
    /// Somebody sends an approval of before once more.
    Replay(Approval),
    /// The call's transaction commits, or is refused.
    Commit(usize),
    /// A charged unlock is evaluated and its reply arrives.
    Reply(usize),
    /// A charged unlock is evaluated and its reply is lost.
    Lose(usize),
    /// The daemon is killed and starts again: what was on its way is gone.
    Crash,
    Backup,
    Restore,
    RollBack,
}

impl Model for Setting {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new();
        self.hurry(&mut world);
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.machines(world, actions);
        self.disk(world, actions);
        if !world.store.phone.locked {
            self.people(world, actions);
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        world.ghost.event = None;
        self.step(&mut world, action);
        self.hurry(&mut world);
        world.normalise(self);
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(self)
    }
}

impl Setting {
    fn people(&self, world: &World, actions: &mut Vec<Action>) {
        if self.refusals && world.ghost.raised < self.challenges {
            actions.push(Action::Raise);
        }
        if world.calls.len() >= self.parallel {
            return;
        }
        let pending = world
            .store
            .challenges
            .iter()
            .filter(|(_, asked)| asked.stage == Stage::Pending);
        for (name, _) in pending {
            if self.thief != Thief::Absent {
                actions.push(Action::Unlock(Who::Thief, *name));
            }
            if world.ghost.owner_unlocks < self.owner_unlocks {
                actions.push(Action::Unlock(Who::Owner, *name));
            }
            if self.refusals {
                actions.push(Action::Cancel(*name));
                let refuse = |not_me| Action::Refuse {
                    challenge: *name,
                    not_me,
                };
                actions.extend([true, false].map(refuse));
            }
        }
        let waiting = [(Who::Owner, &world.owner), (Who::Thief, &world.thief)];
        let lost = waiting.into_iter().filter(|(_, hand)| hand.sent.is_some());
        actions.extend(lost.map(|(who, _)| Action::Again(who)));
        if world.owner.evaluation.is_some() {
            actions.push(Action::Approve { right_code: true });
            if self.refusals {
                actions.push(Action::Approve { right_code: false });
            }
        }
        actions.extend(world.kept.iter().copied().map(Action::Replay));
    }

    fn machines(&self, world: &World, actions: &mut Vec<Action>) {
        if !world.store.phone.locked {
            self.time(world, actions);
        }
        for (index, call) in world.calls.iter().enumerate() {
            match call {
                Call::Unlock {
                    who,
                    charged: Some(_),
                    ..
                } => {
                    actions.push(Action::Reply(index));
                    if self.crashes && *who == Who::Owner {
                        actions.push(Action::Lose(index));
                    }
                }
                _ => actions.push(Action::Commit(index)),
            }
            if self.breaks(Broken::EvaluatesFirst) {
                actions.push(Action::Reply(index));
            }
        }
        if self.crashes {
            actions.push(Action::Crash);
        }
    }

    /// Time passes where somebody waits for it.
    fn time(&self, world: &World, actions: &mut Vec<Action>) {
        actions.push(Action::Sweep);
        let counter = &world.store.phone.counter;
        let young = |age_s: i64| age_s < CREDIT_WINDOW_S;
        if counter.charged_age_s.is_some_and(young)
            || counter.outstanding.iter().any(|charge| young(charge.age_s))
        {
            actions.push(Action::Wait(CREDIT_WINDOW_S));
        }
        if counter.failures >= 4
            && counter
                .charged_age_s
                .is_some_and(|age_s| age_s < self.limits.wait_after_4_s)
        {
            actions.push(Action::Wait(self.limits.wait_after_4_s));
        }
        if self.refusals {
            let open = world.store.challenges.iter().filter(|(_, asked)| asked.is_open());
            actions.extend(open.map(|(name, _)| Action::Overdue(*name)));
        }
    }

    fn disk(&self, world: &World, actions: &mut Vec<Action>) {
        let wanted = self.restores + self.rollbacks > 0;
        match world.backup {
            None if wanted && world.ghost.timeline() == 0 => actions.push(Action::Backup),
            None => {}
            Some(_) => {
                if world.ghost.restores < self.restores {
                    actions.push(Action::Restore);
                }
                if world.ghost.rollbacks < self.rollbacks {
                    actions.push(Action::RollBack);
                }
            }
        }
    }

    fn step(&self, world: &mut World, action: Action) {
        match action {
            Action::Raise => self.raise(world),
            Action::Cancel(challenge) => {
                let read = world.stage(challenge);
                world.arrive(Call::Cancel { challenge, read });
            }
            Action::Wait(seconds) => world.store.age(seconds),
            Action::Overdue(challenge) => {
                let asked = world.store.challenges.entry(challenge);
                asked.and_modify(|asked| asked.overdue = true);
            }
            Action::Sweep => self.sweep(world),
            Action::Unlock(who, challenge) => {
                world.ghost.owner_unlocks += u8::from(who == Who::Owner);
                let element = world.fresh_element();
                self.send_unlock(world, who, challenge, element);
            }
            Action::Again(who) => {
                if let Some((challenge, element)) = world.hand(who).sent {
                    self.send_unlock(world, who, challenge, element);
                }
            }
            Action::Approve { right_code } => self.approve(world, right_code),
            Action::Refuse { challenge, not_me } => {
                let (claim, read) = (world.seen, world.stage(challenge));
                world.arrive(Call::Refuse {
                    challenge,
                    not_me,
                    claim,
                    read,
                });
            }
            Action::Replay(approval) => {
                let (claim, read) = ((0, 0), world.stage(approval.challenge));
                world.arrive(Call::Answer {
                    approval,
                    claim,
                    read,
                });
            }
            Action::Commit(index) => self.commit(world, index),
            Action::Reply(index) => self.evaluate(world, index, true),
            Action::Lose(index) => self.evaluate(world, index, false),
            Action::Crash => self.crash(world),
            Action::Backup => world.backup = Some(world.store.clone()),
            Action::Restore => {
                if let Some(backup) = world.backup.clone() {
                    world.restore(backup, self);
                }
            }
            Action::RollBack => {
                if let Some(backup) = world.backup.clone() {
                    world.roll_back(backup);
                }
            }
        }
    }
}
