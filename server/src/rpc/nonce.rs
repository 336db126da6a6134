//! Server nonces for the proofs of phones: single use, 60 s, nothing stored until a proof that verifies uses one.
//!
//! A nonce is 16 random bytes, its end and a MAC under a key of this process, so a stranger cannot fill a table, and a restart
//! voids them all.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use paraphe_proto::encoding::{base64url, from_base64url};
use paraphe_proto::time::Timestamp;
use paraphe_proto::transcript::Transcript;
use rand_core::RngCore;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::fault::{self, Result};

const LIFETIME_S: i64 = 60;
const MEMORY: usize = 1_000_000;

/// Makes and uses nonces.
pub struct Nonces {
    key: Zeroizing<[u8; 32]>,
    used: Mutex<HashMap<[u8; 16], Timestamp>>,
}

impl Nonces {
    /// Nonces of one process.
    pub fn new(rng: &mut impl RngCore) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut_slice());
        Self {
            key,
            used: Mutex::new(HashMap::new()),
        }
    }

    /// A fresh nonce and its end.
    pub fn draw(&self, now: Timestamp, rng: &mut impl RngCore) -> (String, Timestamp) {
        let mut random = [0; 16];
        rng.fill_bytes(&mut random);
        let until = now.plus_s(LIFETIME_S);
        let mac = self.mac(&random, until);
        let bytes = [random.as_slice(), &until.as_secs().to_be_bytes(), &mac].concat();
        (base64url(&bytes), until)
    }

    /// Uses a nonce up. Only after its proof has verified.
    ///
    /// # Errors
    /// `proof.nonce`.
    pub fn use_up(&self, nonce: &str, now: Timestamp) -> Result<()> {
        let (random, until) = self.open(nonce).ok_or_else(|| fault::NONCE_UNKNOWN.fault())?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MEMORY {
            used.retain(|_, until| now < *until);
        }
        if now >= until || used.contains_key(&random) || used.len() >= MEMORY {
            return fault::NONCE_UNKNOWN.broken();
        }
        used.insert(random, until);
        Ok(())
    }

    /// Forgets nonces whose time is over.
    pub fn forget(&self, now: Timestamp) {
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, until| now < *until);
    }

    fn open(&self, nonce: &str) -> Option<([u8; 16], Timestamp)> {
        let bytes = from_base64url(nonce).ok()?;
        let (random, rest) = bytes.split_first_chunk::<16>()?;
        let (until, mac) = rest.split_first_chunk::<8>()?;
        let until = Timestamp::from_secs(i64::from_be_bytes(*until));
        bool::from(self.mac(random, until).ct_eq(mac)).then_some((*random, until))
    }

    fn mac(&self, random: &[u8; 16], until: Timestamp) -> [u8; 32] {
        let transcript = Transcript::new("paraphe/v1/nonce")
            .field(random)
            .field(&until.as_secs().to_be_bytes());
        transcript.hmac(self.key.as_slice())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_counts_once_for_a_minute_in_one_process() {
        let (mut rng, now) = (crate::entropy::system(), Timestamp::from_secs(1_000));
        let nonces = Nonces::new(&mut rng);
        let (nonce, until) = nonces.draw(now, &mut rng);
        assert!(Nonces::new(&mut rng).use_up(&nonce, now).is_err());
        assert!(nonces.use_up(&nonce, until).is_err());
        assert!(nonces.use_up(&nonce, now).is_ok());
        assert!(nonces.use_up(&nonce, now).is_err());
        let mut forged = from_base64url(&nonces.draw(now, &mut rng).0).unwrap();
        if let Some(byte) = forged.get_mut(20) {
            *byte ^= 1;
        }
        assert!(nonces.use_up(&base64url(&forged), now).is_err());
    }
}
