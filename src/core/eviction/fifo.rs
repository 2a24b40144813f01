//! S3-FIFO: three queues, and nothing moves when it is asked for.
//!
//! ```text
//! insert ──▶ small (a tenth) ──asked for again──▶ main ──▶ goes
//!               │                                 ▲  ╰──asked for──▶ once more through main
//!               ╰──▶ goes; remembered in ghost ───╯ when it comes back soon
//! ```
//!
//! Most of what a scan brings is asked for once: it passes through the small queue and leaves main
//! alone. What went too early is remembered by key in the ghost queue, and gets into main at once
//! when it comes back. After Yang et al., "FIFO queues are all you need for cache eviction", with
//! bytes in place of counts.

use super::Eviction;
use super::list::Lists;

const SMALL: u8 = 0;
const MAIN: u8 = 1;
const GHOST: u8 = 2;
/// The small queue gives first while it has more than one in so many bytes.
const SMALL_PART: u64 = 10;
/// More is not counted: what was hot must be able to cool down.
const ASKED_MOST: u8 = 3;
/// Ghosts that are remembered however little is there.
const GHOSTS_LEAST: usize = 64;

/// The three queues.
#[derive(Debug, Default)]
pub struct S3Fifo {
    lists: Lists<3>,
    ghosts: usize,
}

impl S3Fifo {
    /// A key's ghost is gone; says whether there was one.
    fn forget(&mut self, key: u64) -> bool {
        let is_ghost = self.lists.get_mut(key).is_some_and(|node| node.list == GHOST);
        if is_ghost {
            self.lists.remove(key);
            self.ghosts -= 1;
        }
        is_ghost
    }

    /// Remembers a key that went: as many keys as are here, and as many bytes.
    fn remember(&mut self, key: u64, bytes: u64) {
        self.lists.push(GHOST, key, bytes);
        self.ghosts += 1;
        let most = self.len().max(GHOSTS_LEAST);
        while self.ghosts > most
            || (self.ghosts > GHOSTS_LEAST && self.lists.bytes(GHOST) > self.bytes())
        {
            if self.lists.pop(GHOST).is_none() {
                break;
            }
            self.ghosts -= 1;
        }
    }

    /// Takes from the small queue what nobody asked for again; what somebody did gets into main.
    fn evict_small(&mut self) -> Option<(u64, u64)> {
        while let Some(node) = self.lists.pop(SMALL) {
            if node.asked == 0 {
                self.remember(node.key, node.bytes);
                return Some((node.key, node.bytes));
            }
            self.lists.push(MAIN, node.key, node.bytes);
        }
        None
    }

    /// Takes from main what nobody asked for since it was last looked at.
    fn evict_main(&mut self) -> Option<(u64, u64)> {
        while let Some(node) = self.lists.pop(MAIN) {
            if node.asked == 0 {
                return Some((node.key, node.bytes));
            }
            self.lists.push(MAIN, node.key, node.bytes);
            if let Some(again) = self.lists.get_mut(node.key) {
                again.asked = node.asked - 1;
            }
        }
        None
    }
}

impl Eviction for S3Fifo {
    fn insert(&mut self, key: u64, bytes: u64) {
        if self.forget(key) {
            self.lists.push(MAIN, key, bytes);
        } else if self.lists.get_mut(key).is_some() {
            self.lists.resize(key, bytes);
        } else {
            self.lists.push(SMALL, key, bytes);
        }
    }

    fn keep(&mut self, key: u64, bytes: u64) {
        self.forget(key);
        self.lists.push(MAIN, key, bytes);
    }

    fn precede(&mut self, key: u64, bytes: u64) {
        if !self.has(key) {
            self.forget(key);
            self.lists.push_oldest(MAIN, key, bytes);
        }
    }

    fn postpone(&mut self, key: u64, bytes: u64) {
        // Small remembers what went from it.
        if self.forget(key) {
            self.lists.push(SMALL, key, bytes);
        } else if self.lists.get_mut(key).is_none() {
            self.lists.push(MAIN, key, bytes);
        }
    }

    fn access(&mut self, key: u64) {
        if let Some(node) = self.lists.get_mut(key).filter(|node| node.list != GHOST) {
            node.asked = (node.asked + 1).min(ASKED_MOST);
        }
    }

    fn resize(&mut self, key: u64, bytes: u64) {
        if self.lists.get_mut(key).is_some_and(|node| node.list != GHOST) {
            self.lists.resize(key, bytes);
        }
    }

    fn remove(&mut self, key: u64) {
        if self.lists.get_mut(key).is_some_and(|node| node.list != GHOST) {
            self.lists.remove(key);
        }
    }

    fn evict(&mut self) -> Option<(u64, u64)> {
        let small_first = self.lists.bytes(SMALL) >= self.bytes() / SMALL_PART;
        let (first, second) = match small_first {
            true => (self.evict_small(), MAIN),
            false => (self.evict_main(), SMALL),
        };
        first.or_else(|| match second {
            MAIN => self.evict_main(),
            _ => self.evict_small().or_else(|| self.evict_main()),
        })
    }

    fn has(&self, key: u64) -> bool {
        self.lists.list_of(key).is_some_and(|list| list != GHOST)
    }

    fn len(&self) -> usize {
        self.lists.len() - self.ghosts
    }

    fn bytes(&self) -> u64 {
        self.lists.bytes(SMALL) + self.lists.bytes(MAIN)
    }
}
