//! Telling the watchers after a commit. A wake carries what changed, so that a watcher need not read it again; it is still a hint:
//! a watcher that may have missed one is told so and reads the store, so losing one costs latency, never correctness.
//!
//! The commit wakes, `rpc` waits. A wake reaches the watchers of its key and no others, whatever their number; what waits for one slow watcher
//! has a bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Watchers by key.
pub struct Wakes<K, E> {
    ears: Mutex<HashMap<K, Vec<Arc<Ear<E>>>>>,
    most: usize,
}

/// Where the changes for one watcher wait.
struct Ear<E> {
    waiting: Mutex<Heard<E>>,
    woken: Notify,
}

/// What a watcher hears.
pub enum Heard<E> {
    /// What changed since it last listened, in the order in which it was told.
    Changes(Vec<E>),
    /// More than was kept: read the store.
    TooMuch,
}

/// One watcher.
pub struct Wake<K: Eq + Hash, E> {
    ear: Arc<Ear<E>>,
    key: K,
    wakes: Arc<Wakes<K, E>>,
}

impl<K: Eq + Hash + Clone, E: Clone> Wakes<K, E> {
    /// Nobody watches yet. At most `most` changes wait for one watcher; with one more it reads the store instead.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            ears: Mutex::new(HashMap::new()),
            most,
        })
    }

    /// Listens for a key until dropped.
    pub fn listen(self: &Arc<Self>, key: K) -> Wake<K, E> {
        let ear = Arc::new(Ear {
            waiting: Mutex::new(Heard::Changes(Vec::new())),
            woken: Notify::new(),
        });
        let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        ears.entry(key.clone()).or_default().push(Arc::clone(&ear));
        Wake {
            ear,
            key,
            wakes: Arc::clone(self),
        }
    }

    /// How many listen for a key.
    pub fn listening(&self, key: &K) -> usize {
        let ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        ears.get(key).map_or(0, Vec::len)
    }

    /// Tells those who listen for a key.
    pub fn wake(&self, key: &K, change: &E) {
        let ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        for ear in ears.get(key).into_iter().flatten() {
            ear.tell(change.clone(), self.most);
        }
    }
}

impl<E> Ear<E> {
    fn tell(&self, change: E, most: usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waiting {
            Heard::Changes(changes) if changes.len() < most => changes.push(change),
            heard => *heard = Heard::TooMuch,
        }
        drop(waiting);
        self.woken.notify_one();
    }
}

impl<K: Eq + Hash, E> Wake<K, E> {
    /// Resolves at the next wake since the last call.
    pub async fn heard(&self) -> Heard<E> {
        loop {
            {
                let mut waiting = self.ear.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                match &*waiting {
                    Heard::Changes(changes) if changes.is_empty() => {}
                    _ => return std::mem::replace(&mut *waiting, Heard::Changes(Vec::new())),
                }
            }
            self.ear.woken.notified().await;
        }
    }
}

impl<K: Eq + Hash, E> Drop for Wake<K, E> {
    fn drop(&mut self) {
        let mut ears = self.wakes.ears.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_key) = ears.get_mut(&self.key) {
            of_key.retain(|ear| !Arc::ptr_eq(ear, &self.ear));
            if of_key.is_empty() {
                ears.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn changes(wake: &Wake<u8, u32>) -> Option<Vec<u32>> {
        match timeout(Duration::from_secs(5), wake.heard()).await.unwrap() {
            Heard::Changes(changes) => Some(changes),
            Heard::TooMuch => None,
        }
    }

    #[tokio::test]
    async fn a_wake_reaches_its_key_and_no_other_and_is_forgotten_with_its_watcher() {
        let wakes = Wakes::new(16);
        let (one, again, two) = (wakes.listen(1), wakes.listen(1), wakes.listen(2));
        wakes.wake(&1, &7);
        wakes.wake(&1, &8);
        assert_eq!(changes(&one).await, Some(vec![7, 8]));
        assert_eq!(changes(&again).await, Some(vec![7, 8]));
        assert!(timeout(Duration::from_millis(20), two.heard()).await.is_err());
        assert!(timeout(Duration::from_millis(20), one.heard()).await.is_err());
        drop(one);
        assert_eq!((wakes.listening(&1), wakes.listening(&2)), (1, 1));
        drop(again);
        assert_eq!(wakes.ears.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_watcher_that_falls_behind_is_told_to_read_and_then_hears_again() {
        let wakes = Wakes::new(16);
        let slow = wakes.listen(1);
        for change in 0..100 {
            wakes.wake(&1, &change);
        }
        assert_eq!(changes(&slow).await, None);
        wakes.wake(&1, &100);
        assert_eq!(changes(&slow).await, Some(vec![100]));
    }
}
