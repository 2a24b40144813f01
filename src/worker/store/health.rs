//! Disks that fail, and bytes that are not what they were.
//!
//! A call that fails makes its directory suspect: it is probed, and taken out of service when it does
//! not work. Then its blocks that can be had again are forgotten, so that reads go elsewhere; those
//! that exist nowhere else stay known, and reads of them fail until the disk is back. A duty probes
//! all directories, and takes one back as it was: what is on it is found again. A single page that is
//! damaged is no reason for any of that: it is forgotten and filled anew.

use super::block::Block;
use super::dir::Dir;
use super::{BlockStore, recover};
use crate::core::error::{Error, ErrorKind};
use std::error::Error as _;
use std::ops::Range;
use std::sync::Arc;

/// What became of a block whose bytes could not be read as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// So many pages are forgotten; they can be filled again.
    Lost(usize),
    /// The whole block is forgotten.
    Dropped,
    /// It is not in the under store: it stays as it is.
    OnlyCopy,
    /// Nothing: the error is not about its bytes.
    None,
}

impl BlockStore {
    /// Looks whether a directory works, after a call on it failed; takes it out of service if not.
    /// Says whether it is. Waits for the disk.
    pub fn suspect(&self, dir: &Arc<Dir>) -> bool {
        if let Err(error) = dir.probe() {
            self.lose(dir, &error);
        }
        dir.is_lost()
    }

    /// Probes the directories: takes those that do not work out of service and those that do back.
    /// Waits for the disks.
    pub fn check_dirs(&self) {
        let cluster = self.cluster.lock().clone();
        for dir in &self.dirs {
            if !dir.is_lost() {
                self.suspect(dir);
            } else if let Err(error) = dir.take_back(&cluster).and_then(|()| self.rejoin(dir)) {
                tracing::debug!(dir = %dir.root().display(), %error, "still out of service");
                dir.lose(error.to_string());
            }
        }
    }

    fn lose(&self, dir: &Arc<Dir>, error: &Error) {
        if !dir.lose(error.to_string()) {
            return;
        }
        let mut blocks = self.blocks.write();
        let before = blocks.len();
        let mut only_copies = 0;
        blocks.retain(|_, block| {
            if !block.is_in(dir) {
                return true;
            }
            match block.is_unpersisted() {
                true => only_copies += 1,
                false => block.forget(),
            }
            block.is_unpersisted()
        });
        let forgotten = before - blocks.len();
        drop(blocks);
        let dir = dir.root().display();
        tracing::error!(%dir, %error, forgotten, only_copies, "a directory is out of service: repair its disk, and it is used again");
    }

    /// Serves what is in a directory again.
    fn rejoin(&self, dir: &Arc<Dir>) -> crate::core::error::Result<()> {
        let mut found = recover::scan(dir, self.page_size)?;
        found.sort_by_key(|(written, _)| *written);
        let cluster = self.cluster.lock().clone();
        if !cluster.is_empty() {
            dir.set_cluster(&cluster)?;
        }
        dir.serve_again();
        let blocks = found.len();
        for (_, block) in found {
            // The only copies were never forgotten.
            let name = block.site().name;
            if self.peek(block.id()).is_none_or(|known| known.site().name != name) {
                self.take_in(block);
            }
        }
        self.look_for_misplaced();
        self.untidy.notify_one();
        tracing::warn!(dir = %dir.root().display(), blocks, "a directory is back in service");
        Ok(())
    }

    /// Finds out what is wrong with a block that could not be read for `error`, and forgets as much
    /// of it as is bad and can be had again. Reads all of it; waits for the disk.
    pub fn examine(&self, block: &Arc<Block>, error: &Error) -> Damage {
        if error.kind() != ErrorKind::DataLoss && !is_of_disk(error) {
            return Damage::None;
        }
        if error.kind() != ErrorKind::DataLoss {
            self.suspect(&block.dir());
        }
        if block.is_unpersisted() {
            return Damage::OnlyCopy;
        }
        let pages = 0..block.page_count();
        let lost = block.open_anew().and_then(|file| self.lose_bad_pages(block, &file, pages));
        match lost {
            // Another reader may have found them first.
            Ok(pages) if pages > 0 || !block.is_whole() => Damage::Lost(pages),
            _ => {
                self.discard(block);
                Damage::Dropped
            }
        }
    }

    /// Forgets those of `pages` that do not match their checksums; says how many. Waits for the disk.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub fn lose_bad_pages(
        &self,
        block: &Arc<Block>,
        file: &std::fs::File,
        pages: Range<usize>,
    ) -> crate::core::error::Result<usize> {
        let bad = block.bad_pages(file, pages)?;
        if bad.is_empty() || block.is_unpersisted() {
            return Ok(bad.len());
        }
        let lost = block.lose_pages(&bad);
        // A table that says otherwise is found out when the pages are served.
        if let Err(error) = block.write_table() {
            tracing::warn!(block = %block.id(), %error, "cannot note which pages are bad");
        }
        self.list(block);
        Ok(lost)
    }
}

/// Whether an error comes from a disk that cannot read.
fn is_of_disk(error: &Error) -> bool {
    const DISK: [i32; 7] = [
        libc::EIO,
        libc::EROFS,
        libc::ENODEV,
        libc::ENXIO,
        libc::ESTALE,
        libc::ENODATA,
        libc::EUCLEAN,
    ];
    let mut source = error.source();
    while let Some(error) = source {
        let code = error.downcast_ref::<std::io::Error>().and_then(|e| e.raw_os_error());
        if code.is_some_and(|code| DISK.contains(&code)) {
            return true;
        }
        source = error.source();
    }
    false
}
