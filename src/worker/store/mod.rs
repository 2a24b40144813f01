//! The block store: what this worker holds, in files of its directories.
//!
//! A block comes by being written (then it is the only copy, and stays until the master says it is
//! persisted) or filled from an under store (then it may be evicted). It is a plain file with its
//! data from offset 0, immutable once whole; page tables with checksums lie beside. Files are
//! removed, never truncated, so readers go on with what they have open.
//!
//! Directories of one medium are a tier, the faster ones first. What leaves a tier moves to the next
//! where that can take it, and what is hot moves up (`tier`); which goes first `evict` asks
//! [`crate::core::eviction`]. A directory whose disk fails is taken out of service (`health`) and
//! the others go on.
//!
//! Most calls wait for a disk: their documentation says so, and they belong off the runtime's
//! threads. Finding a block never waits.

mod account;
mod allocator;
mod block;
mod checksum;
mod dir;
mod evict;
mod health;
mod heat;
pub mod layout;
mod lease;
mod mend;
mod pins;
mod recover;
mod space;
mod speed;
mod table;
#[cfg(test)]
mod tests;
mod tier;
mod trace;
mod writing;

pub use account::Allowance;
pub use block::{Block, Held};
pub use health::Damage;
pub use pins::Pins;
pub use writing::Writing;

use crate::core::config;
use crate::core::error::{Error, ErrorKind, Result, resource_exhausted};
use crate::core::metrics::{Counter, Metrics, names};
use crate::core::model::{BlockId, FileId, MountId, TierUsage};
use account::Accounts;
use allocator::Room;
use block::{Parts, Site};
use bytes::Bytes;
use checksum::PageTable;
use dir::{Dir, Name, Origin};
use evict::Asked;
use parking_lot::{Mutex, RwLock};
use pins::Misplaced;
use space::Space;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use table::{key, unlist};
use tier::Moves;
use tokio::sync::Notify;
use trace::Trace;

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
    /// In the order of the configuration, which is that of the tiers.
    dirs: Vec<Arc<Dir>>,
    /// The orders of the directories change with this, under its lock.
    blocks: RwLock<HashMap<BlockId, Arc<Block>>>,
    page_size: u64,
    watermark_low: f64,
    watermark_high: f64,
    /// Counts accesses: what "used lately" means.
    ticks: AtomicU64,
    /// The first of them that is not of what was found at the start.
    started: u64,
    generation: AtomicU64,
    unpersisted: AtomicU64,
    pins: RwLock<Pins>,
    /// Blocks that are not on the medium they are pinned to.
    misplaced: Mutex<Misplaced>,
    accounts: Accounts,
    /// The cluster blocks here are of; empty before anybody said.
    cluster: Mutex<String>,
    moves: Moves,
    /// Told when there is something to tend.
    untidy: Notify,
    evicted: Counter,
    /// What is asked for, where that is to be recorded.
    trace: Option<Trace>,
}

impl BlockStore {
    /// Opens the store and takes in the blocks it finds. A directory that cannot be used is left out
    /// as long as another can. Waits for the disks.
    ///
    /// # Errors
    /// What keeps the directories from being used, naming one and the setting.
    pub fn open(config: &config::Worker, metrics: &Metrics) -> Result<Arc<BlockStore>> {
        layout::check(config)?;
        let dirs = open_dirs(config)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let capacity = dirs.iter().map(|dir| dir.quota()).sum();
        let mut store = BlockStore {
            trace: Trace::open(config, capacity)?,
            dirs,
            blocks: RwLock::default(),
            page_size: config.page_size.0,
            watermark_low: config.watermark_low.0,
            watermark_high: config.watermark_high.0,
            ticks: AtomicU64::new(1),
            started: 0,
            generation: AtomicU64::new(now.as_nanos() as u64),
            unpersisted: AtomicU64::new(0),
            pins: RwLock::default(),
            misplaced: Mutex::default(),
            accounts: Accounts::default(),
            cluster: Mutex::default(),
            moves: Moves::new(config, metrics),
            untidy: Notify::new(),
            evicted: metrics.counter(&names::WORKER_EVICTED_BLOCKS),
        };
        let mut found = Vec::new();
        for dir in &store.dirs {
            if dir.is_lost() {
                continue;
            }
            match recover::scan(dir, store.page_size) {
                Ok(blocks) => found.extend(blocks),
                Err(error) if store.serving().count() == 1 => return Err(error),
                Err(error) => {
                    tracing::error!(dir = %dir.root().display(), %error, "a directory of goosefs.worker.dirs is left out");
                    dir.lose(error.to_string());
                }
            }
        }
        // In the order they were written: the oldest is the first to be evicted.
        found.sort_by_key(|(written, _)| *written);
        for (_, block) in found {
            store.take_in(block);
        }
        store.started = *store.ticks.get_mut();
        Ok(Arc::new(store))
    }

    /// Bytes in a page of a new block.
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The block, or as much of it as is there, for a read from `offset` on: the first of a pass
    /// counts as an access.
    pub fn get(&self, id: BlockId, offset: u64) -> Option<Arc<Block>> {
        let block = self.peek(id)?;
        if block.heat.begins_pass(offset, block.length(), self.moves.now_ms()) {
            self.accessed(&block);
        }
        Some(block)
    }

    /// The block for somebody who wants its file, if it is whole; counts as an access, but for the
    /// reader who has just had it filled.
    pub fn get_whole(&self, id: BlockId) -> Option<Arc<Block>> {
        let block = self.peek(id).filter(|block| block.is_whole())?;
        if block.heat.begins_pass_whole(self.moves.now_ms()) {
            self.accessed(&block);
        }
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

    /// Writes what was recorded of accesses. Waits for the disk.
    ///
    /// # Errors
    /// Why it could not be written.
    pub fn flush_trace(&self) -> Result<()> {
        self.trace.as_ref().map_or(Ok(()), Trace::flush)
    }

    /// Whether accesses are recorded.
    pub fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Notes that a block was asked for, or written, where that is recorded.
    pub fn note_access(&self, id: BlockId, size: u64) {
        if let Some(trace) = &self.trace {
            trace.note(id, size);
        }
    }

    /// The clusters that blocks here were of, as far as the directories say. Waits for the disks.
    ///
    /// # Errors
    /// Why a directory cannot be read.
    pub fn clusters(&self) -> Result<Vec<String>> {
        self.serving().map(|dir| dir.cluster()).collect()
    }

    /// Notes which cluster blocks here are of. Waits for the disks.
    ///
    /// # Errors
    /// Why a directory cannot be written to.
    pub fn set_cluster(&self, cluster: &str) -> Result<()> {
        self.serving().try_for_each(|dir| dir.set_cluster(cluster))?;
        *self.cluster.lock() = cluster.into();
        Ok(())
    }

    /// How full it is; what is out of service holds nothing.
    pub fn usage(&self) -> Usage {
        Usage {
            capacity: self.serving().map(|dir| dir.quota()).sum(),
            used: self.serving().map(|dir| dir.used()).sum(),
            unpersisted: self.unpersisted.load(Ordering::Relaxed),
        }
    }

    /// Bytes it holds before eviction begins.
    pub fn evicts_above(&self) -> u64 {
        self.serving().map(|dir| self.high(dir)).sum()
    }

    /// How full each directory is.
    pub fn tiers(&self) -> Vec<TierUsage> {
        let usage = |dir: &Arc<Dir>| TierUsage {
            medium: dir.medium().into(),
            dir: dir.root().display().to_string(),
            capacity_bytes: dir.quota(),
            used_bytes: dir.used(),
            lost: dir.is_lost(),
        };
        self.dirs.iter().map(usage).collect()
    }

    /// The directories that are out of service.
    pub fn lost_dirs(&self) -> Vec<String> {
        let lost = self.dirs.iter().filter(|dir| dir.is_lost());
        lost.map(|dir| dir.root().display().to_string()).collect()
    }

    fn serving(&self) -> impl Iterator<Item = &Arc<Dir>> {
        self.dirs.iter().filter(|dir| !dir.is_lost())
    }

    /// The files that blocks here are of.
    pub fn files(&self) -> HashSet<FileId> {
        self.blocks.read().keys().map(|id| id.file()).collect()
    }

    /// All blocks; those of a file lie together.
    pub fn ids(&self) -> Vec<BlockId> {
        let mut ids: Vec<BlockId> = self.blocks.read().keys().copied().collect();
        ids.sort_unstable();
        ids
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

    /// A block to be filled with pages, of an object of `mount` (0 where that is not known): the one
    /// that is being filled already, or a new one.
    ///
    /// # Errors
    /// `ResourceExhausted` when no directory could ever hold it, or its mount's quota.
    pub fn begin(
        &self,
        id: BlockId,
        length: u64,
        version: &str,
        mount: MountId,
    ) -> Result<Arc<Block>> {
        if let Some(block) = self.peek(id) {
            if mount != 0 && block.mount() == 0 {
                self.belongs_to(&block, mount);
            }
            return Ok(block);
        }
        let account = self.accounts.of(mount);
        self.check_quota(&account, length)?;
        let dir = self.dirs_for_block(id, length).into_iter().next().ok_or_else(|| {
            resource_exhausted(format!("no directory of this worker can hold {length} bytes"))
        })?;
        let mut space = Space::none(&dir);
        space.promise(length);
        let block = Arc::new(Block::new(Parts {
            site: Site { dir, origin: Origin::Filled, name: self.next_name(id) },
            pages: PageTable::empty(length, self.page_size),
            version: version.into(),
            unpersisted: false,
            space,
        }));
        block.charge(&account);
        if mount == 0 {
            self.accounts.note_unknown(id);
        }
        block.heat.begin(self.moves.now_ms());
        block.heat.touch(self.ticks.fetch_add(1, Ordering::Relaxed));
        // What another worker sends comes without a mount, and nobody here asked for it.
        if mount != 0 {
            self.note_access(id, length);
        }
        Ok(self.blocks.write().entry(id).or_insert(block).clone())
    }

    /// Puts pages from `index` on into a block that is being filled, each given as pieces. Returns
    /// the block's file: the next pages go faster as long as the caller has it. Waits for the disk.
    ///
    /// # Errors
    /// `ResourceExhausted` when there is no room, `Aborted` when the block has been removed or its
    /// disk has failed.
    pub fn put_pages(
        &self,
        block: &Arc<Block>,
        index: usize,
        pages: &[Vec<Bytes>],
    ) -> Result<Arc<File>> {
        let more = pages.iter().flatten().map(Bytes::len).sum::<usize>() as u64;
        let dir = block.dir();
        if !self.make_room_for(block, &dir, more)? {
            return Err(resource_exhausted(format!(
                "no room to fill block {} in {}: all else there is being filled or read, lent, \
                 pinned, not persisted yet or of a higher priority; raise its quota in \
                 goosefs.worker.dirs",
                block.id(),
                dir.root().display()
            )));
        }
        block.heat.piece(self.moves.now_ms());
        let mut written = block.write_pages(index, pages);
        let asked = Asked { more, except: Some(block.id()), most: block.priority() };
        if disk_is_full(&written) && self.make_room_on_disk(&dir, asked) {
            written = block.write_pages(index, pages);
        }
        if let Err(error) = &written {
            block.shrink(more);
            if is_full(error.kind()) {
                dir.find_full();
                if self
                    .dirs_for(block.length())
                    .first()
                    .is_some_and(|other| !Arc::ptr_eq(other, &dir))
                {
                    self.discard(block);
                    let text =
                        format!("the disk of {} is full: filled elsewhere", dir.root().display());
                    return Err(Error::new(ErrorKind::Aborted, text));
                }
            } else if self.suspect(&dir) {
                let text = format!("{}: its disk has failed", dir.root().display());
                return Err(Error::new(ErrorKind::Aborted, text));
            }
        }
        if block.is_removed() {
            // Removed while we wrote: the file may have been made anew.
            block.site().remove();
        }
        self.list(block);
        self.note_placed(block);
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
        let block = {
            let mut blocks = self.blocks.write();
            blocks.remove(&id).inspect(unlist)
        };
        block.is_some_and(|block| self.dispose(&block))
    }

    /// Removes this very block, not one that came in its place. Waits for the disk.
    pub fn discard(&self, block: &Arc<Block>) {
        self.take_out(block);
        self.dispose(block);
    }

    /// Notes that a block exists elsewhere too, so that it may be evicted. Waits for the disk.
    pub fn set_persisted(&self, id: BlockId) {
        let Some(block) = self.peek(id) else { return };
        if block.set_persisted() {
            self.unpersisted.fetch_sub(block.length(), Ordering::Relaxed);
            self.list(&block);
            // Where that fails the block is kept for longer than it must be.
            if let Err(error) = block.write_table() {
                tracing::warn!(block = %id, %error, "cannot note that it is persisted");
            }
        }
    }

    fn next_name(&self, block: BlockId) -> Name {
        Name { block, generation: self.generation.fetch_add(1, Ordering::Relaxed) }
    }

    /// The directories that may hold `bytes` more, the first choice first.
    fn dirs_for(&self, bytes: u64) -> Vec<Arc<Dir>> {
        self.choose(self.serving().cloned().collect(), bytes)
    }

    /// Those of `dirs` that may hold `bytes` more, the first choice first.
    fn choose(&self, dirs: Vec<Arc<Dir>>, bytes: u64) -> Vec<Arc<Dir>> {
        let room = |dir: &Arc<Dir>| Room {
            medium: dir.medium().into(),
            quota: dir.quota(),
            free: dir.free(),
            speed: dir.speed.get(),
        };
        let rooms: Vec<Room> = dirs.iter().map(room).collect();
        // Spreads evenly, and the same way in every run.
        let turn = self.generation.load(Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let draw = (turn >> 11) as f64 / (1u64 << 53) as f64;
        allocator::order(&rooms, bytes, draw).into_iter().map(|index| dirs[index].clone()).collect()
    }

    fn high(&self, dir: &Dir) -> u64 {
        (dir.quota() as f64 * self.watermark_high) as u64
    }
}

/// The directories, each in its tier; one that its disk keeps from being used is out of service from
/// the start.
fn open_dirs(config: &config::Worker) -> Result<Vec<Arc<Dir>>> {
    let (mut dirs, mut first) = (Vec::new(), None);
    let tiers = config.dirs.0.chunk_by(|a, b| a.medium == b.medium).enumerate();
    for (tier, dir) in tiers.flat_map(|(tier, dirs)| dirs.iter().map(move |dir| (tier, dir))) {
        let dir = match Dir::open(dir, tier, config.eviction_policy) {
            Ok(dir) => dir,
            Err(error) if is_setting(error.kind()) => return Err(error),
            Err(error) => {
                tracing::error!(%error, "a directory of goosefs.worker.dirs is left out");
                let why = error.to_string();
                first.get_or_insert(error);
                Dir::lost(dir, tier, config.eviction_policy, why)
            }
        };
        dirs.push(Arc::new(dir));
    }
    match first {
        Some(error) if dirs.iter().all(|dir| dir.is_lost()) => Err(error),
        _ => Ok(dirs),
    }
}

/// Whether an error is of the configuration, not of a disk.
fn is_setting(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidArgument | ErrorKind::FailedPrecondition)
}

/// Whether a write failed since the disk has no space left.
fn disk_is_full<T>(written: &Result<T>) -> bool {
    written.as_ref().is_err_and(|error| is_full(error.kind()))
}

/// Whether an error means that the store has no room, so that data has to go around it.
pub fn is_full(kind: ErrorKind) -> bool {
    kind == ErrorKind::ResourceExhausted
}
