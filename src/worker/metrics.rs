//! What the worker counts.

use super::store::BlockStore;
use crate::core::metrics::{Counter, Gauge, Metrics, names};

/// The worker's counters. Clones count together.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Bytes served to readers.
    pub read_bytes: Counter,
    /// Bytes taken from writers.
    pub written_bytes: Counter,
    /// Bytes fetched from under stores.
    pub filled_bytes: Counter,
    /// Bytes fetched from other workers.
    pub copied_bytes: Counter,
    /// Bytes sent to workers they belong to now.
    pub moved_bytes: Counter,
    /// Reads of pages that were there.
    pub hits: Counter,
    /// Pages that had to be fetched.
    pub misses: Counter,
    /// Pages dropped because their checksum was wrong.
    pub bad_pages: Counter,
    /// Blocks lent to clients on this host.
    pub lent: Counter,
    capacity: Gauge,
    used: Gauge,
    blocks: Gauge,
}

impl Counts {
    /// The counters, as `metrics` shows them.
    pub fn new(metrics: &Metrics) -> Self {
        Counts {
            read_bytes: metrics.counter(&names::WORKER_READ_BYTES),
            written_bytes: metrics.counter(&names::WORKER_WRITTEN_BYTES),
            filled_bytes: metrics.counter(&names::WORKER_FILLED_BYTES),
            copied_bytes: metrics.counter(&names::WORKER_COPIED_BYTES),
            moved_bytes: metrics.counter(&names::WORKER_MOVED_BYTES),
            hits: metrics.counter(&names::WORKER_HITS),
            misses: metrics.counter(&names::WORKER_MISSES),
            bad_pages: metrics.counter(&names::WORKER_BAD_PAGES),
            lent: metrics.counter(&names::WORKER_LENT_BLOCKS),
            capacity: metrics.gauge(&names::WORKER_CAPACITY),
            used: metrics.gauge(&names::WORKER_USED),
            blocks: metrics.gauge(&names::WORKER_BLOCKS),
        }
    }

    /// Sets what is cheaper to read than to keep.
    pub fn refresh(&self, store: &BlockStore) {
        let usage = store.usage();
        self.capacity.set(usage.capacity as i64);
        self.used.set(usage.used as i64);
        self.blocks.set(store.count() as i64);
    }
}
