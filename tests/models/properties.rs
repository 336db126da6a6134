//! What must always hold, and what must be reachable lest the search be vacuous.

use stateright::Property;

use super::actions::Action;
use super::ghost::Event;
use super::rows::Stage;
use super::setting::{Setting, Thief};
use super::world::World;

pub const UNCLAIMED: &str = "never more than 5 unclaimed evaluations";
pub const ROLLING: &str = "the rolling budget ends a thief beside an active owner";
pub const ONE_FINAL_STATE: &str = "exactly one final state of a challenge";
pub const NOT_REVIVED: &str = "no challenge of before a declared restore is approved after it";
pub const CREDITED: &str = "a right PIN on the latest evaluation is credited";

pub fn of(setting: &Setting) -> Vec<Property<Setting>> {
    let mut properties = vec![
        Property::always(UNCLAIMED, unclaimed),
        Property::always(ROLLING, rolling),
        Property::always(ONE_FINAL_STATE, one_final_state),
        Property::always(NOT_REVIVED, not_revived),
        Property::always(CREDITED, |_, world: &World| !world.ghost.wronged),
    ];
    if setting.broken.is_none() {
        properties.extend(reachable(setting));
    }
    properties
}

fn unclaimed(setting: &Setting, world: &World) -> bool {
    world.ghost.unclaimed() <= setting.limits.max_failures as usize
}

/// A backup gives part of the budget back, see docs/threat-model.md.
fn rolling(setting: &Setting, world: &World) -> bool {
    world.ghost.timeline() > 0 || u32::from(world.ghost.guesses) <= setting.limits.rolling_failures
}

fn one_final_state(_: &Setting, world: &World) -> bool {
    world.ghost.verdicts.values().all(|verdicts| {
        let mut timelines: Vec<u8> = verdicts.iter().map(|(timeline, _)| *timeline).collect();
        let reached = timelines.len();
        timelines.dedup();
        timelines.len() == reached && verdicts.iter().all(|(_, stage)| *stage != Stage::Pending)
    })
}

fn not_revived(setting: &Setting, world: &World) -> bool {
    let approved_later = |verdicts: &Vec<(u8, Stage)>| {
        let later = verdicts.iter().skip(1);
        later.into_iter().any(|(_, stage)| *stage == Stage::Approved)
    };
    setting.rollbacks > 0 || !world.ghost.verdicts.values().any(approved_later)
}

fn reached(world: &World, stage: Stage) -> bool {
    world
        .ghost
        .verdicts
        .values()
        .flatten()
        .any(|(_, reached)| *reached == stage)
}

fn has(world: &World, event: Event) -> bool {
    world.ghost.event == Some(event)
}

type Sometimes = (&'static str, fn(&Setting, &World) -> bool);

fn reachable(setting: &Setting) -> Vec<Property<Setting>> {
    let mut reachable: Vec<Sometimes> = Vec::new();
    if setting.thief != Thief::Absent {
        reachable.extend([
            ("locked", locked as fn(&Setting, &World) -> bool),
            ("all five spent", all_spent),
        ]);
    }
    if setting.owner_unlocks > 0 {
        reachable.push(("approved", |_, world| reached(world, Stage::Approved)));
    }
    if setting.owner_unlocks > 0 && setting.thief != Thief::Absent {
        reachable.push(("approved beside the thief", |_, world| {
            has(world, Event::ApprovedBesideTheThief)
        }));
    }
    if setting.owner_unlocks > 0 && setting.thief == Thief::Clone && setting.parallel > 1 {
        reachable.push(("a stale evaluation refused", |_, world| {
            has(world, Event::StaleRefused)
        }));
    }
    if setting.crashes {
        reachable.push(("the same element again, free", |_, world| {
            has(world, Event::RetriedFree)
        }));
    }
    if setting.restores > 0 && setting.owner_unlocks > 0 {
        reachable.push(("approved after a restore", |_, world| {
            has(world, Event::CreditedAfterRestore)
        }));
    }
    if setting.rollbacks > 0 {
        reachable.push(("a rollback noticed", |_, world| {
            has(world, Event::RollbackNoticed)
        }));
    }
    if setting.refusals {
        reachable.extend(final_states());
    }
    reachable
        .into_iter()
        .map(|(name, condition)| Property::sometimes(name, condition))
        .collect()
}

fn final_states() -> [Sometimes; 7] {
    [
        ("expired", |_, world| reached(world, Stage::Expired)),
        ("denied", |_, world| reached(world, Stage::Denied)),
        ("reported", |_, world| reached(world, Stage::Reported)),
        ("cancelled", |_, world| reached(world, Stage::Cancelled)),
        ("superseded", |_, world| reached(world, Stage::Superseded)),
        ("failed by a wrong code", |_, world| {
            reached(world, Stage::WrongCode)
        }),
        ("credited although it had ended", |_, world| {
            has(world, Event::CreditedAfterTheEnd)
        }),
    ]
}

fn locked(_: &Setting, world: &World) -> bool {
    world.store.phone.locked
}

fn all_spent(setting: &Setting, world: &World) -> bool {
    world.ghost.unclaimed() == setting.limits.max_failures as usize
}

/// A counterexample as text: one action a line.
pub fn told(actions: &[Action]) -> String {
    actions.iter().map(|action| format!("  {action:?}\n")).collect()
}
