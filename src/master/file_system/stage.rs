//! The next version of a directory: what the under store has now, beside what everybody sees.

use super::{FileSystem, missing, unexpected};
use crate::core::error::{ErrorKind, Result, unavailable};
use crate::core::model::{FsPath, Status};
use crate::master::inode::Inode;
use crate::master::journal::entry::{
    BeginStage, Change, Outcome, PublishStage, StageListing, SyncLoad, SyncScope, Synced,
};
use crate::master::sync::{A_MOMENT, CHUNK, TRIES};
use crate::ufs::UfsStatus;
use std::sync::Arc;

/// A file or directory as it will be.
#[derive(Clone, Debug)]
pub struct Next {
    /// What will be known of it.
    pub status: Status,
    inode: Arc<Inode>,
}

impl FileSystem {
    /// Begins to make the next version of the directory at `path`, or goes on with what `job` has
    /// begun. Gives the directory.
    ///
    /// # Errors
    /// `NotDirectory`; `FailedPrecondition` when another job does this there, or something is mounted
    /// below.
    pub(in crate::master) async fn begin_stage(&self, job: i64, path: &FsPath) -> Result<Next> {
        let most = self.config.master.atomic_changes_max;
        let begin = BeginStage { stage: job, path: path.clone(), most };
        self.commit(Change::BeginStage(begin)).await?;
        let inode = self.state().inode(path)?;
        Ok(Next { status: self.state().describe(path.clone(), &inode)?, inode })
    }

    /// Lists a directory in the under store and has the next version follow it. Gives the names in it,
    /// and whether the next version has changed by that.
    ///
    /// # Errors
    /// `NotFound` when the under store has no such directory; `ResourceExhausted` when too much
    /// changes; `Unavailable` when the under store does not answer.
    pub(in crate::master) async fn stage_directory(
        &self,
        job: i64,
        directory: &Next,
    ) -> Result<(Vec<String>, bool)> {
        let path = &directory.status.path;
        // No child is to be deleted or renamed in the store meanwhile.
        let _still = self.locks.listing(path).await?;
        for _ in 0..TRIES {
            let listed_ms = self.clock.now_ms();
            let listing = self.list_store(&directory.status).await?.entries;
            match self.stage_listing(job, directory, &listing, listed_ms).await {
                Err(error) if error.kind() == ErrorKind::Aborted => {
                    tokio::time::sleep(A_MOMENT).await;
                }
                Err(error) => return Err(error),
                Ok(changed) => {
                    return Ok((listing.into_iter().map(|entry| entry.name).collect(), changed));
                }
            }
        }
        Err(unavailable(format!("{path} changes too fast to be listed: try again")))
    }

    async fn stage_listing(
        &self,
        job: i64,
        directory: &Next,
        listing: &[UfsStatus],
        listed_ms: i64,
    ) -> Result<bool> {
        let loaded = directory.inode.directory().is_some_and(|d| d.children_loaded_ms.is_some());
        let mut changed = false;
        let mut chunks = listing.chunks(CHUNK).peekable();
        let mut after: Option<String> = None;
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let last = chunks.peek().is_none();
            let to = if last { None } else { chunk.last().map(|entry| entry.name.clone()) };
            let found = chunk.iter().map(|e| self.found(&directory.status, &e.name, e));
            let listing = SyncLoad {
                directory: directory.status.id,
                scope: SyncScope::between(after.as_ref(), to.as_ref()),
                found: found.collect(),
                listed_ms,
                loaded: last && !loaded,
            };
            let change = Change::StageListing(StageListing { stage: job, listing });
            // A listing that finds nothing new is not worth an entry.
            if self.state().would_change(listed_ms, change.clone())? {
                match self.commit(change).await? {
                    Outcome::Synced(synced) => changed |= synced != Synced::default(),
                    other => return Err(unexpected(&other)),
                }
            }
            if last {
                return Ok(changed);
            }
            after = to;
        }
    }

    /// What will be at `name` in a directory; none when nothing will.
    ///
    /// # Errors
    /// When the job has no stage any more, or the tree cannot be read.
    pub(in crate::master) fn next_status(
        &self,
        job: i64,
        directory: &Next,
        name: &str,
    ) -> Result<Option<Next>> {
        let Some(inode) = self.state().next_child(job, directory.status.id, name)? else {
            return Ok(None);
        };
        let status = self.state().describe(directory.status.path.join(name)?, &inode)?;
        Ok(Some(Next { status, inode }))
    }

    /// Has everybody see the next version from now on, whose last listing began at `listed_ms`.
    ///
    /// # Errors
    /// `Aborted` when something was removed here since then: list all of it again.
    /// `FailedPrecondition` when the directory is another one than when the job began.
    pub(in crate::master) async fn publish_stage(
        &self,
        job: i64,
        path: &FsPath,
        listed_ms: i64,
    ) -> Result<()> {
        // What users have begun to change here in the under store comes first.
        let _alone = self.locks.exclusive(std::slice::from_ref(path)).await?;
        if self.peek(path)?.is_none() {
            return Err(missing(path));
        }
        let publish = PublishStage { stage: job, listed_ms };
        self.commit(Change::PublishStage(publish)).await?;
        self.sync.moved();
        Ok(())
    }

    /// Gives up the next versions that no job makes any more: the old ones stay.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(in crate::master) async fn drop_stages(&self, is_made: impl Fn(i64) -> bool) -> Result<()> {
        for (job, stage) in self.state().stages().iter().filter(|(job, _)| !is_made(**job)) {
            tracing::info!(job, path = %stage.path, "its next version is given up");
            self.commit(Change::DropStage(*job)).await?;
        }
        Ok(())
    }
}
