//! How much may be asked of one person (protocol.md section 6.2): each relying party has its own share, and over all of them the phone
//! rings only so often. The daemon's own questions are counted per phone.

use paraphe_proto::ids::SubjectId;

use super::Scope;
use crate::domain::device::Device;
use crate::domain::fault::{Result, Rule};
use crate::store::challenge::{self, DAY_S, Recent, TEN_MINUTES_S};

/// How many challenges of one relying party a person may get: in ten minutes, in a day.
#[derive(Clone, Copy)]
pub struct Quota {
    /// In 10 minutes.
    pub per_10_min: u32,
    /// In a day.
    pub per_day: u32,
}

impl Quota {
    /// What a phone may get of the daemon's own: logins, lifts, PIN changes, resumptions, replacements.
    pub fn of_the_daemon(s: &Scope<'_, '_>) -> Self {
        let figures = &s.facts.config.operators;
        Self {
            per_10_min: figures.requests_per_10_min,
            per_day: figures.requests_per_day,
        }
    }
}

/// Refuses one challenge too many, with the time until a place becomes free; what the person got lately otherwise.
///
/// # Errors
/// `rule` with its wait.
pub fn require_quota(
    s: &mut Scope<'_, '_>,
    subject_id: SubjectId,
    relying_party_id: &str,
    quota: Quota,
    rule: &'static Rule,
) -> Result<Recent> {
    let recent = challenge::recent(&mut s.rows, subject_id, relying_party_id, s.now)?;
    let windows = [
        (TEN_MINUTES_S, recent.in_10_min, quota.per_10_min),
        (DAY_S, recent.in_a_day, quota.per_day),
    ];
    for (window_s, count, most) in windows {
        if count >= i64::from(most) {
            let since = s.now.plus_s(-window_s);
            let oldest = challenge::oldest_since(&mut s.rows, subject_id, since, relying_party_id)?;
            let wait = oldest.map_or(window_s, |at| window_s.saturating_sub(s.now.since_s(at)));
            return Err(rule.fault().retry_after(wait));
        }
    }
    Ok(recent)
}

/// Refuses one too many of the daemon's own challenges on a phone. Most are asked for with the possession key alone: whoever has that of
/// one phone, suspended or not, uses up no other's share.
///
/// # Errors
/// `rule` with its wait.
pub fn require_share(s: &mut Scope<'_, '_>, phone: &Device, rule: &'static Rule) -> Result<()> {
    let quota = Quota::of_the_daemon(s);
    for (window_s, most) in [(TEN_MINUTES_S, quota.per_10_min), (DAY_S, quota.per_day)] {
        let since = s.now.plus_s(-window_s);
        let (count, oldest) = challenge::own_of_device(&mut s.rows, phone, since)?;
        if count >= i64::from(most) {
            let wait = oldest.map_or(window_s, |at| window_s.saturating_sub(s.now.since_s(at)));
            return Err(rule.fault().retry_after(wait));
        }
    }
    Ok(())
}

/// Whether one more challenge stays quiet, because this hour has had its share.
pub fn is_quiet(s: &Scope<'_, '_>, recent: &Recent) -> bool {
    recent.in_an_hour >= i64::from(s.facts.config.step_up.wakes_per_hour)
}
