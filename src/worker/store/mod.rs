//! The block store: what this worker holds, in files of its directories.
//!
//! A block comes by being written (then it is the only copy, and stays until the master says it is
//! persisted) or filled from an under store (then it may be evicted). It is a plain file with its
//! data from offset 0, immutable once whole; page tables with checksums lie beside. Files are
//! removed, never truncated, so readers go on with what they have open.
//!
//! Most calls wait for a disk: their documentation says so, and they belong off the runtime's
//! threads. Finding a block never waits.

mod allocator;
mod block;
mod checksum;
mod dir;
mod evict;
mod recover;
#[cfg(test)]
mod tests;
mod writing;

pub use block::{Block, Held};
pub use writing::Writing;

use crate::core::config;
use crate::core::error::{ErrorKind, Result, resource_exhausted};
use crate::core::metrics::{Counter, Metrics, names};
use crate::core::model::{BlockId, FileId};
use allocator::Room;
use block::Parts;
use bytes::Bytes;
use checksum::PageTable;
use dir::{Dir, Name, Origin, Space};
use evict::{Candidate, Pins};
use parking_lot::RwLock;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How full the store is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All it may hold.
    pub capacity: u64,
    /// What it holds.
    pub used: u64,
    /// Of that: what exists nowhere else.
    pub unpersisted: u64,
}

/// The blocks of this worker.
#[derive(Debug)]
pub struct BlockStore {
    dirs: Vec<Arc<Dir>>,
    blocks: RwLock<HashMap<BlockId, Arc<Block>>>,
    page_size: u64,
    watermark_low: f64,
    watermark_high: f64,
    /// Counts accesses: what "used lately" means.
    ticks: AtomicU64,
    generation: AtomicU64,
    unpersisted: AtomicU64,
    pins: RwLock<Pins>,
    evicted: Counter,
}

impl BlockStore {
    /// Opens the store and takes in the blocks it finds. Waits for the disks.
    ///
    /// # Errors
    /// What keeps a directory from being used, naming it and the setting.
    pub fn open(config: &config::Worker, metrics: &Metrics) -> Result<Arc<BlockStore>> {
        let mut dirs = Vec::new();
        for dir in &config.dirs.0 {
            dirs.push(Arc::new(Dir::open(dir)?));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let store = BlockStore {
            dirs,
            blocks: RwLock::default(),
            page_size: config.page_size.0,
            watermark_low: config.watermark_low.0,
            watermark_high: config.watermark_high.0,
            ticks: AtomicU64::new(1),
            generation: AtomicU64::new(now.as_nanos() as u64),
            unpersisted: AtomicU64::new(0),
            pins: RwLock::default(),
            evicted: metrics.counter(&names::WORKER_EVICTED_BLOCKS),
        };
        let mut found = Vec::new();
        for dir in &store.dirs {
            found.extend(recover::scan(dir, store.page_size)?);
        }
        // In the order they were written: the oldest is the first to be evicted.
        found.sort_by_key(|(written, _)| *written);
        for (_, block) in found {
            store.take_in(block);
        }
        Ok(Arc::new(store))
    }

    /// Bytes in a page of a new block.
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The block, or as much of it as is there; counts as an access.
    pub fn get(&self, id: BlockId) -> Option<Arc<Block>> {
        let block = self.peek(id)?;
        block.touch(self.ticks.fetch_add(1, Ordering::Relaxed));
        Some(block)
    }

    /// The block, without counting an access.
    pub fn peek(&self, id: BlockId) -> Option<Arc<Block>> {
        self.blocks.read().get(&id).cloned()
    }

    /// All blocks there are, and parts of such.
    pub fn blocks(&self) -> Vec<Arc<Block>> {
        self.blocks.read().values().cloned().collect()
    }

    /// How many blocks there are, or parts of such.
    pub fn count(&self) -> usize {
        self.blocks.read().len()
    }

    /// The clusters that blocks here were of, as far as the directories say. Waits for the disks.
    ///
    /// # Errors
    /// Why a directory cannot be read.
    pub fn clusters(&self) -> Result<Vec<String>> {
        self.dirs.iter().map(|dir| dir.cluster()).collect()
    }

    /// Notes which cluster blocks here are of. Waits for the disks.
    ///
    /// # Errors
    /// Why a directory cannot be written to.
    pub fn set_cluster(&self, cluster: &str) -> Result<()> {
        self.dirs.iter().try_for_each(|dir| dir.set_cluster(cluster))
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        Usage {
            capacity: self.dirs.iter().map(|dir| dir.quota()).sum(),
            used: self.dirs.iter().map(|dir| dir.used()).sum(),
            unpersisted: self.unpersisted.load(Ordering::Relaxed),
        }
    }

    /// The files that blocks here are of.
    pub fn files(&self) -> HashSet<FileId> {
        self.blocks.read().keys().map(|id| id.file()).collect()
    }

    /// The blocks of these files.
    pub fn blocks_of(&self, files: &HashSet<FileId>) -> Vec<BlockId> {
        self.blocks.read().keys().filter(|id| files.contains(&id.file())).copied().collect()
    }

    /// The blocks that may be dropped, since they exist elsewhere too.
    pub fn persisted(&self) -> Vec<BlockId> {
        let blocks = self.blocks.read();
        blocks.values().filter(|block| !block.is_unpersisted()).map(|block| block.id()).collect()
    }

    /// Starts to write a block of about `expected` bytes. Waits for the disk.
    ///
    /// # Errors
    /// `ResourceExhausted` when no directory could ever hold it.
    pub fn write(self: &Arc<Self>, id: BlockId, expected: u64) -> Result<Writing> {
        Writing::start(self, id, expected)
    }

    /// A block to be filled with pages: the one that is being filled already, or a new one.
    ///
    /// # Errors
    /// `ResourceExhausted` when no directory could ever hold it.
    pub fn begin(&self, id: BlockId, length: u64, version: &str) -> Result<Arc<Block>> {
        if let Some(block) = self.get(id) {
            return Ok(block);
        }
        let dir = self.dirs_for(length).into_iter().next().ok_or_else(|| {
            resource_exhausted(format!("no directory of this worker can hold {length} bytes"))
        })?;
        let block = Block::new(Parts {
            name: self.next_name(id),
            origin: Origin::Filled,
            pages: PageTable::empty(length, self.page_size),
            version: version.into(),
            unpersisted: false,
            space: Space::none(&dir),
            dir,
        });
        block.touch(self.ticks.fetch_add(1, Ordering::Relaxed));
        let block = Arc::new(block);
        Ok(self.blocks.write().entry(id).or_insert(block).clone())
    }

    /// Puts pages from `index` on into a block that is being filled, each given as pieces. Returns
    /// the block's file: the next pages go faster as long as the caller has it. Waits for the disk.
    ///
    /// # Errors
    /// `ResourceExhausted` when there is no room, `Aborted` when the block has been removed.
    pub fn put_pages(
        &self,
        block: &Block,
        index: usize,
        pages: &[Vec<Bytes>],
    ) -> Result<Arc<File>> {
        let more = pages.iter().flatten().map(Bytes::len).sum::<usize>() as u64;
        let grow = |limit| block.grow(more, limit);
        if !self.make_room(&block.dir, more, Some(block.id()), grow)? {
            return Err(resource_exhausted(format!(
                "no room to fill block {} in {}: all else there is being filled, pinned or not \
                 persisted yet; raise its quota in goosefs.worker.dirs",
                block.id(),
                block.dir.root().display()
            )));
        }
        let mut written = block.write_pages(index, pages);
        if disk_is_full(&written) && self.make_room_on_disk(&block.dir, more, Some(block.id())) {
            written = block.write_pages(index, pages);
        }
        if written.is_err() {
            block.shrink(more);
        }
        if block.is_removed() {
            // Removed while we wrote: the file may have been made anew.
            block.dir.remove(block.origin, block.name);
        }
        written
    }

    /// Notes which pages of half-filled blocks are there, for the next start. Waits for the disk.
    pub fn save_partial(&self) {
        let blocks: Vec<_> = self.blocks.read().values().cloned().collect();
        for block in blocks.iter().filter(|block| !block.is_whole() && block.bytes_held() > 0) {
            if let Err(error) = block.write_table() {
                tracing::warn!(block = %block.id(), %error, "its pages will be filled anew");
            }
        }
    }

    /// Removes a block; says whether it was there. Waits for the disk.
    pub fn remove(&self, id: BlockId) -> bool {
        let block = self.blocks.write().remove(&id);
        block.is_some_and(|block| self.dispose(&block))
    }

    /// Removes this very block, not one that came in its place. Waits for the disk.
    pub fn discard(&self, block: &Arc<Block>) {
        let mut blocks = self.blocks.write();
        if blocks.get(&block.id()).is_some_and(|current| Arc::ptr_eq(current, block)) {
            blocks.remove(&block.id());
        }
        drop(blocks);
        self.dispose(block);
    }

    /// Says which files' blocks are not to be evicted, in place of what was said before.
    pub fn set_pins(&self, files: Vec<FileId>) {
        *self.pins.write() = Pins::new(files);
    }

    /// Notes that a block exists elsewhere too, so that it may be evicted. Waits for the disk.
    pub fn set_persisted(&self, id: BlockId) {
        let Some(block) = self.peek(id) else { return };
        if block.set_persisted() {
            self.unpersisted.fetch_sub(block.length(), Ordering::Relaxed);
            // Where that fails the block is kept for longer than it must be.
            if let Err(error) = block.write_table() {
                tracing::warn!(block = %id, %error, "cannot note that it is persisted");
            }
        }
    }

    fn dispose(&self, block: &Block) -> bool {
        let removed = block.remove();
        if removed && block.is_unpersisted() {
            self.unpersisted.fetch_sub(block.length(), Ordering::Relaxed);
        }
        removed
    }

    /// Takes a block that has been committed in place of one of the same id.
    fn insert(&self, block: Block) -> Arc<Block> {
        block.touch(self.ticks.fetch_add(1, Ordering::Relaxed));
        if block.is_unpersisted() {
            self.unpersisted.fetch_add(block.length(), Ordering::Relaxed);
        }
        let block = Arc::new(block);
        let before = self.blocks.write().insert(block.id(), block.clone());
        if let Some(before) = before {
            self.dispose(&before);
        }
        block
    }

    /// Takes in a block found at the start. Of two, the only copy stays, else the later one.
    fn take_in(&self, block: Block) {
        let rank = |block: &Block| (block.is_unpersisted(), block.name.generation);
        match self.peek(block.id()) {
            Some(other) if rank(&other) > rank(&block) => {
                block.remove();
            }
            _ => {
                self.insert(block);
            }
        }
    }

    fn next_name(&self, block: BlockId) -> Name {
        Name { block, generation: self.generation.fetch_add(1, Ordering::Relaxed) }
    }

    /// The directories that may hold `bytes` more, the first choice first.
    fn dirs_for(&self, bytes: u64) -> Vec<Arc<Dir>> {
        let room = |dir: &Arc<Dir>| Room {
            medium: dir.medium().into(),
            quota: dir.quota(),
            free: self.high(dir).saturating_sub(dir.used()),
        };
        let rooms: Vec<Room> = self.dirs.iter().map(room).collect();
        allocator::order(&rooms, bytes).into_iter().map(|index| self.dirs[index].clone()).collect()
    }

    fn high(&self, dir: &Dir) -> u64 {
        (dir.quota() as f64 * self.watermark_high) as u64
    }

    /// Lets `grow` take space in `dir` up to a limit: the high watermark, or after eviction the
    /// quota. Says whether it could. Spares the block `except`.
    fn make_room(
        &self,
        dir: &Arc<Dir>,
        more: u64,
        except: Option<BlockId>,
        mut grow: impl FnMut(u64) -> Result<bool>,
    ) -> Result<bool> {
        if grow(self.high(dir))? {
            return Ok(true);
        }
        let _one_at_a_time = dir.evicting.lock();
        let (low, high) = (self.watermark_low, self.watermark_high);
        let excess = evict::excess(dir.used(), more, dir.quota(), low, high);
        if excess > 0 {
            self.evict(dir, excess, except);
        }
        grow(dir.quota())
    }

    /// Evicts since the disk itself is full, whatever the quota says: others may use it too. Says
    /// whether anything came free.
    fn make_room_on_disk(&self, dir: &Arc<Dir>, bytes: u64, except: Option<BlockId>) -> bool {
        let _one_at_a_time = dir.evicting.lock();
        let before = dir.used();
        self.evict(dir, bytes, except);
        dir.used() < before
    }

    fn evict(&self, dir: &Arc<Dir>, bytes: u64, except: Option<BlockId>) {
        let pins = self.pins.read().clone();
        let evictable = |block: &&Arc<Block>| {
            Arc::ptr_eq(&block.dir, dir)
                && !block.is_unpersisted()
                && !block.is_held()
                && !pins.contains(block.id().file())
                && Some(block.id()) != except
                // One that is being filled has somebody else who holds it.
                && (block.is_whole() || Arc::strong_count(block) == 1)
        };
        let candidate = |block: &Arc<Block>| Candidate {
            accessed: block.accessed(),
            block: block.id(),
            bytes: block.bytes_held(),
        };
        let candidates =
            self.blocks.read().values().filter(evictable).map(candidate).collect::<Vec<_>>();
        for id in evict::coldest(candidates, bytes) {
            if self.remove(id) {
                self.evicted.inc();
            }
        }
    }
}

/// Whether a write failed since the disk has no space left.
fn disk_is_full<T>(written: &Result<T>) -> bool {
    written.as_ref().is_err_and(|error| is_full(error.kind()))
}

/// Whether an error means that the store has no room, so that data has to go around it.
pub fn is_full(kind: ErrorKind) -> bool {
    kind == ErrorKind::ResourceExhausted
}
