//! Freeing: the cached copies go, the files stay.

use super::{Caller, FileSystem, missing};
use crate::core::error::{Result, failed_precondition};
use crate::core::model::{BlockId, FsPath, Status};
use crate::core::security::Access;
use crate::master::sync::Freshness;

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

    /// Tells the workers to drop a file's blocks.
    pub(in crate::master) fn free_blocks(&self, status: &Status) {
        self.workers.free((0..status.block_count()).map(|index| status.id.block(index)));
    }

    /// Drops single blocks wherever they are; what a client does that gives up writing.
    pub fn remove_blocks(&self, blocks: impl IntoIterator<Item = BlockId>) {
        self.workers.free(blocks);
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
