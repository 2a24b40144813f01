//! What the worker counts.

use super::store::BlockStore;
use crate::core::metrics::{Counter, Gauge, Metrics, names};

/// The worker's counters. Clones count together.
#[derive(Clone)]
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
    /// Bytes verified in the background.
    pub scrubbed_bytes: Counter,
    /// Pages that were found bad in the background.
    pub scrub_bad_pages: Counter,
    /// Bad pages that are good again.
    pub repaired_pages: Counter,
    metrics: Metrics,
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
            scrubbed_bytes: metrics.counter(&names::WORKER_SCRUBBED_BYTES),
            scrub_bad_pages: metrics.counter(&names::WORKER_SCRUB_BAD_PAGES),
            repaired_pages: metrics.counter(&names::WORKER_REPAIRED_PAGES),
            metrics: metrics.clone(),
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
        for tier in store.tiers() {
            let labels = [("medium", tier.medium.as_str()), ("dir", tier.dir.as_str())];
            let set = |name, value| self.metrics.labelled_gauge(name, &labels).set(value);
            set(&names::WORKER_DIR_CAPACITY, tier.capacity_bytes as i64);
            set(&names::WORKER_DIR_USED, tier.used_bytes as i64);
            set(&names::WORKER_DIR_LOST, tier.lost.into());
        }
    }
}
