//! What all workers are told about blocks, in order: one log for everyone and a cursor each, so
//! that a broadcast costs its memory once however many workers there are.
//!
//! The log has a bound. A worker that falls further behind misses orders; it finds out about
//! deleted files by asking which of its files still exist, as it does every hour anyway.

use crate::core::model::BlockId;
use std::collections::VecDeque;

/// Orders kept for workers that have not taken them yet: 32 MiB of ids.
const MOST: usize = 4 << 20;
/// Orders in one heartbeat's answer.
const PER_HEARTBEAT: usize = 20_000;

/// A bounded log of block ids, read by cursors.
#[derive(Debug, Default)]
pub(super) struct Orders {
    blocks: VecDeque<BlockId>,
    /// The position of the first block still kept.
    first: u64,
}

impl Orders {
    /// The position after the last order: where a newcomer starts.
    pub(super) fn end(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }

    /// Appends orders, dropping the oldest beyond the bound.
    pub(super) fn push(&mut self, blocks: impl IntoIterator<Item = BlockId>) {
        self.blocks.extend(blocks);
        let excess = self.blocks.len().saturating_sub(MOST);
        self.drop_first(excess);
    }

    /// How many are kept.
    pub(super) fn kept(&self) -> usize {
        self.blocks.len()
    }

    /// The next orders after `cursor`, which moves past them.
    pub(super) fn take(&self, cursor: &mut u64) -> Vec<i64> {
        let from = (*cursor).max(self.first);
        let skip = (from - self.first) as usize;
        let taken: Vec<i64> =
            self.blocks.iter().skip(skip).take(PER_HEARTBEAT).map(|block| block.0).collect();
        *cursor = from + taken.len() as u64;
        taken
    }

    /// Forgets what every cursor has passed.
    pub(super) fn trim(&mut self, slowest: u64) {
        let passed = slowest.saturating_sub(self.first) as usize;
        self.drop_first(passed.min(self.blocks.len()));
    }

    fn drop_first(&mut self, count: usize) {
        self.blocks.drain(..count);
        self.first += count as u64;
        if self.blocks.is_empty() {
            self.blocks.shrink_to(1024);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(range: std::ops::Range<i64>) -> impl Iterator<Item = BlockId> {
        range.map(BlockId)
    }

    #[test]
    fn every_cursor_sees_every_order_once() {
        let mut orders = Orders::default();
        let (mut early, mut late) = (orders.end(), 0);
        orders.push(blocks(1..4));
        assert_eq!(orders.take(&mut early), [1, 2, 3]);
        assert!(orders.take(&mut early).is_empty());
        orders.push(blocks(4..6));
        assert_eq!(orders.take(&mut late), [1, 2, 3, 4, 5]);
        orders.trim(early);
        assert_eq!(orders.take(&mut early), [4, 5]);
        orders.trim(late);
        assert_eq!(orders.end(), 5);
        assert!(orders.blocks.is_empty());
    }

    #[test]
    fn who_falls_too_far_behind_goes_on_with_what_is_kept() {
        let mut orders = Orders::default();
        let mut slow = orders.end();
        orders.push(blocks(0..MOST as i64 + 7));
        assert_eq!(orders.take(&mut slow)[0], 7);
    }

    #[test]
    fn many_orders_are_told_in_several_answers() {
        let mut orders = Orders::default();
        let mut cursor = 0;
        orders.push(blocks(0..PER_HEARTBEAT as i64 + 1));
        assert_eq!(orders.take(&mut cursor).len(), PER_HEARTBEAT);
        assert_eq!(orders.take(&mut cursor).len(), 1);
    }
}
