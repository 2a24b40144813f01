//! The least often asked for goes first, and what was asked for long ago counts ever less.
//!
//! A key's rank is how often it was asked for, plus the rank of what went last when it came or was
//! asked for (LFU with dynamic aging): a key that nobody wants any more is overtaken by new ones.

use super::Eviction;
use std::collections::{BTreeSet, HashMap};

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
struct Known {
    rank: u64,
    /// Among equals the one that was asked for the longest ago goes first.
    asked_at: i64,
    times: u64,
    bytes: u64,
}

/// Keys by how often they were asked for lately.
#[derive(Debug, Default)]
pub struct Lfu {
    keys: HashMap<u64, Known>,
    order: BTreeSet<(u64, i64, u64)>,
    bytes: u64,
    clock: i64,
    /// The same for those that come before others, backwards.
    clock_before: i64,
    /// The rank of what went last.
    age: u64,
}

impl Lfu {
    fn put(&mut self, key: u64, times: u64, bytes: u64) {
        self.clock += 1;
        self.put_at(key, times, bytes, self.clock);
    }

    fn put_at(&mut self, key: u64, times: u64, bytes: u64, asked_at: i64) {
        self.remove(key);
        let known = Known { rank: self.age + times, asked_at, times, bytes };
        self.order.insert((known.rank, known.asked_at, key));
        self.keys.insert(key, known);
        self.bytes += bytes;
    }
}

impl Eviction for Lfu {
    fn insert(&mut self, key: u64, bytes: u64) {
        self.put(key, 1, bytes);
    }

    fn keep(&mut self, key: u64, bytes: u64) {
        self.put(key, 2, bytes);
    }

    fn precede(&mut self, key: u64, bytes: u64) {
        if !self.has(key) {
            self.clock_before -= 1;
            self.put_at(key, 2, bytes, self.clock_before);
        }
    }

    fn postpone(&mut self, key: u64, bytes: u64) {
        if !self.has(key) {
            self.insert(key, bytes);
        }
    }

    fn access(&mut self, key: u64) {
        if let Some(&Known { times, bytes, .. }) = self.keys.get(&key) {
            self.put(key, times + 1, bytes);
        }
    }

    fn resize(&mut self, key: u64, bytes: u64) {
        if let Some(known) = self.keys.get_mut(&key) {
            self.bytes = self.bytes - known.bytes + bytes;
            known.bytes = bytes;
        }
    }

    fn remove(&mut self, key: u64) {
        if let Some(known) = self.keys.remove(&key) {
            self.order.remove(&(known.rank, known.asked_at, key));
            self.bytes -= known.bytes;
        }
    }

    fn evict(&mut self) -> Option<(u64, u64)> {
        let (rank, _, key) = self.order.pop_first()?;
        self.age = rank;
        let known = self.keys.remove(&key).expect("what is in the order is known");
        self.bytes -= known.bytes;
        Some((key, known.bytes))
    }

    fn has(&self, key: u64) -> bool {
        self.keys.contains_key(&key)
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
