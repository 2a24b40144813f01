//! Blocks between tiers: down instead of away, up when they are hot.
//!
//! A move copies the file, verifying every page on the way, then switches: whoever opens the block
//! from then on opens the copy, whoever has the old file open reads on. When the process dies there
//! is one good copy or two equal ones, and the start keeps the one in the faster tier. The only copy
//! of a block is on the new disk for good before the old file goes.
//!
//! Moves run in the background, at a bounded rate, by one duty that calls [`BlockStore::tend`].

use super::block::{Block, Site};
use super::dir::{Dir, Origin};
use super::evict::{Asked, From, Next, above, is_in_use};
use super::space::Space;
use super::writing::sync_folder;
use super::{BlockStore, is_full, key};
use crate::core::config;
use crate::core::error::{Context, Error, ErrorKind, Result};
use crate::core::metrics::{Counter, Metrics, names};
use crate::core::model::{BlockId, Priority};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Hot blocks that wait to be moved up; more are noticed again when they are read again.
const MOST_HOT: usize = 1024;

/// What moves go by, and what is known of them.
#[derive(Debug)]
pub(super) struct Moves {
    /// Reads within `window_s` seconds that move a block up; 0 moves none.
    promote_reads: u32,
    window_s: u64,
    /// Bytes a second; 0 for no limit.
    bandwidth: u64,
    hot: Mutex<VecDeque<BlockId>>,
    begun: Instant,
    stopping: AtomicBool,
    moved_down: Counter,
    moved_up: Counter,
    moved_bytes: Counter,
}

impl Moves {
    pub(super) fn new(config: &config::Worker, metrics: &Metrics) -> Moves {
        Moves {
            promote_reads: config.promote_reads,
            window_s: config.promote_window.as_secs().max(1),
            bandwidth: config.move_bandwidth.0,
            hot: Mutex::default(),
            begun: Instant::now(),
            stopping: AtomicBool::new(false),
            moved_down: metrics.counter(&names::WORKER_MOVED_DOWN),
            moved_up: metrics.counter(&names::WORKER_MOVED_UP),
            moved_bytes: metrics.counter(&names::WORKER_TIER_MOVED_BYTES),
        }
    }

    /// Milliseconds since the store was opened.
    pub(super) fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn now_s(&self) -> u64 {
        // The first window is not taken for the one before it.
        self.begun.elapsed().as_secs() + 2 * self.window_s
    }

    fn heat(&self, block: &Block) -> u32 {
        block.heat.recent(self.now_s(), self.window_s)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits as long as `bytes` more take at the bounded rate.
    ///
    /// # Errors
    /// `Cancelled` when the worker stops.
    fn pace(&self, bytes: u64) -> Result<()> {
        if let Some(nanos) = (bytes * 1_000_000_000).checked_div(self.bandwidth) {
            std::thread::sleep(Duration::from_nanos(nanos));
        }
        match self.is_stopping() {
            true => Err(Error::new(ErrorKind::Cancelled, "the worker is stopping")),
            false => Ok(()),
        }
    }
}

impl BlockStore {
    /// Resolves when there is something to tend.
    pub async fn untidy(&self) {
        self.untidy.notified().await;
    }

    /// Has what goes on in the background end soon.
    pub fn stop(&self) {
        self.moves.stopping.store(true, Ordering::Relaxed);
    }

    /// Lowers directories that are above the high watermark to the low one, and moves hot blocks up.
    /// Waits for the disks, for as long as that takes.
    pub fn tend(&self) {
        self.trim();
        self.place_pinned();
        for dir in self.serving() {
            self.look_again(dir);
            let excess = above(dir.used(), dir.quota(), self.watermark_low, self.watermark_high);
            if excess > 0 {
                self.lower(dir, dir.used() - excess);
            }
        }
        while !self.moves.is_stopping() {
            let Some(id) = self.moves.hot.lock().pop_front() else { return };
            self.raise(id);
        }
    }

    /// Lets blocks go, down or away, until `dir` holds no more than `target`.
    fn lower(&self, dir: &Arc<Dir>, target: u64) {
        let most = dir.order.lock().len();
        for _ in 0..most {
            if dir.used() <= target || dir.is_lost() || self.moves.is_stopping() {
                return;
            }
            match self.next_victim(dir, None, From::UpTo(Priority::High)) {
                Next::Victim(block) => self.let_go(&block),
                Next::Passed => {}
                Next::Empty => break,
            }
        }
        if dir.used() > self.high(dir) {
            self.lower_only_copies(dir, target);
        }
    }

    /// Moves a block that is in no order any more to a lower tier, or drops it.
    pub(super) fn let_go(&self, block: &Arc<Block>) {
        let moved = self.move_down(block).unwrap_or_else(|error| {
            tracing::info!(block = %block.id(), %error, "not moved to the next tier");
            false
        });
        if moved {
            self.moves.moved_down.inc();
        } else if self.moves.is_stopping() {
            self.postpone(block.id());
        } else if self.drop_unless_wanted(block) {
            self.evicted.inc();
        }
    }

    /// Moves blocks that exist nowhere else to a lower tier, where nothing else can make room.
    fn lower_only_copies(&self, dir: &Arc<Dir>, target: u64) {
        if !self.serving().any(|other| other.tier() > dir.tier()) {
            return;
        }
        let only_here = |block: &&Arc<Block>| block.is_unpersisted() && block.is_in(dir);
        let blocks: Vec<_> = self.blocks.read().values().filter(only_here).cloned().collect();
        for block in blocks {
            if dir.used() <= target || self.moves.is_stopping() {
                return;
            }
            if is_in_use(&block) {
                continue;
            }
            match self.move_down(&block) {
                Ok(true) => drop(self.moves.moved_down.inc()),
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(block = %block.id(), %error, "not moved to the next tier");
                    // A damaged one says nothing of the others.
                    if error.kind() != ErrorKind::DataLoss {
                        return;
                    }
                }
            }
        }
    }

    /// Moves a whole block to the next tier that takes it; says whether one did.
    fn move_down(&self, block: &Arc<Block>) -> Result<bool> {
        let tier = block.dir().tier();
        if !block.is_whole() {
            return Ok(false);
        }
        let lower = self.serving().filter(|dir| dir.tier() > tier).cloned().collect();
        match self.choose(lower, block.length()).first() {
            Some(to) => self.relocate(block, to),
            None => Ok(false),
        }
    }

    /// Notes that a block of a lower tier was asked for; often enough, and it moves up.
    pub(super) fn warmed(&self, block: &Arc<Block>) {
        let moves = &self.moves;
        let reads = block.heat.count(moves.now_s(), moves.window_s);
        if moves.promote_reads == 0 || !reads.is_multiple_of(moves.promote_reads) {
            return;
        }
        let mut hot = moves.hot.lock();
        if hot.len() < MOST_HOT && !hot.contains(&block.id()) {
            hot.push_back(block.id());
            self.untidy.notify_one();
        }
    }

    /// Moves a hot block up one tier, if it is hotter than what has to go for it.
    fn raise(&self, id: BlockId) {
        let Some(block) = self.peek(id).filter(|block| block.is_whole()) else { return };
        let tier = block.dir().tier();
        // Whoever has the old file open reads on; it takes its space until they close it.
        if tier == 0 {
            return;
        }
        // The only copy does not leave a disk for memory, which a power cut empties.
        let needs_disk = block.is_unpersisted() && !block.dir().is_memory();
        let is_above = |dir: &&Arc<Dir>| {
            dir.tier() + 1 == tier
                && !(needs_disk && dir.is_memory())
                && self.may_move_to(&block, dir)
        };
        let upper = self.serving().filter(is_above).cloned().collect();
        let Some(to) = self.choose(upper, block.length()).into_iter().next() else { return };
        if !self.displace(&to, &block) {
            return;
        }
        match self.relocate(&block, &to) {
            Ok(true) => drop(self.moves.moved_up.inc()),
            Ok(false) => {}
            Err(error) => tracing::info!(block = %id, %error, "not moved to a faster tier"),
        }
    }

    /// Makes room in `dir` for a block at the cost of colder ones only, of no higher priority; says
    /// whether there is some.
    fn displace(&self, dir: &Arc<Dir>, hot: &Block) -> bool {
        let has_room = || dir.used() + hot.length() <= self.high(dir);
        let heat = self.moves.heat(hot);
        let from = From::UpTo(hot.priority());
        let most = dir.order.lock().len();
        for _ in 0..most {
            if has_room() || self.moves.is_stopping() {
                break;
            }
            match self.next_victim(dir, None, from) {
                Next::Victim(block) if self.moves.heat(&block) < heat => self.let_go(&block),
                Next::Victim(block) => {
                    self.postpone(block.id());
                    break;
                }
                Next::Passed => {}
                Next::Empty => break,
            }
        }
        has_room()
    }

    /// Copies a block's file to another directory and switches to the copy. Says whether it did:
    /// there may be no room, or the block may have gone meanwhile.
    pub(super) fn relocate(&self, block: &Arc<Block>, to: &Arc<Dir>) -> Result<bool> {
        let (id, length) = (block.id(), block.length());
        let mut space = Space::none(to);
        let asked = Asked { more: length, except: Some(id), most: block.priority() };
        if !self.make_room(to, asked, |limit| Ok(space.grow(length, limit)))? {
            return Ok(false);
        }
        let only_copy = block.is_unpersisted();
        // What is not synced must not be taken for the only copy when it is found after a power cut.
        let origin = if only_copy { block.site().origin } else { Origin::Filled };
        let site = Site { dir: to.clone(), origin, name: self.next_name(id) };
        let copied = self.copy(block, &site, only_copy);
        if let Err(error) = copied {
            std::fs::remove_file(to.tmp_path(site.name)).ok();
            site.remove();
            if is_full(error.kind()) {
                to.find_full();
            } else if error.kind() != ErrorKind::Cancelled {
                self.suspect(to);
                self.suspect(&block.dir());
            }
            return Err(error);
        }
        self.moves.moved_bytes.inc_by(length);
        Ok(self.switch(block, site, space, only_copy))
    }

    /// Makes the files of a copy: nothing before the last step, whole after it.
    fn copy(&self, block: &Block, to: &Site, only_copy: bool) -> Result<()> {
        let tmp = to.dir.tmp_path(to.name);
        let what = || format!("moving block {} to {}", block.id(), to.dir.root().display());
        let mut file = File::create(&tmp).with_context(what)?;
        let source = block.open()?;
        let (page_size, mut position) = (block.page_size(), 0);
        let mut page = Vec::new();
        while position < block.length() {
            page.resize(page_size.min(block.length() - position) as usize, 0);
            block.read(&source, position, &mut page)?;
            let start = Instant::now();
            file.write_all(&page).with_context(what)?;
            to.dir.speed.measured(page.len() as u64, start.elapsed());
            position += page.len() as u64;
            self.moves.pace(page.len() as u64)?;
        }
        let mut table = File::create(to.table_path()).with_context(what)?;
        table.write_all(&block.table_to_move(only_copy)).with_context(what)?;
        let durable = only_copy && !to.dir.is_memory();
        if durable {
            table.sync_data().with_context(what)?;
            file.sync_all().with_context(what)?;
        }
        std::fs::rename(&tmp, to.data_path()).with_context(what)?;
        if durable {
            sync_folder(&to.dir.folder(to.origin, block.id())).with_context(what)?;
        }
        Ok(())
    }

    /// Makes the copy the block's file, and removes the one before.
    pub(super) fn switch(
        &self,
        block: &Arc<Block>,
        to: Site,
        space: Space,
        only_copy: bool,
    ) -> bool {
        let id = block.id();
        let blocks = self.blocks.read();
        let current = blocks.get(&id).is_some_and(|current| Arc::ptr_eq(current, block));
        // A directory is lost before its blocks are forgotten under the table's lock: it is either
        // seen here, or finds the block there.
        let current = current && !to.dir.is_lost();
        let switched = if current { block.move_to(to.clone(), space) } else { Err(to.clone()) };
        let (useless, moved) = match switched {
            Ok(from) => {
                let (_, owner) = block.dir_and_owner();
                from.dir.order.lock().remove(key(id), owner.mount);
                if !block.is_unpersisted() {
                    to.dir.order.lock().insert(key(id), block.length(), owner);
                }
                (from, true)
            }
            Err(copy) => (copy, false),
        };
        drop(blocks);
        useless.remove();
        if moved {
            self.note_placed(block);
        }
        if moved && only_copy && !block.is_unpersisted() {
            // It was persisted while it was copied; it stays for longer than it must where this fails.
            block.write_table().ok();
        }
        moved
    }
}
