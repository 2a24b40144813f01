//! Renaming, here and in the under store.

use super::delete::is_below;
use super::intents::Intent;
use super::{Caller, FileSystem, check_writable, deposed, missing};
use crate::core::error::{Error, ErrorKind, Result, already_exists, invalid_argument};
use crate::core::model::{FsPath, Status};
use crate::master::journal::entry::{Attributes, Change, Rename, SetAttributes, Target};
use crate::master::locks::Guard;
use crate::master::stores::{CALL_DEADLINE, within};
use crate::master::sync::Freshness;

impl FileSystem {
    /// Gives a path another name. Never replaces what is there.
    ///
    /// # Errors
    /// `NotFound` when the source or the destination's parent is missing; `AlreadyExists` when the
    /// destination is there; `InvalidArgument` into itself or from one mount to another.
    pub async fn rename(&self, caller: &Caller, from: &FsPath, to: &FsPath) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let renamed = self.rename_now(caller, from, to).await;
        self.unless_repeated(caller, renamed)
    }

    async fn rename_now(&self, caller: &Caller, from: &FsPath, to: &FsPath) -> Result<()> {
        self.check_rename(from, to)?;
        let source = self.find(from, Freshness::Known).await?.ok_or_else(|| missing(from))?;
        self.permit_parent(caller, from)?;
        self.permit_parent(caller, to)?;
        // Alone also where only the tree changes: nobody is to create the destination in the under
        // store between our look and the entry.
        let object = self.resolve(to)?.ufs_path;
        let alone = loop {
            let alone = self.locks.exclusive(&[from.clone(), to.clone()]).await?;
            if !self.objects.is_held(&object) {
                break alone;
            }
            // What was there before is still on its way to the under store, and would come after this.
            drop(alone);
            self.objects.free(&object, to).await?;
        };
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        self.check_destination(to).await?;
        match self.peek(from)?.ok_or_else(|| missing(from))? {
            now if now.id != source.id => Err(missing(from)),
            now if is_below(&now) => {
                let (files, caller, to) = (self.clone(), caller.clone(), to.clone());
                let rename = async move { files.rename_both(&caller, &now, &to, alone).await };
                self.to_the_end("rename", rename).await
            }
            _ => self.rename_here(caller, from, to).await,
        }?;
        self.sync.moved();
        Ok(())
    }

    fn check_rename(&self, from: &FsPath, to: &FsPath) -> Result<()> {
        self.check_no_mount(from, "renamed")?;
        if to.is_root() || from == to {
            return Err(already_exists(format!("path {to} already exists")));
        }
        if to.starts_with(from) {
            return Err(invalid_argument(format!("{from} cannot be moved into itself, to {to}")));
        }
        let (source, target) = (self.resolve(from)?.mount, self.resolve(to)?.mount);
        check_writable(&source, from)?;
        check_writable(&target, to)?;
        if source.id != target.id {
            return Err(invalid_argument(format!(
                "{from} is on {} and {to} on {}: a rename stays within one mount; copy it \
                 (goosefs fs cp -R) and delete the original",
                source.ufs, target.ufs
            )));
        }
        Ok(())
    }

    async fn check_destination(&self, to: &FsPath) -> Result<()> {
        if self.find_held(to, Freshness::Within(0)).await?.is_some() {
            return Err(already_exists(format!("path {to} already exists")));
        }
        let Some(parent) = to.parent() else { return Ok(()) };
        match self.peek(&parent)? {
            None => Err(missing(&parent)),
            Some(status) if !status.folder => {
                let text = format!("{parent} is a file, so there is nothing below it");
                Err(Error::new(ErrorKind::NotDirectory, text))
            }
            Some(_) => Ok(()),
        }
    }

    async fn rename_here(&self, caller: &Caller, from: &FsPath, to: &FsPath) -> Result<()> {
        let rename = Rename { from: from.clone(), to: to.clone() };
        self.commit_for(caller, Change::Rename(rename)).await.map(drop)
    }

    async fn rename_both(
        &self,
        caller: &Caller,
        source: &Status,
        to: &FsPath,
        alone: Guard,
    ) -> Result<()> {
        if !source.folder && !source.completed {
            let text = format!("file {} is incomplete: it is being written", source.path);
            return Err(Error::new(ErrorKind::Incomplete, text));
        }
        if source.folder {
            // Its making may have been interrupted.
            self.persist_directory(&source.path).await?;
        }
        self.make_parent_below(to).await?;
        let (from, id, folder) = (source.path.clone(), source.id, source.folder);
        let intent = Intent::Rename { from: from.clone(), to: to.clone(), id, folder };
        self.intend(caller, &intent).await?;
        match self.carry_out_below(&intent).await {
            Ok(Some(())) => {}
            Ok(None) => return Err(self.finish_later(caller, intent, alone, deposed())),
            Err(error) => {
                self.forget(&intent).await?;
                return Err(error.context(format!("renaming {from} to {to}")));
            }
        }
        let rename = Change::Rename(Rename { from, to: to.clone() });
        let renamed = self.commit_for(caller, rename);
        let (renamed, forgotten) = tokio::join!(biased; renamed, self.forget(&intent));
        if let Err(error) = renamed.and(forgotten) {
            return Err(self.finish_later(caller, intent, alone, error));
        }
        if !folder {
            self.follow_version(source, to).await;
        }
        Ok(())
    }

    /// The destination's parent may exist in the cache only.
    async fn make_parent_below(&self, to: &FsPath) -> Result<()> {
        let Some(parent) = to.parent() else { return Ok(()) };
        if parent.is_root() || self.here(&parent)?.mount_point {
            return Ok(());
        }
        self.persist_directory(&parent).await
    }

    /// A store that renames by copying may give the copy another version. The bytes are the same,
    /// so the file keeps its id and what is cached of it.
    async fn follow_version(&self, source: &Status, to: &FsPath) {
        let result = async {
            let mount = self.resolve(to)?.mount;
            let ufs = self.stores.of(&mount)?;
            let relative = to.relative_to(&mount.path).unwrap_or_default();
            let found = within(&mount, CALL_DEADLINE, ufs.status(relative)).await?;
            if found.version == source.ufs_version || found.length != source.length {
                return Ok(());
            }
            let attributes = Attributes { ufs_version: Some(found.version), ..Default::default() };
            let change = SetAttributes { target: Target::Inodes(vec![source.id]), attributes };
            self.commit(Change::SetAttributes(change)).await.map(drop)
        };
        if let Err(error) = Result::<()>::from(result.await) {
            tracing::warn!(path = %to, %error, "its version in the under store is not known; it will be synced");
        }
    }
}
