//! Which PIN epoch counts, after a PIN change that was cut short.
//!
//! Called by every verb of the phone before it speaks, and by the app after a start. Invariants: both wrappings of the approval
//! key stay on disk until the daemon's word drops one, never both; the old one goes only when the epoch has moved, the new one only
//! when the daemon, under the old epoch, refused the change for good. The protocol: section 4, rule 5.

use crate::change_pin::send_pin_change;
use crate::connect::Server;
use crate::error::Error;
use crate::outcome::malformed;
use crate::phone::Phone;
use crate::request::{Prover, resend};
use crate::state::PreparedPinChange;

/// What became of a PIN change that was cut short.
#[derive(Debug)]
pub enum Settled {
    /// There was none.
    Nothing,
    /// It is done: the new PIN counts, the old one opens nothing.
    NewPin,
    /// It was refused for good, and why: the old PIN counts.
    OldPin(Error),
}

impl Phone {
    /// Finishes a PIN change that a crash or a lost reply cut short. Every other call does so by itself; an app calls this after a
    /// start to tell the person which PIN counts.
    ///
    /// # Errors
    /// [`Error::Unreachable`], or what the daemon refuses without saying that the change is over; both wrappings stay then.
    pub async fn settle_pin_change(&self, server: &Server) -> Result<Settled, Error> {
        self.reload()?;
        let Some(prepared) = self.loaded().record.pin_change.clone() else {
            return Ok(Settled::Nothing);
        };
        let old = self.prover()?;
        let finish = |prover: Prover| {
            let prepared = &prepared;
            async move {
                let send = || send_pin_change(server, &prover, prepared.challenge_id, &prepared.statement);
                resend(send).await
            }
        };
        let moved = match finish(old).await {
            Err(refused) if refused.code().starts_with("pin_change.") => {
                self.drop_new(&prepared)?;
                return Ok(Settled::OldPin(refused));
            }
            // The old epoch proves nothing any more: the new one does if this change moved it.
            Err(refused) if refused.code() == "caller.unauthenticated" => {
                let mut new = self.prover()?;
                new.epoch = prepared.epoch;
                finish(new).await?
            }
            verdict => verdict?,
        };
        if moved != prepared.epoch {
            return Err(malformed(
                "another PIN epoch began than the one that was asked for".to_owned(),
            ));
        }
        self.adopt(&prepared)?;
        Ok(Settled::NewPin)
    }

    /// Speaks for this phone under the epoch that counts.
    pub(crate) async fn ready(&self, server: &Server) -> Result<Prover, Error> {
        match self.settle_pin_change(server).await {
            // Its state forbids the change, not what it is about to do; the old epoch was good enough to be told.
            Err(Error::Refused { code, .. }) if code.starts_with("device.") => {}
            settled => drop(settled?),
        }
        self.prover()
    }

    /// In one write the new wrapping takes the place of the old one.
    fn adopt(&self, prepared: &PreparedPinChange) -> Result<(), Error> {
        self.change(|record| {
            let own = |pending: &PreparedPinChange| pending.statement == prepared.statement;
            if let Some(adopted) = record.pin_change.take_if(|pending| own(pending)) {
                record.epoch = adopted.epoch;
                record.key = adopted.key;
            }
            Ok(())
        })?;
        self.forget_attempt();
        Ok(())
    }

    fn drop_new(&self, prepared: &PreparedPinChange) -> Result<(), Error> {
        self.change(|record| {
            record
                .pin_change
                .take_if(|pending| pending.statement == prepared.statement);
            Ok(())
        })
    }
}
