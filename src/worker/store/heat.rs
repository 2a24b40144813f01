//! How often a block is asked for: what eviction and promotion go by.
//!
//! A reader takes a block in pieces. Those that go on behind where the one before began are one pass
//! over the block, and count once: a block does not become hot by being read slowly.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// How often one block was asked for lately. All of it is approximate and costs no lock.
#[derive(Debug, Default)]
pub struct Heat {
    /// When it was last asked for, on the store's own count.
    last: AtomicU64,
    /// Where the last piece that was asked for begins.
    offset: AtomicU64,
    /// When the present window began, in seconds; and passes since, and in the one before.
    start: AtomicU64,
    passes: AtomicU32,
    before: AtomicU32,
    /// Whether the pass that has the block filled is not over.
    filling: AtomicBool,
}

impl Heat {
    /// Notes that it is asked for at `tick`.
    pub fn touch(&self, tick: u64) {
        self.last.store(tick, Ordering::Relaxed);
    }

    /// The tick of the last time.
    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Whether a read from `offset` on begins a new pass.
    pub fn begins_pass(&self, offset: u64) -> bool {
        offset <= self.offset.swap(offset, Ordering::Relaxed)
    }

    /// Notes that the block is being filled for somebody.
    pub fn await_filling(&self) {
        self.filling.store(true, Ordering::Relaxed);
    }

    /// Whether whoever borrows the whole block now begins a new pass: the first after it was filled
    /// is taken for the one it was filled for.
    pub fn begins_pass_whole(&self) -> bool {
        !self.filling.swap(false, Ordering::Relaxed)
    }

    /// Counts a pass at `now`; returns how many there were within about `window`, both in seconds.
    pub fn count(&self, now: u64, window: u64) -> u32 {
        let start = self.start.load(Ordering::Relaxed);
        if now.saturating_sub(start) >= window {
            let stale = now.saturating_sub(start) >= 2 * window;
            let before = self.passes.swap(0, Ordering::Relaxed);
            self.before.store(if stale { 0 } else { before }, Ordering::Relaxed);
            self.start.store(now, Ordering::Relaxed);
        }
        self.passes.fetch_add(1, Ordering::Relaxed);
        self.recent(now, window)
    }

    /// Passes within about `window` before `now`.
    pub fn recent(&self, now: u64, window: u64) -> u32 {
        let age = now.saturating_sub(self.start.load(Ordering::Relaxed));
        let passes = self.passes.load(Ordering::Relaxed);
        match age {
            age if age >= 2 * window => 0,
            age if age >= window => passes / 2,
            // Of the window before, the part that has not passed yet.
            age => {
                let before = u64::from(self.before.load(Ordering::Relaxed));
                passes + (before * (window - age) / window.max(1)) as u32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_read_in_pieces_is_asked_for_once_a_pass() {
        let heat = Heat::default();
        let passes = |offsets: &[u64]| offsets.iter().filter(|at| heat.begins_pass(**at)).count();
        assert_eq!(passes(&[0, 100, 200, 300]), 1);
        assert_eq!(passes(&[400, 500]), 0, "it goes on");
        assert_eq!(passes(&[0, 100, 0]), 2);
        heat.await_filling();
        assert!(!heat.begins_pass_whole() && heat.begins_pass_whole());
    }

    #[test]
    fn passes_are_forgotten_after_two_windows() {
        let heat = Heat::default();
        assert_eq!((0..4).map(|_| heat.count(1000, 100)).last(), Some(4));
        assert_eq!(heat.recent(1050, 100), 4);
        assert_eq!(heat.count(1100, 100), 5, "four of them in the window before");
        assert_eq!(heat.recent(1150, 100), 3);
        assert_eq!(heat.recent(1300, 100), 0);
        assert_eq!(heat.count(1400, 100), 1);
    }
}
