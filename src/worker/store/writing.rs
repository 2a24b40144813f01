//! A block that a client writes: nothing until it is committed, then there for good.

use super::block::{Block, Parts, Site, write_all_at};
use super::checksum::{PageTable, Summing};
use super::dir::{Dir, Name, Origin};
use super::evict::Asked;
use super::space::Space;
use super::{BlockStore, disk_is_full, is_full};
use crate::core::error::{Context, Result, resource_exhausted};
use crate::core::model::{BlockId, Priority};
use bytes::Bytes;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A block being written. Dropped before it is committed, it leaves nothing behind. All calls wait
/// for the disk: keep them off the runtime's threads.
#[derive(Debug)]
pub struct Writing {
    store: Arc<BlockStore>,
    name: Name,
    dir: Arc<Dir>,
    space: Space,
    file: File,
    length: u64,
    sums: Summing,
    committed: bool,
}

impl Writing {
    /// Starts to write block `id`, of which about `expected` bytes will come.
    pub(super) fn start(store: &Arc<BlockStore>, id: BlockId, expected: u64) -> Result<Writing> {
        let name = store.next_name(id);
        // What is expected may be far more than what comes; that a directory is too small for it
        // shows when it comes.
        let dirs = [expected, 0].into_iter().flat_map(|bytes| store.dirs_for_block(id, bytes));
        let mut failed = full(id);
        for dir in dirs {
            match create(&dir, name) {
                Ok(file) => return Ok(Writing::of(store, name, dir, file)),
                // A disk that does not work: the next one may.
                Err(error) if store.suspect(&dir) => failed = error,
                Err(error) if is_full(error.kind()) => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    fn of(store: &Arc<BlockStore>, name: Name, dir: Arc<Dir>, file: File) -> Writing {
        Writing {
            store: store.clone(),
            name,
            space: Space::none(&dir),
            dir,
            file,
            length: 0,
            sums: Summing::new(store.page_size()),
            committed: false,
        }
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends bytes, given as pieces.
    ///
    /// # Errors
    /// `ResourceExhausted` when there is no room, in no directory.
    pub fn append(&mut self, pieces: &[Bytes]) -> Result<()> {
        let more = pieces.iter().map(Bytes::len).sum::<usize>() as u64;
        if !self
            .store
            .make_room(&self.dir, asked(more), |limit| Ok(self.space.grow(more, limit)))?
        {
            self.relocate(more)?;
        }
        let slices: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
        self.write(&slices, more)?;
        slices.iter().for_each(|piece| self.sums.add(piece));
        self.length += more;
        Ok(())
    }

    /// Writes behind what is there. Where the disk turns out to be full, though the quota is not,
    /// cached blocks make room; else it goes on in another directory.
    fn write(&mut self, slices: &[&[u8]], more: u64) -> Result<()> {
        let attempt = |writing: &Self| {
            let start = Instant::now();
            write_all_at(&writing.file, slices, writing.length)
                .with_context(|| format!("writing {}", writing.path().display()))?;
            writing.dir.speed.measured(more, start.elapsed());
            Ok(())
        };
        let mut written = attempt(self);
        if disk_is_full(&written) && self.store.make_room_on_disk(&self.dir, asked(more)) {
            written = attempt(self);
        }
        if !disk_is_full(&written) {
            return written.inspect_err(|_| {
                self.store.suspect(&self.dir);
            });
        }
        self.dir.find_full();
        let root = self.dir.root().display().to_string();
        self.relocate(more).map_err(|_| disk_full(self.name.block, &root))?;
        attempt(self)
    }

    /// Makes what has come so far survive a crash, where the directory can.
    ///
    /// # Errors
    /// Why the disk did not take it.
    pub fn sync(&self) -> Result<()> {
        if !self.dir.is_memory() {
            self.file.sync_data().with_context(|| format!("syncing {}", self.path().display()))?;
        }
        Ok(())
    }

    /// Makes the block readable, in place of one of the same id, and durable where the directory
    /// can be.
    ///
    /// # Errors
    /// Why the disk did not take it; then nothing is left.
    pub fn commit(mut self) -> Result<Arc<Block>> {
        let sums = std::mem::replace(&mut self.sums, Summing::new(self.store.page_size()));
        let pages = sums.finish();
        self.publish(&pages)
            .inspect_err(|_| {
                self.store.suspect(&self.dir);
            })
            .with_context(|| format!("committing block {}", self.name.block))?;
        self.committed = true;
        let space = std::mem::replace(&mut self.space, Space::none(&self.dir));
        let block = Block::new(Parts {
            site: Site { dir: self.dir.clone(), origin: Origin::Written, name: self.name },
            pages,
            version: String::new(),
            unpersisted: true,
            space,
        });
        Ok(self.store.insert(block))
    }

    /// Puts the page table beside where the block goes, then the block there: the rename commits.
    fn publish(&self, pages: &PageTable) -> Result<()> {
        let durable = !self.dir.is_memory();
        let table = self.dir.table_path(Origin::Written, self.name);
        let bytes = pages.encode(self.name.block.0, "", true);
        let mut file = File::create(&table)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        if durable {
            file.sync_data()?;
            let start = Instant::now();
            self.file.sync_all()?;
            self.dir.speed.measured(self.length, start.elapsed());
        }
        std::fs::rename(self.path(), self.dir.data_path(Origin::Written, self.name))?;
        if durable {
            sync_folder(&self.dir.folder(Origin::Written, self.name.block))?;
        }
        Ok(())
    }

    /// Goes on in another directory, where there is room for `more` too.
    fn relocate(&mut self, more: u64) -> Result<()> {
        let total = self.length + more;
        for dir in self.store.dirs_for(total) {
            if Arc::ptr_eq(&dir, &self.dir) {
                continue;
            }
            let mut space = Space::none(&dir);
            if !self.store.make_room(&dir, asked(total), |limit| Ok(space.grow(total, limit)))? {
                continue;
            }
            let file = create(&dir, self.name)?;
            let moved = std::fs::File::open(self.path())
                .and_then(|mut from| std::io::copy(&mut from, &mut &file));
            if let Err(error) = moved {
                std::fs::remove_file(dir.tmp_path(self.name)).ok();
                return Err(error.into());
            }
            std::fs::remove_file(self.path()).ok();
            (self.dir, self.space, self.file) = (dir, space, file);
            return Ok(());
        }
        Err(full(self.name.block))
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.tmp_path(self.name)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.committed {
            std::fs::remove_file(self.path()).ok();
            self.dir.remove(Origin::Written, self.name);
        }
    }
}

/// Data that is nowhere else takes the room of any that is.
fn asked(more: u64) -> Asked {
    Asked { more, except: None, most: Priority::High }
}

fn create(dir: &Dir, name: Name) -> Result<File> {
    let path = dir.tmp_path(name);
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .with_context(|| format!("creating {}", path.display()))
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

/// What a writer is told when the disk is full before the quota is.
fn disk_full(id: BlockId, root: &str) -> crate::core::error::Error {
    resource_exhausted(format!(
        "no room for block {id}: the disk of {root} is full, with less in it than its quota; free \
         some space there, or lower its quota in goosefs.worker.dirs"
    ))
}

/// What a writer is told when nothing can be evicted any more.
fn full(id: BlockId) -> crate::core::error::Error {
    resource_exhausted(format!(
        "no room for block {id} on this worker: all it holds is in use, pinned or not persisted yet; \
         wait, free or unpin some of it, or raise the quotas in goosefs.worker.dirs"
    ))
}
