//! Making room: which blocks may go, and letting them go until there is enough.
//!
//! A fill or a write takes room up to the quota and waits for nobody. Above the high watermark a duty
//! begins to lower the directory to the low one, moving what goes to the next tier where it can
//! ([`super::tier`]). Only at the quota does a fill make room itself, and then blocks just go: they
//! can be had again. What is the only copy is never in the order of those that go; what is pinned is
//! put aside until pins change; what somebody has open, holds or fills, until the duty looks again.
//! First go blocks of mounts that have more than their quota ([`super::account`]), then those of a lower
//! priority, then whichever the policy says.

use super::block::Block;
use super::dir::Dir;
use super::{BlockStore, key};
use crate::core::error::Result;
use crate::core::model::{BlockId, MountId, Priority};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Blocks that are looked at to make room once: with more than that in use, a fill is refused.
const MOST_TRIES: usize = 4096;
/// Times a fill tries to get what it made free.
const MOST_ROUNDS: usize = 64;
/// What a fill that meets a full directory frees beyond its own need, as a part of the quota: so not
/// every page has to.
const SPARE_PART: u64 = 100;

/// Bytes to free in a directory with `used` of `quota` bytes in use: none below the high watermark,
/// above it as many as bring it down to the low one.
pub fn above(used: u64, quota: u64, low: f64, high: f64) -> u64 {
    let share = |part: f64| (quota as f64 * part) as u64;
    if used <= share(high) { 0 } else { used - share(low) }
}

/// Room that somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Bytes.
    pub more: u64,
    /// A block that does not go for it.
    pub except: Option<BlockId>,
    /// The highest priority of which blocks go for it.
    pub most: Priority,
}

/// Which blocks may go.
#[derive(Clone, Copy, Debug)]
pub enum From {
    /// Those of a mount that has a quota.
    Mount(MountId),
    /// Those of no higher priority.
    UpTo(Priority),
}

/// What was found at the front of the order.
pub enum Next {
    /// A block that may go; it is in no order any more.
    Victim(Arc<Block>),
    /// One that may not, and is elsewhere now.
    Passed,
    /// Nothing is left.
    Empty,
}

impl BlockStore {
    /// Counts that somebody began to read a block.
    pub(super) fn accessed(&self, block: &Arc<Block>) {
        block.heat.touch(self.ticks.fetch_add(1, Ordering::Relaxed));
        self.note_access(block.id(), block.length());
        let (dir, owner) = block.dir_and_owner();
        dir.order.lock().access(key(block.id()), owner.mount);
        if dir.tier() > 0 {
            self.warmed(block);
        }
    }

    /// Lets `grow` take space in `dir` up to a limit: the high watermark, else the quota, else what
    /// evicting leaves of it. Says whether it could.
    pub(super) fn make_room(
        &self,
        dir: &Arc<Dir>,
        asked: Asked,
        mut grow: impl FnMut(u64) -> Result<bool>,
    ) -> Result<bool> {
        if grow(self.high(dir))? {
            return Ok(true);
        }
        self.untidy.notify_one();
        if grow(dir.quota())? {
            return Ok(true);
        }
        let _one_at_a_time = dir.evicting.lock();
        // Others, who had no need to wait, may take what came free.
        for _ in 0..MOST_ROUNDS {
            let wanted = dir.used().saturating_add(asked.more).saturating_sub(dir.quota());
            let more = wanted.saturating_add(dir.quota() / SPARE_PART);
            let freed = wanted == 0 || self.evict(dir, Asked { more, ..asked }) > 0;
            if grow(dir.quota())? {
                return Ok(true);
            }
            if !freed {
                break;
            }
        }
        Ok(false)
    }

    /// Evicts since the disk itself is full, whatever the quota says: others may use it too. Says
    /// whether anything came free.
    pub(super) fn make_room_on_disk(&self, dir: &Arc<Dir>, asked: Asked) -> bool {
        let _one_at_a_time = dir.evicting.lock();
        self.evict(dir, asked) > 0
    }

    /// Drops blocks until as much as is asked for came free, or nothing more may go; returns how many
    /// bytes did.
    fn evict(&self, dir: &Arc<Dir>, asked: Asked) -> u64 {
        let mut freed = 0;
        let mut looked_again = false;
        for _ in 0..MOST_TRIES {
            if freed >= asked.more {
                break;
            }
            match self.next_victim(dir, asked.except, From::UpTo(asked.most)) {
                Next::Victim(block) => freed += self.drop_victim(&block),
                Next::Passed => {}
                Next::Empty if looked_again => break,
                Next::Empty => {
                    looked_again = true;
                    self.look_again(dir);
                }
            }
        }
        freed
    }

    /// Drops a block that was taken out of its order to go; returns how many bytes came free.
    pub(super) fn drop_victim(&self, block: &Arc<Block>) -> u64 {
        let held = block.bytes_held();
        if !self.drop_unless_wanted(block) {
            return 0;
        }
        self.evicted.inc();
        held
    }

    /// What was in use may not be any more.
    pub(super) fn look_again(&self, dir: &Arc<Dir>) {
        let in_use = std::mem::take(&mut *dir.in_use.lock());
        in_use.into_iter().for_each(|id| self.postpone(id));
    }

    /// Takes the next block out of the order of `dir`, and sees whether it may go.
    pub(super) fn next_victim(&self, dir: &Arc<Dir>, except: Option<BlockId>, from: From) -> Next {
        let Some(next) = self.next_of(dir, from) else { return Next::Empty };
        let Some(block) = self.peek(BlockId(next as i64)) else { return Next::Passed };
        dir.order.lock().taken(next, block.mount());
        if !block.is_in(dir) {
            // It moved meanwhile, and belongs into the order there.
            self.postpone(block.id());
        } else if self.pins.read().contains(block.id().file()) {
            dir.aside.lock().push(block.id());
        } else if Some(block.id()) == except || is_in_use(&block) {
            dir.in_use.lock().insert(block.id());
        } else if !block.is_unpersisted() {
            return Next::Victim(block);
        }
        Next::Passed
    }

    /// Takes the next key out of the order of `dir`: of those who have more than they may, then of a
    /// lower priority, then by the policy.
    fn next_of(&self, dir: &Dir, from: From) -> Option<u64> {
        let most = match from {
            From::Mount(mount) => return dir.order.lock().evict_of(mount),
            From::UpTo(most) => most,
        };
        let mut over = self.accounts.over().into_iter();
        let mut order = dir.order.lock();
        over.find_map(|mount| order.evict_of(mount)).or_else(|| order.evict(most))
    }
}

/// Whether somebody relies on a block's file: by its path, with a descriptor, or filling it. The
/// caller has a reference to the block, the store another.
pub(super) fn is_in_use(block: &Arc<Block>) -> bool {
    block.is_held()
        || (!block.is_whole() && Arc::strong_count(block) > 2)
        || block.dir().is_open(&block.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_starts_at_the_high_watermark_and_stops_at_the_low_one() {
        assert_eq!(above(950, 1000, 0.8, 0.95), 0);
        assert_eq!(above(951, 1000, 0.8, 0.95), 151);
        assert_eq!(above(0, 0, 0.8, 0.95), 0);
    }
}
