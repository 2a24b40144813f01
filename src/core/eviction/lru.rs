//! The longest unused goes first. One scan flushes everything.

use super::Eviction;
use super::list::Lists;

/// Keys by when they were last asked for.
#[derive(Debug, Default)]
pub struct Lru {
    lists: Lists<1>,
}

impl Eviction for Lru {
    fn insert(&mut self, key: u64, bytes: u64) {
        self.lists.push(0, key, bytes);
    }

    fn keep(&mut self, key: u64, bytes: u64) {
        self.insert(key, bytes);
    }

    fn precede(&mut self, key: u64, bytes: u64) {
        if !self.has(key) {
            self.lists.push_oldest(0, key, bytes);
        }
    }

    fn postpone(&mut self, key: u64, bytes: u64) {
        if !self.has(key) {
            self.insert(key, bytes);
        }
    }

    fn access(&mut self, key: u64) {
        if let Some(node) = self.lists.remove(key) {
            self.lists.push(0, key, node.bytes);
        }
    }

    fn resize(&mut self, key: u64, bytes: u64) {
        self.lists.resize(key, bytes);
    }

    fn remove(&mut self, key: u64) {
        self.lists.remove(key);
    }

    fn evict(&mut self) -> Option<(u64, u64)> {
        self.lists.pop(0).map(|node| (node.key, node.bytes))
    }

    fn has(&self, key: u64) -> bool {
        self.lists.list_of(key).is_some()
    }

    fn len(&self) -> usize {
        self.lists.len()
    }

    fn bytes(&self) -> u64 {
        self.lists.bytes(0)
    }
}
