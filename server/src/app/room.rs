//! How many phones a person may have, and which one makes room for a new one (protocol.md section 5).
//!
//! Called by `case` when an activation is issued and by `activation` when its phone is confirmed. Invariant: no more phones of a person
//! count than the configuration allows, and a new phone ends no other than the one whose place it takes.

use paraphe_proto::ids::{DeviceId, SubjectId};
use paraphe_proto::time::Timestamp;

use super::{Scope, life};
use crate::domain::activation::Activation;
use crate::domain::device::{Before, Cause, Device, State};
use crate::domain::fault::{self, Fault, Result};
use crate::domain::level::Acr;
use crate::store::device;
use crate::store::record::Stored;

/// A new phone that takes the place of another.
#[derive(Clone, Copy)]
pub struct Replacing {
    /// Which one, where it is named.
    pub which: Option<DeviceId>,
}

/// Makes room for a new phone that is confirmed now. One that counts stays until the new one's quarantine is over, and one that is still
/// in quarantine ends at once.
///
/// # Errors
/// Those of [`require`].
pub fn make(s: &mut Scope<'_, '_>, new: &mut Device, found: &Activation) -> Result<()> {
    // One that was named and has ended meanwhile leaves its room; there must be some all the same.
    let gone = match found.replaced {
        Some(id) => !counts(s, id)?,
        None => false,
    };
    let replacing = (found.replaces && !gone).then_some((new.acr, found.replaced));
    for mut other in require(s, new.subject_id, Some(new.id), replacing)? {
        let stays = matches!(
            other.state,
            State::Active
                | State::Suspended {
                    before: Before::Active,
                    ..
                }
        );
        if stays && !other.rollback_noticed {
            new.replaces = Some(other.id);
        } else {
            other.replace(s.now);
            let by = Cause::daemon(new.id.to_string());
            life::keep(s, other, "paraphed", "replace_device", &by)?;
        }
    }
    Ok(())
}

fn counts(s: &mut Scope<'_, '_>, id: DeviceId) -> Result<bool> {
    let mut phone = device::load(&mut s.rows, id)?;
    if let Some(phone) = &mut phone {
        phone.settle(s.now, &s.facts.attempt_limits());
    }
    Ok(phone.is_some_and(|phone| phone.is_confirmed()))
}

/// The phones of a person that make room for a new one: none where it does not replace any.
///
/// # Errors
/// `subject.already_enrolled` or `subject.too_many_phones` where there is no room; `replacement.ambiguous`, `.unknown`, `.level`. Phones
/// whose rollback was noticed take no room.
pub fn require(
    s: &mut Scope<'_, '_>,
    subject_id: SubjectId,
    new: Option<DeviceId>,
    replacing: Option<(Acr, Option<DeviceId>)>,
) -> Result<Vec<Stored<Device>>> {
    let limits = s.facts.attempt_limits();
    let mut others = device::alive_of_subject(&mut s.rows, subject_id)?;
    for other in &mut others {
        other.settle(s.now, &limits);
    }
    others.retain(|other| other.is_confirmed() && Some(other.id) != new);
    let places: Vec<&Device> = places(&others);
    let Some((acr, which)) = replacing else {
        let most = usize::try_from(s.facts.config.devices.per_person).map_err(Fault::internal)?;
        return match places.len() {
            taken if taken < most => Ok(Vec::new()),
            _ if most == 1 => fault::ALREADY_ENROLLED.broken(),
            _ => Err(fault::TOO_MANY_PHONES.fault().because(listed(&places))),
        };
    };
    match which {
        Some(id) if !places.iter().any(|place| place.id == id) => {
            return Err(fault::REPLACEMENT_UNKNOWN.fault().because(listed(&places)));
        }
        None if places.len() > 1 => {
            return Err(fault::REPLACEMENT_AMBIGUOUS.fault().because(listed(&places)));
        }
        _ => {}
    }
    others.retain(|other| makes_room(other, which));
    match others.iter().any(|other| acr < other.acr) {
        true => fault::REPLACEMENT_LEVEL.broken(),
        false => Ok(others),
    }
}

/// The named phone, what was to take its place, and what approves nothing any more; where none is named there is but one.
fn makes_room(other: &Device, which: Option<DeviceId>) -> bool {
    which.is_none_or(|id| other.id == id || other.replaces == Some(id) || other.rollback_noticed)
}

/// The phones that take room. One that waits to take the place of another of them is not one more.
fn places(others: &[Stored<Device>]) -> Vec<&Device> {
    let waits = |other: &Device| {
        let replaced = other.replaces;
        replaced.is_some_and(|id| others.iter().any(|known| known.id == id))
    };
    let all = others.iter().map(|other| &other.record);
    all.filter(|other| !other.rollback_noticed && !waits(other))
        .collect()
}

/// For the clerk, who asks the person which one.
fn listed(places: &[&Device]) -> String {
    let one = |place: &&Device| {
        format!(
            "{} ({}, since {})",
            place.id,
            place.state.as_str(),
            since(place.created_at)
        )
    };
    let all: Vec<String> = places.iter().map(one).collect();
    match all.is_empty() {
        true => "They have none.".to_owned(),
        false => format!("Their phones: {}.", all.join(", ")),
    }
}

fn since(at: Timestamp) -> String {
    time::OffsetDateTime::from_unix_timestamp(at.as_secs()).map_or(String::new(), |at| at.date().to_string())
}
