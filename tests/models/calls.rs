//! Calls on their way: sent, committed, evaluated, lost.

use super::ghost::Event;
use super::rows::{Asked, Name, Stage};
use super::setting::{Broken, LIMITS, Setting, Thief};
use super::transactions::Transaction;
use super::world::{Approval, Call, Claim, Who, World};

impl Setting {
    /// Where the order does not matter, the next thing happens at once: a challenge is raised when none is open, a call commits as it
    /// arrives, a reply arrives as its charge commits.
    pub fn hurry(&self, world: &mut World) {
        let open = world.store.challenges.values().any(Asked::is_open);
        if !self.refusals && !open && world.ghost.raised < self.challenges {
            self.raise(world);
        }
        if self.parallel > 1 {
            return;
        }
        if let Some(
            Call::Unlock { charged: None, .. }
            | Call::Answer { .. }
            | Call::Refuse { .. }
            | Call::Cancel { .. },
        ) = world.calls.first()
            && !self.breaks(Broken::EvaluatesFirst)
        {
            self.commit(world, 0);
        }
        if !self.crashes && !world.calls.is_empty() {
            self.evaluate(world, 0, true);
        }
    }

    /// Only a clone says of itself what it likes.
    fn claim(&self, world: &World, who: Who) -> Claim {
        match (who, self.thief) {
            (Who::Thief, Thief::Clone) => (0, 0),
            _ => world.seen,
        }
    }

    pub fn send_unlock(&self, world: &mut World, who: Who, challenge: Name, element: Name) {
        let claim = self.claim(world, who);
        world.hand(who).sent = Some((challenge, element));
        world.hand(who).evaluation = None;
        world.arrive(Call::Unlock {
            who,
            challenge,
            element,
            claim,
            charged: None,
        });
    }

    pub fn approve(&self, world: &mut World, right_code: bool) {
        let Some((challenge, element, number)) = world.owner.evaluation else {
            return;
        };
        let approval = Approval {
            challenge,
            element,
            number,
            right_code,
        };
        if self.restores > 0 {
            world.kept = [approval].into();
        }
        let (claim, read) = (world.seen, world.stage(challenge));
        world.arrive(Call::Answer {
            approval,
            claim,
            read,
        });
    }

    pub fn raise(&self, world: &mut World) {
        let name = world.ghost.raised;
        self.transact(world, |transaction| transaction.raise(name)).ok();
        world.ghost.raised += u8::from(world.store.challenges.contains_key(&name));
    }

    pub fn sweep(&self, world: &mut World) {
        let locks = self.transact(world, |transaction| transaction.sweep()).unwrap();
        if locks && !self.breaks(Broken::JournalsNothing) {
            world.journal.locked = true;
        }
    }

    pub fn commit(&self, world: &mut World, index: usize) {
        match world.calls.remove(index) {
            Call::Unlock {
                who,
                challenge,
                element,
                claim,
                ..
            } => self.commit_unlock(world, (who, claim), challenge, element),
            Call::Answer {
                approval,
                claim,
                read,
            } => self.commit_answer(world, approval, claim, read),
            Call::Refuse {
                challenge,
                not_me,
                claim,
                read,
            } => {
                let done = self.transact(world, |transaction| {
                    transaction.refuse(claim, challenge, not_me, read)
                });
                self.notice(world, done.err());
            }
            Call::Cancel { challenge, read } => {
                self.transact(world, |transaction| transaction.cancel(challenge, read))
                    .ok();
            }
        }
    }

    fn commit_unlock(&self, world: &mut World, (who, claim): (Who, Claim), challenge: Name, element: Name) {
        let unlocked = match self.transact(world, |transaction| transaction.unlock(claim, challenge, element))
        {
            Ok(unlocked) => unlocked,
            Err(code) => {
                world.hand(who).sent = None;
                return self.notice(world, Some(code));
            }
        };
        if !unlocked.fresh {
            world.ghost.event = Some(Event::RetriedFree);
        } else if !world.ghost.spent.iter().any(|spent| spent.element == element) {
            world.ghost.charge(element);
        }
        let journals = !self.breaks(Broken::JournalsNothing) && !self.breaks(Broken::JournalsNoLastTry);
        if journals {
            world.journal.last_try = world.store.phone.counter.last_made;
        }
        world.arrive(Call::Unlock {
            who,
            challenge,
            element,
            claim,
            charged: Some((world.store.restore_epoch, unlocked.number)),
        });
    }

    fn commit_answer(&self, world: &mut World, approval: Approval, claim: Claim, read: Stage) {
        let was_open = world.is_open(approval.challenge);
        let deserves = world.deserves_credit(&approval, self);
        let answered = self.transact(world, |transaction| transaction.answer(claim, &approval, read));
        match answered {
            Ok(true) => {
                world.journal.last_try = world.store.phone.counter.last_made;
                world.note_credit(&approval, was_open);
            }
            Ok(false) => {}
            Err(code) => {
                world.ghost.wronged |= deserves && code != "device.rollback_noticed";
                self.notice(world, Some(code));
            }
        }
    }

    fn notice(&self, world: &mut World, code: Option<&'static str>) {
        match code {
            Some("device.rollback_noticed") => {
                world.ghost.event = Some(Event::RollbackNoticed);
                self.transact(world, |transaction| {
                    transaction.notice_rollback();
                    Ok(())
                })
                .ok();
            }
            Some("evaluation.stale") => {
                world.ghost.event = Some(Event::StaleRefused);
            }
            _ => {}
        }
    }

    pub fn evaluate(&self, world: &mut World, index: usize, received: bool) {
        let Call::Unlock {
            who,
            challenge,
            element,
            charged,
            ..
        } = world.calls[index]
        else {
            return;
        };
        match charged {
            Some(_) => drop(world.calls.remove(index)),
            None => world.ghost.charge_early(element),
        }
        let (epoch, number) =
            charged.unwrap_or((world.store.restore_epoch, world.store.phone.counter.latest + 1));
        let clone = who == Who::Thief && self.thief == Thief::Clone;
        let accepted = received && (clone || (epoch, number) >= world.seen);
        let first = world
            .ghost
            .evaluate(element, accepted || self.thief != Thief::InHand);
        let countable = self.limits.rolling_failures < LIMITS.rolling_failures;
        world.ghost.guesses += u8::from(countable && first && who == Who::Thief);
        if !accepted {
            return;
        }
        let hand = world.hand(who);
        hand.sent = None;
        if who == Who::Owner {
            hand.evaluation = Some((challenge, element, number));
        }
        if !clone {
            world.seen = (epoch, number);
        }
    }

    pub fn crash(&self, world: &mut World) {
        world.calls.clear();
        if self.breaks(Broken::ForgetsAtRestart) {
            world.store.phone.counter.failures = 0;
            world.store.phone.counter.charged_age_s = None;
        }
    }

    /// Runs one transaction and keeps what it changed if it commits; notes the final states that it reached.
    fn transact<T>(
        &self,
        world: &mut World,
        verb: impl FnOnce(&mut Transaction<'_>) -> paraphe_server::domain::fault::Result<T>,
    ) -> Result<T, &'static str> {
        let mut rows = world.store.clone();
        let mut transaction = Transaction {
            rows: &mut rows,
            setting: self,
        };
        let done = verb(&mut transaction).map_err(|fault| {
            assert_ne!(fault.code(), "internal", "{fault:?}");
            fault.code()
        })?;
        world.note_verdicts(&rows);
        world.store = rows;
        Ok(done)
    }
}

impl World {
    pub fn stage(&self, challenge: Name) -> Stage {
        let asked = self.store.challenges.get(&challenge);
        asked.map_or(Stage::Failed, |asked| asked.stage)
    }

    fn is_open(&self, challenge: Name) -> bool {
        let asked = self.store.challenges.get(&challenge);
        asked.is_some_and(Asked::is_open)
    }
}
