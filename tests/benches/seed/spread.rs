//! Ids as if drawn at random, in an order in which their rows can be inserted fast.
//!
//! A sweep goes through the ids from the lowest to the highest and draws the rest of each at random: neighbours in time are
//! neighbours in the index, so that a batch touches few pages, and several sweeps leave pages as full as random ids would.

use rand_core::{OsRng, RngCore};

/// The id at `index` of `count` in a sweep.
pub fn id(index: u64, count: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    let step = u64::MAX / count.max(1);
    let mut tail = [0; 8];
    tail.copy_from_slice(&bytes[..8]);
    let place = step.saturating_mul(index) + u64::from_be_bytes(tail) % step.max(1);
    bytes[..8].copy_from_slice(&place.to_be_bytes());
    bytes
}
