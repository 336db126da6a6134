//! Waking the watchers after a commit. A wake is a hint: losing one costs latency, never correctness.
//!
//! `rpc` wakes and waits. A wake reaches the watchers of its key and no others, whatever their number.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Watchers by key.
pub struct Wakes<K> {
    channels: Mutex<HashMap<K, watch::Sender<()>>>,
}

/// One watcher's ear.
pub struct Wake<K: Eq + Hash + Clone> {
    receiver: Option<watch::Receiver<()>>,
    key: K,
    wakes: Arc<Wakes<K>>,
}

impl<K: Eq + Hash + Clone> Wakes<K> {
    /// Nobody watches yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            channels: Mutex::new(HashMap::new()),
        })
    }

    /// Listens for a key until dropped.
    pub fn listen(self: &Arc<Self>, key: K) -> Wake<K> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = channels
            .entry(key.clone())
            .or_insert_with(|| watch::channel(()).0);
        Wake {
            receiver: Some(sender.subscribe()),
            key,
            wakes: Arc::clone(self),
        }
    }

    /// How many listen for a key.
    pub fn listening(&self, key: &K) -> usize {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.get(key).map_or(0, watch::Sender::receiver_count)
    }

    /// Wakes those who listen for a key.
    pub fn wake(&self, key: &K) {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(key) {
            sender.send_replace(());
        }
    }
}

impl<K: Eq + Hash + Clone> Wake<K> {
    /// Resolves at the next wake since the last call.
    pub async fn heard(&mut self) {
        if let Some(receiver) = &mut self.receiver
            && receiver.changed().await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

impl<K: Eq + Hash + Clone> Drop for Wake<K> {
    fn drop(&mut self) {
        let mut channels = self.wakes.channels.lock().unwrap_or_else(PoisonError::into_inner);
        self.receiver = None;
        if channels
            .get(&self.key)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            channels.remove(&self.key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_wake_reaches_its_key_and_no_other_and_is_forgotten_with_its_watcher() {
        let wakes = Wakes::new();
        let (mut one, mut two) = (wakes.listen(1), wakes.listen(2));
        wakes.wake(&1);
        timeout(Duration::from_secs(5), one.heard()).await.unwrap();
        assert!(timeout(Duration::from_millis(20), two.heard()).await.is_err());
        drop(one);
        assert_eq!(wakes.channels.lock().unwrap().len(), 1);
    }
}
