//! Deleting, here and in the under store.

use super::intents::Intent;
use super::{Caller, FileSystem, check_writable, create, deposed, missing, write_type_of};
use crate::core::error::{Error, ErrorKind, Result, invalid_argument};
use crate::core::model::{FileId, FsPath, Status, WriteType};
use crate::master::journal::entry::{Attributes, Change, Delete, SetAttributes, Target};
use crate::master::state::next::BELOW;
use crate::master::sync::Freshness;
use std::time::Duration;

/// How long a deletion waits for a client that is about to complete what is deleted. Whoever deletes holds
/// a directory of their own.
const CLOSING_SOON: Duration = Duration::from_secs(5);

/// What a client says of a deletion.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removal {
    /// Whether a directory may have children.
    pub recursive: bool,
    /// Whether the under store keeps it.
    pub here_only: bool,
    /// Only what has this id: what is at the path may be another one by now.
    pub only: Option<FileId>,
}

impl FileSystem {
    /// Deletes a path.
    ///
    /// # Errors
    /// `NotFound`; `NotEmpty` for a directory with children where that is not allowed;
    /// `InvalidArgument` for a mount point or what holds one.
    pub async fn remove(&self, caller: &Caller, path: &FsPath, removal: Removal) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let removed = self.remove_now(caller, path, removal).await;
        self.unless_repeated(caller, removed)
    }

    async fn remove_now(&self, caller: &Caller, path: &FsPath, removal: Removal) -> Result<()> {
        let freshness = if removal.here_only { Freshness::Here } else { Freshness::Known };
        let status = self.find(path, freshness).await?.ok_or_else(|| missing(path))?;
        self.check_no_mount(path, "deleted")?;
        self.permit_parent(caller, path)?;
        if removal.here_only || !is_below(&status) {
            let _shared = self.locks.shared(path).await?;
            // Whoever held the path before us may have brought it to the store.
            let status = self.meant(path, removal)?;
            if removal.here_only || !is_below(&status) {
                return self.remove_here(caller, &status, removal).await;
            }
        }
        let mount = self.resolve(path)?.mount;
        check_writable(&mount, path)?;
        if status.folder && !removal.recursive {
            // What nobody has listed yet counts too: the store's directory goes with all it holds.
            self.load_children(&status, Freshness::Within(0)).await?;
            self.check_empty(path)?;
        }
        let (files, caller, path) = (self.clone(), caller.clone(), path.clone());
        let remove = async move { files.remove_both(&caller, &path, removal).await };
        self.to_the_end("delete", remove).await
    }

    /// What is to be removed. The path is held.
    fn meant(&self, path: &FsPath, removal: Removal) -> Result<Status> {
        let found = self.peek(path)?;
        let meant = |status: &Status| removal.only.is_none_or(|id| id == status.id);
        found.filter(meant).ok_or_else(|| missing(path))
    }

    /// Nothing is mounted at `path` or below it, and it is not the root.
    pub(super) fn check_no_mount(&self, path: &FsPath, done: &str) -> Result<()> {
        let mounts = self.mounts();
        if path.is_root() {
            return Err(invalid_argument(format!("the root directory cannot be {done}")));
        }
        match mounts.at(path).or(mounts.below(path)) {
            Some(mount) => Err(invalid_argument(format!(
                "{path} cannot be {done}: {} is mounted at {}; unmount it first",
                mount.ufs, mount.path
            ))),
            None => Ok(()),
        }
    }

    pub(super) fn check_empty(&self, path: &FsPath) -> Result<()> {
        if self.peek(path)?.is_none() {
            return Ok(());
        }
        if self.state().children(path, None, 1)?.is_empty() {
            return Ok(());
        }
        let text =
            format!("directory {path} is not empty: delete it with all it holds (recursive)");
        Err(Error::new(ErrorKind::NotEmpty, text))
    }

    /// Deletes from the tree alone. The path is held.
    async fn remove_here(&self, caller: &Caller, status: &Status, removal: Removal) -> Result<()> {
        let path = &status.path;
        let delete = Delete { path: path.clone(), id: removal.only, recursive: removal.recursive };
        if status.is_persisted()
            && let Some(parent) = path.parent()
        {
            // The store still has it, so the parent is no longer loaded whole.
            let parent = self.here(&parent)?.id;
            let attributes = Attributes { children_loaded_ms: Some(None), ..Default::default() };
            let change = SetAttributes { target: Target::Inodes(vec![parent]), attributes };
            self.commit(Change::SetAttributes(change)).await?;
        }
        self.commit_for(caller, Change::Delete(delete)).await?;
        self.sync.appeared(path);
        Ok(())
    }

    /// Deletes from the under store and from the tree.
    async fn remove_both(&self, caller: &Caller, path: &FsPath, removal: Removal) -> Result<()> {
        // What is about to be completed there is to be there first, if that is soon.
        let object = self.resolve(path)?.ufs_path;
        tokio::time::timeout(CLOSING_SOON, self.objects.closed(&object, path)).await.ok();
        let alone = self.locks.exclusive(std::slice::from_ref(path)).await?;
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        // Whoever held the path before us may have changed it.
        let status = self.meant(path, removal)?;
        if status.folder && !removal.recursive {
            self.check_empty(path)?;
        }
        let intent = Intent::Delete { path: path.clone(), id: status.id, folder: status.folder };
        self.intend(caller, &intent).await?;
        match self.carry_out_below(&intent).await {
            Ok(Some(())) => {}
            Ok(None) => return Err(self.finish_later(caller, intent, alone, deposed())),
            Err(error) => {
                self.forget(&intent).await?;
                drop(alone);
                if status.folder {
                    // A part may be gone: what is left shows.
                    self.load_children(&status, Freshness::Within(0)).await.ok();
                }
                return Err(error.context(format!("deleting {path}")));
            }
        }
        let delete = Delete { path: path.clone(), id: Some(status.id), recursive: true };
        let gone = self.commit_for(caller, Change::Delete(delete));
        let (gone, forgotten) = tokio::join!(biased; gone, self.forget(&intent));
        let gone = match gone {
            // A sync saw that it had vanished before we came to say so.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        };
        if let Err(error) = gone.and(forgotten) {
            return Err(self.finish_later(caller, intent, alone, error));
        }
        self.sync.appeared(path);
        Ok(())
    }
}

/// Whether the under store has, or may have, something of it: also what a worker has written through
/// before the file was completed, a directory that is being made there, and a version that was
/// overwritten in the cache only.
pub(in crate::master) fn is_below(status: &Status) -> bool {
    let written = || write_type_of(status.xattrs.get(create::WRITE_TYPE)?);
    let through = || matches!(written(), Some(WriteType::CacheThrough | WriteType::Through));
    let begun = match status.folder {
        true => status.xattrs.contains_key(create::PERSISTING),
        false => !status.completed && through(),
    };
    status.is_persisted() || begun || status.xattrs.contains_key(BELOW)
}
