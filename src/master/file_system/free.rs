//! Freeing: the cached copies go, the files stay.

use super::{Caller, FileSystem, missing};
use crate::core::error::{Error, ErrorKind, Result, failed_precondition};
use crate::core::model::{BlockId, BlockStatus, FileId, FsPath, Status, WorkerId, WorkerState};
use crate::core::security::Access;
use crate::master::journal::entry::{Change, CommitLocation, MoveLocation};
use crate::master::sync::Freshness;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

impl FileSystem {
    /// Drops the cached copies of a file, or of everything below a directory.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` for a directory without `recursive`, for what is pinned
    /// without `forced`, and always for data that is nowhere else.
    pub async fn free(
        &self,
        caller: &Caller,
        path: &FsPath,
        recursive: bool,
        forced: bool,
    ) -> Result<()> {
        let status = self.find(path, Freshness::Known).await?.ok_or_else(|| missing(path))?;
        self.permit(caller, path, Access::READ)?;
        if !status.folder {
            check_freeable(&status, forced)?;
            self.free_blocks(&status);
            return Ok(());
        }
        if !recursive {
            return Err(failed_precondition(format!(
                "{path} is a directory: free it with all it holds (recursive)"
            )));
        }
        // Refused as a whole, before anything is dropped.
        self.each_cached(path, |status| check_freeable(status, forced))?;
        self.each_cached(path, |status| {
            self.free_blocks(status);
            Ok(())
        })
    }

    /// Has a file's blocks dropped, if that is allowed.
    ///
    /// # Errors
    /// `FailedPrecondition` for what is pinned, if not `forced`, and for data that is nowhere else.
    pub(in crate::master) fn free_file(&self, status: &Status, forced: bool) -> Result<()> {
        check_freeable(status, forced)?;
        self.free_blocks(status);
        Ok(())
    }

    /// Tells the workers to drop a file's blocks.
    pub(in crate::master) fn free_blocks(&self, status: &Status) {
        self.workers.free((0..status.block_count()).map(|index| status.id.block(index)));
    }

    /// Drops single blocks wherever they are; what a client does that gives up writing. It may be mistaken:
    /// the answer that its file is complete can be lost. The blocks of such a file stay.
    ///
    /// # Errors
    /// When the tree cannot be read; nothing is dropped then.
    pub fn remove_blocks(&self, blocks: impl IntoIterator<Item = BlockId>) -> Result<()> {
        let mut complete: BTreeMap<FileId, bool> = BTreeMap::new();
        let mut given_up = Vec::new();
        for block in blocks {
            let stays = match complete.entry(block.file()) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(self.is_complete(block.file())?),
            };
            if !stays {
                given_up.push(block);
            }
        }
        self.workers.free(given_up);
        Ok(())
    }

    fn is_complete(&self, id: FileId) -> Result<bool> {
        match self.by_id(id) {
            Ok(status) => Ok(status.completed),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Notes that the worker `to` holds these blocks, which are nowhere else, and that `from` will not
    /// (0 for nobody). Those for which that is known now, or does not matter any more, since their
    /// file is persisted or deleted: `to`, which may have come too late to hear of that, is told
    /// again. None where `to` is gone, or about to be.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn moved_blocks(
        &self,
        blocks: impl IntoIterator<Item = BlockId>,
        to: WorkerId,
        from: WorkerId,
    ) -> Result<Vec<BlockId>> {
        let stays = self.workers.state_of(to).is_some_and(|state| state != WorkerState::Drained);
        if !stays || self.workers.address(to).is_none() {
            return Ok(Vec::new());
        }
        let mut by_file: BTreeMap<FileId, Vec<BlockId>> = BTreeMap::new();
        for block in blocks {
            by_file.entry(block.file()).or_default().push(block);
        }
        let mut settled = Vec::new();
        for (id, blocks) in by_file {
            let status = match self.by_id(id) {
                Ok(status) if status.is_persisted() => {
                    self.workers.persisted(blocks.iter().copied());
                    None
                }
                // Its writer will say who holds what, and does not know of this.
                Ok(status) if !status.completed => continue,
                Ok(status) => Some(status),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // Who tells of its own blocks asks which files exist anyway.
                    if from != 0 {
                        self.workers.free(blocks.iter().copied());
                    }
                    None
                }
                Err(error) => return Err(error),
            };
            if let Some(status) = status {
                let held =
                    |id: &BlockId| BlockStatus { locations: vec![to], ..status.block(id.index()) };
                let known = |id: &BlockId| status.block(id.index()).locations.contains(&to);
                if from == 0 && blocks.iter().all(known) {
                    settled.extend(blocks);
                    continue;
                }
                let blocks = blocks.iter().map(held).collect();
                let moved = CommitLocation { id, blocks };
                let change = match from {
                    0 => Change::CommitLocation(moved),
                    from => Change::MoveLocation(MoveLocation { moved, from }),
                };
                match self.commit(change).await {
                    Ok(_) => {}
                    // Looked at again when it is asked about again.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
            }
            settled.extend(blocks);
        }
        Ok(settled)
    }

    /// The first `most` files below `path` that the tree knows; says whether those are all.
    pub(in crate::master) fn each_known(
        &self,
        path: &FsPath,
        most: usize,
        mut act: impl FnMut(&Status),
    ) -> Result<bool> {
        let mut left = most;
        let enough = || Error::new(ErrorKind::ResourceExhausted, "enough");
        let walked = self.each_cached(path, |status| {
            left = left.checked_sub(1).ok_or_else(enough)?;
            act(status);
            Ok(())
        });
        match walked {
            Err(error) if error.kind() == ErrorKind::ResourceExhausted => Ok(false),
            walked => walked.map(|()| true),
        }
    }

    /// Every file below `path` that the tree knows; others cannot be cached.
    fn each_cached(&self, path: &FsPath, mut act: impl FnMut(&Status) -> Result<()>) -> Result<()> {
        const PAGE: usize = 1_000;
        let mut directories = vec![(path.clone(), None::<String>)];
        while let Some((directory, after)) = directories.pop() {
            let page = self.state().list(&directory, after.as_deref(), PAGE)?;
            if page.len() == PAGE {
                let last = page.last().map(|status| status.name().to_string());
                directories.push((directory, last));
            }
            for status in page {
                if status.folder {
                    directories.push((status.path, None));
                } else {
                    act(&status)?;
                }
            }
        }
        Ok(())
    }
}

fn check_freeable(status: &Status, forced: bool) -> Result<()> {
    if status.pinned && !forced {
        return Err(failed_precondition(format!("{} is pinned: unpin it first", status.path)));
    }
    if status.is_persisted() || status.length == 0 || status.is_symlink() {
        return Ok(());
    }
    Err(failed_precondition(format!(
        "{} is in the cache only: persist it first (goosefs fs persist), or delete it",
        status.path
    )))
}
