//! One block: a plain file, and what is known of its pages.
//!
//! A block is filled page by page until it is whole, and never changes after. Its file is removed,
//! never truncated, so whoever has it open reads on.

use super::checksum::{PageTable, sum_of};
use super::dir::{Dir, Name, Origin, Space};
use crate::core::error::{Context, Error, ErrorKind, Result, data_loss};
use crate::core::model::BlockId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// The most pieces one pwritev(2) takes (IOV_MAX).
const MAX_PIECES: usize = 1024;

/// One block of the store.
#[derive(Debug)]
pub struct Block {
    pub(super) name: Name,
    pub(super) origin: Origin,
    pub(super) dir: Arc<Dir>,
    length: u64,
    version: String,
    pages: Mutex<PageTable>,
    whole: AtomicBool,
    unpersisted: AtomicBool,
    accessed: AtomicU64,
    /// How many rely on its file staying where it is.
    holders: AtomicU64,
    /// Its share of the quota; none once it has been removed.
    space: Mutex<Option<Space>>,
    /// The file, as long as somebody uses it: a store has more blocks than a process descriptors.
    open: Mutex<Weak<File>>,
}

/// What a block is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub name: Name,
    pub origin: Origin,
    pub dir: Arc<Dir>,
    pub pages: PageTable,
    pub version: String,
    pub unpersisted: bool,
    pub space: Space,
}

impl Block {
    pub(super) fn new(parts: Parts) -> Block {
        Block {
            name: parts.name,
            origin: parts.origin,
            dir: parts.dir,
            length: parts.pages.length(),
            version: parts.version,
            whole: AtomicBool::new(parts.pages.is_whole()),
            pages: Mutex::new(parts.pages),
            unpersisted: AtomicBool::new(parts.unpersisted),
            accessed: AtomicU64::new(0),
            holders: AtomicU64::new(0),
            space: Mutex::new(Some(parts.space)),
            open: Mutex::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> BlockId {
        self.name.block
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
        self.dir.is_memory()
    }

    /// Where its file is.
    pub fn path(&self) -> std::path::PathBuf {
        self.dir.data_path(self.origin, self.name)
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

    /// When it was last asked for, on the store's own count.
    pub fn accessed(&self) -> u64 {
        self.accessed.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self, tick: u64) {
        self.accessed.store(tick, Ordering::Relaxed);
    }

    /// Notes that it exists elsewhere too; says whether that is news.
    pub(super) fn set_persisted(&self) -> bool {
        self.unpersisted.swap(false, Ordering::Relaxed)
    }

    /// Whether it has been removed from the store.
    pub fn is_removed(&self) -> bool {
        self.space.lock().is_none()
    }

    pub(super) fn is_held(&self) -> bool {
        self.holders.load(Ordering::Relaxed) > 0
    }

    pub(super) fn bytes_held(&self) -> u64 {
        self.space.lock().as_ref().map_or(0, Space::bytes)
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
        let file = Arc::new(self.open_anew()?);
        *open = Arc::downgrade(&file);
        Ok(file)
    }

    /// The same by a descriptor of its own, which can only read: one to give away.
    ///
    /// # Errors
    /// As [`Block::open`].
    pub fn open_anew(&self) -> Result<File> {
        let path = self.path();
        let damaged = |why: String| data_loss(format!("block {}: {why}", self.id()));
        let file = File::open(&path).map_err(|e| match e.kind() {
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

    /// Takes `more` bytes of the quota, below `limit`; false when there is no room.
    ///
    /// # Errors
    /// `Aborted` when the block has been removed.
    pub(super) fn grow(&self, more: u64, limit: u64) -> Result<bool> {
        match self.space.lock().as_mut() {
            Some(space) => Ok(space.grow(more, limit)),
            None => Err(Error::new(
                ErrorKind::Aborted,
                format!("block {} has been removed meanwhile", self.id()),
            )),
        }
    }

    /// Gives back what was grown by for bytes that did not get written.
    pub(super) fn shrink(&self, less: u64) {
        if let Some(space) = self.space.lock().as_mut() {
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
        write_all_at(&file, &pieces, offset).with_context(|| self.path().display().to_string())?;
        let sums: Vec<u32> = pages.iter().map(|pieces| sum_of(pieces)).collect();
        let mut table = self.pages.lock();
        let mut next = table.clone();
        for (page, sum) in sums.into_iter().enumerate() {
            next.fill(index + page, sum);
        }
        if !next.is_whole() || table.is_whole() {
            *table = next;
            return Ok(file);
        }
        // All others are there: nobody else changes the table meanwhile.
        drop(table);
        self.write_table_of(&next)?;
        *self.pages.lock() = next;
        self.whole.store(true, Ordering::Release);
        Ok(file)
    }

    /// Writes the page table beside the file.
    pub(super) fn write_table(&self) -> Result<()> {
        let pages = self.pages.lock().clone();
        self.write_table_of(&pages)
    }

    fn write_table_of(&self, pages: &PageTable) -> Result<()> {
        let bytes = pages.encode(self.id().0, &self.version, self.is_unpersisted());
        let path = self.dir.table_path(self.origin, self.name);
        write_beside(&path, &bytes).with_context(|| path.display().to_string())
    }

    /// Removes the files and gives the space back; says whether it was there.
    pub(super) fn remove(&self) -> bool {
        // Taken first: nothing is filled in once it is.
        let space = self.space.lock().take();
        if space.is_some() {
            self.dir.remove(self.origin, self.name);
        }
        space.is_some()
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
