//! One block: a plain file, and what is known of its pages.
//!
//! A block is filled page by page until it is whole, and never changes after. Its file is removed,
//! never truncated, so whoever has it open reads on. It may move to another directory: then whoever
//! opens it next finds it there. A page that turns out damaged is missing again, until it is filled
//! anew with the same bytes.

use super::account::Account;
use super::checksum::{PageTable, sum_of};
use super::dir::{Dir, Name, Origin};
use super::heat::Heat;
use super::space::Space;
use crate::core::error::{Context, Error, ErrorKind, Result, data_loss};
use crate::core::eviction::Owner;
use crate::core::model::{BlockId, MountId, Priority};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::fs::File;
use std::io::IoSlice;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The most pieces one pwritev(2) takes (IOV_MAX).
const MAX_PIECES: usize = 1024;

/// One block of the store.
#[derive(Debug)]
pub struct Block {
    id: BlockId,
    length: u64,
    version: String,
    pages: Mutex<PageTable>,
    whole: AtomicBool,
    unpersisted: AtomicBool,
    pub(super) heat: Heat,
    /// How many rely on its file staying where it is.
    holders: AtomicU64,
    place: RwLock<Place>,
    /// The file, as long as somebody uses it: a store has more blocks than a process descriptors.
    open: Mutex<Weak<File>>,
    /// Held while the page table is written.
    table_turn: Mutex<()>,
}

/// Which files are a block's.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub dir: Arc<Dir>,
    pub origin: Origin,
    pub name: Name,
}

impl Site {
    pub(super) fn data_path(&self) -> PathBuf {
        self.dir.data_path(self.origin, self.name)
    }

    pub(super) fn table_path(&self) -> PathBuf {
        self.dir.table_path(self.origin, self.name)
    }

    pub(super) fn remove(&self) {
        self.dir.remove(self.origin, self.name);
    }
}

#[derive(Debug)]
struct Place {
    site: Site,
    /// Its share of the quota; none once it has been removed.
    space: Option<Space>,
}

impl Place {
    fn account(&self) -> Option<&Arc<Account>> {
        self.space.as_ref()?.account()
    }
}

/// What a block is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub site: Site,
    pub pages: PageTable,
    pub version: String,
    pub unpersisted: bool,
    pub space: Space,
}

impl Block {
    pub(super) fn new(parts: Parts) -> Block {
        Block {
            id: parts.site.name.block,
            length: parts.pages.length(),
            version: parts.version,
            whole: AtomicBool::new(parts.pages.is_whole()),
            pages: Mutex::new(parts.pages),
            unpersisted: AtomicBool::new(parts.unpersisted),
            heat: Heat::default(),
            holders: AtomicU64::new(0),
            place: RwLock::new(Place { site: parts.site, space: Some(parts.space) }),
            open: Mutex::default(),
            table_turn: Mutex::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// Bytes in it.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The version of the object it is a part of; empty for one that was written here.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether every page is there.
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// Whether it exists nowhere else.
    pub fn is_unpersisted(&self) -> bool {
        self.unpersisted.load(Ordering::Relaxed)
    }

    /// Whether every page that is there was found to be good in the life of this process.
    pub fn is_verified(&self) -> bool {
        let pages = self.pages.lock();
        (0..pages.count()).all(|index| pages.is_verified(index))
    }

    /// Whether its file is in memory, so that no read of it waits.
    pub fn is_in_memory(&self) -> bool {
        self.place.read().site.dir.is_memory()
    }

    /// Where its file is.
    pub fn path(&self) -> PathBuf {
        self.place.read().site.data_path()
    }

    pub(super) fn site(&self) -> Site {
        self.place.read().site.clone()
    }

    pub(super) fn dir(&self) -> Arc<Dir> {
        self.place.read().site.dir.clone()
    }

    /// The same, and whose it is.
    pub(super) fn dir_and_owner(&self) -> (Arc<Dir>, Owner) {
        let place = self.place.read();
        (place.site.dir.clone(), place.account().map(|account| account.owner()).unwrap_or_default())
    }

    /// Whom it is charged to; nobody once it has been removed.
    pub(super) fn account(&self) -> Option<Arc<Account>> {
        self.place.read().account().cloned()
    }

    /// The mount it belongs to; 0 where that is not known.
    pub fn mount(&self) -> MountId {
        self.place.read().account().map_or(0, |account| account.mount())
    }

    /// How strongly it stays.
    pub(super) fn priority(&self) -> Priority {
        self.dir_and_owner().1.priority
    }

    /// Charges it to somebody; says whether it is still there to be.
    pub(super) fn charge(&self, account: &Arc<Account>) -> bool {
        let mut place = self.place.write();
        place.space.iter_mut().for_each(|space| space.charge(account));
        place.space.is_some()
    }

    pub(super) fn is_in(&self, dir: &Arc<Dir>) -> bool {
        Arc::ptr_eq(&self.place.read().site.dir, dir)
    }

    /// Bytes in a page, but for the last.
    pub fn page_size(&self) -> u64 {
        self.pages.lock().page_size()
    }

    /// The checksums of its pages; none where they are not known.
    pub fn sums(&self) -> Vec<u32> {
        let pages = self.pages.lock();
        (0..pages.count()).map_while(|index| pages.sum(index)).collect()
    }

    /// Whether page `index` is there.
    pub fn has_page(&self, index: usize) -> bool {
        self.is_whole() || self.pages.lock().has(index)
    }

    /// Notes that a reader has had its bytes as far as `end`.
    pub fn read_to(&self, end: u64) {
        self.heat.reach(end);
    }

    /// When it was last asked for, on the store's own count: later is more.
    pub fn accessed(&self) -> u64 {
        self.heat.last()
    }

    /// Notes that it exists elsewhere too; says whether that is news.
    pub(super) fn set_persisted(&self) -> bool {
        self.unpersisted.swap(false, Ordering::Relaxed)
    }

    /// Whether it has been removed from the store.
    pub fn is_removed(&self) -> bool {
        self.place.read().space.is_none()
    }

    pub(super) fn is_held(&self) -> bool {
        self.holders.load(Ordering::Relaxed) > 0
    }

    /// Bytes of it that are there.
    pub fn bytes_held(&self) -> u64 {
        self.place.read().space.as_ref().map_or(0, Space::bytes)
    }

    /// Its file, open for reading.
    ///
    /// # Errors
    /// `DataLoss` when the file is not there or not as long as the block: somebody else changed it.
    pub fn open(&self) -> Result<Arc<File>> {
        let mut open = self.open.lock();
        if let Some(file) = open.upgrade() {
            return Ok(file);
        }
        // Pages of one that is not whole are written by whatever is open.
        let writes = !self.is_whole();
        let file = Arc::new(self.open_for(File::options().read(true).write(writes))?);
        *open = Arc::downgrade(&file);
        Ok(file)
    }

    /// The same by a descriptor of its own, which can only read: one to give away.
    ///
    /// # Errors
    /// As [`Block::open`].
    pub fn open_anew(&self) -> Result<File> {
        self.open_for(File::options().read(true))
    }

    fn open_for(&self, how: &std::fs::OpenOptions) -> Result<File> {
        let mut path = self.path();
        let mut opened = how.open(&path);
        // It may have moved between the two.
        while opened.is_err() && path != self.path() {
            path = self.path();
            opened = how.open(&path);
        }
        let damaged = |why: String| data_loss(format!("block {}: {why}", self.id()));
        let file = opened.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => damaged(format!("{} is gone", path.display())),
            _ => Error::from(e).context(path.display()),
        })?;
        let length = file.metadata().with_context(|| path.display().to_string())?.len();
        if length != self.length {
            let path = path.display();
            return Err(damaged(format!("{path} has {length} bytes instead of {}", self.length)));
        }
        Ok(file)
    }

    /// Reads the block's bytes from `offset` on. Every page that is read as a whole is verified;
    /// one of which a part is read is, the first time in this process.
    ///
    /// # Errors
    /// `DataLoss` when a page does not match its checksum or the file has become shorter.
    pub fn read(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.read_exact(file, offset, buffer)?;
        let end = offset + buffer.len() as u64;
        let page_size = self.page_size();
        for index in (offset / page_size) as usize..end.div_ceil(page_size) as usize {
            let (range, sum, verified) = {
                let pages = self.pages.lock();
                (pages.range(index), pages.sum(index), pages.is_verified(index))
            };
            let Some(sum) = sum else { continue };
            let found = if range.start >= offset && range.end <= end {
                let start = (range.start - offset) as usize;
                crc32c::crc32c(&buffer[start..][..(range.end - range.start) as usize])
            } else if verified {
                continue;
            } else {
                let mut page = vec![0; (range.end - range.start) as usize];
                self.read_exact(file, range.start, &mut page)?;
                crc32c::crc32c(&page)
            };
            if found != sum {
                return Err(self.bad_page(index));
            }
            if !verified {
                self.pages.lock().set_verified(index);
            }
        }
        Ok(())
    }

    /// Verifies all pages that have not been in this process.
    ///
    /// # Errors
    /// As [`Block::read`].
    pub fn verify(&self, file: &File) -> Result<()> {
        let count = self.pages.lock().count();
        let mut page = Vec::new();
        for index in 0..count {
            let (range, verified) = {
                let pages = self.pages.lock();
                (pages.range(index), pages.is_verified(index))
            };
            if !verified {
                page.resize((range.end - range.start) as usize, 0);
                self.read(file, range.start, &mut page)?;
            }
        }
        Ok(())
    }

    /// The pages that are there and not as they were; every page is read, by `file`.
    ///
    /// # Errors
    /// Why the file cannot be read as a whole.
    pub(super) fn bad_pages(&self, file: &File, pages: Range<usize>) -> Result<Vec<usize>> {
        let mut bad = Vec::new();
        let mut page = Vec::new();
        for index in pages {
            let (range, sum, there) = {
                let pages = self.pages.lock();
                (pages.range(index), pages.sum(index), pages.has(index))
            };
            let Some(sum) = sum.filter(|_| there) else { continue };
            page.resize((range.end - range.start) as usize, 0);
            self.read_exact(file, range.start, &mut page)?;
            if crc32c::crc32c(&page) != sum {
                bad.push(index);
            }
        }
        Ok(bad)
    }

    /// Pages in it.
    pub fn page_count(&self) -> usize {
        self.pages.lock().count()
    }

    /// Forgets pages, so that they are filled again; says how many were there. Whoever has the file
    /// open finds it as long as before.
    pub(super) fn lose_pages(&self, bad: &[usize]) -> usize {
        self.whole.store(false, Ordering::Release);
        let mut lost = 0;
        let mut pages = self.pages.lock();
        for &index in bad.iter().filter(|&&index| pages.has(index)).collect::<Vec<_>>() {
            let range = pages.range(index);
            pages.clear(index);
            self.shrink(range.end - range.start);
            lost += 1;
        }
        self.whole.store(pages.is_whole(), Ordering::Release);
        lost
    }

    fn read_exact(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<()> {
        file.read_exact_at(buffer, offset).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => data_loss(format!(
                "block {}: {} has been truncated",
                self.id(),
                self.path().display()
            )),
            _ => Error::from(e).context(format!("reading block {}", self.id())),
        })
    }

    fn bad_page(&self, index: usize) -> Error {
        let path = self.path();
        data_loss(format!(
            "block {}: page {index} of {} does not match its checksum",
            self.id(),
            path.display()
        ))
    }

    /// Takes `more` bytes of the quotas of its directory, below `limit`, and of its mount; false when
    /// there is no room, none when the mount may have no more.
    ///
    /// # Errors
    /// `Aborted` when the block has been removed.
    pub(super) fn grow(&self, more: u64, limit: u64) -> Result<Option<bool>> {
        match self.place.write().space.as_mut() {
            Some(space) => Ok(space.grow_within_quota(more, limit)),
            None => Err(Error::new(
                ErrorKind::Aborted,
                format!("block {} has been removed meanwhile", self.id()),
            )),
        }
    }

    /// Says whether it is being filled: then others are not sent where it will need its room.
    pub fn set_filling(&self, filling: bool) {
        if let Some(space) = self.place.write().space.as_mut() {
            let missing = self.length.saturating_sub(space.bytes());
            space.promise(if filling { missing } else { 0 });
        }
    }

    /// Whether no page is there.
    pub fn is_empty(&self) -> bool {
        self.bytes_held() == 0
    }

    /// Gives back what was grown by for bytes that did not get written.
    pub(super) fn shrink(&self, less: u64) {
        if let Some(space) = self.place.write().space.as_mut() {
            space.shrink(less);
        }
    }

    /// The file to fill, made by the first page that comes.
    fn open_to_fill(&self) -> Result<Arc<File>> {
        let mut open = self.open.lock();
        if let Some(file) = open.upgrade() {
            return Ok(file);
        }
        let path = self.path();
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("filling {}", path.display()))?;
        file.set_len(self.length).with_context(|| format!("filling {}", path.display()))?;
        let file = Arc::new(file);
        *open = Arc::downgrade(&file);
        Ok(file)
    }

    /// Writes pages from `index` on into the file, each given as pieces. Returns the file, for the
    /// next pages. The page that makes the block whole counts only once the page table is written:
    /// whoever sees the last page sees a whole block.
    pub(super) fn write_pages(&self, index: usize, pages: &[Vec<Bytes>]) -> Result<Arc<File>> {
        let file = self.open_to_fill()?;
        let offset = self.pages.lock().range(index).start;
        let pieces: Vec<&[u8]> = pages.iter().flatten().map(|piece| &piece[..]).collect();
        let start = Instant::now();
        write_all_at(&file, &pieces, offset).with_context(|| self.path().display().to_string())?;
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.dir().speed.measured(bytes, start.elapsed());
        let sums: Vec<u32> = pages.iter().map(|pieces| sum_of(pieces)).collect();
        let mut table = self.pages.lock();
        let mut next = table.clone();
        let fill = |table: &mut PageTable| {
            sums.iter().enumerate().for_each(|(page, sum)| table.fill(index + page, *sum));
        };
        fill(&mut next);
        if !next.is_whole() || table.is_whole() {
            *table = next;
            return Ok(file);
        }
        drop(table);
        self.write_table_of(&next)?;
        let mut table = self.pages.lock();
        fill(&mut table);
        // A page may have been lost meanwhile.
        self.whole.store(table.is_whole(), Ordering::Release);
        Ok(file)
    }

    /// Writes the page table beside the file.
    pub(super) fn write_table(&self) -> Result<()> {
        let pages = self.pages.lock().clone();
        self.write_table_of(&pages)
    }

    fn write_table_of(&self, pages: &PageTable) -> Result<()> {
        // Two that come at once would write one file, and the second rename would find none.
        let _turn = self.table_turn.lock();
        let path = self.place.read().site.table_path();
        let bytes = self.encode(pages, self.is_unpersisted());
        write_beside(&path, &bytes).with_context(|| path.display().to_string())
    }

    fn encode(&self, pages: &PageTable, unpersisted: bool) -> Vec<u8> {
        pages.encode(self.id().0, &self.version, unpersisted)
    }

    /// The page table as it belongs beside a copy of the block.
    pub(super) fn table_to_move(&self, unpersisted: bool) -> Vec<u8> {
        self.encode(&self.pages.lock().clone(), unpersisted)
    }

    /// Whether another has the same bytes, by all that is known of the two.
    pub(super) fn is_same_as(&self, other: &Block) -> bool {
        let (own, others) = (self.pages.lock().clone(), other.pages.lock().clone());
        self.version == other.version && own.is_whole() && own.has_same_pages(&others)
    }

    /// Moves to where a copy of it lies: whoever opens it from now on opens that. Says where it was;
    /// what it was given comes back when it cannot move any more.
    pub(super) fn move_to(&self, site: Site, mut space: Space) -> std::result::Result<Site, Site> {
        let mut open = self.open.lock();
        let mut place = self.place.write();
        if place.space.is_none() || self.is_held() || !self.is_whole() {
            return Err(site);
        }
        place.account().cloned().iter().for_each(|account| space.charge(account));
        *open = Weak::new();
        place.space = Some(space);
        Ok(std::mem::replace(&mut place.site, site))
    }

    /// Removes the files and gives the space back; says whether it was there.
    pub(super) fn remove(&self) -> bool {
        // Taken first: nothing is filled in once it is.
        let (space, site) = {
            let mut place = self.place.write();
            (place.space.take(), place.site.clone())
        };
        if space.is_some() {
            site.remove();
        }
        space.is_some()
    }

    /// Gives the space back and leaves the files alone: their disk does not work.
    pub(super) fn forget(&self) {
        self.place.write().space = None;
    }
}

/// A block whose file stays where it is, for somebody who knows its path.
#[derive(Debug)]
pub struct Held(Arc<Block>);

impl Held {
    /// Holds the block until this is dropped.
    pub fn new(block: Arc<Block>) -> Self {
        block.holders.fetch_add(1, Ordering::Relaxed);
        Held(block)
    }

    /// The block.
    pub fn block(&self) -> &Arc<Block> {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.holders.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Writes a file whole or not at all, where another may be already.
fn write_beside(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes)?;
    std::fs::rename(&new, path)
}

/// Writes `pieces` one after another from `offset` on.
pub(super) fn write_all_at(file: &File, pieces: &[&[u8]], mut offset: u64) -> std::io::Result<()> {
    for group in pieces.chunks(MAX_PIECES) {
        let mut slices: Vec<IoSlice<'_>> = group.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = &mut slices[..];
        // Skips empty pieces at the front.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let count = match nix::sys::uio::pwritev(file, left, offset as i64) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            offset += count as u64;
            IoSlice::advance_slices(&mut left, count);
        }
    }
    Ok(())
}
