//! Which of many things goes first when room is needed. Pure: told what comes, what is asked for and
//! what went, it names the next to go; whoever asked does with it what it can.
//!
//! The default is S3-FIFO, which a scan does not flush: what comes waits in a small queue and gets
//! into the large one only when it is asked for again. LRU and LFU are there to compare with, and
//! for those whose readers are like that. Weights are bytes: a large block counts for what it takes.

mod fifo;
mod lfu;
mod list;
mod lru;
mod orders;
#[cfg(test)]
mod tests;

pub use orders::{Orders, Owner};

use crate::core::model::EvictionPolicy;
use std::fmt::Debug;

/// An order in which keys go. A key that is not in the order is nobody's concern: calls about it do
/// nothing.
pub trait Eviction: Debug + Send {
    /// A key comes in, having been asked for once, and weighs this much. One that is there gets the
    /// weight.
    fn insert(&mut self, key: u64, bytes: u64);

    /// A key comes in that has proved itself before, or proves itself that is in: it was here before a
    /// restart, or somebody wants it here.
    fn keep(&mut self, key: u64, bytes: u64);

    /// A key comes in that had proved itself before any other here did. Nothing if it is there.
    fn precede(&mut self, key: u64, bytes: u64);

    /// A key that was to go and could not, comes in again where it was. Nothing if it is there.
    fn postpone(&mut self, key: u64, bytes: u64);

    /// A key is asked for.
    fn access(&mut self, key: u64);

    /// A key weighs something else now.
    fn resize(&mut self, key: u64, bytes: u64);

    /// A key is not to be considered any more.
    fn remove(&mut self, key: u64);

    /// Takes the next key to go out of the order, with its weight.
    fn evict(&mut self) -> Option<(u64, u64)>;

    /// Whether a key is in the order.
    fn has(&self, key: u64) -> bool;

    /// Keys in the order.
    fn len(&self) -> usize;

    /// What they weigh.
    fn bytes(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An empty order.
pub fn new(policy: EvictionPolicy) -> Box<dyn Eviction> {
    match policy {
        EvictionPolicy::S3Fifo => Box::new(fifo::S3Fifo::default()),
        EvictionPolicy::Lru => Box::new(lru::Lru::default()),
        EvictionPolicy::Lfu => Box::new(lfu::Lfu::default()),
    }
}
