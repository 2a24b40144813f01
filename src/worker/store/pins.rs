//! What is pinned: the blocks that stay, and those that stay on certain media.
//!
//! A block pinned to a medium that comes anew goes to a directory of that medium; one that is elsewhere
//! is moved there in the background, and what is not pinned makes way for it. Where nothing can make
//! way it is tried again later; where there is no such directory it is not tried before there is. Until
//! then the block stays where it is, and stays pinned.

use super::BlockStore;
use super::block::Block;
use super::dir::Dir;
use super::evict::{From, Next};
use crate::core::model::media::Media;
use crate::core::model::{BlockId, FileId, Priority};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Blocks that are moved to their medium in one go, before something else is looked after.
const MOST_AT_ONCE: usize = 64;
/// How long one that found no room waits.
const AGAIN: Duration = Duration::from_secs(30);

/// The files whose blocks stay whatever comes, and on which media. Nine bytes a file, and a copy costs
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    files: Arc<[FileId]>,
    media: Arc<[Media]>,
}

impl Pins {
    /// These, in any order.
    pub fn new(mut pins: Vec<(FileId, Media)>) -> Self {
        pins.sort_unstable_by_key(|(file, _)| *file);
        let (files, media): (Vec<_>, Vec<_>) = pins.into_iter().unzip();
        Pins { files: files.into(), media: media.into() }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether the file is among them.
    pub fn contains(&self, file: FileId) -> bool {
        self.files.binary_search(&file).is_ok()
    }

    /// The media that blocks of the file are to be on.
    pub fn media(&self, file: FileId) -> Media {
        self.files.binary_search(&file).map_or(Media::ANY, |index| self.media[index])
    }

    /// Whether any is pinned to certain media.
    fn name_media(&self) -> bool {
        self.media.iter().any(|media| !media.is_any())
    }
}

/// Whole blocks that are not on a medium they are pinned to, though there is such a one. Each is here
/// once, however often it comes and goes.
#[derive(Debug, Default)]
pub(super) struct Misplaced {
    all: HashSet<BlockId>,
    /// Those to be moved.
    due: VecDeque<BlockId>,
    /// Those that could not be: what makes way for nothing is not to do so over and over.
    waiting: Vec<BlockId>,
    /// When the first of them could not.
    since: Option<Instant>,
}

impl Misplaced {
    fn note(&mut self, id: BlockId) {
        if self.all.insert(id) {
            self.due.push_back(id);
        }
    }

    /// How many to move now.
    fn due(&mut self) -> usize {
        if self.since.is_some_and(|since| since.elapsed() >= AGAIN) {
            self.due.extend(self.waiting.drain(..));
            self.since = None;
        }
        self.due.len().min(MOST_AT_ONCE)
    }

    fn next(&mut self) -> Option<BlockId> {
        let next = self.due.pop_front()?;
        self.all.remove(&next);
        Some(next)
    }

    fn wait(&mut self, id: BlockId) {
        if self.all.insert(id) {
            self.waiting.push(id);
            self.since.get_or_insert_with(Instant::now);
        }
    }
}

impl BlockStore {
    /// Says which files' blocks are not to be evicted, in place of what was said before. Goes over all
    /// blocks where some are pinned to certain media.
    pub fn set_pins(&self, pins: Pins) {
        *self.pins.write() = pins;
        for dir in &self.dirs {
            let aside = std::mem::take(&mut *dir.aside.lock());
            aside.into_iter().for_each(|id| self.postpone(id));
        }
        *self.misplaced.lock() = Misplaced::default();
        self.look_for_misplaced();
        self.untidy.notify_one();
    }

    /// Goes over all blocks for those that are not where they are to be, if any file is pinned to
    /// certain media.
    pub(super) fn look_for_misplaced(&self) {
        if self.pins.read().name_media() {
            self.blocks().iter().for_each(|block| self.note_placed(block));
        }
    }

    /// The media that a block is to be on.
    pub(super) fn media_of(&self, id: BlockId) -> Media {
        self.pins.read().media(id.file())
    }

    /// Whether a block is on a medium that it is to be on.
    fn is_placed(&self, block: &Block) -> bool {
        self.media_of(block.id()).allow(block.dir().medium())
    }

    /// Whether a block may be moved to `dir` as far as pins go.
    pub(super) fn may_move_to(&self, block: &Block, dir: &Dir) -> bool {
        self.media_of(block.id()).allow(dir.medium())
    }

    /// The directories that may hold `bytes` of a block, the first choice first: those of the media it
    /// is pinned to before any others.
    pub(super) fn dirs_for_block(&self, id: BlockId, bytes: u64) -> Vec<Arc<Dir>> {
        let media = self.media_of(id);
        let mut dirs = self.dirs_for(bytes);
        if !media.is_any() {
            dirs.sort_by_key(|dir| !media.allow(dir.medium()));
        }
        dirs
    }

    /// Notes a block that may have come to where it is not to be, if it is whole and there is a
    /// directory where it is to be.
    pub(super) fn note_placed(&self, block: &Block) {
        if block.is_whole() && !self.is_placed(block) && self.has_place(block) {
            self.misplaced.lock().note(block.id());
        }
    }

    /// Whether there is a directory that a block is to be in.
    fn has_place(&self, block: &Block) -> bool {
        self.serving().any(|dir| self.may_move_to(block, dir))
    }

    /// Moves blocks to the media they are pinned to; those that cannot be are tried again later.
    pub(super) fn place_pinned(&self) {
        let some = self.misplaced.lock().due();
        for _ in 0..some {
            let Some(id) = self.misplaced.lock().next() else { return };
            if self.moves.is_stopping() {
                return;
            }
            // One that is not whole any more is noted again when it is.
            let Some(block) = self.peek(id).filter(|block| block.is_whole()) else { continue };
            if !self.is_placed(&block) && self.has_place(&block) && !self.place(&block) {
                self.misplaced.lock().wait(id);
            }
        }
    }

    /// Moves a block to a directory of a medium it is pinned to; says whether it is there.
    fn place(&self, block: &Arc<Block>) -> bool {
        // The only copy does not leave a disk for memory, which a power cut empties.
        let needs_disk = block.is_unpersisted() && !block.dir().is_memory();
        let is_right =
            |dir: &&Arc<Dir>| self.may_move_to(block, dir) && !(needs_disk && dir.is_memory());
        let right = self.serving().filter(is_right).cloned().collect();
        let Some(to) = self.choose(right, block.length()).into_iter().next() else { return false };
        self.make_way(&to, block.length());
        self.relocate(block, &to).unwrap_or_else(|error| {
            tracing::info!(block = %block.id(), %error, "not moved to the medium it is pinned to");
            false
        })
    }

    /// Moves blocks that are not pinned to lower tiers, or drops them, until `dir` can take `bytes`.
    fn make_way(&self, dir: &Arc<Dir>, bytes: u64) {
        let most = dir.order.lock().len();
        for _ in 0..most {
            if dir.used() + bytes <= self.high(dir) || self.moves.is_stopping() {
                return;
            }
            match self.next_victim(dir, None, From::UpTo(Priority::High)) {
                Next::Victim(victim) => self.let_go(&victim),
                Next::Passed => {}
                Next::Empty => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, data, fill, open_on, read};
    use super::*;

    fn pinned(file: u64, media: &str) -> (FileId, Media) {
        (FileId::from_container(file), media.parse().unwrap_or_default())
    }

    fn block_of(file: u64) -> i64 {
        FileId::from_container(file).block(0).0
    }

    fn medium(store: &BlockStore, file: u64) -> String {
        store.peek(BlockId(block_of(file))).unwrap().dir().medium().into()
    }

    #[test]
    fn pins_are_found_in_whatever_order_they_came() {
        let pins = [30, 10, 20].map(|id| (FileId(id), Media::from_bits((id / 10) as u8)));
        let pins = Pins::new(pins.into());
        assert!([10, 20, 30].into_iter().all(|id| pins.contains(FileId(id))));
        assert_eq!(pins.media(FileId(20)).names(), ["SSD"]);
        assert!(!pins.contains(FileId(11)) && pins.media(FileId(11)).is_any());
        assert!(!Pins::default().contains(FileId(10)) && Pins::default().is_empty());
    }

    #[test]
    fn a_pinned_block_moves_to_its_medium_and_stays_there() {
        let temp = tempfile::tempdir().unwrap();
        let settings = config(temp.path(), &[("MEM", "m", 10_000), ("SSD", "s", 100_000)]);
        let store = open_on(&settings);
        let bytes = |file: u64| data(2000, file as u8);
        (1..=4).for_each(|file| drop(fill(&store, block_of(file), &bytes(file))));
        assert!((1..=4).all(|file| medium(&store, file) == "MEM"));
        store.set_pins(Pins::new(vec![pinned(1, "SSD,HDD"), pinned(9, "SSD"), pinned(2, "any")]));
        store.tend();
        assert_eq!(
            (1..=4).map(|file| medium(&store, file)).collect::<Vec<_>>(),
            ["SSD", "MEM", "MEM", "MEM"]
        );
        fill(&store, block_of(9), &bytes(9));
        assert_eq!(medium(&store, 9), "SSD", "it went there at once");
        // However hot, it does not come up.
        for _ in 0..20 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            store.get_whole(BlockId(block_of(9)));
        }
        store.tend();
        assert_eq!(medium(&store, 9), "SSD");
        // Pinned to memory, it gets there, and what is not pinned makes way.
        store.set_pins(Pins::new(vec![pinned(1, "MEM"), pinned(9, "MEM"), pinned(5, "MEM")]));
        store.tend();
        assert_eq!((medium(&store, 1), medium(&store, 9)), ("MEM".into(), "MEM".into()));
        for file in 20..40 {
            fill(&store, block_of(file), &bytes(file));
            store.tend();
        }
        assert_eq!((medium(&store, 1), medium(&store, 9)), ("MEM".into(), "MEM".into()));
        assert_eq!(read(&store.peek(BlockId(block_of(9))).unwrap()).unwrap(), bytes(9));
        // Let go, it is like any other.
        store.set_pins(Pins::default());
        for file in 40..60 {
            fill(&store, block_of(file), &bytes(file));
            store.tend();
        }
        assert!(store.peek(BlockId(block_of(1))).is_none_or(|_| medium(&store, 1) == "SSD"));
    }

    #[test]
    fn a_block_pinned_to_a_medium_that_is_not_there_stays_where_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let store = open_on(&config(temp.path(), &[("SSD", "s", 10_000)]));
        fill(&store, block_of(1), &data(2000, 1));
        store.set_pins(Pins::new(vec![pinned(1, "MEM")]));
        store.tend();
        (10..30).for_each(|file| drop(fill(&store, block_of(file), &data(2000, 1))));
        store.tend();
        assert_eq!(medium(&store, 1), "SSD");
    }

    #[test]
    fn a_block_that_cannot_be_placed_holds_up_no_other() {
        let temp = tempfile::tempdir().unwrap();
        let dirs = [("SSD", "s", 100_000), ("HDD", "h", 5000)];
        let store = open_on(&config(temp.path(), &dirs));
        // Too large for the disk, pinned to what there is not, and one that can be moved.
        (1..=20).for_each(|file| drop(fill(&store, block_of(file), &data(2000, 1))));
        fill(&store, block_of(30), &data(1000, 1));
        fill(&store, block_of(40), &data(6000, 1));
        let nowhere = (1..=20).map(|file| pinned(file, "MEM"));
        let others = [pinned(30, "HDD"), pinned(40, "HDD")];
        store.set_pins(Pins::new(nowhere.chain(others).collect()));
        {
            let mut misplaced = store.misplaced.lock();
            assert_eq!(misplaced.due(), 2, "what has no place is not tried");
            // The one that cannot be placed is the first to be tried.
            misplaced.due = [40, 30].map(|file| BlockId(block_of(file))).into();
        }
        store.tend();
        assert_eq!((medium(&store, 30), medium(&store, 40)), ("HDD".into(), "SSD".into()));
        let misplaced = store.misplaced.lock();
        assert_eq!((misplaced.waiting.len(), misplaced.due.len()), (1, 0));
    }

    #[test]
    fn a_block_that_comes_and_goes_is_noted_once() {
        let temp = tempfile::tempdir().unwrap();
        let store = open_on(&config(temp.path(), &[("SSD", "s", 100_000), ("HDD", "h", 1000)]));
        store.set_pins(Pins::new(vec![pinned(1, "HDD"), pinned(2, "MEM")]));
        for _ in 0..100 {
            for file in [1, 2] {
                fill(&store, block_of(file), &data(2000, 1));
                store.remove(BlockId(block_of(file)));
            }
            fill(&store, block_of(1), &data(2000, 1));
            store.tend();
            store.remove(BlockId(block_of(1)));
        }
        let misplaced = store.misplaced.lock();
        assert!(misplaced.all.len() <= 1 && misplaced.due.len() + misplaced.waiting.len() <= 1);
    }

    #[test]
    fn a_directory_that_comes_back_is_filled_with_what_belongs_there() {
        let temp = tempfile::tempdir().unwrap();
        let store = open_on(&config(temp.path(), &[("SSD", "s", 100_000), ("HDD", "h", 9000)]));
        let disk = temp.path().join("h");
        std::fs::rename(&disk, temp.path().join("away")).unwrap();
        store.check_dirs();
        fill(&store, block_of(1), &data(2000, 1));
        store.set_pins(Pins::new(vec![pinned(1, "HDD")]));
        store.tend();
        assert_eq!(medium(&store, 1), "SSD");
        assert!(store.misplaced.lock().all.is_empty());
        std::fs::rename(temp.path().join("away"), &disk).unwrap();
        store.check_dirs();
        store.tend();
        assert_eq!(medium(&store, 1), "HDD");
    }
}
