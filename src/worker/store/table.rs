//! The table of blocks, and with it the orders in which they go: the two change together, under the
//! table's lock.

use super::BlockStore;
use super::block::Block;
use crate::core::eviction::{Orders, Owner};
use crate::core::model::BlockId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl BlockStore {
    /// Takes this very block out of the table.
    pub(super) fn take_out(&self, block: &Arc<Block>) {
        let mut blocks = self.blocks.write();
        if blocks.get(&block.id()).is_some_and(|current| Arc::ptr_eq(current, block)) {
            blocks.remove(&block.id());
            unlist(block);
        }
    }

    /// Takes a block out of the table of which no page is there: it is in no order, so it would never
    /// go. Says whether it did; [`BlockStore::discard`] removes what there is of its file.
    pub fn take_out_empty(&self, block: &Arc<Block>) -> bool {
        let is_empty = block.bytes_held() == 0 && !block.is_whole() && !block.is_removed();
        if is_empty {
            self.take_out(block);
        }
        is_empty
    }

    /// Drops a block that was taken out of its order to go, unless it has come in again meanwhile since
    /// somebody wants it here. Says whether it did. Waits for the disk.
    pub(super) fn drop_unless_wanted(&self, block: &Arc<Block>) -> bool {
        let mut blocks = self.blocks.write();
        if block.dir().order.lock().has(key(block.id())) {
            return false;
        }
        if blocks.get(&block.id()).is_some_and(|current| Arc::ptr_eq(current, block)) {
            blocks.remove(&block.id());
            unlist(block);
        }
        drop(blocks);
        self.dispose(block)
    }

    pub(super) fn dispose(&self, block: &Block) -> bool {
        let removed = block.remove();
        if removed && block.is_unpersisted() {
            self.unpersisted.fetch_sub(block.length(), Ordering::Relaxed);
        }
        removed
    }

    /// Puts a block that may be evicted into the order in which they go, with what it holds.
    pub(super) fn list(&self, block: &Arc<Block>) {
        self.put_in_order(block, Orders::insert);
    }

    /// Puts a block where those of its owner go, whom it was not known to have. It does not become
    /// newer by that: one that nobody has asked for since the start stays behind what has come since.
    pub(super) fn list_as_owned(&self, block: &Arc<Block>, before_others: bool) {
        self.put_in_order(block, |orders, key, bytes, owner| {
            orders.belongs(key, bytes, owner, before_others);
        });
    }

    /// Puts a block into the order of its mount as one that has proved itself, if it may go at all:
    /// whoever is loaded by name, or comes from another worker, is no passer-by and does not go before
    /// what nobody has asked for in long. Says whether it is there.
    pub fn keep(&self, block: &Arc<Block>) -> bool {
        self.put_in_order(block, Orders::keep)
    }

    fn put_in_order(
        &self,
        block: &Arc<Block>,
        put: impl FnOnce(&mut Orders, u64, u64, Owner),
    ) -> bool {
        let blocks = self.blocks.read();
        let current = blocks.get(&block.id()).is_some_and(|current| Arc::ptr_eq(current, block));
        if current && !block.is_unpersisted() {
            let (dir, owner) = block.dir_and_owner();
            put(&mut dir.order.lock(), key(block.id()), block.bytes_held(), owner);
        }
        current
    }

    /// Puts a block back that was to go and could not.
    pub(super) fn postpone(&self, id: BlockId) {
        let blocks = self.blocks.read();
        if let Some(block) = blocks.get(&id).filter(|block| !block.is_unpersisted()) {
            let (dir, owner) = block.dir_and_owner();
            dir.order.lock().postpone(key(id), block.bytes_held(), owner);
        }
    }

    /// Takes a block that has been committed in place of one of the same id.
    pub(super) fn insert(&self, block: Block) -> Arc<Block> {
        if block.is_unpersisted() {
            self.unpersisted.fetch_add(block.length(), Ordering::Relaxed);
        }
        block.heat.touch(self.ticks.fetch_add(1, Ordering::Relaxed));
        // The mount stays known of a block that is written anew: it is one of the same file.
        let mount = self.peek(block.id()).map_or(0, |before| before.mount());
        block.charge(&self.accounts.of(mount));
        if mount == 0 {
            self.accounts.note_unknown(block.id());
        }
        let block = Arc::new(block);
        let before = {
            let mut blocks = self.blocks.write();
            blocks.insert(block.id(), block.clone()).inspect(unlist)
        };
        if let Some(before) = before {
            self.dispose(&before);
        }
        self.note_placed(&block);
        block
    }

    /// Takes in a block found on a disk. Of two with the same bytes, as a move leaves them when it is
    /// broken off, the one in the faster tier stays; else the only copy, else the later one.
    pub(super) fn take_in(&self, block: Block) {
        let rank = |block: &Block, same: bool| {
            let site = block.site();
            let tier = if same { site.dir.tier() } else { 0 };
            (block.is_unpersisted(), std::cmp::Reverse(tier), site.name.generation)
        };
        match self.peek(block.id()) {
            Some(other)
                if rank(&other, other.is_same_as(&block))
                    > rank(&block, other.is_same_as(&block)) =>
            {
                block.remove();
            }
            _ => {
                let block = self.insert(block);
                self.keep(&block);
            }
        }
    }
}

/// A block's key in the order of its directory.
pub(super) fn key(id: BlockId) -> u64 {
    id.0 as u64
}

pub(super) fn unlist(block: &Arc<Block>) {
    let (dir, owner) = block.dir_and_owner();
    dir.order.lock().remove(key(block.id()), owner.mount);
}
