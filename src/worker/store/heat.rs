//! How often a block is asked for: what eviction and promotion go by.
//!
//! A reader takes a block in pieces, and the kernel reads ahead and out of order. All of that is one
//! pass over the block and counts once: a block does not become hot by being read slowly. A new pass
//! begins where a reader goes back by half of the block, or by some MiB. A reader who had
//! a block filled may borrow its file before the pass is over: that does not count either. What is
//! read through a borrowed file nobody sees, so each time it is borrowed counts.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// A file that is borrowed so soon after a piece was filled or read is borrowed by the same reader.
const SAME_READER_MS: u64 = 2000;

/// Going back by less is reading out of order, in a large block.
const BACK: u64 = 4 << 20;
/// And so is going back by any length, so soon after the pass began.
const OUT_OF_ORDER_MS: u64 = 200;

/// How often one block was asked for lately. All of it is approximate and costs no lock.
#[derive(Debug, Default)]
pub struct Heat {
    /// When it was last asked for, on the store's own count.
    last: AtomicU64,
    /// How far the present pass got, and when it began, in milliseconds.
    reached: AtomicU64,
    pass_at: AtomicU64,
    /// When the present window began, in seconds; and passes since, and in the one before.
    start: AtomicU64,
    passes: AtomicU32,
    before: AtomicU32,
    /// Whether nobody borrowed it since it began to be filled, and when it was last filled or read in
    /// pieces, in milliseconds.
    new: AtomicBool,
    pieces_at: AtomicU64,
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

    /// Whether a read from `offset` of `length` bytes on begins a new pass, at `now_ms`.
    pub fn begins_pass(&self, offset: u64, length: u64, now_ms: u64) -> bool {
        self.piece(now_ms);
        let back = self.reached.load(Ordering::Relaxed).saturating_sub(offset);
        let age_ms = now_ms.saturating_sub(self.pass_at.load(Ordering::Relaxed));
        let begins = back >= (length / 2).clamp(1, BACK) && age_ms >= OUT_OF_ORDER_MS;
        if begins {
            self.reached.store(offset, Ordering::Relaxed);
            self.pass_at.store(now_ms, Ordering::Relaxed);
        }
        begins
    }

    /// Notes that the block has been read as far as `end`.
    pub fn reach(&self, end: u64) {
        self.reached.fetch_max(end, Ordering::Relaxed);
    }

    /// Notes that the block begins to be filled, for a first pass, at `now_ms`.
    pub fn begin(&self, now_ms: u64) {
        self.pass_at.store(now_ms, Ordering::Relaxed);
        self.new.store(true, Ordering::Relaxed);
    }

    /// Notes that a piece was filled or read.
    pub fn piece(&self, now_ms: u64) {
        self.pieces_at.store(now_ms, Ordering::Relaxed);
    }

    /// Whether whoever borrows the whole block now begins a new pass, and is not the one who has just
    /// had it filled.
    pub fn begins_pass_whole(&self, now_ms: u64) -> bool {
        let new = self.new.swap(false, Ordering::Relaxed);
        let age_ms = now_ms.saturating_sub(self.pieces_at.load(Ordering::Relaxed));
        !(new && age_ms < SAME_READER_MS)
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
        heat.begin(0);
        let passes = |offsets: &[u64], now: u64| {
            let begins = |at: &&u64| {
                let begins = heat.begins_pass(**at, 800, now);
                heat.reach(**at + 100);
                begins
            };
            offsets.iter().filter(begins).count()
        };
        assert_eq!(passes(&[200, 0, 100], 100), 0, "read ahead, out of order");
        assert_eq!(passes(&[300, 500, 400, 600], 5000), 0, "it goes on");
        assert_eq!(passes(&[0, 200, 100, 700], 6000), 1);
        assert_eq!(passes(&[100], 7000), 1);
        heat.begin(8000);
        heat.piece(1000);
        assert!(!heat.begins_pass_whole(1500) && heat.begins_pass_whole(1500));
        heat.begin(1500);
        assert!(heat.begins_pass_whole(9000), "somebody else, later");
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
