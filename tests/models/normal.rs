//! Worlds that differ in nothing that any rule looks at become one: old ages, and the names of blinded elements.

use paraphe_server::domain::attempts::CREDIT_WINDOW_S;

use super::rows::{Asked, Name, Rows, Stage};
use super::setting::{LIMITS, Setting};
use super::world::{Call, World};

impl World {
    pub fn normalise(&mut self, setting: &Setting) {
        let stores = [Some(&mut self.store), self.backup.as_mut()];
        for rows in stores.into_iter().flatten() {
            rows.cap_ages(setting);
        }
        self.forget_what_is_useless();
        self.rename_elements();
        self.calls.sort_unstable();
    }

    /// Nobody sends an element again for a challenge that has ended, or an approval whose evaluation is no longer charged; a charge that was
    /// never evaluated and that nobody asks about any more has given nothing.
    fn forget_what_is_useless(&mut self) {
        let challenges = &self.store.challenges;
        let open = |name: Name| challenges.get(&name).is_some_and(Asked::is_open);
        for hand in [&mut self.owner, &mut self.thief] {
            hand.sent = hand.sent.filter(|(challenge, _)| open(*challenge));
        }
        let outstanding = &self.store.phone.counter.outstanding;
        let charged = |element: Name| outstanding.iter().any(|charge| charge.element == element);
        self.owner.evaluation = self.owner.evaluation.filter(|(_, element, _)| charged(*element));
        let sent = [self.owner.sent, self.thief.sent];
        let calls = &self.calls;
        let asked = |element: Name| {
            let on_its_way =
                |call: &Call| matches!(call, Call::Unlock { element: sent, .. } if *sent == element);
            sent.iter().flatten().any(|(_, sent)| *sent == element) || calls.iter().any(on_its_way)
        };
        self.ghost
            .spent
            .retain(|spent| spent.evaluated || asked(spent.element));
    }

    /// In the order of their first appearance.
    fn rename_elements(&mut self) {
        let mut names: Vec<Name> = Vec::new();
        let mut rename = |element: &mut Name| {
            let known = names.iter().position(|name| name == element);
            let at = known.unwrap_or_else(|| {
                names.push(*element);
                names.len() - 1
            });
            *element = at as Name;
        };
        let stores = [Some(&mut self.store), self.backup.as_mut()];
        for rows in stores.into_iter().flatten() {
            let outstanding = rows.phone.counter.outstanding.iter_mut();
            outstanding.for_each(|charge| rename(&mut charge.element));
        }
        self.ghost
            .spent
            .iter_mut()
            .for_each(|spent| rename(&mut spent.element));
        for hand in [&mut self.owner, &mut self.thief] {
            hand.sent.iter_mut().for_each(|(_, element)| rename(element));
            hand.evaluation
                .iter_mut()
                .for_each(|(_, element, _)| rename(element));
        }
        self.calls.iter_mut().for_each(|call| match call {
            Call::Unlock { element, .. } => rename(element),
            Call::Answer { approval, .. } => rename(&mut approval.element),
            Call::Refuse { .. } | Call::Cancel { .. } => {}
        });
        let kept = std::mem::take(&mut self.kept);
        self.kept = kept
            .into_iter()
            .map(|mut approval| {
                rename(&mut approval.element);
                approval
            })
            .collect();
    }
}

impl Rows {
    fn cap_ages(&mut self, setting: &Setting) {
        let counter = &mut self.phone.counter;
        let wait_s = match counter.failures {
            0..=3 => setting.limits.wait_after_3_s,
            _ => setting.limits.wait_after_4_s,
        };
        let waits = counter.failures >= 3 || setting.limits.rolling_failures < LIMITS.rolling_failures;
        if !setting.refusals {
            // Nothing withdraws a challenge: its charges protect it from nothing.
            counter
                .outstanding
                .iter_mut()
                .for_each(|charge| charge.age_s = CREDIT_WINDOW_S);
            counter.charged_age_s = counter
                .charged_age_s
                .map(|age_s| if waits { age_s } else { wait_s });
        }
        counter.charged_age_s = counter.charged_age_s.map(|age_s| age_s.min(wait_s));
        // Of the charges on one challenge the youngest protects it.
        let ages: Vec<(Name, i64)> = counter
            .outstanding
            .iter()
            .map(|charge| (charge.challenge, charge.age_s))
            .collect();
        for charge in &mut counter.outstanding {
            let same = ages
                .iter()
                .filter(|(challenge, _)| *challenge == charge.challenge);
            let youngest = same.map(|(_, age_s)| *age_s).min().unwrap_or(CREDIT_WINDOW_S);
            charge.age_s = youngest.min(CREDIT_WINDOW_S);
        }
        for asked in self.challenges.values_mut() {
            asked.overdue &= asked.stage == Stage::Pending;
        }
    }
}
