//! Which files are opened next.
//!
//! Who opens a small file of a directory often opens the next, and then the directories beside it:
//! a copy, a build, a walk. One question to the worker brings the descriptors of many blocks at the
//! cost of one, so those are asked for together, in the order of a walk. Whether that was right shows
//! in how many of them are opened, and the number follows: one who opens files at random is lent
//! little beside what was asked for.

use super::inodes::{Inodes, Listing, ROOT};
use crate::core::model::{BlockId, Status};
use crate::core::rpc::lend::MOST_ALSO;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files up to this are borrowed ahead: a descriptor that is kept keeps the space of its block.
const SMALL_FILE: u64 = 1 << 20;
/// Blocks asked for ahead however few of them were opened before.
const LEAST_ALSO: usize = 4;
/// Directories looked into for one question.
const MOST_LOOKED_INTO: usize = 64;

/// How far ahead of its reader one mount borrows blocks.
#[derive(Debug)]
pub struct Ahead {
    /// The most blocks to ask for with a question.
    most: AtomicUsize,
    /// Blocks asked for with the last one: there may not have been as many.
    asked: AtomicUsize,
    /// Files opened since, without a question.
    hits: AtomicUsize,
}

impl Default for Ahead {
    fn default() -> Self {
        let most = AtomicUsize::new(LEAST_ALSO);
        Ahead { most, asked: AtomicUsize::new(0), hits: AtomicUsize::new(0) }
    }
}

impl Ahead {
    /// A file was opened from what was borrowed before.
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// The blocks to borrow together with that of `ino`: of the files that come after it.
    pub fn next(&self, inodes: &Inodes, ino: u64) -> Vec<BlockId> {
        let mut walk = Walk { inodes, left: MOST_LOOKED_INTO, most: self.grow(), blocks: vec![] };
        let (mut after, mut directory) = (ino, inodes.parent(ino));
        while let Some(listing) = inodes.listing(directory) {
            walk.take(&listing, after);
            if directory == ROOT || walk.is_done() {
                break;
            }
            (after, directory) = (directory, inodes.parent(directory));
        }
        self.asked.store(walk.blocks.len(), Ordering::Relaxed);
        walk.blocks
    }

    /// How many to ask for now: twice as many as last time if most of those were opened, else half.
    fn grow(&self) -> usize {
        let hits = self.hits.swap(0, Ordering::Relaxed);
        let (asked, last) = (self.asked.load(Ordering::Relaxed), self.most.load(Ordering::Relaxed));
        let most = if hits * 2 >= asked { last * 2 } else { last / 2 };
        let most = most.clamp(LEAST_ALSO, MOST_ALSO);
        self.most.store(most, Ordering::Relaxed);
        most
    }
}

/// A walk through what was listed lately.
struct Walk<'w> {
    inodes: &'w Inodes,
    left: usize,
    most: usize,
    blocks: Vec<BlockId>,
}

impl Walk<'_> {
    fn is_done(&self) -> bool {
        self.left == 0 || self.blocks.len() >= self.most
    }

    /// The entries of a directory after the one numbered `after`, and what is below them.
    fn take(&mut self, listing: &Listing, after: u64) {
        for entry in listing.after(after) {
            if self.is_done() {
                return;
            }
            let status = &entry.known.status;
            if status.folder {
                if let Some(below) = self.inodes.listing(entry.ino) {
                    self.left -= 1;
                    self.take(&below, 0);
                }
            } else if is_small(status) {
                self.blocks.push(status.id.block(0));
            }
        }
    }
}

fn is_small(status: &Status) -> bool {
    status.block_count() == 1 && status.length <= SMALL_FILE && status.completed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_opens_all_of_them_is_lent_more_and_one_who_opens_none_less() {
        let ahead = Ahead::default();
        let question = || {
            let most = ahead.grow();
            ahead.asked.store(most, Ordering::Relaxed);
            most
        };
        let mut last = 0;
        for _ in 0..10 {
            last = question();
            (0..last).for_each(|_| ahead.hit());
        }
        assert_eq!(last, MOST_ALSO);
        let shrinking: Vec<_> = (0..8).map(|_| question()).collect();
        assert_eq!(shrinking.first(), Some(&MOST_ALSO), "the last ones were opened");
        assert_eq!(shrinking.last(), Some(&LEAST_ALSO));
    }
}
